//! How long an event takes from the change of a PLC's register until the MES has it: the whole gateway between a Modbus TCP
//! server and a MES, over MQTT (mosquitto) and HTTP, one event at a time and beside some 1,000 other events a second (what came is printed).
//!
//! `cargo bench --bench latency`. What the poll period costs (the change waits to be read) stands in a column of its own; the
//! rest begins with the answer that brings the change. Of that: up to the commit (conditions, rules, the queue to the disk; by
//! the event's own `time` and `recordedtime`), and from there (rendering, the barrier on the disk, the way to the MES).

mod delivery;
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may panic"
)]
mod stores;

use delivery::broker::Broker;
use delivery::goals::{Goals, measured};
use delivery::{Failure, in_earnest, percentile};
use jiff::Timestamp;
use millgate::gateway;
use millgate::observe::Phases;
use millgate::settings::{self, Plant};
use rumqttc::{Event, Packet, QoS};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const CHANGES: usize = 500;
/// How often the register is read.
const PERIOD: Duration = Duration::from_millis(20);
/// Between an arrival and the next change at the most: drawn, so that changes come anywhere between two readings.
const PAUSE_MS: u64 = 40;
/// The other machines: each ends or begins five operations with each reading, 20 times a second.
const OTHERS: u16 = 10;
const OPERATIONS: u16 = 5;
const OTHERS_PERIOD_MS: u64 = 50;
/// The unit of the first of them; the machine that is measured is unit 1.
const FIRST_OTHER: u8 = 10;
/// Of the machine that is measured.
const MACHINE: &str = "PROBE";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    measured("latency", measure(if in_earnest() { CHANGES } else { 4 }))
}

async fn measure(changes: usize) -> Result<Goals, Failure> {
    let folder = tempfile::tempdir()?;
    let broker = Broker::start(folder.path())?;
    println!(
        "{changes} changes of a register that is read each {} ms: p50 / p99 / most, in ms",
        PERIOD.as_millis()
    );
    println!(
        "{:<22}{:>26}{:>26}{:>26}{:>26}",
        "", "change to MES, less poll", "of it: to the commit", "of it: commit, delivery", "poll"
    );
    for others in [0, OTHERS] {
        for mes in [Mes::mqtt(broker.port).await?, Mes::http().await?] {
            let name = mes.name;
            let home = tempfile::tempdir_in("target")?;
            let all = Arc::clone(&mes.all);
            let began = Instant::now();
            let trips = run(home.path(), mes, others, changes).await?;
            let others_per_s =
                (all.load(Ordering::Relaxed) - trips.len()) as f64 / began.elapsed().as_secs_f64();
            let beside = match others {
                0 => "alone".to_owned(),
                _ => format!("beside {others_per_s:.0}/s"),
            };
            let column = |of: fn(&Trip) -> Duration| {
                let mut all: Vec<Duration> = trips.iter().map(of).collect();
                all.sort();
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                let (p50, p99) = (percentile(&all, 50), percentile(&all, 99));
                let most = all.last().copied().unwrap_or_default();
                format!("{:.2} / {:.2} / {:.2}", ms(p50), ms(p99), ms(most))
            };
            println!(
                "{:<22}{:>26}{:>26}{:>26}{:>26}",
                format!("{name} {beside}"),
                column(|trip| trip.rest),
                column(|trip| trip.to_commit),
                column(|trip| trip.rest.saturating_sub(trip.to_commit)),
                column(|trip| trip.poll)
            );
        }
    }
    // It has no goal: what a poll period and a disk take is theirs.
    Ok(Goals::default())
}

/// The way of one event.
struct Trip {
    /// From the change to the answer that brings it.
    poll: Duration,
    /// From that answer to the MES.
    rest: Duration,
    /// From the sample's stamp to the moment when its batch went to the disk.
    to_commit: Duration,
}

/// Runs a gateway between a PLC and this MES, and changes the register so often.
async fn run(home: &Path, mut mes: Mes, others: u16, changes: usize) -> Result<Vec<Trip>, Failure> {
    let plc = Plc::start()?;
    let stop = CancellationToken::new();
    let plant = plant(home, plc.port, &mes.uplink, others)?;
    let gateway = tokio::spawn(gateway::run(plant, stop.clone(), Phases::default()));
    plc.is_read(3).await?;
    let mut trips = Vec::new();
    for change in 0..changes {
        let (run_bit, name) = match change % 2 {
            0 => (1, "millgate.operation.started.v1"),
            _ => (0, "millgate.operation.completed.v1"),
        };
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..PAUSE_MS))).await;
        let changed = Instant::now();
        plc.word.store(run_bit, Ordering::SeqCst);
        let arrived = loop {
            let arrived = tokio::time::timeout(PATIENCE, mes.arrivals.recv()).await;
            let arrived = arrived.map_err(|_| format!("{name} did not arrive"))?;
            let arrived = arrived.ok_or("the MES has ended")?;
            if arrived.kind == name {
                break arrived;
            }
        };
        let (value, read) = plc.served();
        if value != run_bit {
            return Err("an event without a change".into());
        }
        trips.push(Trip {
            poll: read.saturating_duration_since(changed),
            rest: arrived.at.saturating_duration_since(read),
            to_commit: arrived.to_commit,
        });
    }
    stop.cancel();
    gateway.await??;
    Ok(trips)
}

fn plant(home: &Path, port: u16, uplink: &str, others: u16) -> Result<Plant, Failure> {
    let mut text = format!(
        "gateway: {{ id: latency-gw01, path: [EXAMPLE, LATENCY] }}
buffer: {{ path: {} }}
uplinks: {{ mes: {uplink} }}
machines:
",
        home.display()
    );
    let mut machine = |name: &str, unit: u8, every_ms: u128, operations: u16| {
        write!(
            text,
            "  {name}:
    devices:
      plc:
        modbus_tcp: {{ host: 127.0.0.1, port: {port}, unit: {unit} }}
        addresses: zero_based
        tags: {{ word: {{ holding: 0, every: {every_ms}ms }} }}
    operations:
"
        )?;
        for bit in 0..operations {
            writeln!(
                text,
                "      run{bit}: {{ slot: 's{bit}', start: {{ when: 'bit(word, {bit})' }}, end: {{ when: '!bit(word, {bit})' }} }}"
            )?;
        }
        Ok::<(), std::fmt::Error>(())
    };
    machine(MACHINE, 1, PERIOD.as_millis(), 1)?;
    for (other, unit) in (0..others).zip(FIRST_OTHER..) {
        machine(
            &format!("M{other}"),
            unit,
            u128::from(OTHERS_PERIOD_MS),
            OPERATIONS,
        )?;
    }
    settings::load(&text)
        .map(|loaded| loaded.plant)
        .map_err(|problems| format!("{problems:?}").into())
}

// --- the PLC -------------------------------------------------------------------------------------------------------

/// A Modbus TCP server: unit 1 has the word that is changed; all others change theirs with each reading.
struct Plc {
    port: u16,
    word: Arc<AtomicU16>,
    last: Arc<Mutex<Served>>,
}

/// What unit 1 answered last, since when it says so, and how often it was read.
#[derive(Clone, Copy)]
struct Served {
    value: u16,
    since: Instant,
    times: usize,
}

impl Plc {
    fn start() -> Result<Plc, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let plc = Plc {
            port: listener.local_addr()?.port(),
            word: Arc::default(),
            last: Arc::new(Mutex::new(Served {
                value: 0,
                since: Instant::now(),
                times: 0,
            })),
        };
        let (word, last) = (Arc::clone(&plc.word), Arc::clone(&plc.last));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (word, last) = (Arc::clone(&word), Arc::clone(&last));
                // A connection that ends, ends by its error.
                std::thread::spawn(move || drop(serve(stream, &word, &last)));
            }
        });
        Ok(plc)
    }

    /// What was answered last, and since when.
    fn served(&self) -> (u16, Instant) {
        let last = self.last.lock().expect("no panic");
        (last.value, last.since)
    }

    /// Waits until it was read so often.
    async fn is_read(&self, times: usize) -> Result<(), Failure> {
        let read = async {
            while self.last.lock().expect("no panic").times < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.map_err(|_| "the gateway does not read".into())
    }
}

fn serve(mut stream: TcpStream, word: &AtomicU16, last: &Mutex<Served>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 12];
    // One link serves all units.
    let mut others = HashMap::<u8, u16>::new();
    loop {
        stream.read_exact(&mut request)?;
        let [first, second, _, _, _, _, unit, ..] = request;
        let value = if unit == 1 {
            word.load(Ordering::SeqCst)
        } else {
            let word = others.entry(unit).or_default();
            *word = !*word;
            *word
        };
        let [high, low] = value.to_be_bytes();
        let answer = [first, second, 0, 0, 0, 5, unit, 3, 2, high, low];
        if unit == 1 {
            let mut last = last.lock().expect("no panic");
            last.times += 1;
            if last.value != value {
                last.value = value;
                last.since = Instant::now();
            }
        }
        stream.write_all(&answer)?;
    }
}

// --- the MES -------------------------------------------------------------------------------------------------------

/// An event of the machine that is measured, at the MES.
struct Arrived {
    at: Instant,
    kind: String,
    to_commit: Duration,
}

impl Arrived {
    /// `None` for what is an event of another machine.
    fn of(payload: &[u8], all: &AtomicUsize) -> Option<Arrived> {
        let at = Instant::now();
        all.fetch_add(1, Ordering::Relaxed);
        let event: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let text = |name: &str| event.get(name).and_then(|value| value.as_str());
        if text("partitionkey")? != MACHINE {
            return None;
        }
        let time = |name: &str| text(name)?.parse::<Timestamp>().ok();
        let to_commit = time("recordedtime")?.duration_since(time("time")?);
        Some(Arrived {
            at,
            kind: text("type")?.to_owned(),
            to_commit: Duration::try_from(to_commit).unwrap_or_default(),
        })
    }
}

/// The far end, and the uplink that leads there (YAML, one line).
struct Mes {
    name: &'static str,
    uplink: String,
    arrivals: mpsc::Receiver<Arrived>,
    /// Events of all machines that came.
    all: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Mes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Arrivals that nobody has looked at.
const ARRIVALS: usize = 1_024;

impl Mes {
    /// Subscribed to everything at the broker.
    async fn mqtt(port: u16) -> Result<Mes, Failure> {
        let mut options = rumqttc::MqttOptions::new("mes", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = rumqttc::AsyncClient::new(options, 4);
        let mut network = rumqttc::NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        client.subscribe("#", QoS::AtMostOnce).await?;
        while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
        let (into, arrivals) = mpsc::channel(ARRIVALS);
        let all = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&all);
        let task = tokio::spawn(async move {
            let _open = client;
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event
                    && let Some(arrived) = Arrived::of(&publish.payload, &counted)
                    && into.send(arrived).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Mes {
            name: "MQTT",
            uplink: format!("{{ mqtt: {{ url: 'mqtt://127.0.0.1:{port}' }}, start_at: oldest }}"),
            arrivals,
            all,
            task,
        })
    }

    /// A server that takes everything at once.
    async fn http() -> Result<Mes, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (into, arrivals) = mpsc::channel(ARRIVALS);
        let all = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&all);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, into.clone(), Arc::clone(&counted)));
            }
        });
        let url = format!("http://127.0.0.1:{port}/events");
        Ok(Mes {
            name: "HTTP",
            uplink: format!("{{ http: {{ url: '{url}' }}, start_at: oldest }}"),
            arrivals,
            all,
            task,
        })
    }
}

async fn take(
    mut stream: tokio::net::TcpStream,
    into: mpsc::Sender<Arrived>,
    all: Arc<AtomicUsize>,
) {
    drop(stream.set_nodelay(true));
    let mut input = Vec::new();
    loop {
        while let Some((body, end)) = request(&input).filter(|(_, end)| input.len() >= *end) {
            let arrived = Arrived::of(input.get(body..end).unwrap_or_default(), &all);
            input.drain(..end);
            if let Some(arrived) = arrived
                && into.send(arrived).await.is_err()
            {
                return;
            }
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
            return;
        }
    }
}

/// Where the body of the request at the beginning begins and ends, when its head is there.
fn request(input: &[u8]) -> Option<(usize, usize)> {
    let head = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let lines = str::from_utf8(input.get(..head)?).ok()?;
    let length = lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some((head + 4, head + 4 + length.1.trim().parse::<usize>().ok()?))
}
