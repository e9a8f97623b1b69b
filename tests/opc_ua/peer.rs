//! `tests/peers/ua_server.py`, started and ended here: a server that nobody of us wrote.

use crate::counterpart::skip;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a start is tried again: somebody else may have taken the port in between.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running asyncua server, killed when its value ends.
pub(crate) struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

/// The Python that has asyncua; without one the test is skipped, which with `CI=true` is a failure.
pub(crate) fn python() -> Option<PathBuf> {
    // Looked for once: to import it takes a second.
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let python = std::env::var_os("MILLGATE_TEST_PYTHON").map_or(beside, PathBuf::from);
        let has_it = Command::new(&python)
            .args(["-c", "import asyncua"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        has_it.then_some(python)
    });
    let missing =
        "there is no Python with asyncua (MILLGATE_TEST_PYTHON, .venv): `tests/run tools` makes it";
    found
        .clone()
        .or_else(|| skip("OPC UA against asyncua", missing))
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/ua_server.py")
}

/// Makes certificates for a server and for the gateway below a folder, and lets the gateway trust the server's.
pub(crate) fn certificates(python: &Path, folder: &Path) {
    let made = Command::new(python)
        .arg(script())
        .arg("certificates")
        .arg(folder)
        .status()
        .unwrap();
    assert!(made.success());
    trust(folder);
}

/// The gateway trusts the server's certificate.
pub(crate) fn trust(folder: &Path) {
    let trusted = folder.join("pki/trusted");
    std::fs::create_dir_all(&trusted).unwrap();
    std::fs::copy(folder.join("server/cert.der"), trusted.join("server.der")).unwrap();
}

impl Server {
    /// Starts it; `how` as the script says.
    pub(crate) fn start(python: &Path, how: &Value) -> Server {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(server) = Server::attempt(python, how) {
                return server;
            }
            assert!(Instant::now() < deadline, "asyncua does not start: {how}");
        }
    }

    fn attempt(python: &Path, how: &Value) -> Option<Server> {
        let mut child = Command::new(python)
            .arg(script())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server {
            child,
            orders,
            answers,
            port: 0,
        };
        let answer = server.order(how);
        server.port = answer.strip_prefix("port ")?.parse().unwrap();
        Some(server)
    }

    /// Gives an order and waits until it is done.
    pub(crate) fn order(&mut self, order: &Value) -> String {
        // A server that ended says nothing, which the caller sees.
        drop(writeln!(self.orders, "{order}"));
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Sets variables.
    pub(crate) fn set(&mut self, values: &Value) {
        assert_eq!(self.order(&json!({ "set": values })), "done");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
