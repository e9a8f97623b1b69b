//! A real mosquitto on a port of the kernel's choice, a subscriber to it, and a gate on the way to it.

use super::certificates::Certificates;
use super::oracle::{Oracle, id_of};
use super::run::PATIENCE;
use rumqttc::{AsyncClient, Event, Packet, QoS};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PROGRAMS: [&str; 3] = [
    "/usr/sbin/mosquitto",
    "/usr/local/sbin/mosquitto",
    "/usr/bin/mosquitto",
];

/// How a broker lets clients in.
#[derive(Clone, Copy)]
pub(super) enum Access<'a> {
    Anyone,
    /// TLS; with true, only with a certificate of the authority.
    Tls(&'a Certificates, bool),
    /// A user of that name with that password.
    User(&'a str, &'a str),
    /// Anyone, with these rights.
    Rights(&'a str),
    /// Anyone; what it has is on its disk.
    Persistent,
}

/// A broker that is killed when its value ends.
pub(super) struct Mosquitto {
    process: Child,
    settings: PathBuf,
    pub(super) port: u16,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where mosquitto is; without it the test is skipped, or fails with `CI=true`.
pub(super) fn installed() -> Option<&'static str> {
    let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
    if program.is_none() {
        let missing = "mosquitto is not installed (package mosquitto)";
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{missing}; with CI=true nothing is skipped"
        );
        println!("skipped: delivery to a real broker: {missing}");
    }
    program
}

impl Mosquitto {
    /// Starts one with its settings in `folder`.
    pub(super) fn start(program: &str, folder: &Path, access: Access<'_>) -> Mosquitto {
        // It cannot choose a port by itself; between our choice and its start somebody else may take the port.
        for _ in 0..10 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .expect("a port")
                .port();
            let settings = folder.join("mosquitto.conf");
            std::fs::write(&settings, settings_text(port, folder, access)).expect("written");
            let mut process = spawn(program, &settings);
            if listens(&mut process, port) {
                return Mosquitto {
                    process,
                    settings,
                    port,
                };
            }
        }
        panic!("mosquitto does not start: see its output");
    }

    /// Kills it at once, with all that it knows.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// Starts it again on the same port, knowing nothing.
    pub(super) fn restart(&mut self, program: &str) {
        self.process = spawn(program, &self.settings);
        assert!(listens(&mut self.process, self.port), "it starts again");
    }
}

fn spawn(program: &str, settings: &Path) -> Child {
    Command::new(program)
        .arg("-c")
        .arg(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is started")
}

fn settings_text(port: u16, folder: &Path, access: Access<'_>) -> String {
    let mut text = format!("listener {port} 127.0.0.1\n");
    // Without a limit to its queues it closes a connection on which it refuses a message (seen in 2.0.11).
    if !matches!(access, Access::Rights(_)) {
        text.push_str("max_queued_messages 0\nmax_inflight_messages 0\n");
    }
    if !matches!(access, Access::Persistent) {
        text.push_str("persistence false\n");
    }
    if is_root() {
        // It would become another user, who cannot read the test's folder.
        text.push_str("user root\n");
    }
    match access {
        Access::Anyone => text.push_str("allow_anonymous true\n"),
        Access::Rights(rights) => {
            let file = folder.join("rights");
            std::fs::write(&file, rights).expect("written");
            text.push_str(&format!(
                "allow_anonymous true\nacl_file {}\n",
                file.display()
            ));
        }
        Access::Persistent => text.push_str(&format!(
            "allow_anonymous true\npersistence true\npersistence_location {}/\nautosave_interval 1\n",
            folder.display()
        )),
        Access::Tls(certificates, mutual) => {
            text.push_str(&format!(
                "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate {mutual}\n",
                certificates.authority.display(),
                certificates.server.display(),
                certificates.server_key.display(),
            ));
        }
        Access::User(name, password) => {
            let file = folder.join("passwords");
            let made = Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(&file)
                .args([name, password])
                .status()
                .expect("mosquitto_passwd runs");
            assert!(made.success());
            text.push_str(&format!(
                "allow_anonymous false\npassword_file {}\n",
                file.display()
            ));
        }
    }
    text
}

/// True when it listens; false when it ended instead.
fn listens(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if !matches!(process.try_wait(), Ok(None)) {
            return false;
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A subscriber that tells the oracle what arrives. Ends with its value.
pub(super) struct Subscriber(tokio::task::JoinHandle<()>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscriber {
    /// A MES: reads the events, with a session of its own that the broker keeps, and accepts each. It comes back when the
    /// broker does.
    pub(super) async fn mes(port: u16, answers: &'static str, oracle: Oracle) -> Subscriber {
        let mut options = rumqttc::MqttOptions::new("mes", "localhost", port);
        options.set_clean_session(false);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 4_096);
        let (stands, mut standing) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        let filter = "ACME/+/+/_mes/#";
                        client
                            .try_subscribe(filter, QoS::AtLeastOnce)
                            .expect("queued");
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(stands.send_replace(true)),
                    Ok(Event::Incoming(Packet::Publish(event))) => {
                        let id = id_of(&event.payload);
                        let again = oracle.arrived(id) > 1;
                        oracle.grant(id);
                        let status = if again { "duplicate" } else { "accepted" };
                        let word = format!(r#"{{"id":"{id}","status":"{status}"}}"#);
                        client
                            .try_publish(answers, QoS::AtLeastOnce, false, word)
                            .expect("queued");
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let stood = tokio::time::timeout(PATIENCE, standing.wait_for(|stands| *stands)).await;
        stood.expect("a MES in time").expect("a MES");
        Subscriber(task)
    }

    /// Subscribes to everything at a broker that lets `options` in; returns when the subscription stands.
    pub(super) async fn start(mut options: rumqttc::MqttOptions, oracle: Oracle) -> Subscriber {
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 16);
        let (stands, mut standing) = watch::channel(false);
        let task = tokio::spawn(async move {
            client
                .subscribe("#", QoS::AtLeastOnce)
                .await
                .expect("queued");
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(stands.send_replace(true)),
                    Ok(Event::Incoming(Packet::Publish(event))) => {
                        let id = id_of(&event.payload);
                        oracle.grant(id);
                        oracle.arrived(id);
                    }
                    Ok(_) => {}
                    // The broker was killed: the test subscribes anew.
                    Err(_) => return,
                }
            }
        });
        let stood = tokio::time::timeout(PATIENCE, standing.wait_for(|stands| *stands)).await;
        stood
            .expect("a subscription in time")
            .expect("a subscription");
        Subscriber(task)
    }
}

/// What the gate on the way to the broker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// To the broker only: its acknowledgements get lost.
    NoAnswers,
    /// Nothing; connections are cut.
    Shut,
}

/// The way to a broker, with a gate in it.
pub(super) struct Way {
    pub(super) port: u16,
    state: watch::Sender<Gate>,
    attempts: Arc<AtomicUsize>,
}

impl Way {
    /// Listens on loopback and passes on to `to` what the gate lets through.
    pub(super) async fn to(to: u16) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (state, seen) = watch::channel(Gate::Open);
        let way = Way {
            port: listener.local_addr().expect("an address").port(),
            state,
            attempts: Arc::default(),
        };
        let attempts = Arc::clone(&way.attempts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                attempts.fetch_add(1, Ordering::SeqCst);
                if *seen.borrow() != Gate::Shut {
                    tokio::spawn(pass(client, to, seen.clone()));
                }
            }
        });
        way
    }

    pub(super) fn set(&self, gate: Gate) {
        self.state.send_replace(gate);
    }

    /// Connections that were tried.
    pub(super) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, to: u16, state: watch::Receiver<Gate>) {
    let Ok(broker) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = broker.into_split();
    let there = async { drop(tokio::io::copy(&mut from_client, &mut to_broker).await) };
    let back = async {
        tokio::select! {
            _ = tokio::io::copy(&mut from_broker, &mut to_client) => {}
            () = until(state.clone(), |gate| gate != Gate::Open) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
        () = until(state.clone(), |gate| gate == Gate::Shut) => {}
    }
}

async fn until(mut state: watch::Receiver<Gate>, reached: impl Fn(Gate) -> bool) {
    drop(state.wait_for(|gate| reached(*gate)).await);
}

/// As the kernel says: the second of the four user ids is the effective one.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}
