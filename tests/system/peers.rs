//! The programs that the system test starts: the press in pymodbus, the broker, the gateway itself. Each ends with its value.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that anything here may take. Far more than it takes: its breach is an error, not a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Says why a test is skipped, which with `CI=true` is a failure.
pub(super) fn skip<T>(missing: &str) -> Option<T> {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{missing}; with CI=true nothing is skipped"
    );
    println!("skipped: the system test: {missing}");
    None
}

/// Waits until `what` holds; fails with its words when it does not come to hold.
pub(super) fn wait_until(words: &str, mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain until {words}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child that is killed when its value ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `tests/peers/press.py`.
pub(crate) struct Press {
    _process: Process,
    orders: ChildStdin,
    lines: Receiver<String>,
    pub(crate) port: u16,
}

impl Press {
    /// Starts it, or says that there is no Python with pymodbus.
    pub(crate) fn start() -> Option<Press> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("MILLGATE_TEST_PYTHON")
            .map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
        if !python.exists() {
            return skip(
                "there is no Python with pymodbus (MILLGATE_TEST_PYTHON, .venv): `tests/run tools` makes it",
            );
        }
        let mut child = Command::new(python)
            .arg(root.join("tests/peers/press.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut press = Press {
            _process: Process(child),
            orders,
            lines,
            port: 0,
        };
        press.port = press
            .answer()
            .strip_prefix("port ")
            .unwrap()
            .parse()
            .unwrap();
        Some(press)
    }

    /// Gives an order without waiting for it.
    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// Gives an order and waits until it says `answer`.
    pub(crate) fn order(&mut self, order: &str, answer: &str) {
        self.tell(order);
        self.expect(answer);
    }

    /// Waits until it says `answer`, and fails when it says anything else.
    pub(crate) fn expect(&self, answer: &str) {
        assert_eq!(self.answer(), answer, "the press says something else");
    }

    fn answer(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("the press is silent: was its status read?")
    }
}

/// mosquitto, on loopback and without persistence.
pub(super) struct Broker {
    _process: Process,
    pub(super) port: u16,
}

impl Broker {
    /// Starts it, or says that it is not installed.
    pub(super) fn start(folder: &Path) -> Option<Broker> {
        let program = [
            "/usr/sbin/mosquitto",
            "/usr/local/sbin/mosquitto",
            "/usr/bin/mosquitto",
        ]
        .into_iter()
        .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            return skip("mosquitto is not installed: `tests/run tools` installs it");
        };
        // It cannot choose a port by itself; between our choice and its start somebody else may take the port.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let settings = folder.join("mosquitto.conf");
            std::fs::write(
                &settings,
                format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"),
            )
            .unwrap();
            let child = Command::new(program)
                .arg("-c")
                .arg(&settings)
                .stdout(File::create(folder.join("mosquitto.log")).unwrap())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut process = Process(child);
            let mut ended = false;
            wait_until("mosquitto listens", || {
                ended = process.0.try_wait().unwrap().is_some();
                ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if !ended {
                return Some(Broker {
                    _process: process,
                    port,
                });
            }
        }
        panic!(
            "mosquitto did not start ten times; see {}",
            folder.join("mosquitto.log").display()
        );
    }
}

/// `millgate run`, with a stub of the service manager.
pub(super) struct Gateway {
    process: Process,
    told: Arc<Mutex<String>>,
    started: Instant,
    log: PathBuf,
}

impl Gateway {
    /// Starts the gateway with a settings file; its log goes to `gateway-NAME.log` in the folder.
    pub(super) fn start(folder: &Path, settings: &Path, name: &str) -> Gateway {
        Gateway::start_in(&[], folder, settings, name)
    }

    /// The same behind a command that runs it somewhere else.
    pub(super) fn start_in(
        wrapper: &[String],
        folder: &Path,
        settings: &Path,
        name: &str,
    ) -> Gateway {
        let socket = folder.join(format!("notify-{name}"));
        let told = listen(&socket);
        let log = folder.join(format!("gateway-{name}.log"));
        let output = File::create(&log).unwrap();
        let program = env!("CARGO_BIN_EXE_millgate").to_owned();
        let mut words = wrapper.iter().cloned().chain([program]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .args(["run", "--config"])
            .arg(settings)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "30000000")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Gateway {
            process: Process(child),
            told,
            started: Instant::now(),
            log,
        }
    }

    /// Waits until it says that it is ready, and returns how long it took.
    pub(super) fn ready(&mut self) -> Duration {
        wait_until("the gateway is ready", || {
            if let Some(status) = self.process.0.try_wait().unwrap() {
                panic!("the gateway ended with {status}");
            }
            self.told().contains("READY=1")
        });
        self.started.elapsed()
    }

    /// Everything that the service manager was told.
    pub(super) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// Everything that it logged.
    pub(super) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it ends by itself.
    pub(super) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the gateway has ended", || {
            status = self.process.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// SIGKILL: no chance to write anything.
    pub(super) fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// SIGTERM, as systemd stops it; returns how it ended.
    pub(super) fn stop(&mut self) -> ExitStatus {
        let id = nix::unistd::Pid::from_raw(self.process.0.id().try_into().unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        let mut status = None;
        wait_until("the gateway has stopped", || {
            status = self.process.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- {}\n{log}", self.log.display());
        }
    }
}

/// The service manager's socket. A thread of its own empties it: the kernel queues ten datagrams only.
fn listen(socket: &Path) -> Arc<Mutex<String>> {
    let manager = UnixDatagram::bind(socket).unwrap();
    let told = Arc::new(Mutex::new(String::new()));
    let into = Arc::downgrade(&told);
    // It looks up now and then whether anybody still wants to know, and ends with the gateway's value.
    manager
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    std::thread::spawn(move || {
        let mut datagram = [0; 4096];
        while let Some(into) = into.upgrade() {
            if let Ok(length) = manager.recv(&mut datagram) {
                let mut told = into.lock().unwrap();
                *told += &String::from_utf8_lossy(&datagram[..length]);
                told.push('\n');
            }
        }
    });
    told
}
