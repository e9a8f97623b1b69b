//! How fast a backlog of 100,000 events of 1 KB drains from the store over HTTP on keep-alive connections to a server on
//! loopback, beside live events of other machines, against a bare request loop of the HTTP library with as many requests under
//! way, in the same run; and in batches. Goals: at least 5,000 events/s and 0.8 of the bare loop; in batches of 100 at least
//! 20,000 events/s.
//!
//! `cargo bench --bench drain_http`. The rounds alternate, so that a change of the box's clock hits both.

mod delivery;
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may panic"
)]
mod stores;

use delivery::goals::{Goals, measured, middle};
use delivery::{Drained, Failure, Live, Stock, drain, in_earnest, uplink};
use millgate::settings::UplinkProtocol;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const EVENTS: u64 = 100_000;
const EVENT_BYTES: usize = 1_024;
const MACHINES: u64 = 64;
const IN_FLIGHT: u8 = 8;
const ROUNDS: usize = 3;
const GOAL_PER_S: f64 = 5_000.0;
const GOAL_RATIO: f64 = 0.8;
const GOAL_BATCHED_PER_S: f64 = 20_000.0;

fn main() -> ExitCode {
    measured(
        "drain_http",
        measure(if in_earnest() { EVENTS } else { 1_000 }),
    )
}

async fn measure(events: u64) -> Result<Goals, Failure> {
    println!(
        "{events} events of {EVENT_BYTES} bytes of {MACHINES} machines from the store, 50 live events/s beside them, {IN_FLIGHT} requests under way, HTTP/1.1 keep-alive on loopback"
    );
    let (mut bare, mut single, mut batched) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let alone = bare_loop(events).await?;
        let one_by_one = through(events, 1).await?;
        let together = through(events, 100).await?;
        println!(
            "one by one  {:>7.0} events/s, bare loop {alone:>7.0}; {}",
            one_by_one.per_s,
            one_by_one.waits()
        );
        println!(
            "batch: 100  {:>7.0} events/s; {}",
            together.per_s,
            together.waits()
        );
        ratios.push(one_by_one.per_s / alone);
        bare = bare.max(alone);
        single = single.max(one_by_one.per_s);
        batched = batched.max(together.per_s);
    }
    let ratio = middle(ratios);
    println!(
        "one by one  drained {single:>7.0} events/s (goal {GOAL_PER_S:.0})  bare loop {bare:>7.0} events/s  best of {ROUNDS}; ratio {ratio:.2} (goal {GOAL_RATIO}) in the middle round"
    );
    println!(
        "batch: 100  drained {batched:>7.0} events/s (goal {GOAL_BATCHED_PER_S:.0})  best of {ROUNDS}"
    );
    let mut goals = Goals::default();
    goals.at_least("one by one against a bare loop", GOAL_RATIO, ratio);
    Ok(goals)
}

fn rate(events: u64, began: Instant) -> f64 {
    events as f64 / began.elapsed().as_secs_f64()
}

/// Millgate: from the store to the last event settled.
async fn through(events: u64, batch: u8) -> Result<Drained, Failure> {
    let live = Live::default();
    let http = serde_json::from_value(serde_json::json!({
        "url": serve(&live).await?,
        "in_flight": IN_FLIGHT,
        "batch": batch,
    }))?;
    let uplink = uplink(UplinkProtocol::Http(http));
    let stock = Stock {
        events,
        bytes: EVENT_BYTES..=EVENT_BYTES,
        machines: MACHINES,
    };
    drain(&uplink, &live, stock).await
}

/// Takes everything, at once; where it does.
async fn serve(live: &Live) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let live = live.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, live.clone()));
        }
    });
    Ok(format!("http://127.0.0.1:{port}/events"))
}

async fn answer(mut stream: TcpStream, live: Live) {
    const GOOD: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
    drop(stream.set_nodelay(true));
    let mut input = Vec::with_capacity(256 << 10);
    loop {
        while let Some((body, end)) = request_length(&input).filter(|(_, end)| input.len() >= *end)
        {
            match input.get(body..end).unwrap_or_default() {
                list @ [b'[', ..] => live.arrived_in(list),
                event => live.arrived(event),
            }
            input.drain(..end);
            if stream.write_all(GOOD).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Where the body of the request at the beginning begins and where it ends, when its head is there.
fn request_length(input: &[u8]) -> Option<(usize, usize)> {
    let head = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let lines = std::str::from_utf8(input.get(..head)?).ok()?;
    let length = lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some((head + 4, head + 4 + length.1.trim().parse::<usize>().ok()?))
}

/// The library alone: as many requests under way, each with the header lines that an event has.
async fn bare_loop(events: u64) -> Result<f64, Failure> {
    // The library wants one even for plain connections; a second call finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = serve(&Live::default()).await?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .build()?;
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let sent = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..IN_FLIGHT {
        let (client, url) = (client.clone(), url.clone());
        let (payload, sent) = (payload.clone(), Arc::clone(&sent));
        tasks.push(tokio::spawn(async move {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return Ok::<(), reqwest::Error>(());
                }
                let id = uuid::Uuid::from_u128(u128::from(number));
                let request = client
                    .post(&url)
                    .header(
                        "content-type",
                        "application/cloudevents+json; charset=utf-8",
                    )
                    .header("idempotency-key", format!("\"{id}\""))
                    .body(payload.clone());
                request.send().await?.bytes().await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(rate(events, began))
}
