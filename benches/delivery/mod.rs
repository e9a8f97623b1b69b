//! What the benches of delivery share: a real store with a backlog, the buffer's task on it, one uplink, and events that
//! happen meanwhile, with what each of them waited until the MES had it.
#![expect(
    dead_code,
    reason = "each bench is a program of its own and uses a part"
)]

pub(crate) mod broker;
pub(crate) mod goals;

use crate::stores::{Filler, MES, envelope, number, options, realistic};
use millgate::buffer::disk::{Disk, Files};
use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Stopped, Store, TURNS, outlets, run};
use millgate::clock::Clock;
use millgate::deliver::{Timing, prepare, run_uplink};
use millgate::health::UplinkHealth;
use millgate::model::{
    Body, ClockQuality, Envelope, Event, Mode, OperationReport, Position, Scope, Turn, UtcTime,
};
use millgate::settings::{Uplink, UplinkProtocol, shape};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Events of the backlog in one commit: the most that the commit rule allows.
const BATCH: u64 = 256;
/// How often something happens beside the backlog: 50 events a second, five times the design load.
const LIVE_EVERY: Duration = Duration::from_millis(20);
/// Machines that have nothing in the backlog.
const LIVE_MACHINES: u64 = 8;
/// How a live event begins; its number follows.
const LIVE_HEAD: &str = "{\"live\":\"";
/// Digits of that number.
const DIGITS: usize = 20;
/// The longest that a drain may take: four times what 2.6 million events need at the goal.
const PATIENCE: Duration = Duration::from_secs(600);

/// True where figures are wanted: `cargo test --benches` wants to know that a bench runs, not how fast.
pub(crate) fn in_earnest() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The settings of an uplink of that protocol, from its first event on.
pub(crate) fn uplink(protocol: UplinkProtocol) -> Uplink {
    Uplink {
        start_at: shape::StartAt::Oldest,
        ..Uplink::new(MES, "mes", protocol)
    }
}

/// An uplink over MQTT.
pub(crate) fn mqtt(version: shape::MqttVersion, port: u16, window: u16) -> Result<Uplink, Failure> {
    let mqtt = serde_json::from_value(serde_json::json!({
        "url": format!("mqtt://127.0.0.1:{port}"),
        "version": u8::from(version),
        "window": window,
    }))?;
    Ok(uplink(UplinkProtocol::Mqtt(mqtt)))
}

/// Events that happen while something else is measured, and how long each was on its way.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<Mutex<Trips>>);

#[derive(Default)]
struct Trips {
    began: HashMap<u64, Instant>,
    took: Vec<Duration>,
}

impl Live {
    fn began(&self, seq: u64) {
        let mut trips = self.0.lock().expect("no panic");
        trips.began.insert(seq, Instant::now());
    }

    /// The MES got this; what is no live event, or comes again, counts nothing.
    pub(crate) fn arrived(&self, payload: &[u8]) {
        let Some(number) = payload.strip_prefix(LIVE_HEAD.as_bytes()) else {
            return;
        };
        let number = number.get(..DIGITS).and_then(|it| str::from_utf8(it).ok());
        let seq = number.and_then(|number| number.parse::<u64>().ok());
        let mut trips = self.0.lock().expect("no panic");
        if let Some(began) = seq.and_then(|seq| trips.began.remove(&seq)) {
            trips.took.push(began.elapsed());
        }
    }

    /// The MES got a list of events.
    pub(crate) fn arrived_in(&self, list: &[u8]) {
        let list = str::from_utf8(list).unwrap_or_default();
        for (at, _) in list.match_indices(LIVE_HEAD) {
            self.arrived(list.as_bytes().get(at..).unwrap_or_default());
        }
    }

    /// What they took, in order: the shortest first.
    pub(crate) fn took(&self) -> Vec<Duration> {
        let mut took = self.0.lock().expect("no panic").took.clone();
        took.sort();
        took
    }

    /// How many have not arrived.
    fn missing(&self) -> usize {
        self.0.lock().expect("no panic").began.len()
    }
}

/// The value below which this part of a sorted list lies.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let nth = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(nth).copied().unwrap_or_default()
}

/// What is in the store before it is drained.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    pub(crate) events: u64,
    /// The smallest and the largest event.
    pub(crate) bytes: RangeInclusive<usize>,
    pub(crate) machines: u64,
}

/// What a drain was like.
pub(crate) struct Drained {
    /// Events of the backlog per second, from the first reading to the last verdict.
    pub(crate) per_s: f64,
    /// What each live event waited until the MES had it, the shortest first.
    pub(crate) live: Vec<Duration>,
    /// Most memory (RSS) of this process meanwhile.
    pub(crate) memory_kib: u64,
    /// What the store took on the disk before and afterwards.
    pub(crate) stored_bytes: u64,
    pub(crate) left_bytes: u64,
}

impl Drained {
    /// What live events waited, in words.
    pub(crate) fn waits(&self) -> String {
        format!(
            "{} live events of other machines waited p50 {:.2?}, p99 {:.2?}, at most {:.2?}",
            self.live.len(),
            percentile(&self.live, 50),
            percentile(&self.live, 99),
            self.live.last().copied().unwrap_or_default()
        )
    }
}

/// The options of the store: as in production, with room for all of it.
fn roomy(home: &Path) -> OpenOptions {
    OpenOptions {
        quota: Quota {
            max_bytes: 16 << 30,
            ..Quota::default()
        },
        ..options(home, Medium::sled())
    }
}

/// Names the store to the child that only fills it, and what it is filled with.
const CHILD: &str = "MILLGATE_FILL_STORE";

/// True in the child, which has filled the store by then: the memory that takes is no matter of who drains it.
pub(crate) fn has_filled() -> bool {
    let Ok(asked) = std::env::var(CHILD) else {
        return false;
    };
    let (numbers, home) = asked.split_once(' ').expect("a path");
    let mut numbers = numbers
        .split(',')
        .map(|number| number.parse().expect("a number"));
    let mut next = || numbers.next().expect("four numbers");
    let (events, least, most, machines) = (next(), next(), next(), next());
    let size = |bytes: u64| usize::try_from(bytes).expect("a size");
    let stock = Stock {
        events,
        bytes: size(least)..=size(most),
        machines,
    };
    fill(Path::new(home), &stock);
    true
}

fn fill_in_child(home: &Path, stock: &Stock) -> Result<(), Failure> {
    let (least, most) = (stock.bytes.start(), stock.bytes.end());
    let numbers = format!("{},{least},{most},{}", stock.events, stock.machines);
    let mut child = Command::new(std::env::current_exe()?);
    let status = child
        .env(CHILD, format!("{numbers} {}", home.display()))
        .status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "the store could not be filled".into())
}

fn fill(home: &Path, stock: &Stock) {
    let (least, most) = stock.bytes.clone().into_inner();
    let payload = move |seq: u64, _: usize| {
        let more = fastrand::Rng::with_seed(seq).usize(0..=most - least);
        realistic(seq, least + more)
    };
    let mut filler = Filler::with(&roomy(home), payload).of_machines(stock.machines);
    while filler.store.last().seq < stock.events {
        let batch = BATCH.min(stock.events - filler.store.last().seq);
        filler.commit(1, batch, None);
    }
}

/// Drains a store of its own that is filled so, beside live events of other machines. Everything is delivered and settled in
/// the end, or it fails.
pub(crate) async fn drain(uplink: &Uplink, live: &Live, stock: Stock) -> Result<Drained, Failure> {
    let home = tempfile::tempdir_in("target")?;
    let root = home.path().join("store");
    tokio::task::block_in_place(|| fill_in_child(home.path(), &stock))?;
    let stored_bytes = Files.used(&root)?;
    let (events, bytes) = (stock.events, *stock.bytes.start());
    // What was there before is no matter: the most is counted anew.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let gateway = shape::Gateway {
        id: "gw07".into(),
        path: vec!["ACME".into(), "PLANT1".into()],
    };
    let prepared = prepare(&gateway, uplink, Timing::default())?;
    let (store, restored) = Store::open(&roomy(home.path()))?;
    let (turns, taken) = mpsc::channel(TURNS);
    let (mut outlets, requests, durable) = outlets(&store);
    let outlet = outlets.pop().ok_or("the store has no uplink")?;
    drop(outlets);
    let buffer = tokio::task::spawn_blocking(move || {
        let render = |event: &Event, _: UtcTime| rendered(event, bytes);
        let stop = CancellationToken::new();
        run(
            store,
            taken,
            requests,
            durable,
            &render,
            &Clock::system(),
            stop,
        )
    });
    let enough = CancellationToken::new();
    let feeding = tokio::spawn(feed(restored.next, turns, live.clone(), enough.clone()));
    let health = Arc::new(UplinkHealth::default());
    let stop = CancellationToken::new();
    let began = Instant::now();
    let task = tokio::spawn(run_uplink(
        prepared,
        outlet,
        Arc::clone(&health),
        stop.clone(),
    ));
    until("the backlog is drained", || {
        health.delivered.get() >= events
    })
    .await?;
    let per_s = health.delivered.get() as f64 / began.elapsed().as_secs_f64();
    let memory_kib = number("/proc/self/status", "VmHWM:");
    enough.cancel();
    let happened = feeding.await?;
    until("all live events are settled", || {
        health.delivered.get() >= events + happened
    })
    .await?;
    stop.cancel();
    task.await?;
    check(&buffer.await??, events + happened)?;
    until("all live events have arrived", || live.missing() == 0).await?;
    Ok(Drained {
        per_s,
        live: live.took(),
        memory_kib,
        stored_bytes,
        left_bytes: Files.used(&root)?,
    })
}

/// Waits by asking now and then.
async fn until(words: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
    let asked = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let patience = tokio::time::timeout(PATIENCE, asked).await;
    patience.map_err(|_| format!("waited in vain until {words}").into())
}

/// Conservation: each event was offered once and delivered once, and none is left.
fn check(stopped: &Stopped, events: u64) -> Result<(), Failure> {
    let account = stopped.accounts.first().ok_or("no account")?;
    if (account.offered, account.delivered, account.stored()) == (events, events, 0) {
        return Ok(());
    }
    Err(format!("{events} events, and the account says {account:?}").into())
}

/// One event after the other until it is enough; how many.
async fn feed(
    first: Position,
    turns: mpsc::Sender<Turn>,
    live: Live,
    enough: CancellationToken,
) -> u64 {
    let mut ticks = tokio::time::interval(LIVE_EVERY);
    let mut next = first;
    loop {
        tokio::select! {
            () = enough.cancelled() => return next.seq - first.seq,
            _ = ticks.tick() => {}
        }
        live.began(next.seq);
        let turn = Turn {
            events: vec![happened(next)],
            checkpoint: vec![],
        };
        if turns.send(turn).await.is_err() {
            return next.seq - first.seq;
        }
        next.seq += 1;
    }
}

fn rendered(event: &Event, bytes: usize) -> (Envelope, Vec<u8>) {
    let seq = event.position.seq;
    let machine = format!("LATHE-{}", seq % LIVE_MACHINES);
    let envelope = Envelope {
        partition_key: machine.clone(),
        equipment: Some(machine),
        ..envelope(event, 1)
    };
    let json = realistic(seq, bytes);
    let tail = json.get("{\"sequence\":\"".len()..).unwrap_or_default();
    (envelope, [LIVE_HEAD.as_bytes(), tail].concat())
}

/// An event that must be on the disk at once, as most are.
fn happened(position: Position) -> Event {
    let report = OperationReport {
        id: uuid::Uuid::nil(),
        ordinal: position.seq,
        name: "turn".into(),
        segment: None,
        order: None,
        product: None,
        lot: None,
        program: None,
        purpose: "production",
        shift: None,
        operator: None,
        parts: Vec::new(),
        reason: None,
        mode_at_start: Mode::Production,
        started_at: UtcTime(0),
        device_time: false,
        flags: vec![],
        revision: 0,
        ending: None,
    };
    Event {
        position,
        run: uuid::Uuid::nil(),
        scope: Scope::Gateway,
        time: UtcTime(0),
        correlation: None,
        causation: None,
        clock: ClockQuality::default(),
        body: Body::OperationStarted(Box::new(report)),
    }
}
