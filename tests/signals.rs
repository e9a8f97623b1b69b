//! Signals that a running gateway gets from people and from the service manager.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

/// Waits for a line of the log with these words.
fn wait_for(log: &Receiver<String>, words: &str) {
    loop {
        let line = log
            .recv_timeout(WITHIN)
            .unwrap_or_else(|_| panic!("the log never says `{words}`"));
        if line.contains(words) {
            return;
        }
    }
}

#[test]
fn a_hangup_is_answered_and_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("gateway.yaml");
    let store = folder.path().join("state");
    let text = include_str!("../examples/press.yaml")
        .replace("/var/lib/millgate", store.to_str().unwrap())
        // Ports that nobody listens on.
        .replace("port: 5020", "port: 1")
        .replace("127.0.0.1:1883", "127.0.0.1:1");
    std::fs::write(&settings, text).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["run", "--config"])
        .arg(&settings)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, log) = channel();
    let stderr = BufReader::new(gateway.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let id = Pid::from_raw(gateway.id().try_into().unwrap());
    wait_for(&log, "no connection to");
    kill(id, Signal::SIGHUP).unwrap();
    wait_for(&log, "reload is not there yet");
    kill(id, Signal::SIGTERM).unwrap();
    wait_for(&log, "everything that was read is on disk");
    assert_eq!(gateway.wait().unwrap().code(), Some(0));
}
