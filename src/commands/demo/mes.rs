//! A small MES over HTTP, on loopback: `POST /events` takes one CloudEvent and answers what a real one would.
//!
//! 200 taken (again, too), 413 and 415 and 422 never, 503 while a scripted outage lasts. What it takes goes to whoever
//! listens; its books are the [`Ledger`].

use super::ledger::{Answer, Counts, Ledger, Nonsense};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Largest event that is read.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// News that may wait for a slow terminal; more are counted in the books, but not shown.
const MAX_NEWS: usize = 1_024;
/// What the MES asks for while it is away, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// When the MES answers 503, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How long after the start it begins.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// What happened at the MES.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It took an event that it had not.
    Event(Box<Value>),
    /// It turned the first request of its outage away.
    Away,
    /// It took the first request after its outage.
    Back,
}

/// The books of a MES that runs, for others to read.
#[derive(Clone, Debug)]
pub struct Mes(Arc<Office>);

#[derive(Debug)]
struct Office {
    desk: Mutex<Desk>,
    begun: Instant,
    outage: Option<Outage>,
    news: mpsc::Sender<News>,
}

#[derive(Debug, Default)]
struct Desk {
    ledger: Ledger,
    away: bool,
    turned_away: u64,
    not_shown: u64,
}

/// A MES that listens.
#[derive(Debug)]
pub struct MesServer {
    listener: TcpListener,
    address: SocketAddr,
    mes: Mes,
}

impl MesServer {
    /// Listens on a free port of loopback. An outage is counted from now.
    ///
    /// # Errors
    /// When the system has no port to give.
    pub async fn bind(outage: Option<Outage>) -> io::Result<(MesServer, mpsc::Receiver<News>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (news, heard) = mpsc::channel(MAX_NEWS);
        let mes = Mes(Arc::new(Office {
            desk: Mutex::default(),
            begun: Instant::now(),
            outage,
            news,
        }));
        let server = MesServer {
            address: listener.local_addr()?,
            listener,
            mes,
        };
        Ok((server, heard))
    }

    /// Where events are posted.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Its books.
    #[must_use]
    pub fn mes(&self) -> Mes {
        self.mes.clone()
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// When listening fails.
    pub async fn run(self) -> io::Result<()> {
        let app = Router::new()
            .route("/events", post(receive))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(self.mes);
        axum::serve(self.listener, app).await
    }
}

impl Mes {
    /// What it has got so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.desk().ledger.counts()
    }

    /// Requests that its outage turned away.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.desk().turned_away
    }

    /// Events that were booked, but not told to whoever listens, because that was too slow.
    #[must_use]
    pub fn not_shown(&self) -> u64 {
        self.desk().not_shown
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // The books are whole after each of their steps: a panic elsewhere does not spoil them.
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_away(&self) -> bool {
        let since = self.0.begun.elapsed();
        self.0
            .outage
            .is_some_and(|outage| since >= outage.after && since < outage.after + outage.lasts)
    }

    fn answer(&self, headers: &HeaderMap, body: &Bytes) -> Response {
        if self.is_away() {
            return self.turn_away();
        }
        if !is_json(headers) {
            self.desk().ledger.refuse();
            return problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "an event is application/cloudevents+json",
                None,
            );
        }
        let Ok(event) = serde_json::from_slice::<Value>(body) else {
            self.desk().ledger.refuse();
            return problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-json",
                "the body is not JSON",
                None,
            );
        };
        match self.take(event) {
            Ok(answer) => taken(answer),
            Err(Nonsense {
                code,
                pointer,
                detail,
            }) => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                code,
                &detail,
                Some(pointer),
            ),
        }
    }

    fn turn_away(&self) -> Response {
        let mut desk = self.desk();
        desk.turned_away += 1;
        if !desk.away {
            desk.away = true;
            self.tell(&mut desk, News::Away);
        }
        let mut response = problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "away",
            "the MES is down for maintenance",
            None,
        );
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
        response
    }

    fn take(&self, event: Value) -> Result<Answer, Nonsense> {
        let mut desk = self.desk();
        if desk.away {
            desk.away = false;
            self.tell(&mut desk, News::Back);
        }
        let answer = desk.ledger.take(&event)?;
        if answer == Answer::Accepted {
            self.tell(&mut desk, News::Event(Box::new(event)));
        }
        Ok(answer)
    }

    /// Never waits: a slow listener must not slow the MES.
    fn tell(&self, desk: &mut Desk, news: News) {
        if self.0.news.try_send(news).is_err() {
            desk.not_shown += 1;
        }
    }
}

async fn receive(State(mes): State<Mes>, headers: HeaderMap, body: Bytes) -> Response {
    mes.answer(&headers, &body)
}

/// True for `application/cloudevents+json` and `application/json`, whatever parameters follow.
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase())
        .is_some_and(|kind| kind == "application/cloudevents+json" || kind == "application/json")
}

fn taken(answer: Answer) -> Response {
    let status = match answer {
        Answer::Accepted => "accepted",
        Answer::Duplicate => "duplicate",
    };
    let body = json!({ "status": status }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// RFC 9457.
fn problem(status: StatusCode, code: &str, detail: &str, pointer: Option<&str>) -> Response {
    let mut body = json!({
        "type": format!("urn:millgate:problem:{code}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    if let (Some(pointer), Some(fields)) = (pointer, body.as_object_mut()) {
        let place = json!([{ "pointer": format!("#{pointer}"), "code": code }]);
        fields.insert("errors".to_owned(), place);
    }
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Client(TcpStream);

    impl Client {
        async fn post(&mut self, kind: &str, body: &[u8]) -> (u16, String) {
            let length = body.len();
            let head = format!(
                "POST /events HTTP/1.1\r\nHost: mes\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
            );
            self.0.write_all(head.as_bytes()).await.unwrap();
            // A server that has read enough may close before the end of a body that is too large.
            let _sent = self.0.write_all(body).await;
            self.read().await
        }

        async fn read(&mut self) -> (u16, String) {
            let mut seen = Vec::new();
            loop {
                let text = String::from_utf8_lossy(&seen).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let lower = head.to_ascii_lowercase();
                    let length = lower.split_once("content-length: ").unwrap().1;
                    let length: usize = length.lines().next().unwrap().parse().unwrap();
                    if body.len() >= length {
                        return (head[9..12].parse().unwrap(), text);
                    }
                }
                let mut part = [0; 4_096];
                let count = self.0.read(&mut part).await.unwrap();
                assert!(count > 0, "closed after {text}");
                seen.extend_from_slice(&part[..count]);
            }
        }
    }

    async fn serving(outage: Option<Outage>) -> (Mes, mpsc::Receiver<News>, Client) {
        let (server, news) = MesServer::bind(outage).await.unwrap();
        let (mes, address) = (server.mes(), server.address);
        assert_eq!(server.url(), format!("http://{address}/events"));
        tokio::spawn(async move { drop(server.run().await) });
        let client = Client(TcpStream::connect(address).await.unwrap());
        (mes, news, client)
    }

    const KIND: &str = "application/cloudevents+json; charset=utf-8";

    fn event(seq: u64) -> Vec<u8> {
        json!({
            "specversion": "1.0",
            "id": uuid::Uuid::from_u128(u128::from(seq)).to_string(),
            "source": "urn:demo:gw:gw1",
            "type": "millgate.gateway.birth.v1",
            "subject": "gateway",
            "sequence": format!("0000000001.{seq:020}"),
            "data": {},
        })
        .to_string()
        .into_bytes()
    }

    #[tokio::test]
    async fn an_event_is_taken_once_and_told_once() {
        let (mes, mut news, mut client) = serving(None).await;
        let (status, answer) = client.post(KIND, &event(1)).await;
        assert_eq!(status, 200);
        assert!(answer.ends_with(r#"{"status":"accepted"}"#), "{answer}");
        let (status, answer) = client.post(KIND, &event(1)).await;
        assert_eq!(status, 200);
        assert!(answer.ends_with(r#"{"status":"duplicate"}"#), "{answer}");
        client.post(KIND, &event(2)).await;

        let told: Vec<News> = [news.recv().await, news.recv().await]
            .into_iter()
            .flatten()
            .collect();
        assert!(
            matches!(&told[1], News::Event(event) if event["sequence"] == "0000000001.00000000000000000002")
        );
        assert!(news.try_recv().is_err());
        let counts = mes.counts();
        assert_eq!(
            (counts.accepted, counts.duplicates, counts.missing),
            (2, 1, 0)
        );
    }

    #[tokio::test]
    async fn nonsense_is_refused_for_good_and_the_next_event_taken() {
        let (mes, _news, mut client) = serving(None).await;
        let cases: [(&str, &[u8], u16, &str); 4] = [
            (KIND, b"{", 422, "not-json"),
            (KIND, b"\xff\xfe", 422, "not-json"),
            (KIND, b"{\"specversion\":\"1.0\"}", 422, "#/id"),
            ("text/plain", &event(1), 415, "not-json"),
        ];
        for (kind, body, status, word) in cases {
            let (answered, text) = client.post(kind, body).await;
            assert_eq!(answered, status);
            assert!(text.contains("application/problem+json"), "{text}");
            assert!(text.contains(word), "{text}");
        }
        assert_eq!(mes.counts().refused, 4);
        assert_eq!(client.post(KIND, &event(1)).await.0, 200);
    }

    #[tokio::test]
    async fn an_event_that_is_too_large_is_refused_unread() {
        let (mes, _news, mut client) = serving(None).await;
        let body = vec![b' '; MAX_BODY_BYTES + 1];
        assert_eq!(client.post(KIND, &body).await.0, 413);
        assert_eq!(mes.counts(), Counts::default());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_turns_events_away_and_loses_none() {
        let outage = Outage {
            after: Duration::from_secs(5),
            lasts: Duration::from_secs(4),
        };
        let (server, mut news) = MesServer::bind(Some(outage)).await.unwrap();
        let mes = server.mes();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(KIND));
        let post = |seq| mes.answer(&headers, &Bytes::from(event(seq)));

        assert_eq!(post(1).status(), 200);
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..3 {
            let answer = post(2);
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        }
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(post(2).status(), 200);

        let mut told = Vec::new();
        while let Ok(one) = news.try_recv() {
            told.push(match one {
                News::Event(_) => "event",
                News::Away => "away",
                News::Back => "back",
            });
        }
        assert_eq!(told, ["event", "away", "back", "event"]);
        assert_eq!((mes.turned_away(), mes.counts().accepted), (3, 2));
    }

    #[tokio::test]
    async fn a_listener_that_is_too_slow_does_not_slow_the_mes() {
        let (server, _news) = MesServer::bind(None).await.unwrap();
        let mes = server.mes();
        let many = u64::try_from(MAX_NEWS).unwrap() + 10;
        for seq in 1..=many {
            let event = serde_json::from_slice(&event(seq)).unwrap();
            assert_eq!(mes.take(event), Ok(Answer::Accepted));
        }
        assert_eq!((mes.counts().accepted, mes.not_shown()), (many, 10));
    }
}
