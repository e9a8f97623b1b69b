//! Cost of aggregation, on one core: samples of an operation with three profiled parameters, state changes with conditions,
//! and beside them a bare Welford loop over the same samples.
//!
//! `cargo bench --bench aggregate`. Goals: 5 M samples/s, 1 M evaluations/s, no allocation per sample (columns of divan), and
//! a known size of an open operation (printed first).

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use millgate::aggregate::condition::{Allowed, Condition, Evaluator, Known, Scope};
use millgate::aggregate::statistics::{Accumulator, Plan};
use millgate::aggregate::{Aggregate, Start};
use millgate::model::{
    Batch, BootTime, ClockQuality, Content, DeviceId, Interpolation, Position, Quality, Restored,
    Sample, Stamp, TagId, UtcTime, Value, ValueKind,
};
use millgate::settings;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    checkpoint_size();
    divan::main();
}

/// Samples of one round: with a hundred rounds the capture has ten million.
const ROUND: usize = 100_000;
const ROUNDS: u32 = 100;

/// One parameter, with and without a profile and percentiles.
#[divan::bench(args = ["plain", "profile", "percentiles"])]
fn statistics(bencher: Bencher<'_, '_>, kind: &str) {
    let plan = Plan {
        interpolation: Interpolation::Linear,
        profile: (kind == "profile").then_some(200),
        percentiles: kind == "percentiles",
        ..Plan::default()
    };
    let mut accumulator = Accumulator::new(&plan, None, Known::True);
    let mut i = 0;
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        for _ in 0..ROUND {
            accumulator.add(i * 10_000_000, wave(i), false);
            i += 1;
        }
    });
}

/// A course that never repeats a value.
fn wave(i: i64) -> f64 {
    100.0 + (i % 997) as f64 * 0.25 + i as f64 * 1e-6
}

#[divan::bench(args = [
    "bit(status, 0)",
    "!bit(status, 0)",
    "bit(status, 7) || bit(status, 6)",
    "ram > 780.0",
    "mode in ['PRODUCTION', 'SETUP'] && bit(status, 0)",
    "changed(status)",
    "order == 'WO-1'",
])]
fn condition(bencher: Bencher<'_, '_>, source: &str) {
    let mut scope = Scope::new([
        ("status", ValueKind::Int),
        ("ram", ValueKind::Float),
        ("order", ValueKind::Text),
    ]);
    scope.set(0, Some(Value::Int(0x21)));
    scope.set(1, Some(Value::Float(790.0)));
    scope.set(2, Some(Value::Text("WO-1".into())));
    let condition = Condition::compile(source, &scope, Allowed::ALL).expect("a condition");
    let evaluator = Evaluator::default();
    let mut failed = 0;
    bencher
        .counter(ItemsCount::new(1u32))
        .bench_local(|| evaluator.evaluate(black_box(&condition), &scope, &mut failed));
}

const PRESS: &str = r#"
gateway: { id: bench-gw01, path: [EXAMPLE] }
machine: PRESS-01
devices:
  plc:
    modbus_tcp: { host: 127.0.0.1 }
    addresses: zero_based
    tags:
      status: { holding: 1, type: u16, every: 10ms }
      a: { input: 10, type: f32, every: 10ms, interpolation: linear }
      b: { input: 12, type: f32, every: 10ms, interpolation: linear }
      c: { input: 14, type: f32, every: 10ms }
operations:
  form:
    start: { when: "bit(status, 0)" }
    end: { when: "!bit(status, 0)" }
    max_duration: 10000h
    parameters:
      a: { tag: a, profile: 200 }
      b: { tag: b, profile: 200 }
      c: { tag: c, profile: 200 }
"#;

/// How the samples come.
#[derive(Clone, Copy, Debug)]
enum Batches {
    /// One poll cycle: a status word and three measured values of one stamp.
    Cycles,
    /// One notification of a second: a hundred such instants.
    Seconds,
}

impl Batches {
    fn instants(self) -> usize {
        match self {
            Batches::Cycles => 1,
            Batches::Seconds => 100,
        }
    }
}

/// Three profiled parameters of an operation that is open all the time, and its two conditions.
#[divan::bench(args = [Batches::Cycles, Batches::Seconds], sample_count = ROUNDS, sample_size = 1)]
fn machine(bencher: Bencher<'_, '_>, batches: Batches) {
    let (mut aggregate, tags) = opened(PRESS);
    let mut capture = Capture { tags, tick: 1 };
    bencher
        .counter(ItemsCount::new(ROUND))
        .with_inputs(|| capture.round(batches))
        .bench_local_values(|round| {
            for batch in &round {
                aggregate.apply(black_box(batch));
            }
            round
        });
}

/// The mean and variance of the same samples, and nothing else: what the machine is measured by.
#[divan::bench(args = [Batches::Cycles, Batches::Seconds], sample_count = ROUNDS, sample_size = 1)]
fn bare_welford(bencher: Bencher<'_, '_>, batches: Batches) {
    let (_, tags) = opened(PRESS);
    let mut capture = Capture { tags, tick: 1 };
    let mut welford = [(0.0, 0.0, 0.0); 4];
    bencher
        .counter(ItemsCount::new(ROUND))
        .with_inputs(|| capture.round(batches))
        .bench_local_values(|round| {
            for batch in &round {
                let Content::Samples(samples) = &batch.content else {
                    continue;
                };
                for sample in samples {
                    let value = sample.usable().and_then(Value::number);
                    if let (Some((n, mean, m2)), Some(value)) =
                        (welford.get_mut(sample.tag.index()), value)
                    {
                        *n += 1.0;
                        let delta = value - *mean;
                        *mean += delta / *n;
                        *m2 += delta * (value - *mean);
                    }
                }
            }
            black_box(&mut welford);
            round
        });
}

/// The plant that the box is made for: 200 devices, 10,000 tags, 50 open operations of 5 parameters. Items are samples; each
/// device answers with its 50 tags at once.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn design_load(bencher: Bencher<'_, '_>) {
    let plant = load(&plant_of(50, 4, 50));
    let mut aggregate = started(&plant);
    let mut second = 0;
    let answers = move || {
        second += 1;
        let devices = plant.devices.iter();
        let answer = |(d, device): (usize, &settings::Device)| {
            let ms = second * 1_000 + d as i64;
            let value = |(i, tag): (usize, &TagId)| match i {
                0 => sample(*tag, ms, Value::Int(1)),
                i => sample(*tag, ms, Value::Float(wave(ms + i as i64))),
            };
            let samples = device.tags.iter().enumerate().map(value);
            batch(d, ms, samples.collect())
        };
        devices.enumerate().map(answer).collect::<Vec<Batch>>()
    };
    bencher
        .counter(ItemsCount::new(10_000u32))
        .with_inputs(answers)
        .bench_local_values(|round| {
            for batch in &round {
                aggregate.apply(black_box(batch));
            }
            round
        });
}

/// A status word that changes with each cycle, read by ten conditions of state, mode and operation. Items are evaluations.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn state_changes(bencher: Bencher<'_, '_>) {
    let (mut aggregate, [status, ..]) = opened(CHANGING);
    let mut tick = 1i64;
    bencher
        .counter(ItemsCount::new(EVALUATIONS_PER_CHANGE * 10_000))
        .with_inputs(|| {
            let change = |i: i64| {
                let ms = (tick + i) * 10;
                batch(
                    0,
                    ms,
                    vec![sample(status, ms, Value::Int((tick + i) << 8 | 1))],
                )
            };
            let round: Vec<Batch> = (0..10_000).map(change).collect();
            tick += 10_000;
            round
        })
        .bench_local_values(|round| {
            for batch in &round {
                aggregate.apply(black_box(batch));
            }
            round
        });
}

/// Those of `CHANGING` that refer to the status word and are reached.
const EVALUATIONS_PER_CHANGE: u32 = 10;
const CHANGING: &str = r#"
gateway: { id: bench-gw01, path: [EXAMPLE] }
machine: PRESS-01
devices:
  plc:
    modbus_tcp: { host: 127.0.0.1 }
    addresses: zero_based
    tags:
      status: { holding: 1, type: u32, every: 10ms }
      a: { input: 10, type: f32, every: 10ms }
      b: { input: 12, type: f32, every: 10ms }
      c: { input: 14, type: f32, every: 10ms }
equipment:
  state:
    - { when: "bit(status, 7)", is: FAULTED }
    - { when: "bit(status, 3)", is: IDLE }
    - { when: "bit(status, 4)", is: STOPPED }
    - { when: "bit(status, 0)", is: RUNNING }
  mode:
    - { when: "bit(status, 5)", is: SETUP }
    - { is: PRODUCTION }
operations:
  form:
    start: { when: "bit(status, 0)" }
    end: { when: "!bit(status, 0)" }
    abort: { when: "bit(status, 7) || bit(status, 6)" }
    pause: { when: "bit(status, 2) && !bit(status, 1)" }
    max_duration: 10000h
    parameters:
      a: { tag: a, while: "mask(status, 0x0F) == 1" }
"#;

/// Machines of `devices` devices of 50 tags each; one operation of five parameters is open in each.
fn plant_of(machines: usize, devices: usize, tags: usize) -> String {
    let mut text = "gateway: { id: bench-gw01, path: [EXAMPLE] }\nmachines:\n".to_owned();
    for machine in 0..machines {
        text += &format!("  M{machine}:\n    devices:\n");
        for device in 0..devices {
            text += &format!(
                "      d{device}:\n        modbus_tcp: {{ host: 10.0.{machine}.{device} }}\n        addresses: zero_based\n        tags:\n"
            );
            for tag in 0..tags {
                let kind = if tag == 0 { "u32" } else { "f32" };
                text += &format!(
                    "          d{device}t{tag}: {{ input: {}, type: {kind}, every: 1s }}\n",
                    tag * 2
                );
            }
        }
        text += "    operations:\n      run:\n        start: { when: \"bit(d0t0, 0)\" }\n        end: { when: \"!bit(d0t0, 0)\" }\n        max_duration: 10000h\n        parameters:\n";
        for parameter in 1..=5 {
            text += &format!("          p{parameter}: {{ tag: d0t{parameter}, profile: 200 }}\n");
        }
    }
    text
}

/// Prints what one open operation of five profiled parameters takes in the checkpoint after an hour.
fn checkpoint_size() {
    let plant = load(&plant_of(1, 1, 6));
    let mut aggregate = started(&plant);
    let tags: Vec<TagId> = plant.tags.iter().map(|tag| tag.id).collect();
    for tick in 0..360_000i64 {
        let ms = tick * 10;
        let value = |(i, tag): (usize, &TagId)| match i {
            0 => sample(*tag, ms, Value::Int(i64::from(tick > 0))),
            i => sample(*tag, ms, Value::Float(wave(tick + i as i64))),
        };
        aggregate.apply(&batch(0, ms, tags.iter().enumerate().map(value).collect()));
    }
    let turn = aggregate.last_turn().expect("a checkpoint");
    for entry in &turn.checkpoint {
        if let Some(value) = &entry.value
            && (entry.key.contains("/open/") || entry.key.contains("/definition/"))
        {
            println!("checkpoint {}: {} bytes", entry.key, value.len());
        }
    }
}

fn load(text: &str) -> settings::Plant {
    let loaded = settings::load(text);
    loaded.expect("the settings of the bench").plant
}

fn started(plant: &settings::Plant) -> Aggregate {
    let start = Start {
        now: stamp(0),
        boot_id: "bench".into(),
        clock: ClockQuality::default(),
    };
    let restored = Restored {
        next: Position { epoch: 1, seq: 1 },
        ..Restored::default()
    };
    let health = std::sync::Arc::default();
    Aggregate::new(plant, restored, start, health).expect("the conditions of the bench")
}

/// The operation of a machine with the tags `status`, `a`, `b` and `c` is open.
fn opened(text: &str) -> (Aggregate, [TagId; 4]) {
    let plant = load(text);
    let tag = |name: &str| {
        let found = plant.tags.iter().find(|tag| tag.name == name);
        found.expect("a tag of the bench").id
    };
    let tags = [tag("status"), tag("a"), tag("b"), tag("c")];
    let mut aggregate = started(&plant);
    for (ms, word) in [(1, 0), (2, 1)] {
        let samples = vec![sample(tags[0], ms, Value::Int(word))];
        aggregate.apply(&batch(0, ms, samples));
    }
    (aggregate, tags)
}

/// Ten million samples, a round at a time.
struct Capture {
    tags: [TagId; 4],
    tick: i64,
}

impl Capture {
    fn round(&mut self, batches: Batches) -> Vec<Batch> {
        let instants = batches.instants();
        (0..ROUND / 4 / instants)
            .map(|_| {
                let mut samples = Vec::with_capacity(4 * instants);
                for _ in 0..instants {
                    let ms = self.tick * 10;
                    samples.push(sample(self.tags[0], ms, Value::Int(1)));
                    for (i, tag) in (1..).zip(&self.tags[1..]) {
                        samples.push(sample(*tag, ms, Value::Float(wave(self.tick + i))));
                    }
                    self.tick += 1;
                }
                batch(0, (self.tick - 1) * 10, samples)
            })
            .collect()
    }
}

fn batch(device: usize, ms: i64, samples: Vec<Sample>) -> Batch {
    Batch {
        device: DeviceId(u32::try_from(device).expect("few devices")),
        stamp: stamp(ms),
        content: Content::Samples(samples),
    }
}

fn sample(tag: TagId, ms: i64, value: Value) -> Sample {
    Sample {
        tag,
        stamp: stamp(ms),
        value: Some(value),
        quality: Quality::Good,
    }
}

fn stamp(ms: i64) -> Stamp {
    Stamp {
        boot: BootTime(ms * 1_000_000),
        utc: UtcTime(ms * 1_000_000),
    }
}
