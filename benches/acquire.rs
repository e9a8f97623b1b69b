//! What acquisition costs: the plan of 10,000 tags, and an answer of 125 registers made into conditioned samples.
//!
//! `cargo bench --bench acquire`. Items are samples: the time of one over the items of an answer is the cost of a sample.
#![expect(
    clippy::unwrap_used,
    reason = "a bench whose settings are wrong has nothing to measure"
)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use millgate::acquire::Conditioner;
use millgate::acquire::modbus::answer::{self, Answer};
use millgate::acquire::modbus::plan::{Limits, plan};
use millgate::health::DeviceHealth;
use millgate::model::{BootTime, Stamp, UtcTime};
use millgate::settings::{self, Tag};
use std::fmt::Write;
use std::sync::Arc;

const LIMITS: Limits = Limits {
    max_registers: 125,
    max_gap: 16,
};

fn main() {
    divan::main();
}

/// So many tags of one kind, side by side in the holding registers.
fn tags(count: usize, kind: &str, width: usize) -> Vec<Tag> {
    let mut text = String::from(
        "gateway: { id: gw-1, path: [acme] }\nmachine: M\ndevices:\n  plc:\n    modbus_tcp: { host: 127.0.0.1 }\n    addresses: zero_based\n    tags:\n",
    );
    for number in 0..count {
        writeln!(
            text,
            "      t{number}: {{ holding: {}, {kind} }}",
            number * width
        )
        .unwrap();
    }
    settings::load(&text).unwrap().plant.tags
}

fn fill(bencher: Bencher, tags: &[Tag], word: fn(u16) -> u16) {
    let groups = plan(tags, LIMITS);
    let request = groups
        .first()
        .and_then(|group| group.requests.first())
        .unwrap();
    let words = Answer::Words((0..request.count).map(word).collect());
    let mut conditioner = Conditioner::new(tags, Arc::new(DeviceHealth::default()));
    let stamp = Stamp {
        boot: BootTime(1),
        utc: UtcTime(1),
    };
    let count = request.fields.len();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut readings = Vec::with_capacity(count);
        answer::read(request, black_box(&words), stamp, &mut readings);
        conditioner.samples(readings)
    });
}

/// The request list of the design load: done once at the start.
#[divan::bench]
fn plan_10_000_tags(bencher: Bencher) {
    let tags = tags(10_000, "type: u16", 3);
    bencher
        .counter(ItemsCount::new(tags.len()))
        .bench_local(|| plan(black_box(&tags), LIMITS));
}

/// 125 samples as they are.
#[divan::bench]
fn read_125_u16(bencher: Bencher) {
    fill(bencher, &tags(125, "type: u16", 1), |place| place);
}

/// 125 samples, scaled and checked.
#[divan::bench]
fn read_125_scaled_u16(bencher: Bencher) {
    let kind = "type: u16, scale: 0.1, offset: -40, range: [-50, 9000]";
    fill(bencher, &tags(125, kind, 1), |place| place * 7);
}

/// 62 samples with swapped words.
#[divan::bench]
fn read_62_f32(bencher: Bencher) {
    let kind = "type: f32, byte_order: CDAB";
    fill(bencher, &tags(62, kind, 2), |place| {
        if place % 2 == 0 { 0xCCCD } else { 0x4348 }
    });
}

/// 31 samples, swapped to the last byte.
#[divan::bench]
fn read_31_f64(bencher: Bencher) {
    let kind = "type: f64, byte_order: DCBA";
    fill(bencher, &tags(31, kind, 4), |place| {
        if place % 4 == 3 { 0x6940 } else { 0x3333 }
    });
}

/// 12 texts: the one kind that allocates.
#[divan::bench]
fn read_12_texts(bencher: Bencher) {
    let kind = "type: text, length: 20, trim: [nul, space]";
    fill(bencher, &tags(12, kind, 10), |place| {
        if place % 10 < 6 { 0x4137 } else { 0 }
    });
}
