//! A MES on loopback over HTTP/1.1 that answers as the test says, written on bare sockets so that it can misbehave.

use super::oracle::Oracle;
use rumqttc::tokio_rustls::TlsAcceptor;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

/// What is done with one request.
#[derive(Clone)]
pub(super) enum Reply {
    /// Status, header lines, body.
    Answer(u16, Vec<String>, String),
    /// Closes without an answer.
    CloseBefore,
    /// Closes in the middle of a 200.
    CloseInside,
    /// Never answers.
    Silence,
    /// 200 with a body that never ends.
    Endless,
    /// 200, one byte after the other with a pause in between.
    Slow(Duration),
    /// 200 when this turns true.
    Held(watch::Receiver<bool>),
    /// These bytes, whatever they are; then the connection is kept (true) or closed. Whether it grants is the test's to say.
    Raw(Vec<u8>, bool),
    /// 200 with a head of these lines, and a body of one byte now and then, without end.
    Dripping(&'static str, Duration),
    /// That status with a list of verdicts by id.
    Listed(u16, Vec<(Uuid, &'static str)>),
}

impl Reply {
    pub(super) fn status(status: u16) -> Reply {
        Reply::Answer(status, Vec::new(), String::new())
    }

    pub(super) fn with(status: u16, header: &str, body: &str) -> Reply {
        Reply::Answer(status, vec![header.into()], body.into())
    }

    /// Which of these events it accepts.
    fn grants(&self, ids: &[Uuid]) -> Vec<Uuid> {
        if let Reply::Listed(_, verdicts) = self {
            let good = verdicts
                .iter()
                .filter(|(_, status)| matches!(*status, "accepted" | "duplicate"));
            return good.map(|(id, _)| *id).collect();
        }
        if self.grants_all() {
            ids.to_vec()
        } else {
            Vec::new()
        }
    }

    fn grants_all(&self) -> bool {
        match self {
            Reply::Answer(409, _, body) => body.contains("duplicate"),
            Reply::Answer(202, headers, _) => !headers.iter().any(|h| h.starts_with("Location")),
            Reply::Answer(status, ..) => (200..300).contains(status),
            Reply::Endless | Reply::Slow(_) | Reply::Held(_) => true,
            Reply::CloseBefore
            | Reply::CloseInside
            | Reply::Silence
            | Reply::Raw(..)
            | Reply::Dripping(..)
            | Reply::Listed(..) => false,
        }
    }
}

/// A request as it came.
#[derive(Clone)]
pub(super) struct Seen {
    /// `POST`, or `GET` for a verdict.
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// The event, or the first of several.
    pub(super) id: Uuid,
    /// All of them.
    pub(super) ids: Vec<Uuid>,
    pub(super) machine: String,
    /// How often this event has come by now.
    pub(super) attempt: usize,
    /// Header names in small letters.
    pub(super) headers: HashMap<String, String>,
}

type Rule = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// The server and what it saw.
#[derive(Clone)]
pub(super) struct Mes {
    pub(super) port: u16,
    oracle: Oracle,
    rule: Rule,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    connections: usize,
    /// Requests that wait for their answer, by machine.
    open: HashMap<String, usize>,
    most_open: usize,
    most_open_of_one_machine: usize,
    /// How long an answer takes that accepts: a proxy refuses at once.
    takes: Duration,
}

impl Mes {
    /// A plain server.
    pub(super) async fn start(
        oracle: &Oracle,
        rule: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Mes {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Mes::serve_on(listener, None, oracle, rule)
    }

    /// A server on that listener, with TLS where there is an acceptor.
    pub(super) fn serve_on(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        oracle: &Oracle,
        rule: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Mes {
        let mes = Mes {
            port: listener.local_addr().expect("an address").port(),
            oracle: oracle.clone(),
            rule: Arc::new(rule),
            state: Arc::default(),
        };
        let serving = mes.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    let connection = serving.connected();
                    match tls {
                        None => serving.serve(connection, stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serving.serve(connection, stream).await;
                            }
                        }
                    }
                });
            }
        });
        mes
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// From now on each answer that accepts takes that long.
    pub(super) fn takes(&self, each: Duration) {
        self.state().takes = each;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// All requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Most requests that ever waited at a time: in all, and of one machine.
    pub(super) fn most_open(&self) -> (usize, usize) {
        let state = self.state();
        (state.most_open, state.most_open_of_one_machine)
    }

    /// One more connection; which it is.
    fn connected(&self) -> usize {
        let mut state = self.state();
        state.connections += 1;
        state.connections
    }

    async fn serve(&self, connection: usize, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut input = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut input).await {
            let seen = self.note(connection, request);
            let reply = (self.rule)(&seen);
            let takes = self.state().takes;
            if !takes.is_zero() && reply.grants_all() {
                tokio::time::sleep(takes).await;
            }
            if let Reply::Held(held) = &reply {
                drop(held.clone().wait_for(|released| *released).await);
            }
            *self.state().open.entry(seen.machine.clone()).or_default() -= 1;
            for id in reply.grants(&seen.ids) {
                self.oracle.grant(id);
            }
            if !write_reply(&mut stream, reply).await {
                return;
            }
        }
    }

    fn note(&self, connection: usize, (head, headers, body): Request) -> Seen {
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (
            words.next().expect("a method"),
            words.next().expect("a path"),
        );
        let ids = ids_of(&path, &headers, &body);
        let id = *ids.first().expect("a request is about an event");
        let arrived = |id: &Uuid| self.oracle.arrived_on(connection, *id);
        let attempts: Vec<usize> = match method.as_str() {
            "GET" => Vec::new(),
            _ => ids.iter().map(arrived).collect(),
        };
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let machine = event.get("subject").and_then(|subject| subject.as_str());
        let seen = Seen {
            id,
            machine: machine.unwrap_or_default().into(),
            attempt: attempts.first().copied().unwrap_or(0),
            method,
            path,
            body,
            ids,
            headers,
        };
        let mut state = self.state();
        state.seen.push(seen.clone());
        let of_one = state.open.entry(seen.machine.clone()).or_default();
        *of_one += 1;
        let of_one = *of_one;
        state.most_open_of_one_machine = state.most_open_of_one_machine.max(of_one);
        let all = state.open.values().sum();
        state.most_open = state.most_open.max(all);
        seen
    }
}

/// The events that a request is about: those in its body, or that of its key, or of its path.
fn ids_of(path: &str, headers: &HashMap<String, String>, body: &[u8]) -> Vec<Uuid> {
    let id = |event: &serde_json::Value| event.get("id")?.as_str()?.parse().ok();
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let in_body: Vec<Uuid> = match &body {
        serde_json::Value::Array(events) => events.iter().filter_map(id).collect(),
        event => id(event).into_iter().collect(),
    };
    if !in_body.is_empty() {
        return in_body;
    }
    let key = headers
        .get("idempotency-key")
        .map(|key| key.trim_matches('"'));
    let named = key.or_else(|| path.rsplit('/').next());
    named.and_then(|id| id.parse().ok()).into_iter().collect()
}

/// Request line, header lines by their small names, body.
type Request = (String, HashMap<String, String>, Vec<u8>);

/// The next request; `None` at the end of the connection, also in the middle of one.
pub(super) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
) -> Option<Request> {
    loop {
        if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(input.get(..end)?).into_owned();
            let headers: HashMap<String, String> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length = headers
                .get("content-length")
                .map_or(Ok(0), |length| length.parse());
            let length: usize = length.ok()?;
            let whole = end + 4 + length;
            if let Some(body) = input.get(end + 4..whole) {
                let body = body.to_vec();
                input.drain(..whole);
                return Some((head, headers, body));
            }
        }
        match stream.read_buf(input).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// False when the connection is over.
pub(super) async fn write_reply(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) -> bool {
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
            for header in headers {
                text.push_str(&header);
                text.push_str("\r\n");
            }
            if status != 204 {
                text.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            text.push_str("\r\n");
            text.push_str(&body);
            stream.write_all(text.as_bytes()).await.is_ok()
        }
        Reply::CloseBefore => false,
        Reply::CloseInside => {
            let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of";
            drop(stream.write_all(half).await);
            false
        }
        Reply::Silence => std::future::pending().await,
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let mut sound = stream.write_all(head).await.is_ok();
            let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 0x1000], b"\r\n".to_vec()].concat();
            while sound {
                sound = stream.write_all(&chunk).await.is_ok();
            }
            false
        }
        Reply::Slow(pause) => {
            for byte in GOOD {
                tokio::time::sleep(pause).await;
                if stream.write_all(&[*byte]).await.is_err() {
                    return false;
                }
            }
            true
        }
        Reply::Held(_) => stream.write_all(GOOD).await.is_ok(),
        Reply::Raw(bytes, keep) => stream.write_all(&bytes).await.is_ok() && keep,
        Reply::Dripping(lines, pause) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n{lines}\r\n");
            let mut sound = stream.write_all(head.as_bytes()).await.is_ok();
            while sound {
                tokio::time::sleep(pause).await;
                sound = stream.write_all(b" ").await.is_ok();
            }
            false
        }
        Reply::Listed(status, verdicts) => {
            let word =
                |(id, status): &(Uuid, &str)| serde_json::json!({ "id": id, "status": status });
            let words: Vec<serde_json::Value> = verdicts.iter().map(word).collect();
            let body = serde_json::json!({ "verdicts": words }).to_string();
            let head = format!(
                "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.is_ok()
        }
    }
}
