//! What it costs to watch 10,000 OPC UA variables that change once a second: CPU, memory, and whether every change came.
//!
//! `cargo bench --bench opcua [-- SECONDS]`, or `tests/run opcua`. The server is this same program, started as a second process:
//! the library's own server side, whose variables count up together. Reading and aggregation are the gateway's own, run here as
//! `gateway` runs them; each hundredth variable is a parameter of an operation. Between the two each value is held against the one
//! before: a number that was skipped is missing. Let nothing else run beside it.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot set itself up has nothing to measure"
)]

use millgate::acquire;
use millgate::aggregate::{self, Aggregate, Start};
use millgate::clock::{self, Clock};
use millgate::health::Health;
use millgate::model::{Batch, Content, Position, Quality, Restored, Value};
use millgate::settings::{self, Plant};
use opcua::server::ServerBuilder;
use opcua::server::address_space::Variable;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{DataValue, NodeId};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const ITEMS: usize = 10_000;
const NAMESPACE: &str = "urn:EXAMPLE:line";
/// How often all variables change.
const EVERY: Duration = Duration::from_secs(1);
/// Each so many variables one is a parameter.
const PER_PARAMETER: usize = 100;
/// Until the first values are through.
const WARM_UP: Duration = Duration::from_secs(5);
/// The longest wait for all first values.
const PATIENCE: Duration = Duration::from_secs(120);
/// As `gateway` has them.
const BATCHES: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if arguments.iter().any(|argument| argument == "serve") {
        return runtime.block_on(serve());
    }
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok());
    let measured = Duration::from_secs(seconds.unwrap_or(30));
    let server = Server::start();
    runtime.block_on(run(&server, measured));
}

// --- the gateway's side --------------------------------------------------------------------------------------------

/// What came, counted between reading and aggregation.
#[derive(Default)]
struct Seen {
    good: AtomicU64,
    bad: AtomicU64,
    missing: AtomicU64,
    first: AtomicU64,
}

impl Seen {
    /// Holds values against those before; `last` is by tag.
    fn look(&self, batch: &Batch, last: &mut [Option<i64>]) {
        let Content::Samples(samples) = &batch.content else {
            self.bad.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for sample in samples {
            let (Some(Value::Int(value)), Quality::Good) = (&sample.value, sample.quality) else {
                self.bad.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            self.good.fetch_add(1, Ordering::Relaxed);
            let Some(last) = last.get_mut(sample.tag.index()) else {
                continue;
            };
            match last.replace(*value) {
                None => drop(self.first.fetch_add(1, Ordering::Relaxed)),
                Some(before) => {
                    let skipped = u64::try_from(value - before - 1).unwrap_or(1);
                    self.missing.fetch_add(skipped, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Counters at one moment.
struct Moment {
    at: Instant,
    gateway: Duration,
    server: Duration,
    good: u64,
}

impl Moment {
    fn now(server: &Server, seen: &Seen) -> Moment {
        Moment {
            at: Instant::now(),
            gateway: cpu("self"),
            server: cpu(&server.child.id().to_string()),
            good: seen.good.load(Ordering::Relaxed),
        }
    }
}

async fn run(server: &Server, measured: Duration) {
    let plant = plant(server.port);
    let clock = Clock::system();
    let health = Health::new(plant.devices.len(), 0);
    let stop = CancellationToken::new();
    let seen = Arc::new(Seen::default());
    let (batches, mut batches_end) = mpsc::channel(BATCHES);
    let (looked, looked_end) = mpsc::channel(BATCHES);
    let (turns, mut turns_end) = mpsc::channel(16);
    let mut tasks = Vec::new();
    for link in acquire::links(&plant, &health, &clock) {
        tasks.push(tokio::spawn(link.run(batches.clone(), stop.clone())));
    }
    drop(batches);
    let (looking, tags) = (Arc::clone(&seen), plant.tags.len());
    tasks.push(tokio::spawn(async move {
        let mut last = vec![None; tags];
        while let Some(batch) = batches_end.recv().await {
            looking.look(&batch, &mut last);
            looked.send(batch).await.unwrap();
        }
    }));
    let aggregate = opened(&plant, &health, &clock);
    tasks.push(tokio::spawn(aggregate::run(
        aggregate,
        looked_end,
        turns,
        clock.clone(),
        |_| (),
    )));
    tasks.push(tokio::spawn(async move {
        while turns_end.recv().await.is_some() {}
    }));
    let all_read = async {
        while seen.first.load(Ordering::Relaxed) < u64::try_from(ITEMS).unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let began = Instant::now();
    let read = tokio::time::timeout(PATIENCE, all_read).await;
    read.expect("each variable has a value within two minutes");
    let to_first = began.elapsed();
    tokio::time::sleep(WARM_UP).await;
    let begin = Moment::now(server, &seen);
    tokio::time::sleep(measured).await;
    let end = Moment::now(server, &seen);
    print(&begin, &end, &seen, to_first);
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
}

fn print(begin: &Moment, end: &Moment, seen: &Seen, to_first: Duration) {
    let wall = end.at.duration_since(begin.at).as_secs_f64();
    let gateway = end.gateway.saturating_sub(begin.gateway).as_secs_f64() * 1_000.0;
    let server = end.server.saturating_sub(begin.server).as_secs_f64() * 1_000.0;
    let samples = end.good - begin.good;
    let (missing, bad) = (
        seen.missing.load(Ordering::Relaxed),
        seen.bad.load(Ordering::Relaxed),
    );
    println!("{ITEMS} monitored items, each changing every {EVERY:?}, over {wall:.0} s");
    println!("  samples/s              {:.0}", samples as f64 / wall);
    println!("  missing, bad           {missing}, {bad}");
    println!("  CPU of the gateway     {:.1} ms/s", gateway / wall);
    println!(
        "  per 1,000 samples      {:.3} ms",
        gateway * 1_000.0 / samples.max(1) as f64
    );
    println!("  CPU of the server      {:.1} ms/s", server / wall);
    let mib = |name| memory_kib(name) as f64 / 1_024.0;
    println!(
        "  resident memory        {:.1} MiB now, {:.1} MiB at most",
        mib("VmRSS"),
        mib("VmHWM")
    );
    println!("  all first values after {} ms", to_first.as_millis());
    if missing + bad > 0 || samples == 0 {
        println!("  values are missing: the figures are worth nothing");
        std::process::exit(1);
    }
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

/// One machine; each hundredth variable is a parameter of its operation.
fn plant(port: u16) -> Plant {
    let mut text = format!(
        "gateway: {{ id: load-gw01, path: [EXAMPLE, LOAD] }}
machine: LOAD-01
devices:
  line:
    opc_ua: {{ endpoint: 'opc.tcp://127.0.0.1:{port}', insecure: true, namespaces: {{ l: '{NAMESPACE}' }} }}
    tags:
"
    );
    for item in 0..ITEMS {
        // Twice as often as it changes, so that no change falls between two looks.
        let sampled = EVERY.as_millis() / 2;
        writeln!(
            text,
            "      v{item}: {{ node: 'l:s=v{item}', type: i64, every: {sampled}ms, queue: 10 }}"
        )
        .unwrap();
    }
    text += "operations:
  run:
    start: { when: 'v0 % 20 < 16' }
    end: { when: 'v0 % 20 >= 16' }
    parameters:
";
    for item in (0..ITEMS).step_by(PER_PARAMETER) {
        writeln!(text, "      p{item}: {{ tag: v{item} }}").unwrap();
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

fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        rest.trim().trim_end_matches(" kB").parse().ok()
    });
    found.unwrap()
}

// --- the server's side ---------------------------------------------------------------------------------------------

/// This program, started with `serve`; ended with its value.
struct Server {
    child: Child,
    port: u16,
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
        let port = line.trim().parse().unwrap();
        Server { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Serves until standard input ends.
async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let namespace = NamespaceMetadata {
        namespace_uri: NAMESPACE.to_owned(),
        ..NamespaceMetadata::default()
    };
    let mut builder = ServerBuilder::new_anonymous("Line")
        .application_uri("urn:EXAMPLE:line:server")
        .product_uri("urn:EXAMPLE:line")
        .host("127.0.0.1")
        .port(port)
        .diagnostics_enabled(false)
        .with_node_manager(simple_node_manager(namespace, "line"));
    let limits = &mut builder.limits_mut().subscriptions;
    limits.max_monitored_items_per_sub = ITEMS;
    limits.max_notifications_per_publish = 10_000;
    limits.max_queued_notifications = 100;
    let (server, handle) = builder.build().unwrap();
    let index = handle.get_namespace_index(NAMESPACE).unwrap();
    let nodes = handle
        .node_managers()
        .get_of_type::<SimpleNodeManager>()
        .unwrap();
    let ids: Vec<NodeId> = (0..ITEMS)
        .map(|item| NodeId::new(index, format!("v{item}")))
        .collect();
    let variables = ids
        .iter()
        .map(|id| Variable::new(id, id.to_string(), id.to_string(), 0_i64));
    nodes
        .address_space()
        .write()
        .add_variables(variables.collect(), &NodeId::objects_folder_id());
    tokio::spawn(server.run_with(listener));
    tokio::spawn(async move {
        let mut every = tokio::time::interval(EVERY);
        for count in 0_i64.. {
            every.tick().await;
            let value = || DataValue::new_now(count);
            let values = ids.iter().map(|id| (id, None, value()));
            nodes.set_values(handle.subscriptions(), values).unwrap();
        }
    });
    println!("{port}");
    let mut nothing = [0; 16];
    let waiting = tokio::task::spawn_blocking(move || {
        while std::io::stdin()
            .read(&mut nothing)
            .is_ok_and(|count| count > 0)
        {}
    });
    waiting.await.unwrap();
}
