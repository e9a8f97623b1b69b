//! `millgate opcua keygen` and `trust`, run as a person runs them.

use super::folder::pem;
use super::zoo::{Animal, HOST, NOW, URI};
use millgate::acquire::opc_ua::trust::{Thumbprint, Trust};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A box with settings, and its folder.
struct Site {
    directory: tempfile::TempDir,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Site {
    fn new() -> Site {
        let site = Site {
            directory: tempfile::tempdir().unwrap(),
        };
        let settings = format!(
            "gateway: {{ id: GW-1, path: [EXAMPLE] }}\nmachine: FILLER\nbuffer: {{ path: {} }}\n",
            site.path("state").display()
        );
        fs::write(site.path("gateway.yaml"), settings).unwrap();
        fs::create_dir(site.path("state")).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn pki(&self) -> PathBuf {
        self.path("state/pki")
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .arg("opcua")
            .args(arguments)
            .arg("--config")
            .arg(self.path("gateway.yaml"))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    fn good(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{arguments:?}");
        said.out
    }

    fn bad(&self, arguments: &[&str], code: i32) -> String {
        let said = self.run(arguments);
        assert_eq!(
            (said.code, said.out.as_str()),
            (code, ""),
            "{arguments:?}: {}",
            said.err
        );
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
        said.err
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(&[arguments, &["--json"]].concat())).unwrap()
    }
}

#[test]
fn keygen_makes_a_pair_once_and_tells_where_it_goes() {
    let site = Site::new();
    let said = site.good(&[
        "keygen",
        "--host",
        "box.example",
        "--host",
        "192.0.2.9",
        "--days",
        "30",
    ]);
    for word in [
        "own/cert.der",
        "urn:box.example:millgate:GW-1",
        "Copy the certificate",
    ] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    let first = fs::read(site.pki().join("own/cert.der")).unwrap();
    let thumbprint = Thumbprint::of(&first).to_string();
    assert!(said.contains(&thumbprint));
    let refused = site.bad(&["keygen"], 64);
    assert!(
        refused.contains("--force") && refused.contains("own/cert.der"),
        "{refused}"
    );
    assert_eq!(fs::read(site.pki().join("own/cert.der")).unwrap(), first);
    let report = site.json(&["keygen", "--force", "--host", "box.example"]);
    assert_ne!(report["thumbprint"], thumbprint.as_str());
    assert_eq!(
        site.json(&["trust"])["own"]["thumbprint"],
        report["thumbprint"]
    );
    // The key is nowhere but in its file.
    assert!(!said.contains("PRIVATE"));
}

#[test]
fn keygen_refuses_what_it_cannot_do() {
    let site = Site::new();
    for (arguments, code, word) in [
        (
            &["keygen", "--host", "a/b"][..],
            64,
            "`a/b` is no host name",
        ),
        (&["keygen", "--host", "box\u{7}"], 64, "is no host name"),
    ] {
        let said = site.bad(arguments, code);
        assert!(said.contains(word), "{said}");
    }
    for arguments in [
        &["keygen", "--days", "0"][..],
        &["keygen", "--bits", "1024"],
    ] {
        assert_eq!(site.run(arguments).code, 64, "{arguments:?}");
    }
    assert!(!site.pki().exists());
    // A file where the folder should be.
    fs::write(site.pki(), "").unwrap();
    let said = site.bad(&["keygen", "--host", "box"], 74);
    assert!(said.contains("state/pki"), "{said}");
}

#[test]
fn a_refused_server_is_listed_with_the_reason_and_trusted_by_its_thumbprint() {
    let site = Site::new();
    let trust = Trust::open(&site.pki());
    let der = Animal::good().der();
    trust.verify(&der, HOST, URI, NOW).unwrap_err();
    let thumbprint = Thumbprint::of(&der).to_string();
    for arguments in [&["trust"][..], &["trust", "--list"]] {
        let said = site.good(arguments);
        for word in [
            &thumbprint,
            "CN=Filler",
            "2027-11-22",
            "compare its thumbprint",
            "opcua keygen",
        ] {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
    }
    // As other tools write it.
    let pairs: Vec<String> = thumbprint
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
        .collect();
    let said = site.good(&["trust", &pairs.join(":")]);
    assert!(
        said.contains("trusted:") && said.contains("next attempt"),
        "{said}"
    );
    assert_eq!(trust.verify(&der, HOST, URI, NOW), Ok(()));
    assert!(
        site.good(&["trust", &thumbprint])
            .contains("trusted already")
    );
    let report = site.json(&["trust"]);
    assert_eq!(report["rejected"], Value::Array(vec![]));
    assert_eq!(report["trusted"][0]["thumbprint"], thumbprint.as_str());
    assert!(
        site.good(&["trust", "--remove", &thumbprint])
            .contains("no more")
    );
    assert!(trust.verify(&der, HOST, URI, NOW).is_err());
    assert!(
        site.bad(&["trust", "--remove", &thumbprint], 66)
            .contains("is trusted")
    );
}

#[test]
fn a_file_is_trusted_as_der_or_pem_and_its_faults_are_told() {
    let site = Site::new();
    let good = Animal::good().der();
    let old = Animal {
        valid: (1_000, 2_000),
        serial: 9,
        ..Animal::good()
    }
    .der();
    fs::write(site.path("good.pem"), pem(&good)).unwrap();
    fs::write(site.path("old.der"), &old).unwrap();
    let name = |name: &str| site.path(name).display().to_string();
    assert!(
        !site
            .good(&["trust", &name("good.pem")])
            .contains("all the same")
    );
    let said = site.good(&["trust", &name("old.der")]);
    assert!(
        said.contains("refused all the same") && said.contains("1970-01-01"),
        "{said}"
    );
    assert_eq!(
        site.json(&["trust"])["trusted"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn what_cannot_be_trusted_is_told_plainly() {
    let site = Site::new();
    fs::write(site.path("letter.der"), "dear colleague").unwrap();
    let letter = site.path("letter.der").display().to_string();
    let nobody = "00".repeat(20);
    for (what, code, word) in [
        (nobody.as_str(), 66, "was refused"),
        (&nobody[..39], 66, "40 hexadecimal digits"),
        ("/nowhere/x.der", 66, "/nowhere/x.der"),
        (letter.as_str(), 65, "no X.509 certificate"),
    ] {
        let said = site.bad(&["trust", what], code);
        assert!(said.contains(word), "{said}");
    }
    // Garbage that a server sent cannot be trusted, either.
    Trust::open(&site.pki())
        .verify(b"garbage", HOST, URI, NOW)
        .unwrap_err();
    let thumbprint = Thumbprint::of(b"garbage").to_string();
    assert!(
        site.bad(&["trust", &thumbprint], 65)
            .contains("cannot be trusted")
    );
    assert!(site.good(&["trust"]).contains("no X.509 certificate"));
    assert_eq!(site.run(&["trust", "--remove", "xyz"]).code, 64);
}

#[test]
fn a_folder_that_cannot_be_read_and_settings_that_are_absent_have_their_codes() {
    let site = Site::new();
    fs::create_dir_all(site.pki()).unwrap();
    fs::write(site.pki().join("rejected"), "").unwrap();
    assert!(site.bad(&["trust"], 74).contains("rejected"));
    fs::remove_file(site.path("gateway.yaml")).unwrap();
    assert!(site.bad(&["trust"], 66).contains("gateway.yaml"));
}

#[test]
fn the_terminal_gets_no_control_characters_from_a_certificate() {
    let site = Site::new();
    let der = Animal {
        subject: "CN=\u{1b}[2Jevil\nname".to_owned(),
        hosts: vec!["\u{1b}[2Jhost".to_owned()],
        ..Animal::good()
    }
    .der();
    let refused = Trust::open(&site.pki())
        .verify(&der, HOST, URI, NOW)
        .unwrap_err();
    assert!(refused.detail.contains("is for ?[2Jhost"), "{refused}");
    let said = site.good(&["trust"]);
    assert!(
        !said.contains('\u{1b}') && said.contains("evil\\0aname"),
        "{said}"
    );
    let said = site.good(&["trust", "--json"]);
    assert!(!said.contains('\u{1b}'), "{said}");
}

/// The service runs as another user than the person who types the command with sudo.
#[test]
fn what_root_makes_belongs_to_the_owner_of_the_state() {
    let site = Site::new();
    let owner = |path: &Path| std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap());
    let me = owner(&site.path("state"));
    // Only root can give a folder away; for anybody else it all stays theirs.
    let expected = if me == 0 {
        std::os::unix::fs::chown(site.path("state"), Some(4711), Some(4711)).unwrap();
        4711
    } else {
        me
    };
    site.good(&["keygen", "--host", "box"]);
    for path in ["", "own", "own/key.pem", "own/cert.der"] {
        assert_eq!(owner(&site.pki().join(path)), expected, "{path}");
    }
}
