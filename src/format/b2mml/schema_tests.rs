//! Every document, those of random events too, and the answers that the tests are made of, against MESA's own schemas.
//!
//! The schemas are not part of the project. They are looked for in `$B2MML_XSD`, else beside the checkout.

use super::super::random_tests::shaken;
use super::super::samples::{after, extreme, ordinary, renderer};
use super::answer::FIXTURES;
use super::shape_tests::misshapen;
use super::{document, maps};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rounds over all kinds of events, of which twelve have a document.
const ROUNDS: usize = 25;
/// Entries of a list: enough that some events have to be cut.
const LONGEST: usize = 60;

/// Where the schemas are. Without them nothing is checked, and nothing fails: nobody needs them to work on Millgate.
fn schemas() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/b2mml/xsd");
    let folder = std::env::var("B2MML_XSD").unwrap_or_else(|_| beside.to_owned());
    let schema = Path::new(&folder).join("AllSchemas.xsd");
    if schema.is_file() {
        return Some(schema);
    }
    println!(
        "not here: B2MML documents against MESA's schemas: no AllSchemas.xsd in {folder}; set B2MML_XSD"
    );
    None
}

/// True where xmllint is; without it the test is skipped, or fails with `CI=true`.
fn installed() -> bool {
    let answer = Command::new("xmllint").arg("--version").output();
    let Err(error) = answer else {
        return true;
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "xmllint: {error}; with CI=true nothing is skipped: install the package libxml2-utils"
    );
    println!(
        "skipped: B2MML documents against MESA's schemas: xmllint: {error}; `tests/run tools` installs it"
    );
    false
}

#[test]
fn every_document_is_valid() {
    let Some(schema) = schemas() else {
        return;
    };
    if !installed() {
        return;
    }
    let seed = fastrand::u64(..);
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut keep = |name: String, text: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        files.push(file);
    };
    let fixed = ordinary().into_iter().chain(extreme());
    for (at, event) in fixed.chain(shaken(seed, ROUNDS, LONGEST)).enumerate() {
        if maps(event.kind()) {
            let json = renderer().render(&event, after(0.1)).json;
            let name = format!("{at:04}-{}.xml", event.kind().name());
            keep(name, &document(&json).unwrap());
        }
    }
    for (at, payload) in misshapen().iter().enumerate() {
        if let Ok(text) = document(payload) {
            keep(format!("misshapen-{at:05}.xml"), &text);
        }
    }
    for (name, text) in FIXTURES {
        keep(format!("answer-{name}.xml"), text.as_bytes());
    }
    assert!(files.len() > 12 * ROUNDS, "seed {seed}: {}", files.len());
    let mut xmllint = Command::new("xmllint");
    xmllint
        .args(["--noout", "--nonet", "--huge", "--schema"])
        .arg(schema);
    let answer = xmllint.args(&files).output().unwrap();
    let complaints = String::from_utf8_lossy(&answer.stderr);
    let complaints: Vec<&str> = (complaints.lines())
        .filter(|line| !line.ends_with(" validates"))
        .take(20)
        .collect();
    assert!(
        answer.status.success() && complaints.is_empty(),
        "seed {seed}:\n{}",
        complaints.join("\n")
    );
}
