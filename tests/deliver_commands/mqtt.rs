//! `deliver test` to a real mosquitto: plain, with TLS, a wrong authority, a wrong password, a topic that is not permitted.

use crate::dead_letters::{home, millgate, settings, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PROGRAMS: [&str; 3] = [
    "/usr/sbin/mosquitto",
    "/usr/local/sbin/mosquitto",
    "/usr/bin/mosquitto",
];

/// A broker that is killed when its value ends.
struct Broker {
    process: Child,
    port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Where mosquitto is; without it the test is skipped, or fails with `CI=true`.
fn installed() -> Option<&'static str> {
    let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
    if program.is_none() {
        let missing = "mosquitto is not installed (package mosquitto)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("skipped: trying a real broker: {missing}");
    }
    program
}

impl Broker {
    fn start(program: &str, folder: &Path, lines: &str) -> Broker {
        // Between our choice of a port and its start somebody else may take it.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let conf = folder.join("mosquitto.conf");
            let user = if nix::unistd::geteuid().is_root() {
                "user root\n"
            } else {
                ""
            };
            let text = format!("listener {port} 127.0.0.1\npersistence false\n{user}{lines}\n");
            std::fs::write(&conf, text).unwrap();
            let mut process = Command::new(program)
                .arg("-c")
                .arg(&conf)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut ended = false;
            wait_until("mosquitto listens or ends", || {
                ended = !matches!(process.try_wait(), Ok(None));
                ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if !ended {
                return Broker { process, port };
            }
        }
        panic!("mosquitto does not start");
    }
}

fn settings_of(path: &Path, scheme: &str, port: u16, more: &str) -> PathBuf {
    let url = format!("{scheme}://localhost:{port}");
    settings(path, &format!("{{ mqtt: {{ url: \"{url}\"{more} }} }}"), "")
}

/// A certificate of an authority for a name, with its key: PEM files.
fn certificates(folder: &Path, name: &str) -> [PathBuf; 3] {
    let put = |file: &str, text: String| {
        let path = folder.join(format!("{name}-{file}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut authority = CertificateParams::new([]).unwrap();
    let common = format!("authority {name}");
    authority
        .distinguished_name
        .push(DnType::CommonName, common);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    let made = params.signed_by(&key, &authority).unwrap();
    [
        put("authority", authority.pem()),
        put("server", made.pem()),
        put("key", key.serialize_pem()),
    ]
}

/// Somebody who reads every topic of a broker.
fn reads_all(port: u16) -> Child {
    reads(port, "#")
}

fn reads(port: u16, topics: &str) -> Child {
    Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-t", topics, "-q", "1", "-p"])
        .arg(port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_plain_broker_and_one_with_tls_take_the_event() {
    let Some(program) = installed() else { return };
    let home = home();
    let broker = Broker::start(program, home.path(), "allow_anonymous true");
    for (version, words) in [(5, "nobody has subscribed"), (3, "MQTT 3.1.1 cannot say")] {
        let more = format!(", version: {version}");
        let settings = settings_of(home.path(), "mqtt", broker.port, &more);
        let said = millgate(&settings, &["deliver", "test", "--uplink", "mes"]);
        // MQTT 5 says that nobody reads it.
        said.says(
            if version == 5 { 69 } else { 0 },
            &[words, "login      ok", "evt/operation.completed"],
        );
    }
    let mut reader = reads_all(broker.port);
    let settings = settings_of(home.path(), "mqtt", broker.port, "");
    wait_until("the broker has a subscriber", || {
        millgate(&settings, &["deliver", "test"]).code == 0
    });
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(
        0,
        &["accepted", "whether the MES takes it is not waited for"],
    );
    reader.kill().unwrap();
    let read = reader.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&read.stdout).contains("\"test\":true"));

    let [authority, server, key] = certificates(home.path(), "own");
    let [foreign, ..] = certificates(home.path(), "foreign");
    let lines = format!(
        "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}",
        authority.display(),
        server.display(),
        key.display()
    );
    let broker = Broker::start(program, home.path(), &lines);
    let tls = |ca: &Path| format!(", version: 3, tls: {{ ca: {} }}", ca.display());
    let settings = settings_of(home.path(), "mqtts", broker.port, &tls(&authority));
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(
        0,
        &[
            "TLS        ok",
            "CN=localhost",
            "signed by CN=authority own",
            "for localhost",
        ],
    );
    let settings = settings_of(home.path(), "mqtts", broker.port, &tls(&foreign));
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(
        69,
        &[
            "TLS        NO",
            "not signed by an authority in `tls.ca`",
            "signed by CN=authority own",
        ],
    );
    said.says(69, &["has CN=authority foreign"]);
    let settings = settings_of(home.path(), "mqtt", broker.port, "");
    assert_eq!(millgate(&settings, &["deliver", "test"]).code, 69);
}

#[test]
fn a_wrong_password_and_a_forbidden_topic_are_a_matter_of_rights() {
    let Some(program) = installed() else { return };
    let home = home();
    let passwords = home.path().join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["gw07", "right"])
        .status()
        .unwrap();
    assert!(made.success());
    let acl = home.path().join("acl");
    std::fs::write(&acl, "user gw07\ntopic write somewhere/else\n").unwrap();
    let lines = format!(
        "allow_anonymous false\npassword_file {}\nacl_file {}",
        passwords.display(),
        acl.display()
    );
    for file in [&passwords, &acl] {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }
    let broker = Broker::start(program, home.path(), &lines);
    let secret = home.path().join("secret");
    let user = format!(
        ", user: {{ name: gw07, password: {{ file: {} }} }}",
        secret.display()
    );
    let settings = settings_of(home.path(), "mqtt", broker.port, &user);
    millgate(&settings, &["deliver", "test"]).says(78, &["cannot read the secret"]);
    std::fs::write(&secret, "canary-4711").unwrap();
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(77, &["login      NO", "check `user`"]);
    assert!(!format!("{said:?}").contains("canary"));
    std::fs::write(&secret, "right").unwrap();
    millgate(&settings, &["deliver", "test"]).says(
        77,
        &["login      ok", "may not publish to the topic (0x87)"],
    );
}

#[test]
fn a_mes_that_says_nothing_is_told_apart_and_the_status_stays_the_gateways() {
    let Some(program) = installed() else { return };
    let home = home();
    let broker = Broker::start(program, home.path(), "allow_anonymous true");
    let mut reader = reads_all(broker.port);
    let plain = settings_of(home.path(), "mqtt", broker.port, "");
    wait_until("the broker has a subscriber", || {
        millgate(&plain, &["deliver", "test"]).code == 0
    });
    let url = format!("mqtt://localhost:{}", broker.port);
    let uplink = format!(
        "{{ mqtt: {{ url: \"{url}\", status: \"gw/status\" }}, acknowledge: mes, ack_timeout: {{ first: 1s, then_up_to: 10s }} }}"
    );
    let settings = settings(home.path(), &uplink, "");
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(69, &["the MES said nothing within 1 s", "answers"]);
    reader.kill().unwrap();
    let read = reader.wait_with_output().unwrap();
    let read = String::from_utf8_lossy(&read.stdout);
    assert!(read.contains("\"test\":true"));
    assert!(
        !read.contains("offline") && !read.contains("\"online\""),
        "{read}"
    );
}

#[test]
fn the_gateways_own_topic_is_tried_too_and_each_broker_that_stands_in() {
    let Some(program) = installed() else { return };
    let home = home();
    let broker = Broker::start(program, home.path(), "allow_anonymous true");
    // A MES that subscribes to what machines say, and to nothing else.
    let mut reader = reads(broker.port, "EXAMPLE/+/+/+/_mes/#");
    let settings = settings_of(home.path(), "mqtt", broker.port, "");
    wait_until("the broker has a subscriber", || {
        let said = millgate(&settings, &["deliver", "test"]);
        said.out.contains("answer     ok")
    });
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(
        69,
        &[
            "/_mes/evt/operation.completed",
            "answer     ok",
            "/_gw/",
            "evt/gateway.heartbeat",
            "answer     NO",
            "leave `gateway.*` out of `events:`",
        ],
    );
    millgate(&settings, &["deliver", "test", "--dry-run"])
        .says(0, &["evt/operation.completed", "evt/gateway.heartbeat"]);
    let only = settings_of(home.path(), "mqtt", broker.port, "");
    let text = std::fs::read_to_string(&only).unwrap();
    std::fs::write(
        &only,
        text.replace("{ mqtt:", "{ events: [\"operation.*\"], mqtt:"),
    )
    .unwrap();
    let said = millgate(&only, &["deliver", "test"]);
    said.says(0, &["accepted"]);
    assert!(!said.out.contains("_gw"), "{said:?}");

    // The first broker is away.
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let fallback = format!(", fallback: [\"mqtt://127.0.0.1:{}\"]", broker.port);
    let several = settings_of(home.path(), "mqtt", away, &fallback);
    let said = millgate(&several, &["deliver", "test"]);
    said.says(
        69,
        &[
            &format!("mqtt://localhost:{away}, the first that is used"),
            "connection NO",
            &format!("mqtt://127.0.0.1:{}, stands in", broker.port),
            "login      ok",
        ],
    );
    let steps = millgate(&several, &["deliver", "test", "--json"]).json()["steps"].clone();
    let at = |nth: usize| steps[nth]["server"].as_str().unwrap_or_default().to_owned();
    let last = steps.as_array().unwrap().len() - 1;
    assert_eq!(
        (at(0).as_str(), at(last).ends_with(&broker.port.to_string())),
        ("", true)
    );
    reader.kill().unwrap();
    reader.wait().unwrap();
}
