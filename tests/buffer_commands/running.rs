//! A store that a running gateway has open, and one whose gateway was killed.

use super::{Said, buffer, generations, no_copies, store};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

/// A gateway on a store with 40 events, whose PLC and MES nobody is.
struct Gateway {
    process: Child,
    log: Receiver<String>,
    settings: PathBuf,
}

impl Gateway {
    fn start(path: &Path, control: &str, runtime: Option<&Path>) -> Gateway {
        let text = include_str!("../../examples/press.yaml")
            .replace("/var/lib/millgate", path.to_str().unwrap())
            .replace("port: 5020", "port: 1")
            .replace("127.0.0.1:1883", "127.0.0.1:1");
        let settings = path.join("gateway.yaml");
        std::fs::write(&settings, format!("{control}{text}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millgate"));
        command
            .args(["run", "--config"])
            .arg(&settings)
            .stderr(Stdio::piped());
        command.env_remove("RUNTIME_DIRECTORY");
        if let Some(runtime) = runtime {
            command.env("RUNTIME_DIRECTORY", runtime);
        }
        let mut process = command.spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Gateway {
            process,
            log,
            settings,
        }
    }

    /// Waits for a line of the log with these words.
    fn says(&self, words: &str) {
        let mut said = String::new();
        loop {
            let line = self.log.recv_timeout(WITHIN);
            let line = line.unwrap_or_else(|_| panic!("the log never says `{words}`:\n{said}"));
            if line.contains(words) {
                return;
            }
            said = format!("{said}{line}\n");
        }
    }

    fn stop(mut self) {
        let id = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        crate::conserved::check(self.settings.parent().unwrap());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Already gone where the test went well.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn a_running_gateway_answers_for_its_store() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 40, 0);
    let gateway = Gateway::start(home.path(), "", None);
    gateway.says("commands are answered");
    let socket = home.path().join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    buffer("status", home.path(), &[])
        .says(0, &["runs on it (process ", "of at most ", "gateway.birth"]);
    buffer("verify", home.path(), &[]).says(0, &["good: "]);
    let said = buffer("export", home.path(), &["--to", "1.40"]);
    said.says(0, &["40 events written"]);
    assert_eq!(super::exported(&said), (1..=40).collect::<Vec<_>>());
    buffer("repair", home.path(), &["--yes"]).says(0, &["Nothing to repair.\n"]);
    // Nothing of what its start has read is changed under it, and that is said.
    let parked = home.path().join("parked/mes");
    std::fs::create_dir_all(&parked).unwrap();
    let parked = parked.join("0000000001.00000000000000000003");
    std::fs::write(&parked, "nonsense").unwrap();
    let words = "set aside 1 damaged files of parked events of `mes`";
    buffer("verify", home.path(), &[]).says(65, &["parked events of `mes`", "NOT GOOD"]);
    buffer("repair", home.path(), &["--yes"]).says(
        0,
        &[
            "Nothing to repair beside a running gateway.",
            "at its next start",
            words,
        ],
    );
    assert!(parked.exists());
    std::fs::remove_file(&parked).unwrap();
    no_copies(home.path());
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["buffer", "status", "--config"])
        .arg(&gateway.settings)
        .output()
        .unwrap();
    Said::of(&output).says(0, &["runs on it"]);
    gateway.stop();
    assert!(!socket.exists(), "the socket goes with the gateway");
    buffer("status", home.path(), &[]).says(0, &["none runs on it"]);
}

#[test]
fn a_socket_elsewhere_is_found_by_the_link_in_the_store() {
    let home = tempfile::tempdir().unwrap();
    let runtime = tempfile::tempdir().unwrap();
    store(home.path(), 3, 0);
    let gateway = Gateway::start(home.path(), "", Some(runtime.path()));
    gateway.says("commands are answered");
    let socket = std::fs::metadata(runtime.path().join("control.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    let link = home.path().join("control.sock");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    buffer("status", home.path(), &[]).says(0, &["runs on it"]);
    gateway.stop();
    assert!(std::fs::symlink_metadata(&link).is_err());

    let own = runtime.path().join("own.sock");
    let control = format!("control: {{ socket: {} }}\n", own.display());
    let gateway = Gateway::start(home.path(), &control, None);
    gateway.says("commands are answered");
    assert!(own.exists());
    buffer("status", home.path(), &[]).says(0, &["runs on it"]);
    gateway.stop();
}

#[test]
fn a_killed_gateway_leaves_a_store_and_a_socket_that_are_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 40, 25);
    let mut gateway = Gateway::start(home.path(), "", None);
    gateway.says("commands are answered");
    gateway.process.kill().unwrap();
    gateway.process.wait().unwrap();
    assert!(home.path().join("control.sock").exists());
    buffer("status", home.path(), &[]).says(0, &["none runs on it"]);
    buffer("verify", home.path(), &[]).says(0, &["good: "]);
    let gateway = Gateway::start(home.path(), "", None);
    gateway.says("commands are answered");
    buffer("status", home.path(), &[]).says(0, &["runs on it"]);
    gateway.stop();
}

#[test]
fn a_gateway_whose_socket_was_deleted_is_known_by_its_lock() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 3, 0);
    let gateway = Gateway::start(home.path(), "", None);
    gateway.says("commands are answered");
    std::fs::remove_file(home.path().join("control.sock")).unwrap();
    buffer("status", home.path(), &[]).says(69, &["is in use", "systemctl restart millgate"]);
    buffer("verify", home.path(), &[]).says(69, &["is in use"]);
    gateway.stop();
}

#[test]
fn damage_of_an_older_generation_is_set_aside_beside_the_gateway() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 40, 0);
    let found = generations(home.path());
    let gateway = Gateway::start(home.path(), "", None);
    gateway.says("commands are answered");
    let file = found[2].join("db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.fill(0);
    std::fs::write(&file, bytes).unwrap();
    buffer("verify", home.path(), &[]).says(65, &["damaged: "]);
    buffer("repair", home.path(), &["--yes"]).says(0, &["set aside: "]);
    gateway.says("a generation is set aside by a command");
    buffer("verify", home.path(), &[]).says(0, &["was damaged and set aside"]);
    gateway.stop();
}

#[test]
fn a_mad_peer_costs_the_gateway_nothing() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 3, 0);
    let gateway = Gateway::start(home.path(), "", None);
    gateway.says("commands are answered");
    let socket = home.path().join("control.sock");
    let mut peer = BufReader::new(UnixStream::connect(&socket).unwrap());
    let mut line = String::new();
    peer.read_line(&mut line).unwrap();
    peer.get_mut()
        .write_all(b"{\"ask\":\"buffer.copy\",\"generation\":\"../../etc\"}\n")
        .unwrap();
    peer.read_to_string(&mut line).unwrap();
    assert!(
        line.contains("called by the name of its directory"),
        "{line}"
    );
    let mut endless = UnixStream::connect(&socket).unwrap();
    // It hangs up in the middle, which is what this wants to see.
    while endless.write_all(&[b'x'; 4096]).is_ok() {}
    buffer("status", home.path(), &[]).says(0, &["runs on it"]);
    gateway.stop();
}

#[test]
#[cfg(feature = "demo")]
fn the_demos_store_can_be_looked_at_while_it_runs() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["demo", "--for", "60s", "--seed", "7"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut path = None;
    let mut looked = false;
    for line in BufReader::new(demo.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(found) = line.trim().strip_prefix("millgate buffer status ") {
            path = Some(PathBuf::from(found));
        } else if !looked && line.contains("form #1 ") {
            looked = true;
            let path = path.as_deref().expect("the demo says where its store is");
            buffer("status", path, &[]).says(0, &["demo", "runs on it", "mes"]);
            let id = nix::unistd::Pid::from_raw(demo.id().try_into().unwrap());
            nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
        }
    }
    assert!(looked);
    assert_eq!(demo.wait().unwrap().code(), Some(0));
}
