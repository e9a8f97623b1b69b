//! A MES over HTTP/1.1 on threads: the commands under test are processes, and so is the gateway.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What it answers: status, header lines, body.
pub(crate) type Answer = (u16, &'static str, &'static str);

pub(crate) const GOOD: Answer = (200, "", "");
pub(crate) const CLOSED: Answer = (
    422,
    "",
    r#"{"code":"order-closed","title":"Work order is closed","detail":"WO-100482 was closed at 09:10"}"#,
);

/// An event as it came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) id: String,
    /// Short: `operation.completed`.
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) status: u16,
    /// Header lines, in small letters.
    pub(crate) headers: Vec<String>,
}

/// The server and what it saw.
pub(crate) struct Mes {
    pub(crate) port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    /// What the rule of the test may look at.
    pub(crate) open: Arc<AtomicBool>,
}

impl Mes {
    /// Answers by a rule that is asked with the event's type, whether it is open, and how often this event has come.
    pub(crate) fn start(rule: impl Fn(&str, bool, usize) -> Answer + Send + Sync + 'static) -> Mes {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mes = Mes {
            port: listener.local_addr().unwrap().port(),
            came: Arc::default(),
            open: Arc::default(),
        };
        let (came, open, rule) = (Arc::clone(&mes.came), Arc::clone(&mes.open), Arc::new(rule));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (came, open, rule) = (Arc::clone(&came), Arc::clone(&open), Arc::clone(&rule));
                std::thread::spawn(move || serve(&stream, &came, &open, rule.as_ref()));
            }
        });
        mes
    }

    /// It refuses operations while it is shut, and takes everything else.
    pub(crate) fn of_orders() -> Mes {
        Mes::start(
            |kind, open, _| match kind.starts_with("operation.") && !open {
                true => CLOSED,
                false => GOOD,
            },
        )
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// How often each event of that kind was accepted, by its number in the tests' stores.
    pub(crate) fn accepted(&self, kind: &str) -> BTreeMap<u128, usize> {
        let mut counts = BTreeMap::new();
        for came in self
            .came()
            .iter()
            .filter(|it| it.status == 200 && it.kind == kind)
        {
            let id: uuid::Uuid = came.id.parse().unwrap();
            *counts.entry(id.as_u128()).or_default() += 1;
        }
        counts
    }
}

fn serve(
    stream: &TcpStream,
    came: &Mutex<Vec<Came>>,
    open: &AtomicBool,
    rule: &(dyn Fn(&str, bool, usize) -> Answer + Send + Sync),
) {
    let mut from = BufReader::new(stream);
    while let Some((headers, body)) = request(&mut from) {
        let event: serde_json::Value = serde_json::from_str(&body).unwrap();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let kind = text("type");
        let kind = kind.trim_start_matches("millgate.").trim_end_matches(".v1");
        let id = text("id");
        let (status, header, answer) = {
            let mut came = came.lock().unwrap();
            let before = came.iter().filter(|it| it.id == id).count();
            let answer = rule(kind, open.load(Ordering::SeqCst), before);
            came.push(Came {
                id,
                kind: kind.to_owned(),
                key: text("partitionkey"),
                body: body.clone(),
                status: answer.0,
                headers,
            });
            answer
        };
        let header = if header.is_empty() {
            String::new()
        } else {
            format!("{header}\r\n")
        };
        let text = format!(
            "HTTP/1.1 {status} Scripted\r\n{header}Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if (&*stream).write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(from: &mut impl BufRead) -> Option<(Vec<String>, String)> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim() {
            "" => break,
            line => headers.push(line.to_lowercase()),
        }
    }
    let length = headers
        .iter()
        .find_map(|it| it.strip_prefix("content-length: "));
    let mut body = vec![0; length?.parse().ok()?];
    from.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}
