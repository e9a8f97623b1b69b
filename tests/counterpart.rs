//! Programs that others wrote and the tests speak with, started and ended here. `tests/run tools` installs them.
//!
//! Each says `port N` when it listens, on a port that the kernel chose, and ends when its input does or its value.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest that a start may take. Far more than it takes: its breach is an error, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines kept for whoever asks; later ones are let go, so that nobody's full pipe stops a program.
const MOST_LINES: usize = 1_000;

/// Says why a test is skipped, which with `CI=true` is a failure.
pub(crate) fn skip<T>(test: &str, missing: &str) -> Option<T> {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{missing}; with CI=true nothing is skipped"
    );
    println!("skipped: {test}: {missing}");
    None
}

/// A program that runs, killed when its value ends.
pub(crate) struct Counterpart {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Counterpart {
    /// A script of `tests/peers/node`, or `None` where the packages are not there.
    pub(crate) fn node(script: &str, arguments: &[&str]) -> Option<Counterpart> {
        Counterpart::node_with(script, arguments, "")
    }

    /// The same, with the first line of its input.
    pub(crate) fn node_with(script: &str, arguments: &[&str], line: &str) -> Option<Counterpart> {
        let folder = root().join("tests/peers/node");
        if !folder.join("node_modules/installed").exists() {
            return skip(
                script,
                "the packages of tests/peers/node are not there: `tests/run tools` installs them",
            );
        }
        let mut command = Command::new("node");
        command.arg(folder.join(script)).args(arguments);
        Some(Counterpart::start_with(command, line))
    }

    /// A script of `tests/peers`, and the first line of its input; `None` where there is no Python with its packages.
    pub(crate) fn python(script: &str, arguments: &[&str], line: &str) -> Option<Counterpart> {
        let beside = root().join(".venv/bin/python");
        let python = std::env::var_os("MILLGATE_TEST_PYTHON").map_or(beside, PathBuf::from);
        if !python.exists() {
            let missing = "there is no Python with the packages of tests/requirements.txt: `tests/run tools` makes it";
            return skip(script, missing);
        }
        let mut command = Command::new(python);
        command
            .arg(root().join("tests/peers").join(script))
            .args(arguments);
        Some(Counterpart::start_with(command, line))
    }

    /// libmodbus' test server as unit 17 on a serial port, or `None` where it could not be compiled.
    pub(crate) fn libmodbus_on(port: &Path) -> Option<Counterpart> {
        let mut command = Command::new(libmodbus()?);
        command.arg("rtu").arg(port).stderr(Stdio::null());
        Some(Counterpart::start(command))
    }

    /// A program that will say where it listens.
    fn start(command: Command) -> Counterpart {
        Counterpart::start_with(command, "")
    }

    fn start_with(mut command: Command, line: &str) -> Counterpart {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        if !line.is_empty() {
            writeln!(input, "{line}").unwrap();
        }
        let (sender, lines) = sync_channel(MOST_LINES);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                drop(sender.try_send(line));
            }
        });
        let mut counterpart = Counterpart {
            child,
            input,
            lines,
            port: 0,
        };
        let port = counterpart.line("port ");
        counterpart.port = port.parse().unwrap();
        counterpart
    }

    /// Tells it one more line.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// What it has said since the last line that was waited for.
    pub(crate) fn lines_so_far(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Waits for the next line that begins so, and returns the rest of it.
    pub(crate) fn line(&self, begins: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it does not say `{begins}...`"));
            if let Some(rest) = line.strip_prefix(begins) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Counterpart {
    fn drop(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// libmodbus' test server, which serves one connection and ends: here each connection gets one of its own.
pub(crate) struct LibModbus {
    pub(crate) port: u16,
    serving: JoinHandle<()>,
}

impl LibModbus {
    /// `None` where it could not be compiled.
    pub(crate) async fn start() -> Option<LibModbus> {
        let program = libmodbus()?;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(serve_one(near, program.clone()));
            }
        });
        Some(LibModbus { port, serving })
    }
}

impl Drop for LibModbus {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve_one(mut near: TcpStream, program: PathBuf) {
    let started = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(program);
        command.arg("tcp").stderr(Stdio::null());
        Counterpart::start(command)
    });
    let server = started.await.unwrap();
    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", server.port)).await {
        drop(copy_bidirectional(&mut near, &mut far).await);
    }
}

/// The program, or `None` where it could not be compiled.
fn libmodbus() -> Option<PathBuf> {
    let program = root().join("target/peers/libmodbus-server");
    if !program.exists() {
        return skip(
            "libmodbus",
            "its test server is not there: `tests/run tools` compiles it",
        );
    }
    Some(program)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
