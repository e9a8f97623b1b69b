//! The largest rate at which no poll cycle is missed: 40 connections of 125 registers, first 100 times a second, aggregated.
//!
//! `cargo bench --bench rate [-- SECONDS]`. The servers are this same program, started as a second process: a thread per
//! connection that copies answers made beforehand. Reading and aggregation are the gateway's own, run here as `gateway` runs
//! them; each register is a parameter of an operation that begins and ends every few seconds. The period is shortened until
//! cycles are missed. A cycle is missed when the driver counts an overrun, or fewer answers than periods came.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot set itself up has nothing to measure"
)]

use millgate::acquire;
use millgate::aggregate::{self, Aggregate, Start};
use millgate::clock::{self, Clock};
use millgate::health::Health;
use millgate::model::{Position, Restored};
use millgate::settings::{self, Plant};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const REGISTERS: usize = 125;
const CONNECTIONS: usize = 40;
/// Prebuilt answers of a server: 4 s at 100 Hz, in the first half of which the operation runs.
const ANSWERS: usize = 400;
/// The goal, and what is tried beyond it.
const PERIODS_MS: [u64; 6] = [10, 8, 5, 4, 3, 2];
/// Until all are connected and read their rhythm.
const WARM_UP: Duration = Duration::from_secs(2);
/// As `gateway` has them.
const BATCHES: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "serve") {
        return serve();
    }
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok());
    let measured = Duration::from_secs(seconds.unwrap_or(20));
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "{CONNECTIONS} connections of {REGISTERS} registers, {measured:?} each, {} cores",
        cores()
    );
    println!(
        "period  registers/s   missed of  cycles    gateway     servers  CPU per 1,000 samples"
    );
    let mut largest = None;
    for period_ms in PERIODS_MS {
        let figures = runtime.block_on(run(&server, period_ms, measured));
        figures.print(period_ms);
        if figures.missed > 0 {
            break;
        }
        largest = Some(period_ms);
    }
    match largest {
        Some(ms) => println!(
            "largest rate without a missed cycle: {} registers/s",
            rate(ms)
        ),
        None => println!("cycles are missed already at the longest period"),
    }
}

/// Registers per second at that period.
fn rate(period_ms: u64) -> usize {
    CONNECTIONS * REGISTERS * 1_000 / usize::try_from(period_ms).unwrap()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

// --- the gateway's side --------------------------------------------------------------------------------------------

struct Figures {
    registers: f64,
    missed: u64,
    periods: u64,
    gateway: f64,
    servers: f64,
    us_per_1000: f64,
}

impl Figures {
    fn print(&self, period_ms: u64) {
        println!(
            "{period_ms:3} ms  {:11.0}  {:7} of {:7}  {:4.2} cores  {:4.2} cores  {:8.0} us",
            self.registers, self.missed, self.periods, self.gateway, self.servers, self.us_per_1000
        );
    }
}

/// Counters at one moment.
struct Moment {
    at: Instant,
    gateway: Duration,
    servers: Duration,
    answers: u64,
    overruns: u64,
    aggregated: u64,
}

impl Moment {
    fn now(health: &Health, server: &Server) -> Moment {
        let sum = |of: fn(&millgate::health::DeviceHealth) -> u64| {
            health.devices.iter().map(|device| of(device)).sum()
        };
        Moment {
            at: Instant::now(),
            gateway: cpu("self"),
            servers: cpu(&server.child.id().to_string()),
            answers: sum(|device| device.answers.get()),
            overruns: sum(|device| device.overruns.get()),
            aggregated: health.aggregate.samples.get(),
        }
    }

    fn until(&self, end: &Moment, period_ms: u64) -> Figures {
        let wall = end.at.duration_since(self.at);
        let connections = u64::try_from(CONNECTIONS).unwrap();
        let periods = u64::try_from(wall.as_millis()).unwrap() / period_ms * connections;
        let answers = end.answers - self.answers;
        // Each connection may stand before or behind its cycle at either moment.
        let slack = 2 * connections;
        let fewer = periods.saturating_sub(answers + slack);
        let samples = end.aggregated - self.aggregated;
        let cpu = end.gateway.saturating_sub(self.gateway);
        Figures {
            registers: samples as f64 / wall.as_secs_f64(),
            missed: (end.overruns - self.overruns).max(fewer),
            periods,
            gateway: cpu.as_secs_f64() / wall.as_secs_f64(),
            servers: end.servers.saturating_sub(self.servers).as_secs_f64() / wall.as_secs_f64(),
            us_per_1000: cpu.as_micros() as f64 * 1_000.0 / samples.max(1) as f64,
        }
    }
}

async fn run(server: &Server, period_ms: u64, measured: Duration) -> Figures {
    let plant = plant(&server.ports, period_ms);
    let clock = Clock::system();
    let health = Health::new(plant.devices.len(), 0);
    let stop = CancellationToken::new();
    let (batches, batches_end) = mpsc::channel(BATCHES);
    let (turns, mut turns_end) = mpsc::channel(16);
    let mut tasks = Vec::new();
    for link in acquire::links(&plant, &health, &clock) {
        tasks.push(tokio::spawn(link.run(batches.clone(), stop.clone())));
    }
    drop(batches);
    let aggregate = opened(&plant, &health, &clock);
    tasks.push(tokio::spawn(aggregate::run(
        aggregate,
        batches_end,
        turns,
        clock.clone(),
        |_| (),
    )));
    tasks.push(tokio::spawn(async move {
        while turns_end.recv().await.is_some() {}
    }));
    let all_connected = async {
        while !health.devices.iter().all(|device| device.answers.get() > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(60), all_connected).await;
    connected.expect("all connections answer within a minute");
    tokio::time::sleep(WARM_UP).await;
    let begin = Moment::now(&health, server);
    tokio::time::sleep(measured).await;
    let end = Moment::now(&health, server);
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    begin.until(&end, period_ms)
}

fn opened(plant: &Plant, health: &Health, clock: &Clock) -> Aggregate {
    let start = Start {
        now: clock.now(),
        boot_id: clock::boot_id(),
        clock: clock.quality(),
    };
    let restored = Restored {
        next: Position { epoch: 1, seq: 1 },
        ..Restored::default()
    };
    Aggregate::new(plant, restored, start, Arc::clone(&health.aggregate)).unwrap()
}

/// One machine per connection: 125 registers, each a parameter of its operation.
fn plant(ports: &[u16], period_ms: u64) -> Plant {
    let mut text = String::from("gateway: { id: rate-gw01, path: [EXAMPLE, RATE] }\nmachines:\n");
    for (machine, port) in ports.iter().enumerate() {
        write!(
            text,
            "  M{machine}:
    devices:
      plc:
        modbus_tcp: {{ host: 127.0.0.1, port: {port} }}
        addresses: zero_based
        tags:
"
        )
        .unwrap();
        for register in 0..REGISTERS {
            writeln!(
                text,
                "          r{register}: {{ holding: {register}, every: {period_ms}ms }}"
            )
            .unwrap();
        }
        text += "    operations:
      run:
        start: { when: 'bit(r0, 0)' }
        end: { when: '!bit(r0, 0)' }
        parameters:
";
        for register in 0..REGISTERS {
            writeln!(text, "          p{register}: {{ tag: r{register} }}").unwrap();
        }
    }
    match settings::load(&text) {
        Ok(loaded) => loaded.plant,
        Err(problems) => panic!("{problems:?}"),
    }
}

/// User and system time so far, from `/proc/PID/stat`: the fields 14 and 15, counted from behind the name.
fn cpu(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    // The kernel tells it in hundredths of a second, whatever its own clock.
    Duration::from_millis(ticks * 10)
}

// --- the servers' side ---------------------------------------------------------------------------------------------

/// This program, started with `serve`; ended with its value.
struct Server {
    child: Child,
    ports: Vec<u16>,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let ports = line.split_whitespace().map(|port| port.parse().unwrap());
        Server {
            child,
            ports: ports.collect(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Serves until standard input ends.
fn serve() {
    let answers = Arc::new((0..ANSWERS).map(answer).collect::<Vec<_>>());
    let mut ports = String::new();
    for _ in 0..CONNECTIONS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        write!(ports, "{} ", listener.local_addr().unwrap().port()).unwrap();
        let answers = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A connection that ends, ends by its error.
                drop(serve_one(stream.unwrap(), &answers));
            }
        });
    }
    println!("{ports}");
    let mut nothing = [0; 16];
    while std::io::stdin()
        .read(&mut nothing)
        .is_ok_and(|count| count > 0)
    {}
}

/// Answers each request with the next of the answers, under its transaction and unit.
fn serve_one(mut stream: TcpStream, answers: &[Vec<u8>]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 12];
    let mut frame = Vec::new();
    for answer in answers.iter().cycle() {
        stream.read_exact(&mut request)?;
        let length = u8::try_from(1 + answer.len()).unwrap();
        assert_eq!(request[7..], [3, 0, 0, 0, 125], "one read of 125 registers");
        let [first, second, .., unit, _, _, _, _, _] = request;
        frame.clear();
        frame.extend([first, second, 0, 0, 0, length, unit]);
        frame.extend(answer);
        stream.write_all(&frame)?;
    }
    Ok(())
}

/// What stands behind the unit. Register 0 has the run bit; the others move.
fn answer(number: usize) -> Vec<u8> {
    let bytes = u8::try_from(2 * REGISTERS).unwrap();
    let mut frame = vec![3, bytes];
    frame.extend(u16::from(number < ANSWERS / 2).to_be_bytes());
    for register in 1..REGISTERS {
        let value = u16::try_from(register * 100 + number).unwrap();
        frame.extend(value.to_be_bytes());
    }
    frame
}
