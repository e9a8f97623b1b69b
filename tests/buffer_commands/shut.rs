//! A store that nobody has open.

use super::{buffer, exported, generations, no_copies, store};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

#[test]
fn one_screen_says_what_waits_for_whom() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 40, 25);
    let before = contents(home.path());
    let said = buffer("status", home.path(), &[]);
    said.says(
        0,
        &[
            "none runs on it",
            "gateway.birth",
            "number 1.40",
            "Next number 1.41",
            "the oldest that waits: gateway.birth",
            "(1.26)",
            "(1.1)",
        ],
    );
    let row = |name: &str| -> Vec<String> {
        let line = said.out.lines().find(|line| line.starts_with(name));
        line.unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(row("mes"), ["mes", "15", "0", "25", "0", "0"]);
    assert_eq!(row("scada"), ["scada", "40", "0", "0", "0", "0"]);

    let said = buffer("status", home.path(), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let mes = &json["status"]["uplinks"][0];
    assert_eq!(mes["waiting"], 15);
    assert_eq!(mes["oldest"]["sequence"], "0000000001.00000000000000000026");
    assert_eq!(json["gateway"], serde_json::Value::Null);

    buffer("verify", home.path(), &[]).says(0, &["good: 40 events in"]);
    buffer("repair", home.path(), &["--yes"]).says(0, &["Nothing to repair."]);
    assert_eq!(contents(home.path()), before, "looking changes nothing");
    no_copies(home.path());
}

/// Every file with its content.
fn contents(path: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn events_are_exported_as_they_were_in_any_range() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 40, 25);
    assert!(generations(home.path()).len() > 3);
    let export = |arguments: &[&str]| exported(&buffer("export", home.path(), arguments));
    let all: Vec<u64> = (1..=40).collect();
    assert_eq!(export(&[]), all);
    assert_eq!(export(&["--from", "1.12", "--to", "1.30"]), all[11..30]);
    assert_eq!(
        export(&["--from", "0000000001.00000000000000000039"]),
        all[38..]
    );
    // An event a second, from 1970 on.
    assert_eq!(
        export(&[
            "--from",
            "1970-01-01T00:00:05Z",
            "--to",
            "1970-01-01T00:00:07Z"
        ]),
        all[4..7]
    );
    assert_eq!(export(&["--uplink", "mes"]), all[25..]);
    assert_eq!(export(&["--uplink", "scada", "--to", "1.3"]), all[..3]);
    assert_eq!(export(&["--from", "2.1"]), Vec::<u64>::new());
    buffer("export", home.path(), &["--uplink", "erp"])
        .says(64, &["knows no uplink `erp`; it knows mes, scada"]);
    buffer("export", home.path(), &["--from", "today"])
        .says(64, &["neither a number such as 1.42"]);

    let file = home.path().join("events.jsonl");
    let out = ["--out", file.to_str().unwrap()];
    buffer("export", home.path(), &out).says(0, &["40 events written, 1.1 to 1.40 to "]);
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 40);
    buffer("export", home.path(), &out).says(64, &["is there already"]);
    no_copies(home.path());
}

#[test]
fn what_is_no_store_is_said_plainly() {
    let home = tempfile::tempdir().unwrap();
    for what in ["status", "verify", "export", "repair"] {
        buffer(what, home.path(), &[]).says(66, &["has no store", "--config FILE"]);
    }
    std::fs::create_dir(home.path().join("store")).unwrap();
    buffer("status", home.path(), &[]).says(66, &["is empty"]);
    buffer("verify", home.path(), &[]).says(0, &["good: 0 events"]);
    let settings = home.path().join("gateway.yaml");
    let text = include_str!("../../examples/press.yaml")
        .replace("/var/lib/millgate", home.path().to_str().unwrap());
    std::fs::write(&settings, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["buffer", "status", "--config"])
        .arg(&settings)
        .output()
        .unwrap();
    super::Said::of(&output).says(66, &["is empty"]);
}

#[test]
fn who_may_not_read_it_is_told_who_may() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    std::fs::create_dir(&path).unwrap();
    store(&path, 3, 0);
    let mode = std::fs::Permissions::from_mode;
    std::fs::set_permissions(home.path(), mode(0o755)).unwrap();
    std::fs::set_permissions(path.join("store"), mode(0o700)).unwrap();
    let program = home.path().join("millgate");
    // By another process: while this one writes a program, its other threads keep it from being run.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_millgate"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    if std::fs::metadata(&path).unwrap().uid() != 0 {
        // Only root can become somebody else.
        println!("skipped: the store of another owner needs root");
        return;
    }
    for what in ["status", "verify", "export", "repair"] {
        let output = Command::new(&program)
            .args(["buffer", what])
            .arg(&path)
            .uid(65_534)
            .gid(65_534)
            .current_dir("/")
            .output()
            .unwrap();
        super::Said::of(&output).says(66, &["may not be read by this user", "as root"]);
    }
}

#[test]
fn a_locked_store_without_a_socket_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 3, 0);
    let lock = std::fs::File::open(home.path().join("store/lock")).unwrap();
    lock.lock().unwrap();
    for what in ["status", "verify", "export", "repair"] {
        buffer(what, home.path(), &[]).says(
            69,
            &[
                "is in use",
                "no control socket answers",
                "systemctl restart millgate",
            ],
        );
    }
    drop(lock);
    buffer("status", home.path(), &[]).says(0, &[]);
}

/// An export that runs, and what it writes.
fn running_export(path: &std::path::Path) -> (Child, BufReader<ChildStdout>) {
    let mut export = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["buffer", "export"])
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(export.stdout.take().unwrap());
    (export, out)
}

/// Its exit code and what it told people.
fn ended(mut export: Child) -> (Option<i32>, String) {
    let mut told = String::new();
    let mut errors = export.stderr.take().unwrap();
    errors.read_to_string(&mut told).unwrap();
    (export.wait().unwrap().code(), told)
}

#[test]
fn ctrl_c_leaves_no_copy_behind() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 400, 0);
    let (export, mut out) = running_export(home.path());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(home.path().join("copies").exists(), "it has hardly begun");
    let id = nix::unistd::Pid::from_raw(export.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    out.read_to_string(&mut line).unwrap();
    let (code, told) = ended(export);
    assert_eq!(code, Some(130), "{told}");
    assert!(told.contains("broken off before the end"), "{told}");
    assert!(line.ends_with('\n'), "the last line is whole");
    no_copies(home.path());
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 400, 0);
    let (export, mut out) = running_export(home.path());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    assert_eq!(ended(export), (Some(0), String::new()));
    no_copies(home.path());
}
