//! Signals that a running gateway gets from people and from the service manager.

use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Store, machine_id};
use millgate::health::BufferHealth;
use millgate::model::UplinkId;
use millgate::settings::shape::StartAt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(30);

/// Waits for a line of the log with these words.
fn wait_for(log: &Receiver<String>, words: &str) {
    let until = Instant::now() + WITHIN;
    let mut said = String::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let line = log
            .recv_timeout(left)
            .unwrap_or_else(|_| panic!("the log never says `{words}`:\n{said}"));
        if line.contains(words) {
            return;
        }
        said = format!("{said}{line}\n");
    }
}

/// A gateway whose PLC and broker nobody is, with a service manager that listens.
struct Gateway {
    process: Child,
    log: Receiver<String>,
    manager: UnixDatagram,
    settings: PathBuf,
    text: String,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn start() -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("gateway.yaml");
        let store = folder.path().join("state");
        let text = include_str!("../examples/press.yaml")
            .replace("/var/lib/millgate", store.to_str().unwrap())
            // Ports that nobody listens on.
            .replace("port: 5020", "port: 1")
            .replace("127.0.0.1:1883", "127.0.0.1:1");
        std::fs::write(&settings, &text).unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(WITHIN)).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .args(["run", "--config"])
            .arg(&settings)
            .env("NOTIFY_SOCKET", &socket)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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
            manager,
            settings,
            text,
            folder,
        }
    }

    fn signal(&self, which: Signal) {
        let id = Pid::from_raw(self.process.id().try_into().unwrap());
        kill(id, which).unwrap();
    }

    fn wait_for(&self, words: &str) {
        wait_for(&self.log, words);
    }

    /// What the service manager is told up to a message with these words.
    fn told_until(&self, words: &str) -> String {
        let mut told = String::new();
        let mut datagram = [0; 4096];
        while !told.contains(words) {
            let length = self
                .manager
                .recv(&mut datagram)
                .unwrap_or_else(|error| panic!("`{words}` is never told: {error}; {told}"));
            told += std::str::from_utf8(&datagram[..length]).unwrap();
            told.push('\n');
        }
        told
    }

    fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        self.wait_for("everything that was read is on disk");
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        crate::conserved::check(&self.folder.path().join("state"));
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
fn settings_that_are_refused_at_a_hangup_change_nothing() {
    let gateway = Gateway::start();
    gateway.wait_for("no connection to");
    gateway.told_until("READY=1");

    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("the settings are those that run: nothing changes");

    std::fs::write(
        &gateway.settings,
        gateway.text.replace("operations:", "oprations:"),
    )
    .unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("did you mean `operations`?");
    gateway.wait_for("the new settings are refused");
    let told = gateway.told_until("other settings were refused");
    assert!(
        told.contains("RELOADING=1") && !told.contains("STOPPING=1"),
        "{told}"
    );

    std::fs::write(&gateway.settings, vec![b'#'; 2 << 20]).unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("the new settings are refused");

    std::fs::write(&gateway.settings, [0xff, 0xfe, 0]).unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("the new settings are refused");

    std::fs::remove_file(&gateway.settings).unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("the new settings are refused");

    std::fs::create_dir(&gateway.settings).unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("the new settings are refused");
    gateway.stop();
}

#[test]
fn good_settings_at_a_hangup_begin_a_new_run_in_the_same_process() {
    let gateway = Gateway::start();
    gateway.wait_for("no connection to");
    gateway.told_until("READY=1");

    std::fs::write(
        &gateway.settings,
        gateway.text.replace("127.0.0.1:1", "127.0.0.1:2"),
    )
    .unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("everything that was read is on disk");
    gateway.wait_for("beginning again with other settings");
    gateway.wait_for("no connection to mqtt://127.0.0.1:2");
    let told = gateway.told_until("READY=1");
    assert!(told.contains("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    assert!(
        !told.contains("STOPPING=1"),
        "the service does not stop: {told}"
    );

    // While it stops for good, a hangup is too late.
    std::fs::write(&gateway.settings, &gateway.text).unwrap();
    gateway.signal(Signal::SIGTERM);
    gateway.signal(Signal::SIGHUP);
    gateway.stop();
}

#[test]
fn settings_with_which_no_start_is_possible_give_way_to_those_before() {
    let gateway = Gateway::start();
    gateway.wait_for("no connection to");
    // The store's folder would have to lie below a file.
    let file = gateway.settings.to_str().unwrap();
    let store = gateway
        .text
        .lines()
        .find(|line| line.starts_with("  path: /"))
        .unwrap();
    let elsewhere = gateway
        .text
        .replace(store, &format!("  path: {file}/state"));
    std::fs::write(&gateway.settings, elsewhere).unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("beginning again with other settings");
    gateway.wait_for("back to those before");
    gateway.wait_for("no connection to");
    gateway.stop();
}

/// The alerts of dropped events that a store holds, as JSON, and how many notices wait to be told.
fn alerts_of_drops(state: &Path) -> (Vec<Value>, usize) {
    let health = Arc::new(BufferHealth::default());
    let uplinks = [("mes-3", StartAt::Newest), ("everything", StartAt::Oldest)];
    let (mut store, _) = Store::open(&OpenOptions {
        path: state.to_owned(),
        generation_bytes: 8 << 20,
        uplinks: uplinks.map(|(name, at)| (name.to_owned(), at)).into(),
        machine_id: machine_id(),
        health: Arc::clone(&health),
        quota: Quota::default(),
        medium: Medium::sled(),
    })
    .unwrap();
    let reader = UplinkId(1);
    let (mut after, mut count, mut alerts) = (store.cursor(reader), 0, Vec::new());
    loop {
        let records = store.read_for(reader, after, 100, 1 << 20).unwrap();
        let Some(last) = records.last() else { break };
        after = last.position;
        count += records.len() as u64;
        for record in records {
            let event: Value = serde_json::from_slice(&record.payload).unwrap();
            if event["data"]["delivery"]["kind"] == "dropped" {
                alerts.push(event["data"]["delivery"].clone());
            }
        }
    }
    assert_eq!(store.account(reader).stored(), count);
    (alerts, health.drops.take().len())
}

#[test]
fn an_uplink_renamed_at_a_hangup_is_another_one_and_what_it_had_not_sent_is_told() {
    let mut gateway = Gateway::start();
    gateway.wait_for("no connection to");
    for name in ["mes-2", "mes-3"] {
        let uplink = format!("\n  {name}:\n    start_at: oldest\n");
        let renamed = gateway.text.replace("\n  mes:\n", &uplink);
        std::fs::write(&gateway.settings, renamed).unwrap();
        gateway.signal(Signal::SIGHUP);
        gateway.wait_for("an uplink left the settings");
        gateway.wait_for("no connection to");
    }
    gateway.signal(Signal::SIGTERM);
    gateway.wait_for("everything that was read is on disk");
    assert_eq!(gateway.process.wait().unwrap().code(), Some(0));

    let (alerts, untold) = alerts_of_drops(&gateway.settings.with_file_name("state"));
    assert_eq!(alerts.len() + untold, 2, "{alerts:?}");
    for (alert, name) in alerts.iter().zip(["mes", "mes-2"]) {
        assert_eq!(alert["destination"], name);
        assert_eq!(alert["dropped"]["reason"], "uplink_removed");
        // It had sent nothing: all events up to the last one are told.
        let to = alert["dropped"]["to"].as_str().unwrap();
        let (_, seq) = to.split_once('.').unwrap();
        assert_eq!(alert["count"].as_u64(), seq.parse().ok());
    }
}
