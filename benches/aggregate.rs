//! Cost of aggregation: statistics per sample, a condition, and a whole machine with three profiled parameters.
//!
//! `cargo bench --bench aggregate`. The goal is 5 M samples/s for the machine on one core.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use millgate::aggregate::condition::{Allowed, Condition, Evaluator, Known, Scope};
use millgate::aggregate::statistics::{Accumulator, Plan};
use millgate::aggregate::{Aggregate, Start};
use millgate::model::{
    Batch, BootTime, ClockQuality, Content, DeviceId, Interpolation, Position, Quality, Restored,
    Sample, Stamp, TagId, UtcTime, Value, ValueKind,
};
use millgate::settings;

fn main() {
    divan::main();
}

const SAMPLES: i64 = 10_000;

/// One parameter, with and without a profile and percentiles.
#[divan::bench(args = ["plain", "profile", "percentiles"])]
fn statistics(bencher: Bencher<'_, '_>, kind: &str) {
    let plan = Plan {
        interpolation: Interpolation::Linear,
        profile: (kind == "profile").then_some(200),
        percentiles: kind == "percentiles",
    };
    bencher.counter(ItemsCount::new(SAMPLES as u64)).bench(|| {
        let mut accumulator = Accumulator::new(&plan, None, Known::True);
        for i in 0..SAMPLES {
            accumulator.add(i * 10_000_000, wave(i), false);
        }
        accumulator
    });
}

/// A course that never repeats a value.
fn wave(i: i64) -> f64 {
    100.0 + (i % 997) as f64 * 0.25 + i as f64 * 1e-6
}

#[divan::bench(args = [
    "bit(status, 0)",
    "bit(status, 7) || bit(status, 6)",
    "ram > 780.0",
    "mode in ['PRODUCTION', 'SETUP'] && bit(status, 0)",
])]
fn condition(bencher: Bencher<'_, '_>, source: &str) {
    let mut scope = Scope::new([("status", ValueKind::Int), ("ram", ValueKind::Float)]);
    scope.set(0, Some(Value::Int(0x21)));
    scope.set(1, Some(Value::Float(790.0)));
    let condition = Condition::compile(source, &scope, Allowed::ALL).expect("a condition");
    let evaluator = Evaluator::default();
    let mut failed = 0;
    bencher.bench_local(|| evaluator.evaluate(black_box(&condition), &scope, &mut failed));
}

const MACHINE: &str = r#"
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
    parameters:
      a: { tag: a, profile: 200 }
      b: { tag: b, profile: 200 }
      c: { tag: c, profile: 200 }
"#;

/// Batches of one second: 100 instants of a status word and three measured values, an operation open all the time.
#[divan::bench]
fn machine(bencher: Bencher<'_, '_>) {
    let plant = settings::load(MACHINE)
        .expect("the settings of the bench")
        .plant;
    let tag = |name: &str| {
        let found = plant.tags.iter().find(|tag| tag.name == name);
        found.expect("a tag of the bench").id
    };
    let tags = [tag("status"), tag("a"), tag("b"), tag("c")];
    let mut aggregate = opened(&plant, tags[0]);
    let mut second = 1;
    bencher
        .counter(ItemsCount::new(25u64 * 400))
        .with_inputs(|| {
            second += 25;
            (0..25).map(|more| batch(tags, second + more)).collect()
        })
        .bench_local_values(|batches: Vec<Batch>| {
            for batch in &batches {
                aggregate.apply(black_box(batch));
            }
            batches
        });
}

fn opened(plant: &settings::Plant, status: TagId) -> Aggregate {
    let start = Start {
        now: stamp(0),
        boot_id: "bench".into(),
        clock: ClockQuality::default(),
    };
    let restored = Restored {
        next: Position { epoch: 1, seq: 1 },
        ..Restored::default()
    };
    let mut aggregate = Aggregate::new(plant, restored, start, std::sync::Arc::default())
        .expect("the conditions of the bench");
    for (ms, word) in [(1, 0), (2, 1)] {
        aggregate.apply(&Batch {
            device: DeviceId(0),
            stamp: stamp(ms),
            content: Content::Samples(vec![sample(status, ms, Value::Int(word))]),
        });
    }
    aggregate
}

fn batch([status, a, b, c]: [TagId; 4], second: i64) -> Batch {
    let mut samples = Vec::with_capacity(400);
    for tick in 0..100 {
        let ms = second * 1_000 + tick * 10;
        samples.push(sample(status, ms, Value::Int(1)));
        for tag in [a, b, c] {
            samples.push(sample(tag, ms, Value::Float(wave(ms))));
        }
    }
    Batch {
        device: DeviceId(0),
        stamp: stamp(second * 1_000 + 999),
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
