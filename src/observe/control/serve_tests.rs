//! Conversations, also with peers that are stuck or mad.

use super::super::{PROTOCOL, Place};
use super::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn greeting() -> Greeting {
    Greeting {
        millgate: "0".into(),
        protocol: PROTOCOL,
        gateway: "gw1".into(),
        pid: 1,
        store: PathBuf::from("/x"),
    }
}

/// Drops when the conversation ends.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn answers(asked: Value, dropped: Arc<AtomicUsize>) -> Answers {
    match asked["ask"].as_str() {
        Some("two") => Answers {
            lines: vec![json!(1), json!(2)],
            ..Answers::default()
        },
        Some("hold") => Answers {
            held: Some(Box::new(Guard(dropped))),
            ..Answers::one(json!("held"))
        },
        Some("long") => Answers::one(json!("x".repeat(MAX_LINE))),
        _ => Answers::refused(Refusal::new(Code::Unknown, "what?")),
    }
}

/// Runs `talk` beside a gateway's end of the socket; how many guards were dropped when the gateway had stopped.
async fn with<T: Future<Output = ()>>(talk: impl FnOnce(PathBuf, Arc<AtomicUsize>) -> T) -> usize {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("c");
    let socket = Socket::listen(Place {
        socket: path.clone(),
        link: None,
    })
    .unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = dropped.clone();
    let stop = CancellationToken::new();
    let serving = serve(
        socket,
        greeting(),
        move |asked| answers(asked, counted.clone()),
        stop.clone(),
    );
    tokio::join!(serving, async {
        talk(path.clone(), dropped.clone()).await;
        stop.cancel();
    });
    assert!(!path.exists());
    dropped.load(Ordering::Relaxed)
}

async fn connect(path: &Path) -> BufReader<UnixStream> {
    let mut stream = BufReader::new(UnixStream::connect(path).await.unwrap());
    let greeted: Greeting = serde_json::from_str(&next(&mut stream).await).unwrap();
    assert_eq!(greeted, greeting());
    stream
}

async fn next(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

async fn ask(path: &Path, bytes: &[u8]) -> BufReader<UnixStream> {
    let mut stream = connect(path).await;
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn a_request_gets_its_answers_and_an_end() {
    with(|path, _| async move {
        let mut stream = ask(&path, b"{\"ask\":\"two\"}\n").await;
        assert_eq!(next(&mut stream).await, "{\"answer\":1}\n");
        assert_eq!(next(&mut stream).await, "{\"answer\":2}\n");
        assert_eq!(next(&mut stream).await, "\"end\"\n");
        assert_eq!(next(&mut stream).await, "");
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let long = vec![b'x'; MAX_REQUEST];
    let cases: [(&[u8], &str); 4] = [
        (b"{\"ask\":\"other\"}\n", "what?"),
        (b"nonsense\n", "no JSON"),
        (b"\xff\xfe\n", "no JSON"),
        (&long, "no line break within 8192 bytes"),
    ];
    for (bytes, words) in cases {
        with(|path, _| async move {
            let mut stream = ask(&path, bytes).await;
            let refused = next(&mut stream).await;
            assert!(
                refused.starts_with("{\"refused\"") && refused.contains(words),
                "{refused}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_sent() {
    with(|path, _| async move {
        let mut stream = ask(&path, b"{\"ask\":\"long\"}\n").await;
        assert_eq!(next(&mut stream).await, "");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_sent_away_after_five_seconds() {
    with(|path, _| async move {
        let mut stream = connect(&path).await;
        let refused = next(&mut stream).await;
        assert!(refused.contains("no request within 5 s"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn the_ninth_is_told_to_wait_and_served_when_one_has_gone() {
    with(|path, _| async move {
        let mut talking = Vec::new();
        for _ in 0..MAX_CONVERSATIONS {
            talking.push(connect(&path).await);
        }
        let mut ninth = connect(&path).await;
        let refused = next(&mut ninth).await;
        assert!(refused.contains("\"busy\""), "{refused}");
        assert_eq!(next(&mut ninth).await, "");
        let mut first = talking.remove(0);
        first.write_all(b"{\"ask\":\"two\"}\n").await.unwrap();
        while !next(&mut first).await.is_empty() {}
        let mut stream = ask(&path, b"{\"ask\":\"two\"}\n").await;
        assert_eq!(next(&mut stream).await, "{\"answer\":1}\n");
    })
    .await;
}

#[tokio::test]
async fn what_is_held_goes_with_its_peer_or_with_the_gateway() {
    let dropped = with(|path, dropped| async move {
        let mut gone = ask(&path, b"{\"ask\":\"hold\"}\n").await;
        let mut stays = ask(&path, b"{\"ask\":\"hold\"}\n").await;
        for stream in [&mut gone, &mut stays] {
            assert_eq!(next(stream).await, "{\"answer\":\"held\"}\n");
            assert_eq!(next(stream).await, "\"end\"\n");
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(gone);
        while dropped.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        // The other one hangs on until the gateway stops.
        std::mem::forget(stays);
    })
    .await;
    assert_eq!(dropped, 2);
}
