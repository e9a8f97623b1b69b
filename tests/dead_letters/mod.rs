//! `millgate dead-letters` as people run it, beside a gateway whose MES refuses what it gets, and without one.

mod many;
pub(crate) mod mes;
mod running;
mod shut;

use mes::Mes;
use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Store};
use millgate::health::BufferHealth;
use millgate::model::{Event, Position, Stamp, UtcTime};
use millgate::settings::shape::StartAt;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything here may take. Far more than it takes: its breach is an error, not a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A directory in memory where there is one: what is tested is content, not the disk.
pub(crate) fn home() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The event of a position: one of four machines, its id its number.
fn rendered(event: &Event, _: UtcTime) -> (millgate::model::Envelope, Vec<u8>) {
    let seq = event.position.seq;
    let machine = format!("PRESS-{}", seq % 4);
    let id = uuid::Uuid::from_u128(seq.into());
    let (mut envelope, _) = super::buffer::render(event, UtcTime(0));
    envelope.id = id;
    envelope.kind = "operation.completed".into();
    envelope.partition_key.clone_from(&machine);
    envelope.equipment = Some(machine.clone());
    envelope.time_ns = i64::try_from(seq).unwrap() * 1_000_000_000;
    let json = serde_json::json!({
        "specversion": "1.0", "id": id, "source": "urn:example:gw:gw07",
        "type": "millgate.operation.completed.v1", "subject": format!("{machine}/1"),
        "partitionkey": machine, "sequence": event.position.to_string(),
        "data": { "operation": { "ordinal": seq, "duration_s": 1.50 } },
    });
    (envelope, json.to_string().into_bytes())
}

/// A store with so many completed operations that nobody has got.
pub(crate) fn store(path: &Path, events: u64) {
    let (mut store, restored) = Store::open(&OpenOptions {
        path: path.to_owned(),
        generation_bytes: 100_000,
        uplinks: vec![("mes".into(), StartAt::Oldest)],
        machine_id: None,
        health: Arc::new(BufferHealth::default()),
        quota: Quota::default(),
        medium: Medium::sled(),
    })
    .unwrap();
    let mut next = restored.next;
    while next.seq <= events {
        let count = (events + 1 - next.seq).min(200);
        let turn = super::buffer::turn(next, count);
        store.commit(&[turn], Stamp::default(), &rendered).unwrap();
        next.seq += count;
    }
}

/// Settings of a press that nobody is, whose events go to `uplink` (YAML, one line).
pub(crate) fn settings(path: &Path, uplink: &str, more: &str) -> PathBuf {
    let press = include_str!("../../examples/press.yaml");
    let (machine, _) = press.split_once("\nbuffer:").unwrap();
    let text = format!(
        "{}\nbuffer: {{ path: {}{more} }}\nuplinks:\n  mes: {uplink}\n",
        machine.replace("port: 5020", "port: 1"),
        path.display()
    );
    let file = path.join("gateway.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// [`settings`] for a MES.
pub(crate) fn settings_for(path: &Path, mes: &Mes, more: &str) -> PathBuf {
    let url = format!("http://127.0.0.1:{}/events", mes.port);
    let events = r#"["operation.*", "gateway.delivery.alert"]"#;
    let uplink = format!("{{ http: {{ url: \"{url}\" }}, start_at: oldest, events: {events} }}");
    settings(path, &uplink, more)
}

/// A gateway at work.
pub(crate) struct Gateway {
    process: Child,
    log: Receiver<String>,
}

impl Gateway {
    pub(crate) fn start(settings: &Path) -> Gateway {
        Gateway::start_as(settings, nix::unistd::geteuid().as_raw())
    }

    /// As this user, who must be able to read the settings.
    pub(crate) fn start_as(settings: &Path, user: u32) -> Gateway {
        let mut process = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .args(["run", "--config"])
            .arg(settings)
            .uid(user)
            .env_remove("RUNTIME_DIRECTORY")
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
        let gateway = Gateway { process, log };
        gateway.says("commands are answered");
        gateway
    }

    /// Waits for a line of the log with these words, and gives it.
    pub(crate) fn says(&self, words: &str) -> String {
        let mut said = String::new();
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("the log never says `{words}`:\n{said}"));
            if line.contains(words) {
                return line;
            }
            said = format!("{said}{line}\n");
        }
    }

    /// The most memory (RSS) that it had, in KiB.
    pub(crate) fn most_memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse().unwrap()
    }

    pub(crate) fn stop(mut self) {
        let id = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Already gone where the test went well.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What a command said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Fails where it is not so.
    pub(crate) fn says(&self, code: i32, words: &[&str]) -> &Said {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        let all = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "`{word}` is not in\n{all}");
        }
        assert!(!all.contains("panicked"), "{all}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}\n{}", self.out, self.err))
    }
}

/// `millgate` with these arguments and the settings, run to its end.
pub(crate) fn millgate(settings: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(arguments)
        .arg("--config")
        .arg(settings)
        .env_remove("SUDO_USER")
        .output()
        .unwrap();
    Said::of(&output)
}

fn letters(settings: &Path, arguments: &[&str]) -> Said {
    millgate(settings, &[&["dead-letters"], arguments].concat())
}

/// The account of the uplink, in which each event stands once.
pub(crate) fn account(settings: &Path) -> Value {
    let said = millgate(settings, &["buffer", "status", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let account = said.json()["status"]["uplinks"][0].clone();
    let count = |name: &str| account[name].as_u64().unwrap();
    let dropped: u64 = account["dropped"]
        .as_object()
        .unwrap()
        .values()
        .map(|it| it.as_u64().unwrap())
        .sum();
    let gone = count("delivered") + count("filtered") + count("parked") + count("discarded");
    assert_eq!(
        count("offered"),
        gone + dropped + count("waiting"),
        "{account:#}"
    );
    account
}

pub(crate) fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the gateway has parked so many.
fn wait_parked(settings: &Path, count: u64) {
    wait_until("all are parked", || account(settings)["parked"] == count);
}

/// The lines of the list of what was discarded, as sequence numbers.
fn discarded(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path.join("parked/mes/discarded.jsonl"));
    let line = |line: &str| -> u64 {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["code"], "order-closed");
        assert!(!line["user"].as_str().unwrap().is_empty());
        let sequence = line["sequence"].as_str().unwrap();
        sequence.split_once('.').unwrap().1.parse().unwrap()
    };
    text.unwrap_or_default().lines().map(line).collect()
}

fn file(path: &Path, seq: u64) -> PathBuf {
    let position = Position { epoch: 1, seq };
    path.join("parked/mes").join(position.to_string())
}
