//! What the system refuses: a read-only file system, missing permission, no space. Each is said plainly, nothing hangs, and
//! nothing accepted is lost. File systems are mounted in a name space of the test's own.

use super::{DIRECTORY, open, render, turn};
use millgate::model::Stamp;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Opens the store and says what came of it.
#[test]
#[ignore = "a child of the tests below"]
fn opener() {
    match open(Path::new(&std::env::var(DIRECTORY).unwrap())) {
        Ok((_, restored)) => println!("\nnext is {}", restored.next.seq),
        Err(error) => println!("\nrefused: {error}"),
    }
}

/// Appends until the disk is full and says how far it came.
#[test]
#[ignore = "a child of the tests below"]
fn filler() {
    let path = std::env::var(DIRECTORY).unwrap();
    let (mut store, restored) = open(Path::new(&path)).unwrap();
    let mut next = restored.next;
    let error = loop {
        match store.commit(&[turn(next, 7)], Stamp::default(), &render) {
            Ok(_) => next.seq += 7,
            Err(error) => break error,
        }
    };
    println!("\naccepted up to {}", next.seq - 1);
    println!("refused: {error}");
}

/// A command line that runs a child.
pub(super) fn child(name: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let name = format!("buffer::{name}");
    let arguments = [
        program.to_str().unwrap(),
        &name,
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// Whether a tool of the tests works here. A missing tool is a failure with `CI=true`; that the machine forbids what it
/// does is none.
pub(super) fn works(tool: &str, arguments: &[&str]) -> bool {
    if !installed(tool) {
        return false;
    }
    let status = Command::new(tool).args(arguments).arg("true").status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        forbidden(&format!("{tool} {}", arguments.join(" ")));
    }
    works
}

/// Whether there is a program of this name; that there is none is a failure with `CI=true`.
pub(super) fn installed(tool: &str) -> bool {
    let run = Command::new(tool).arg("--version").output();
    let installed = run.is_ok();
    if !installed {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{tool} is not installed; with CI=true nothing is skipped"
        );
        println!("skipped: {tool} is not installed");
    }
    installed
}

/// Says what the machine does not allow; no failure, also not with `CI=true`.
pub(super) fn forbidden(what: &str) {
    println!("not allowed here: {what}");
}

/// Runs a shell script as root of a user name space, where it may mount; `None` where that is not possible.
fn unshared(directory: &Path, script: &str) -> Option<String> {
    if !works("unshare", &["-rm"]) {
        return None;
    }
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-ec", script])
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}\n{errors}");
    Some(text)
}

/// Runs a child under strace with a fault that its system calls meet; `None` where that is not possible.
fn faulty(directory: &Path, fault: &str, name: &str) -> Option<String> {
    if !works("strace", &["-qq", "-o", "/dev/null"]) {
        return None;
    }
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", fault])
        .args(child(name))
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What follows `words` on a line.
fn after<'a>(text: &'a str, words: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no `{words}` in:\n{text}"))
}

#[test]
fn a_read_only_file_system_is_said_plainly() {
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs none \"${DIRECTORY}\"; mount -o remount,ro \"${DIRECTORY}\"; {}",
        child("refusals::opener").join(" ")
    );
    if let Some(text) = unshared(home.path(), &script) {
        let refused = after(&text, "refused: ");
        assert!(refused.contains("mounted read-only"), "{refused}");
        assert!(refused.contains(home.path().to_str().unwrap()), "{refused}");
    }
}

#[test]
fn missing_permission_is_said_plainly() {
    let home = tempfile::tempdir().unwrap();
    let closed = home.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let mode = std::fs::Permissions::from_mode;
    std::fs::set_permissions(home.path(), mode(0o755)).unwrap();
    std::fs::set_permissions(&closed, mode(0o555)).unwrap();
    let line = child("refusals::opener");
    // A copy, because the build directory may be closed to others.
    let program = home.path().join("child");
    std::fs::copy(&line[0], &program).unwrap();
    let mut command = Command::new(program);
    command.args(&line[1..]).env(DIRECTORY, &closed);
    if std::fs::metadata(&closed).unwrap().uid() == 0 {
        // Nothing is forbidden to root.
        command.uid(65_534).gid(65_534);
    }
    let output = command.current_dir("/").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let refused = after(&text, "refused: ");
    assert!(
        refused.contains("may not be written by this user"),
        "{refused}"
    );
}

#[test]
fn a_full_disk_ends_in_an_error_and_loses_nothing() {
    // The sizes differ so that the disk fills at different places of a generation.
    for kib in [1_500, 2_100, 2_600] {
        let home = tempfile::tempdir().unwrap();
        let (filler, opener) = (
            child("refusals::filler").join(" "),
            child("refusals::opener").join(" "),
        );
        let script = format!(
            "mount -t tmpfs -o size={kib}k none \"${DIRECTORY}\"; {filler}; \
             mount -o remount,size=64m \"${DIRECTORY}\"; {opener}"
        );
        let Some(text) = unshared(home.path(), &script) else {
            return;
        };
        let refused = after(&text, "refused: ");
        assert!(refused.contains("is full"), "{refused}");
        let accepted: u64 = after(&text, "accepted up to ").parse().unwrap();
        let next: u64 = after(&text, "next is ").parse().unwrap();
        assert!(accepted > 0 && next > accepted, "{text}");
        assert!(next <= accepted + 8, "more than the failed batch: {text}");
    }
}

#[test]
fn a_disk_that_fails_ends_in_an_error_and_never_in_waiting() {
    // Late enough that other threads wait for the failing one; at different places of a batch.
    for when in 40..46 {
        for call in ["sync_file_range", "fdatasync"] {
            let home = tempfile::tempdir().unwrap();
            let fault = format!("inject={call}:error=EIO:delay_enter=20000:when={when}");
            let Some(text) = faulty(home.path(), &fault, "refusals::filler") else {
                return;
            };
            let accepted: u64 = after(&text, "accepted up to ").parse().unwrap();
            let refused = after(&text, "refused: ");
            assert!(refused.contains("check the disk"), "{refused}");
            let (store, _) = open(home.path()).unwrap();
            assert_eq!(store.last().epoch, 1);
            assert!(store.last().seq >= accepted, "{} of {text}", store.last());
        }
    }
}
