//! What one dead unit of twenty does to the poll periods of the other nineteen, over sockets and in real time.
//!
//! `cargo bench --bench dead_unit [-- SECONDS]`. Four gateways of our own serve twenty units each: Modbus TCP and RTU over TCP,
//! all units alive, and one of them silent. The gateway's reading polls all four at once, in one process. A period is the time
//! between two batches of a unit by their stamps, the start with its time-outs included. The goal: the 99th percentile with
//! the dead unit is within 10 % of that without.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot set itself up has nothing to measure"
)]

use millgate::acquire;
use millgate::clock::Clock;
use millgate::health::Health;
use millgate::model::{Batch, BootTime, Content};
use millgate::settings::{self, Plant};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const UNITS: u8 = 20;
/// In the middle of the others.
const DEAD: u8 = 10;
const PERIOD_MS: u64 = 200;
/// All units together take half of the period.
const ANSWER_TAKES: Duration = Duration::from_millis(5);
/// As long as two and a half periods.
const TIMEOUT_MS: u64 = 500;
const REGISTERS: u16 = 10;
/// Long enough for the whole time-out that a dead unit is granted every two minutes.
const SECONDS: u64 = 150;
/// The goal for the ratio of the 99th percentiles.
const GOAL: f64 = 1.1;

/// How a gateway frames what it passes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Tcp,
    Rtu,
}

/// One of the four.
struct Case {
    name: &'static str,
    framing: Framing,
    dead: Option<u8>,
}

const CASES: [Case; 4] = [
    Case {
        name: "Modbus TCP",
        framing: Framing::Tcp,
        dead: None,
    },
    Case {
        name: "Modbus TCP",
        framing: Framing::Tcp,
        dead: Some(DEAD),
    },
    Case {
        name: "RTU over TCP",
        framing: Framing::Rtu,
        dead: None,
    },
    Case {
        name: "RTU over TCP",
        framing: Framing::Rtu,
        dead: Some(DEAD),
    },
];

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let measured = Duration::from_secs(seconds.unwrap_or(SECONDS));
    println!(
        "{UNITS} units every {PERIOD_MS} ms, {ANSWER_TAKES:?} per answer, time-out {TIMEOUT_MS} ms, {measured:?}"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let periods = runtime.block_on(run(measured));
    println!("                             periods    median       p99   longest");
    let mut goal_met = true;
    for (cases, periods) in CASES.chunks(2).zip(periods.chunks(2)) {
        let mut ninety_nines = Vec::new();
        for (case, periods) in cases.iter().zip(periods) {
            let state = if case.dead.is_some() {
                "one dead"
            } else {
                "all alive"
            };
            let [median, p99, longest] = percentiles(periods);
            let name = case.name;
            println!(
                "  {name:12}  {state:9}   {:9}  {median:5.1} ms  {p99:5.1} ms  {longest:5.1} ms",
                periods.len()
            );
            ninety_nines.push(p99);
        }
        if let [without, with] = ninety_nines.as_slice() {
            let ratio = with / without;
            println!("  the 99th percentile with the dead unit is {ratio:.3} times that without");
            goal_met &= ratio <= GOAL;
        }
    }
    if !goal_met {
        println!("MISSED: the goal is {GOAL}");
        std::process::exit(1);
    }
}

/// Median, 99th percentile and longest, in ms.
fn percentiles(periods: &[f64]) -> [f64; 3] {
    let mut sorted = periods.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| *sorted.get((sorted.len() - 1) * percent / 100).unwrap();
    [at(50), at(99), at(100)]
}

/// The periods of the live units of each case, in ms.
async fn run(measured: Duration) -> Vec<Vec<f64>> {
    let ports = CASES.each_ref().map(serve);
    let plant = plant(&ports);
    let health = Health::new(plant.devices.len(), 0);
    let stop = CancellationToken::new();
    let (batches, batches_end) = mpsc::channel(256);
    let mut tasks = Vec::new();
    for link in acquire::links(&plant, &health, &Clock::system()) {
        tasks.push(tokio::spawn(link.run(batches.clone(), stop.clone())));
    }
    drop(batches);
    let heard = tokio::spawn(periods(batches_end));
    tokio::time::sleep(measured).await;
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    heard.await.unwrap()
}

async fn periods(mut batches: mpsc::Receiver<Batch>) -> Vec<Vec<f64>> {
    let mut periods = vec![Vec::new(); CASES.len()];
    let mut last: Vec<Option<BootTime>> = vec![None; CASES.len() * usize::from(UNITS)];
    while let Some(batch) = batches.recv().await {
        let device = batch.device.index();
        let (case, unit) = (device / usize::from(UNITS), device % usize::from(UNITS));
        let dead = CASES.get(case).unwrap().dead;
        if !matches!(batch.content, Content::Samples(_)) {
            assert_eq!(dead.map(usize::from), Some(unit + 1), "who is lost");
            continue;
        }
        let before = last.get_mut(device).unwrap().replace(batch.stamp.boot);
        if let Some(before) = before {
            let ms = batch.stamp.boot.seconds_since(before) * 1_000.0;
            periods.get_mut(case).unwrap().push(ms);
        }
    }
    periods
}

/// All units of all cases, in their order.
fn plant(ports: &[u16]) -> Plant {
    let mut text = String::from("gateway: { id: dead-gw01, path: [EXAMPLE, DEAD] }\nmachines:\n");
    for (case, port) in CASES.iter().zip(ports) {
        writeln!(text, "  M{port}:\n    devices:").unwrap();
        let wire = match case.framing {
            Framing::Tcp => format!("modbus_tcp: {{ host: 127.0.0.1, port: {port}"),
            Framing::Rtu => format!("modbus_rtu: {{ tcp: '127.0.0.1:{port}'"),
        };
        for unit in 1..=UNITS {
            writeln!(
                text,
                "      u{unit}:\n        {wire}, unit: {unit}, timeout: {TIMEOUT_MS}ms }}\n        addresses: zero_based\n        tags:"
            )
            .unwrap();
            for register in 0..REGISTERS {
                writeln!(
                    text,
                    "          u{unit}r{register}: {{ holding: {register}, every: {PERIOD_MS}ms }}"
                )
                .unwrap();
            }
        }
    }
    match settings::load(&text) {
        Ok(loaded) => loaded.plant,
        Err(problems) => panic!("{problems:?}"),
    }
}

// --- the gateways in between ---------------------------------------------------------------------------------------

/// Serves a case until the process ends; on this port.
fn serve(case: &Case) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (framing, dead) = (case.framing, case.dead);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A connection that ends, ends by its error.
            drop(serve_one(stream.unwrap(), framing, dead));
        }
    });
    port
}

fn serve_one(mut stream: TcpStream, framing: Framing, dead: Option<u8>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let answer = match framing {
            Framing::Tcp => {
                let mut request = [0; 12];
                stream.read_exact(&mut request)?;
                let [first, second, .., unit, function, _, _, high, low] = request;
                let body = body(unit, function, u16::from_be_bytes([high, low]));
                let length = u8::try_from(body.len()).unwrap();
                (
                    unit,
                    [&[first, second, 0, 0, 0, length], body.as_slice()].concat(),
                )
            }
            Framing::Rtu => {
                let mut request = [0; 8];
                stream.read_exact(&mut request)?;
                let [unit, function, _, _, high, low, _, _] = request;
                let mut frame = body(unit, function, u16::from_be_bytes([high, low]));
                frame.extend(crc(&frame).to_le_bytes());
                (unit, frame)
            }
        };
        let (unit, frame) = answer;
        if dead != Some(unit) {
            std::thread::sleep(ANSWER_TAKES);
            stream.write_all(&frame)?;
        }
    }
}

/// Unit, function and so many registers.
fn body(unit: u8, function: u8, count: u16) -> Vec<u8> {
    assert_eq!(function, 3, "holding registers are read");
    let bytes = u8::try_from(2 * count).unwrap();
    let mut body = vec![unit, function, bytes];
    body.extend((0..count).flat_map(u16::to_be_bytes));
    body
}

/// The checksum of RTU (Modbus over serial line 1.02, 6.2.2).
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| {
            if sum & 1 == 1 {
                (sum >> 1) ^ 0xA001
            } else {
                sum >> 1
            }
        })
    })
}
