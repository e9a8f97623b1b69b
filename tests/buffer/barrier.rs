//! The barrier as the kernel sees it: whenever a commit returns, every write to a database was followed by an `fdatasync`
//! of its `db` file. sled's own flush alone would not do: it lost events in nine of ten power cuts.

use super::refusals::{child, works};
use super::{DIRECTORY, open, render, turn};
use millgate::model::Stamp;
use std::path::Path;
use std::process::{Command, Stdio};

const COMMITS: usize = 60;

/// Commits, and says so after each one.
#[test]
#[ignore = "the child of the test below"]
fn committer() {
    let path = std::env::var(DIRECTORY).unwrap();
    let (mut store, restored) = open(Path::new(&path)).unwrap();
    let mut next = restored.next;
    for _ in 0..COMMITS {
        store
            .commit(&[turn(next, 9)], Stamp::default(), &render)
            .unwrap();
        next.seq += 9;
        println!("accepted {}", next.seq - 1);
    }
}

#[test]
fn every_commit_returns_behind_an_fdatasync() {
    if !works("strace", &["-qq", "-o", "/dev/null"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let trace = home.path().join("trace");
    let status = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-qq",
            "-e",
            "trace=pwrite64,fdatasync,write",
            "-o",
        ])
        .arg(&trace)
        .args(child("barrier::committer"))
        .env(DIRECTORY, home.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());

    let (mut written, mut synced, mut commits) = (0, 0, 0);
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let on_database = line.contains("/db>");
        if line.contains("pwrite64(") && on_database {
            written += 1;
        } else if line.contains("fdatasync(") && on_database && !line.contains("unfinished")
            || line.contains("fdatasync resumed")
        {
            synced = written;
        } else if line.contains("\"accepted ") {
            commits += 1;
            assert_eq!(synced, written, "before {line}");
        }
    }
    assert_eq!(commits, COMMITS);
    assert!(written >= COMMITS, "{written} writes");
}
