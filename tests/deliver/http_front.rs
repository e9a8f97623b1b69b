//! What stands between the gateway and a MES: nginx as an HTTPS front that wants client certificates, and a forward proxy.

use super::certificates::Certificates;
use super::mes::{Mes, Reply};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PROGRAMS: [&str; 3] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];

/// Where nginx is; without it the test is skipped, or fails with `CI=true`.
fn installed() -> Option<&'static str> {
    let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
    if program.is_none() {
        let missing = "nginx is not installed (package nginx)";
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{missing}; with CI=true nothing is skipped"
        );
        println!("skipped: delivery through a front: {missing}");
    }
    program
}

/// nginx in front of a MES, ended with its value.
struct Nginx {
    process: Child,
    port: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Nginx {
    fn start(program: &str, folder: &Path, certificates: &Certificates, mes: u16) -> Nginx {
        // It cannot choose a port by itself; between our choice and its start somebody else may take the port.
        for _ in 0..10 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .expect("a port")
                .port();
            let settings = folder.join("nginx.conf");
            std::fs::write(&settings, configuration(folder, certificates, port, mes))
                .expect("written");
            let mut process = Command::new(program)
                .arg("-e")
                .arg(folder.join("error.log"))
                .arg("-p")
                .arg(folder)
                .arg("-c")
                .arg(&settings)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("nginx starts");
            let deadline = Instant::now() + Duration::from_secs(30);
            while Instant::now() < deadline && process.try_wait().expect("a state").is_none() {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Nginx { process, port };
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(process.kill());
            drop(process.wait());
        }
        let told = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
        panic!("nginx does not come up: {told}");
    }
}

fn configuration(folder: &Path, certificates: &Certificates, port: u16, mes: u16) -> String {
    let folder = folder.display();
    let (authority, own, key) = (
        certificates.authority.display(),
        certificates.server.display(),
        certificates.server_key.display(),
    );
    // One process in the foreground: it is ended by its id, and leaves no workers.
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
           upstream mes {{ server 127.0.0.1:{mes}; keepalive 8; }}\n\
           server {{\n\
             listen 127.0.0.1:{port} ssl;\n\
             ssl_certificate {own}; ssl_certificate_key {key};\n\
             ssl_client_certificate {authority}; ssl_verify_client on;\n\
             client_max_body_size 8k;\n\
             location /events {{ proxy_pass http://mes; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n\
           }}\n\
         }}\n"
    )
}

#[tokio::test]
async fn nginx_lets_the_gateway_through_that_shows_its_certificate() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let own = Certificates::make(folder.path(), "own");
    let foreign = Certificates::make(folder.path(), "foreign");
    for (shown, arrives) in [(Some(&own), true), (None, false), (Some(&foreign), false)] {
        let oracle = Oracle::default();
        let records = events(300);
        let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
        let nginx = Nginx::start(program, folder.path(), &own, mes.port);
        let url = format!("https://localhost:{}/events", nginx.port);
        let uplink = http(json!({ "url": url, "tls": own.settings(shown) }));
        if arrives {
            deliver_all(&uplink, quick(), &records, &oracle).await;
            oracle.check_repeats(&records, 0);
            continue;
        }
        // nginx ends the handshake well and answers 400: what is wrong is the certificate, not any event.
        let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        wait_until("it was tried", || health.sent.get() >= 3).await;
        run.stop().await;
        assert_eq!(oracle.arrivals(), 0);
    }
}

#[tokio::test]
async fn what_nginx_says_for_a_mes_that_is_away_or_for_a_body_too_large_is_understood() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let own = Certificates::make(folder.path(), "own");
    let oracle = Oracle::default();
    let mut records = events(30);
    // Larger than this front takes: 413, put aside, while the others pass.
    records[9] = super::oracle::event(10, 10_000);
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    let nginx = Nginx::start(program, folder.path(), &own, mes.port);
    let url = format!("https://localhost:{}/events", nginx.port);
    let uplink = http(json!({ "url": url, "tls": own.settings(Some(&own)) }));
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("all others are there", || health.delivered.get() == 29).await;
    assert!(health.refused.get() >= 1);
    run.stop().await;
    // Nobody listens behind the front: 502 pauses, and blames no event.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = gone.local_addr().expect("an address").port();
    drop(nginx);
    let nginx = Nginx::start(program, folder.path(), &own, port);
    drop(gone);
    let url = format!("https://localhost:{}/events", nginx.port);
    let uplink = http(json!({ "url": url, "tls": own.settings(Some(&own)) }));
    let records = events(9);
    let run = Run::start(&uplink, quick(), &records, records.len(), Oracle::default());
    let health = Arc::clone(&run.health);
    wait_until("it was tried five times", || health.sent.get() >= 5).await;
    run.stop().await;
    assert_eq!((health.refused.get(), health.delivered.get()), (0, 0));
}

/// A forward proxy: absolute URLs for plain servers, CONNECT for encrypted ones; wants `user:open sesame`.
async fn proxy(seen: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, Arc::clone(&seen)));
        }
    });
    port
}

async fn pass(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut input = Vec::new();
    let end = loop {
        if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&input[..end]).into_owned();
    let line = head.lines().next().unwrap_or_default().to_owned();
    seen.lock().expect("no panic").push(line.clone());
    if !head
        .to_lowercase()
        .contains("proxy-authorization: basic dxnlcjpvcgvuihnlc2ftzq==")
    {
        let refusal =
            b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=p\r\nContent-Length: 0\r\n\r\n";
        drop(stream.write_all(refusal).await);
        return;
    }
    let target = line.split(' ').nth(1).unwrap_or_default();
    let plain = target.strip_prefix("http://");
    let host = plain
        .unwrap_or(target)
        .split('/')
        .next()
        .unwrap_or_default();
    let Ok(mut server) = TcpStream::connect(host).await else {
        return;
    };
    let told = match plain {
        // The scripted MES does not mind an absolute URL.
        Some(_) => server.write_all(&input).await,
        None => stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await,
    };
    if told.is_ok() {
        drop(tokio::io::copy_bidirectional(&mut stream, &mut server).await);
    }
}

#[tokio::test]
async fn a_proxy_on_the_way_is_used_and_logged_in_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Certificates::make(folder.path(), "own");
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    std::fs::write(&good, "open sesame").expect("written");
    std::fs::write(&bad, "wrong").expect("written");
    for encrypted in [false, true] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let port = proxy(Arc::clone(&seen)).await;
        let oracle = Oracle::default();
        let records = events(30);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let acceptor = encrypted.then(|| own.acceptor());
        let mes = Mes::serve_on(listener, acceptor, &oracle, |_| Reply::status(200));
        let url = match encrypted {
            true => format!("https://localhost:{}/events", mes.port),
            false => format!("http://localhost:{}/events", mes.port),
        };
        let settings = |password: &Path| {
            let mut settings = json!({
                "url": url,
                "proxy": format!("http://127.0.0.1:{port}"),
                "proxy_user": { "name": "user", "password": { "file": password } },
            });
            if encrypted {
                settings["tls"] = own.settings(Some(&own));
            }
            http(settings)
        };
        let run = Run::start(
            &settings(&bad),
            quick(),
            &records,
            records.len(),
            oracle.clone(),
        );
        let health = Arc::clone(&run.health);
        wait_until("the proxy refused it", || health.sent.get() >= 5).await;
        run.stop().await;
        assert_eq!(
            (oracle.arrivals(), health.refused.get()),
            (0, 0),
            "no event is blamed"
        );
        deliver_all(&settings(&good), quick(), &records, &oracle).await;
        let lines = seen.lock().expect("no panic").clone();
        let expected = if encrypted {
            "CONNECT localhost:"
        } else {
            "POST http://localhost:"
        };
        assert!(
            lines.iter().all(|line| line.starts_with(expected)),
            "{lines:?}"
        );
    }
}
