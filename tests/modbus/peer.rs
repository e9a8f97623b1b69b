//! `tests/peers/plc.py`, started and ended here: a server that nobody of us wrote.

use crate::recorder::{Recorder, Spoken};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a restart on the same port is tried again: somebody else may hold it for a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running pymodbus server, killed when its value ends.
pub(crate) struct Plc {
    child: Child,
    _orders: ChildStdin,
    pub(crate) port: u16,
}

impl Plc {
    /// The Python that has pymodbus; without one the test is skipped, which with `CI=true` is a failure.
    pub(crate) fn python() -> Option<PathBuf> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let python = std::env::var_os("MILLGATE_TEST_PYTHON").map_or(beside, PathBuf::from);
        let has_it = Command::new(&python)
            .args(["-c", "import pymodbus"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if has_it {
            return Some(python);
        }
        let missing = "there is no Python with pymodbus (MILLGATE_TEST_PYTHON, .venv): `tests/run tools` makes it";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("skipped: Modbus against pymodbus: {missing}");
        None
    }

    /// Starts it with these values; port 0 lets the kernel choose.
    pub(crate) fn start(python: &Path, port: u16, cells: &serde_json::Value) -> Plc {
        Plc::start_at(python, &[&port.to_string()], cells)
    }

    /// Starts it at another place: the arguments of `plc.py`.
    pub(crate) fn start_at(python: &Path, place: &[&str], cells: &serde_json::Value) -> Plc {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(plc) = Plc::attempt(python, place, cells) {
                return plc;
            }
            assert!(
                Instant::now() < deadline,
                "pymodbus does not start at {place:?}"
            );
        }
    }

    /// The recorded wire to it, for Modbus TCP.
    pub(crate) async fn wire(&self) -> Recorder {
        Recorder::to_port(self.port, Spoken::ModbusTcp).await
    }

    fn attempt(python: &Path, place: &[&str], cells: &serde_json::Value) -> Option<Plc> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/plc.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut orders = child.stdin.take().unwrap();
        writeln!(orders, "{cells}").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut plc = Plc {
            child,
            _orders: orders,
            port: 0,
        };
        plc.port = line.trim().strip_prefix("port ")?.parse().unwrap();
        Some(plc)
    }
}

impl Drop for Plc {
    fn drop(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
