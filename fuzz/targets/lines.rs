//! Bytes of a serial port or a connection, in pieces and pauses: no telegram is longer than its limit, none is empty, and what
//! the tags read in it is refused or bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::acquire::lines::fields::Fields;
use millgate::acquire::lines::framing::Framer;
use millgate::settings::{self, FrameEnd, Framing, Plant, Protocol};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::Instant;

const MOST: usize = 64;

/// A scale and a scanner, as integrators write them.
static PLANT: LazyLock<Plant> = LazyLock::new(|| {
    let text = r#"
gateway: { id: fuzz, path: [EXAMPLE] }
machine: M
devices:
  scale:
    lines: { tcp: "127.0.0.1:4001", pattern: '^(?<sign>[+-])\s*(?<weight>[0-9]+[.,][0-9]+) (?<unit>kg|g)$', decimal: comma }
    tags:
      weight: { group: weight }
      unit: { group: unit, type: text }
  scanner:
    lines: { tcp: "127.0.0.1:4002", aim: true }
    tags:
      symbology: { line: symbology }
      serial: { gs1: "21" }
      net: { gs1: "310" }
      all: { line: text }
"#;
    settings::load(text)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .plant
});
static FIELDS: LazyLock<Vec<Fields>> = LazyLock::new(|| {
    let read = |device: &settings::Device| match &device.protocol {
        Protocol::Lines(lines) => {
            let tags = device
                .tags
                .iter()
                .filter_map(|tag| PLANT.tags.get(tag.index()));
            Some(Fields::new(lines, tags))
        }
        _ => None,
    };
    PLANT.devices.iter().filter_map(read).collect()
});

fuzz_target!(|input: (u8, Vec<(u16, Vec<u8>)>)| {
    let (end, pieces) = input;
    let (start, end) = match end % 6 {
        0 => (Vec::new(), FrameEnd::AnyNewline),
        1 => (Vec::new(), FrameEnd::Mark(vec![b'\r'])),
        2 => (vec![2], FrameEnd::Mark(vec![3])),
        3 => (vec![2], FrameEnd::Length(1 + usize::from(end) % MOST)),
        4 => (Vec::new(), FrameEnd::Length(1 + usize::from(end) % MOST)),
        _ => (Vec::new(), FrameEnd::Idle(Duration::from_millis(20))),
    };
    let mut framer = Framer::new(Framing { start, end }, MOST, Duration::from_secs(1));
    let mut now = Instant::now();
    for (pause_ms, piece) in pieces {
        now += Duration::from_millis(u64::from(pause_ms));
        framer.feed(&piece, now);
        while let Some(telegram) = framer.take() {
            assert!((1..=MOST).contains(&telegram.len()), "{telegram:?}");
            for fields in FIELDS.iter() {
                if let Ok(parts) = fields.read(&telegram) {
                    assert!(parts.len() <= 4);
                }
            }
        }
        framer.dropped();
    }
    framer.forget();
});
