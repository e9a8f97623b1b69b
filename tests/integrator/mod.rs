//! The integrator's tools as a person runs them: the program itself, against counterparts that others wrote.

mod record;

use std::path::Path;
use std::process::{Command, Output};

/// `millgate` with these arguments, run to its end.
fn millgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(arguments)
        .output()
        .unwrap()
}

/// The path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Standard output and standard error of a program that ended.
fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
