//! The two ends of the delivery: a subscriber at the broker, and a small MES that takes events by HTTP. Both keep what comes.

use super::peers::PATIENCE;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Events in the order in which they came, repeats included.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Value>>>);

impl Inbox {
    fn put(&self, payload: &[u8]) {
        let event = serde_json::from_slice(payload)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(payload)));
        self.0.lock().unwrap().push(event);
    }

    /// All so far.
    pub(super) fn events(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// The newest few, in short.
    pub(super) fn last(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let newest = events.iter().rev().take(8);
        let short = |event: &Value| {
            let part = |name: &str| event[name].to_string();
            format!("{} {} {}", part("time"), part("type"), part("sequence"))
        };
        newest.map(short).collect()
    }

    /// How many different events of a type came so far.
    pub(super) fn count(&self, kind: &str) -> usize {
        let events = self.0.lock().unwrap();
        let ids: std::collections::HashSet<&str> = events
            .iter()
            .filter(|event| event["type"] == kind)
            .filter_map(|event| event["id"].as_str())
            .collect();
        ids.len()
    }
}

/// Waits until so many strokes have arrived at each receiver, and else says how many did, and what came last.
pub(super) fn wait_for(
    strokes: u64,
    arrived: impl Fn() -> [u64; 2],
    last: impl Fn() -> [Vec<String>; 2],
) {
    let deadline = Instant::now() + PATIENCE;
    while arrived().iter().any(|count| *count < strokes) {
        let (arrived, last) = (arrived(), last());
        assert!(
            Instant::now() < deadline,
            "{arrived:?} of {strokes} strokes have arrived; the newest events: {last:#?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Subscribes to everything at the broker itself, and stays subscribed.
pub(super) async fn subscribe(port: u16) -> Inbox {
    let inbox = Inbox::default();
    let mut options = MqttOptions::new("collector", "127.0.0.1", port);
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut connection) = AsyncClient::new(options, 64);
    client.subscribe("#", QoS::AtLeastOnce).await.unwrap();
    while !matches!(
        connection.poll().await.unwrap(),
        Event::Incoming(Packet::SubAck(_))
    ) {}
    let into = inbox.clone();
    tokio::spawn(async move {
        let _open = client;
        loop {
            // The broker dies with the test; before that, a lost connection would lose events and must be seen.
            match connection.poll().await {
                Ok(Event::Incoming(Packet::Publish(publish))) => into.put(&publish.payload),
                Ok(_) => {}
                Err(error) => return eprintln!("the collector lost the broker: {error}"),
            }
        }
    });
    inbox
}

/// A MES that takes one CloudEvent by POST and answers 200.
pub(super) async fn serve_mes() -> (u16, Inbox) {
    let inbox = Inbox::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let into = inbox.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let into = into.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(request) = read_request(&mut stream).await {
                    request.check();
                    into.put(&request.body);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, inbox)
}

struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(it, _)| it == name)
            .map_or("", |(_, value)| value)
    }

    fn check(&self) {
        assert_eq!(self.line, "POST /events HTTP/1.1");
        let content = self.header("content-type");
        assert!(
            content.starts_with("application/cloudevents+json"),
            "{content}"
        );
        let event: Value = serde_json::from_slice(&self.body).unwrap();
        let key = format!("\"{}\"", event["id"].as_str().unwrap());
        assert_eq!(
            self.header("idempotency-key"),
            key,
            "the key is the quoted id"
        );
    }
}

/// The next request, or `None` when the peer has gone, in the middle of one too.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = read_line(stream).await?;
    let mut headers = Vec::new();
    loop {
        let header = read_line(stream).await?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        line,
        headers,
        body: Vec::new(),
    };
    request
        .body
        .resize(request.header("content-length").parse().ok()?, 0);
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}
