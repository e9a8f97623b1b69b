//! Random machines with random data: bad, late, repeated, stamped in the future or the past, of the wrong type, and power that
//! goes. Whatever comes, every event keeps the schema, and what a MES relies on holds.

use millgate::aggregate::{Aggregate, Start};
use millgate::buffer::MemoryStore;
use millgate::format::{EVENT_SCHEMA, Renderer};
use millgate::model::{
    BadReason, Batch, BootTime, ClockQuality, ClockSource, Content, DeviceId, Event, LinkError,
    Quality, Sample, Stamp, TagId, UtcTime, Value,
};
use millgate::settings::{self, Plant};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// 2026-01-01T00:00:00Z
const START_NS: i64 = 1_767_225_600_000_000_000;
const MS: i64 = 1_000_000;

/// Something that happens, so many milliseconds after what came before.
#[derive(Clone, Debug)]
enum Happening {
    /// Tags of one device, with the age of the stamp in milliseconds; below zero it is ahead.
    Samples(u32, Vec<(usize, i64, Option<Value>, u8)>),
    Lost(u32),
    PowerCut {
        ms: i64,
        reboot: bool,
        synchronised: bool,
    },
    WallStep(i64),
    Silence,
}

fn values() -> impl Strategy<Value = Option<Value>> {
    let texts = prop_oneof![
        Just(""),
        Just("SN-0000001"),
        Just("WO-7"),
        Just("\u{1d}\u{7f}<&>\"")
    ];
    prop_oneof![
        6 => (0i64..8).prop_map(|word| Some(Value::Int(word))),
        4 => (-50f64..350.0).prop_map(|measured| Some(Value::Float(measured))),
        1 => any::<i64>().prop_map(|word| Some(Value::Int(word))),
        1 => proptest::num::f64::NORMAL.prop_map(|measured| Some(Value::Float(measured))),
        1 => any::<bool>().prop_map(|on| Some(Value::Bool(on))),
        2 => texts.prop_map(|text| Some(Value::Text(text.into()))),
        1 => Just(Some(Value::Text("x".repeat(1_024).into()))),
        1 => Just(None),
    ]
}

fn happenings() -> impl Strategy<Value = Vec<(i64, Happening)>> {
    let age = prop_oneof![6 => Just(0i64), 1 => 0i64..3_000, 1 => -400_000i64..0];
    let samples = proptest::collection::vec((0usize..TAGS, age, values(), 0u8..12), 0..6);
    let what = prop_oneof![
        24 => (0u32..2, samples).prop_map(|(device, samples)| Happening::Samples(device, samples)),
        1 => (0u32..2).prop_map(Happening::Lost),
        1 => (0i64..90_000, any::<bool>(), any::<bool>()).prop_map(|(ms, reboot, synchronised)| {
            Happening::PowerCut { ms, reboot, synchronised }
        }),
        1 => (-3_600_000i64..3_600_000).prop_map(Happening::WallStep),
        2 => Just(Happening::Silence),
    ];
    let gap =
        prop_oneof![4 => Just(0i64), 8 => 1i64..400, 2 => 400i64..40_000, 1 => 0i64..5_000_000];
    proptest::collection::vec((gap, what), 1..160)
}

/// Tags of the machine: as many as `machine` below has.
const TAGS: usize = 6;

/// A machine of the family: `choice` picks a line of each kind.
fn machine(choice: &[usize]) -> String {
    let pick = |place: usize, of: &[&'static str]| of[choice[place] % of.len()];
    format!(
        r#"
gateway: {{ id: case-gw01, path: [EXAMPLE, PLANT1, PRESSHOP] }}
machine: PRESS-04
devices:
  plc:
    opc_ua: {{ endpoint: "opc.tcp://127.0.0.1:4840" }}
    {stamps}
    tags:
      status: {{ node: "ns=2;s=status", type: i64 }}
      count: {{ node: "ns=2;s=count", type: i64 }}
      pressure: {{ node: "ns=2;s=pressure", type: f64, unit: bar, interpolation: {course} }}
      anything: {{ node: "ns=2;s=anything" }}
  other:
    modbus_tcp: {{ host: 127.0.0.1 }}
    addresses: zero_based
    tags:
      ram: {{ input: 0, type: f32, every: 100ms }}
      word: {{ holding: 2, type: text, length: 20, every: 1s }}
equipment:
  state:
    - {{ when: "bit(status, 2)", is: FAULTED }}
    - {{ when: "bit(status, 0)", is: RUNNING{bridge} }}
    - {{ is: STOPPED }}
  {debounce}
  counters:
    count: {{ tag: count, counts: cycles, modulus: 65536, max_rate: 10/s }}
operations:
  form:
    {borders}
    {pause}
    {abort}
    {shortest}
    {next}
    {recovery}
    {progress}
    max_duration: {longest}
    parameters:
      force: {{ tag: pressure, profile: 20, percentiles: [0, 50, 99] }}
      dwell: {{ tag: pressure, while: "{gate}" }}
      travel: {{ tag: ram, profile: 4 }}
      steps: {{ tag: word, kind: sequence }}
      odd: {{ tag: anything{odd} }}
    quality:
      - {{ id: "10", of: force.max, high: 250 }}
      - {{ id: "20", of: dwell.duration_s, low: 1 }}
    limits:
      - {{ of: force, above: 250, hysteresis: {hysteresis}, hold: {hold} }}
      - {{ of: dwell, below: 0 }}
{second}"#,
        stamps = pick(0, &["timestamps: gateway", "timestamps: source"]),
        course = pick(1, &["step", "linear"]),
        bridge = pick(2, &["", ", bridge: 5s"]),
        debounce = pick(3, &["debounce: 0s", "debounce: 300ms"]),
        borders = pick(
            4,
            &[
                "start: { when: \"bit(status, 0)\" }\n    end: { when: \"!bit(status, 0)\" }",
                "start: { when: \"bit(status, 0)\", debounce: 200ms }\n    end: { when: \"!bit(status, 0)\", debounce: 1s }",
                "start: { when: \"changed(count)\" }\n    end: { when: \"ram > 100.0\" }",
                "during: \"bit(status, 0) || anything == 3\"",
                "during: \"bit(status, 0)\"\n    new_when_changed: word",
                "start: { when: \"bit(status, 0)\" }\n    end: { when: \"!bit(status, 0)\", trailing: 700ms }",
                "start: { when: \"bit(status, 0)\" }\n    end: { when: \"!bit(status, 0)\", debounce: 300ms, trailing: 2s }",
            ],
        ),
        abort = pick(
            5,
            &["", "abort: { when: \"bit(status, 2)\", debounce: 100ms }"]
        ),
        shortest = pick(6, &["", "min_duration: 2s"]),
        next = pick(
            7,
            &["", "on_next_start: ignore", "on_next_start: end_and_start"]
        ),
        recovery = pick(8, &["", "recovery_counter: count"]),
        progress = pick(9, &["", "progress_every: 30s"]),
        longest = pick(10, &["1h", "10s"]),
        gate = pick(11, &["ram > 100.0", "bit(status, 1)"]),
        odd = pick(12, &["", ", kind: sequence"]),
        pause = pick(
            15,
            &[
                "",
                "pause: { when: \"bit(status, 1)\" }",
                "pause: { when: \"ram > 100.0\", debounce: 2s }",
            ]
        ),
        second = pick(
            16,
            &[
                "",
                "  clean:\n    during: \"count == 3\"\n",
                "  clean:\n    start: { when: \"count == 3\", debounce: 1s }\n    end: { when: \"count == 4\", trailing: 1s }\n",
            ]
        ),
        hysteresis = pick(13, &["0", "5"]),
        hold = pick(14, &["0s", "500ms"]),
    )
}

/// A gateway in virtual time, over a store in memory.
struct Bench<'a> {
    plant: &'a Plant,
    aggregate: Aggregate,
    store: MemoryStore,
    now: Stamp,
    boots: u32,
    renderer: Renderer,
    told: Vec<Json>,
}

impl<'a> Bench<'a> {
    fn new(plant: &'a Plant) -> Bench<'a> {
        let store = MemoryStore::new();
        let now = Stamp {
            boot: BootTime(1_000_000 * MS),
            utc: UtcTime(START_NS),
        };
        let renderer = Renderer::new(plant);
        let aggregate = begin(plant, &store, now, 0, true);
        Bench {
            plant,
            aggregate,
            store,
            now,
            boots: 0,
            renderer,
            told: Vec::new(),
        }
    }

    fn tell(&mut self, events: &[Event]) {
        for event in events {
            let bytes = self.renderer.render(event, self.now.utc).json;
            self.told.push(serde_json::from_slice(&bytes).unwrap());
        }
    }

    fn hand_on(&mut self) {
        let events = match self.aggregate.take_turn() {
            Some(turn) => self.store.turn(turn, self.now.boot),
            None => self.store.tick(self.now.boot),
        };
        self.tell(&events);
    }

    fn pass(&mut self, ms: i64) {
        let until = self.now.at(self.now.boot.shifted(ms * MS));
        loop {
            let wake = self.aggregate.next_wakeup().max(self.now.boot);
            if wake > until.boot {
                break;
            }
            // A wake-up that stays where it is would never end.
            self.now = self.now.at(wake.max(self.now.boot.shifted(1)));
            self.aggregate.advance(self.now);
            self.hand_on();
        }
        self.now = until.at(until.boot.max(self.now.boot));
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Samples(device, samples) => {
                let samples = samples.iter().filter_map(|one| self.sample(*device, one));
                let mut samples: Vec<Sample> = samples.collect();
                samples.sort_by_key(|sample| sample.stamp.boot);
                self.apply(*device, Content::Samples(samples));
            }
            Happening::Lost(device) => {
                let (code, detail) = ("timeout", "no answer".to_owned());
                self.apply(*device, Content::Lost(LinkError { code, detail }));
            }
            Happening::WallStep(ms) => self.now.utc.0 += ms * MS,
            Happening::Silence => self.aggregate.advance(self.now),
            Happening::PowerCut {
                ms,
                reboot,
                synchronised,
            } => {
                self.now = self.now.at(self.now.boot.shifted(ms * MS));
                if *reboot {
                    self.boots += 1;
                    self.now.boot = BootTime(30_000 * MS);
                }
                self.store.power_off();
                self.aggregate =
                    begin(self.plant, &self.store, self.now, self.boots, *synchronised);
            }
        }
        self.hand_on();
    }

    fn apply(&mut self, device: u32, content: Content) {
        let (device, stamp) = (DeviceId(device), self.now);
        self.aggregate.apply(&Batch {
            device,
            stamp,
            content,
        });
    }

    /// `None` for a tag of another device.
    fn sample(&self, device: u32, one: &(usize, i64, Option<Value>, u8)) -> Option<Sample> {
        let (tag, age, value, quality) = one;
        let tag = self
            .plant
            .tags
            .get(*tag)
            .filter(|tag| tag.device == DeviceId(device))?;
        let quality = match (quality, value) {
            (0, _) | (_, None) => Quality::Bad(BadReason::Malformed),
            (1, _) => Quality::Uncertain,
            _ => Quality::Good,
        };
        Some(Sample {
            tag: TagId(tag.id.0),
            stamp: self.now.at(self.now.boot.shifted(-age * MS)),
            value: value.clone(),
            quality,
        })
    }
}

fn begin(
    plant: &Plant,
    store: &MemoryStore,
    now: Stamp,
    boots: u32,
    synchronised: bool,
) -> Aggregate {
    let clock = ClockQuality {
        source: ClockSource::Ntp,
        synchronised,
        max_error_s: synchronised.then_some(0.01),
    };
    let boot_id = format!("boot-{boots}");
    let start = Start {
        now,
        boot_id,
        clock,
    };
    Aggregate::new(plant, store.restored(), start, Arc::default()).unwrap()
}

fn text<'j>(event: &'j Json, pointer: &str) -> &'j str {
    event
        .pointer(pointer)
        .and_then(Json::as_str)
        .unwrap_or_default()
}

/// What a MES relies on, whatever came.
fn what_a_mes_relies_on(events: &[Json]) -> Result<(), TestCaseError> {
    let mut ids = HashSet::new();
    let mut ended = HashSet::new();
    let mut exceeded: HashMap<&str, &str> = HashMap::new();
    let mut before = String::new();
    let mut open = HashMap::new();
    let mut ordinals = HashMap::new();
    for event in events {
        let (id, operation) = (text(event, "/id"), text(event, "/correlationid"));
        prop_assert!(ids.insert(id), "the id {id} came twice");
        let sequence = text(event, "/sequence");
        prop_assert!(
            before.as_str() < sequence,
            "{before} is not before {sequence}"
        );
        before = sequence.to_owned();
        match text(event, "/type")
            .trim_start_matches("millgate.")
            .trim_end_matches(".v1")
        {
            "operation.started" => {
                let slot = text(event, "/subject");
                prop_assert_eq!(
                    open.insert(slot, operation),
                    None,
                    "two are open in {}",
                    slot
                );
                let ordinal = event["data"]["operation"]["ordinal"].as_u64();
                let last = ordinals.insert(slot, ordinal).flatten().unwrap_or(0);
                prop_assert_eq!(ordinal, Some(last + 1));
            }
            "operation.paused" | "operation.resumed" | "operation.progress" => {
                let running = open.get(text(event, "/subject"));
                prop_assert_eq!(running, Some(&operation), "{} is not open", operation);
            }
            "operation.completed" | "operation.aborted" => {
                let running = open.remove(text(event, "/subject"));
                prop_assert_eq!(running, Some(operation), "{} was not open", operation);
                times_add_up(&event["data"]["operation"])?;
                prop_assert!(ended.insert(operation), "{operation} ended twice");
                let open = exceeded.values().any(|of| *of == operation);
                prop_assert!(!open, "{operation} ended with a limit that stays exceeded");
            }
            "parameter.limit.exceeded" => {
                prop_assert!(!ended.contains(operation), "exceeded after its end");
                exceeded.insert(id, operation);
            }
            "parameter.limit.cleared" => {
                let answers = text(event, "/causationid");
                prop_assert_eq!(exceeded.remove(answers), Some(operation));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Active and paused seconds make the duration, and no more of either than there is.
fn times_add_up(operation: &Json) -> Result<(), TestCaseError> {
    let of = |name: &str| operation[name].as_f64();
    let (Some(duration), Some(paused)) = (of("duration_s"), of("paused_s")) else {
        return Ok(());
    };
    prop_assert!(duration >= 0.0 && paused >= 0.0, "{operation:#}");
    let active = of("active_s").unwrap_or(f64::NAN);
    prop_assert!(
        (duration - paused - active).abs() < 1e-6,
        "{duration} is not {active} + {paused}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_every_event_keeps_the_schema(
        choice in proptest::collection::vec(0usize..84, 17),
        happenings in happenings(),
    ) {
        let plant = settings::load(&machine(&choice)).unwrap().plant;
        prop_assert_eq!(plant.tags.len(), TAGS);
        let mut bench = Bench::new(&plant);
        for (gap, happening) in &happenings {
            bench.pass(*gap);
            bench.happen(happening);
        }
        bench.pass(100_000);
        let last = bench.aggregate.last_turn();
        let mut events = last.map_or_else(Vec::new, |turn| bench.store.turn(turn, bench.now.boot));
        events.extend(bench.store.commit(bench.now.boot));
        bench.tell(&events);
        let schema: Json = serde_json::from_str(EVENT_SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for event in &bench.told {
            let problems: Vec<String> = validator
                .iter_errors(event)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            prop_assert!(problems.is_empty(), "{problems:#?}\n{event:#}");
        }
        what_a_mes_relies_on(&bench.told)?;
    }
}
