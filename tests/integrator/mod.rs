//! The integrator's tools as a person runs them: the program itself, against counterparts that others wrote.

mod browse;
#[cfg(feature = "demo")]
mod demo;
mod opc_ua;
mod probe;
mod record;
mod serial;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Longest wait for what comes within a second or two.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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

/// Ends a program as Ctrl-C does.
fn interrupt(program: &std::process::Child) {
    let id = nix::unistd::Pid::from_raw(program.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
}

/// Waits until this is so; a program that never gets there fails the test.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(std::time::Instant::now() < deadline, "{what} never came");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Puts a printed block into a settings file and lets `millgate check` look at it.
fn accepted(folder: &Path, devices: &str) -> PathBuf {
    let file = folder.join("gateway.yaml");
    let whole = format!(
        "gateway: {{ id: gw1, path: [acme] }}\nmachine: M1\n{devices}uplinks:\n  mes: {{ http: {{ url: \"http://127.0.0.1/\" }} }}\n"
    );
    std::fs::write(&file, &whole).unwrap();
    let checked = millgate(&["check", text(&file)]);
    let (_, told) = said(&checked);
    assert_eq!(checked.status.code(), Some(0), "{told}\n{whole}");
    file
}

/// What `millgate record` with these settings has written when it has all of these.
fn recorded(settings: &Path, wanted: &[&str]) -> String {
    let capture = settings.with_extension("jsonl");
    let recorder = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["record", text(&capture), "--config", text(settings)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut tape = String::new();
    until(&format!("{wanted:?}"), || {
        tape = std::fs::read_to_string(&capture).unwrap_or_default();
        wanted.iter().all(|part| tape.contains(part))
    });
    interrupt(&recorder);
    let (_, told) = said(&recorder.wait_with_output().unwrap());
    let replayed = millgate(&["replay", text(settings), text(&capture)]);
    assert_eq!(
        replayed.status.code(),
        Some(0),
        "{told}{}",
        said(&replayed).1
    );
    tape
}
