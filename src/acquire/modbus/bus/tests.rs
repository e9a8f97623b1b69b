//! Wires with simulated units, in virtual time: what a dead or refusing unit costs the others.

use super::super::framing::crc;
use super::super::rtu::Line;
use super::*;
use crate::backoff::Backoff;
use crate::model::{BadReason, Stamp};
use crate::settings::{self, Plant, Protocol};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Units that answer a read of registers after a while; what they do can be changed meanwhile.
#[derive(Clone, Default)]
struct World {
    dead: Arc<Mutex<HashSet<u8>>>,
    /// Requests so far by unit.
    asked: Arc<Mutex<BTreeMap<u8, u32>>>,
}

/// How an answer comes about.
#[derive(Clone, Copy)]
enum Speech {
    /// RTU, and how long request and answer take per byte.
    Rtu(Duration),
    /// Modbus TCP.
    Tcp,
}

impl World {
    async fn play(self, mut end: DuplexStream, speech: Speech) {
        loop {
            let (transaction, unit, function, count) = match speech {
                Speech::Rtu(_) => {
                    let mut frame = [0; 8];
                    if end.read_exact(&mut frame).await.is_err() {
                        return;
                    }
                    ([0; 2], frame[0], frame[1], frame[5])
                }
                Speech::Tcp => {
                    let mut frame = [0; 12];
                    if end.read_exact(&mut frame).await.is_err() {
                        return;
                    }
                    ([frame[0], frame[1]], frame[6], frame[7], frame[11])
                }
            };
            *self.asked.lock().unwrap().entry(unit).or_default() += 1;
            if self.dead.lock().unwrap().contains(&unit) {
                continue;
            }
            let values = vec![unit; usize::from(count) * 2];
            let pdu = [&[unit, function, count * 2][..], &values].concat();
            let answer = match speech {
                Speech::Rtu(character) => {
                    let bytes = u32::try_from(8 + pdu.len() + 2).unwrap();
                    tokio::time::sleep(Duration::from_millis(2) + character * bytes).await;
                    [&pdu[..], &crc(&pdu).to_le_bytes()].concat()
                }
                Speech::Tcp => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let length = u8::try_from(pdu.len()).unwrap();
                    [&transaction[..], &[0, 0, 0, length], &pdu].concat()
                }
            };
            if end.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// So many units on a wire (`port: ...` or `host: ...`), ten registers each.
fn plant(units: u32, wire: &str, every: &str) -> Plant {
    let mut text = String::from(
        "gateway: { id: gw-1, path: [acme] }\nbuffer: { path: /millgate-none }\nmachine: M\ndevices:\n",
    );
    for unit in 1..=units {
        text += &format!(
            "  d{unit}:\n    {wire}, unit: {unit}, timeout: 500ms }}\n    addresses: zero_based\n    tags:\n      a{unit}: {{ holding: 0, every: {every} }}\n      b{unit}: {{ holding: 9, every: {every} }}\n"
        );
    }
    settings::load(&text).unwrap().plant
}

fn bus(plant: &Plant) -> Bus {
    let Protocol::Modbus(first) = &plant.devices[0].protocol else {
        panic!()
    };
    let path = plant.buffer.path.clone();
    let mut bus = Bus::new(first.wire.clone(), path, Clock::manual(Stamp::default()));
    for device in &plant.devices {
        let Protocol::Modbus(settings) = &device.protocol else {
            panic!()
        };
        let tags = device.tags.iter().map(|tag| &plant.tags[tag.index()]);
        bus.add(device, settings, tags, Arc::default());
    }
    bus
}

/// A bus whose other end is played.
fn played(plant: &Plant, world: &World) -> Bus {
    let mut bus = bus(plant);
    let (ours, theirs) = duplex(4_096);
    let speech = match &bus.to {
        ModbusWire::Rtu(port) => {
            bus.wire = Some(Wire::rtu_over(ours, Line::of(port)));
            Speech::Rtu(Duration::from_secs(11) / port.baud)
        }
        ModbusWire::RtuOverTcp { .. } => {
            bus.wire = Some(Wire::rtu_over(ours, Line::behind_converter()));
            Speech::Rtu(Duration::from_secs(11) / 19_200)
        }
        ModbusWire::Tcp { .. } => {
            bus.wire = Some(Wire::tcp_over(ours));
            Speech::Tcp
        }
    };
    tokio::spawn(world.clone().play(theirs, speech));
    bus
}

/// Runs a bus as `link` does, and says for each unit when it was heard.
async fn heard(bus: &mut Bus, lasts: Duration) -> Vec<Vec<Instant>> {
    let end = Instant::now() + lasts;
    let mut heard = vec![Vec::new(); bus.units.len()];
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), 7);
    let mut backoffs = vec![backoff; bus.units.len()];
    while Instant::now() < end {
        let said = bus.next().await.expect("the wire is not given up");
        let unit = said.device.index();
        match said.content {
            Said::Readings(readings) => {
                assert!(readings.iter().all(|reading| reading.raw.is_ok()));
                heard[unit].push(Instant::now());
                backoffs[unit].reset();
            }
            Said::Silent(_) => {
                let until = Instant::now() + backoffs[unit].next_wait();
                bus.rest(said.device, until);
            }
        }
    }
    heard
}

/// The 99th percentile of how far the distances of the units' samples are from the period.
fn p99(heard: &[Vec<Instant>], without: usize, period: Duration) -> Duration {
    let others = heard
        .iter()
        .enumerate()
        .filter(|(unit, _)| *unit != without);
    let mut off: Vec<Duration> = others
        .flat_map(|(_, times)| times.windows(2))
        .map(|pair| (pair[1] - pair[0]).abs_diff(period))
        .collect();
    off.sort_unstable();
    off[off.len() * 99 / 100]
}

async fn one_dead_of_twenty(wire: &str, every: &str, period: Duration) {
    let plant = plant(20, wire, every);
    let world = World::default();
    let mut bus = played(&plant, &world);
    let well = heard(&mut bus, Duration::from_secs(60)).await;
    assert!(p99(&well, 99, period) <= period / 100, "all are well");
    world.dead.lock().unwrap().insert(7);
    let heard_then = heard(&mut bus, Duration::from_secs(300)).await;
    let off = p99(&heard_then, 6, period);
    assert!(off <= period / 10, "{wire}: {off:?} of {period:?}");
    assert!(heard_then[6].len() < 2, "it was dead");
    let asked = world.asked.lock().unwrap().get(&7).copied();
    assert!(asked > Some(20), "{wire}: it is not forgotten, {asked:?}");
    world.dead.lock().unwrap().clear();
    let cleared = Instant::now();
    let back = heard(&mut bus, Duration::from_secs(60)).await;
    let found = back[6].first().map(|first| *first - cleared);
    let soon = found.is_some_and(|found| found < Duration::from_secs(45));
    assert!(soon, "{wire}: found again after {found:?}");
}

#[tokio::test(start_paused = true)]
async fn one_dead_of_twenty_on_a_serial_line_costs_the_others_nothing() {
    let wire = "modbus_rtu: { port: /dev/ttyS9, baud: 19200";
    one_dead_of_twenty(wire, "1s", Duration::from_secs(1)).await;
    let wire = "modbus_rtu: { port: /dev/ttyS9, baud: 115200";
    one_dead_of_twenty(wire, "500ms", Duration::from_millis(500)).await;
}

#[tokio::test(start_paused = true)]
async fn one_dead_of_twenty_behind_a_converter_costs_the_others_nothing() {
    let wire = "modbus_rtu: { tcp: \"127.0.0.1:4001\"";
    one_dead_of_twenty(wire, "1s", Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_dead_of_twenty_behind_a_gateway_costs_the_others_nothing() {
    let wire = "modbus_tcp: { host: 127.0.0.1";
    one_dead_of_twenty(wire, "200ms", Duration::from_millis(200)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_unit_on_a_wire_without_gaps_is_found_again() {
    let plant = plant(2, "modbus_rtu: { port: /dev/ttyS9, baud: 1200", "100ms");
    let world = World::default();
    let mut bus = played(&plant, &world);
    world.dead.lock().unwrap().insert(2);
    heard(&mut bus, Duration::from_secs(30)).await;
    world.dead.lock().unwrap().clear();
    let back = heard(&mut bus, Duration::from_secs(300)).await;
    assert!(!back[1].is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_single_silence_is_noise_and_two_are_a_dead_unit() {
    let plant = plant(2, "modbus_rtu: { port: /dev/ttyS9", "1s");
    let world = World::default();
    let mut bus = played(&plant, &world);
    heard(&mut bus, Duration::from_secs(5)).await;
    let asked = || world.asked.lock().unwrap().get(&2).copied().unwrap_or(0);
    let before = asked();
    world.dead.lock().unwrap().insert(2);
    let said = loop {
        let said = bus.next().await.unwrap();
        if matches!(said.content, Said::Silent(_)) {
            break said;
        }
    };
    assert_eq!(said.device, DeviceId(1));
    assert_eq!(asked() - before, 2, "twice in vain");
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nobody_answers_is_closed_and_a_port_is_not() {
    let world = World::default();
    world.dead.lock().unwrap().extend([1, 2]);
    let connected = plant(2, "modbus_tcp: { host: 127.0.0.1", "1s");
    let mut bus = played(&connected, &world);
    let failure = bus.next().await.unwrap_err();
    assert_eq!(failure.error.code, "timeout");
    assert!(bus.wire.is_none());
    let serial = plant(2, "modbus_rtu: { port: /dev/ttyS9", "1s");
    let mut bus = played(&serial, &world);
    for _ in 0..20 {
        let said = bus.next().await.unwrap();
        assert!(matches!(said.content, Said::Silent(_)), "{said:?}");
        bus.rest(said.device, Instant::now() + Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_answered_rests_while_the_rest_of_its_unit_is_read() {
    let text = "gateway: { id: gw-1, path: [acme] }\nbuffer: { path: /millgate-none }\nmachine: M\ndevices:\n  d:\n    modbus_rtu: { port: /dev/ttyS9, unit: 1 }\n    addresses: zero_based\n    tags:\n      a: { holding: 0, every: 1s }\n      b: { holding: 100, every: 1s }\n      c: { holding: 200, every: 1s }\n";
    let plant = settings::load(text).unwrap().plant;
    let mut bus = bus(&plant);
    let (ours, mut theirs) = duplex(4_096);
    let ModbusWire::Rtu(port) = &bus.to else {
        panic!()
    };
    bus.wire = Some(Wire::rtu_over(ours, Line::of(port)));
    tokio::spawn(async move {
        let mut frame = [0; 8];
        while theirs.read_exact(&mut frame).await.is_ok() {
            if frame[3] != 100 {
                let pdu = [1, 3, 2, 0, frame[3]];
                let answer = [&pdu[..], &crc(&pdu).to_le_bytes()].concat();
                theirs.write_all(&answer).await.unwrap();
            }
        }
    });
    let mut lost = 0;
    for _ in 0..60 {
        let said = bus.next().await.unwrap();
        let Said::Readings(readings) = said.content else {
            panic!("the unit answers");
        };
        for reading in readings {
            match reading.raw {
                Ok(_) => assert_ne!(reading.tag.index(), 1),
                Err(reason) => {
                    assert_eq!((reading.tag.index(), reason), (1, BadReason::DeviceLost));
                    lost += 1;
                }
            }
        }
    }
    assert!(lost > 40, "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_answers_too_late_says_nothing_false() {
    // Two requests of one shape: without their addresses in the answers nobody can tell them apart.
    for (wire, timeout_ms) in [("port: /dev/ttyS9", 100), ("tcp: \"127.0.0.1:4001\"", 100)] {
        for slow_ms in [110, 130, 150, 190] {
            let text = format!(
                "gateway: {{ id: gw-1, path: [acme] }}\nbuffer: {{ path: /millgate-none }}\nmachine: M\ndevices:\n  d:\n    modbus_rtu: {{ {wire}, unit: 1, timeout: {timeout_ms}ms }}\n    addresses: zero_based\n    tags:\n      a: {{ holding: 1, every: 50ms }}\n      b: {{ holding: 101, every: 50ms }}\n      c: {{ holding: 201, every: 50ms }}\n  other:\n    modbus_rtu: {{ {wire}, unit: 2, timeout: {timeout_ms}ms }}\n    addresses: zero_based\n    tags:\n      d: {{ holding: 9, every: 500ms }}\n"
            );
            let plant = settings::load(&text).unwrap().plant;
            let mut bus = bus(&plant);
            let (ours, theirs) = duplex(4_096);
            let line = match &bus.to {
                ModbusWire::Rtu(port) => Line::of(port),
                _ => Line::behind_converter(),
            };
            bus.wire = Some(Wire::rtu_over(ours, line));
            tokio::spawn(late_now_and_then(theirs, Duration::from_millis(slow_ms)));
            let mut good = 0;
            for _ in 0..300 {
                let said = bus.next().await.unwrap();
                match said.content {
                    Said::Silent(_) => bus.rest(said.device, Instant::now()),
                    Said::Readings(readings) => {
                        for reading in readings {
                            let address = [1, 101, 201, 9][reading.tag.index()];
                            let Ok(value) = reading.raw else { continue };
                            assert_eq!(
                                value,
                                crate::model::Value::Int(address),
                                "{wire} {slow_ms}"
                            );
                            good += 1;
                        }
                    }
                }
            }
            assert!(good > 100, "{wire} {slow_ms}: {good}");
        }
    }
}

/// A unit whose registers hold their own addresses, and which takes its time over every fifth request; it never forgets one.
async fn late_now_and_then(theirs: DuplexStream, slow: Duration) {
    let (mut requests, answers) = tokio::io::split(theirs);
    let answers = Arc::new(tokio::sync::Mutex::new(answers));
    let mut frame = [0; 8];
    for number in 0u32.. {
        if requests.read_exact(&mut frame).await.is_err() {
            return;
        }
        let [unit, function, high, low, ..] = frame;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let late = unit == 1 && number % 5 < 2;
            tokio::time::sleep(if late {
                slow
            } else {
                Duration::from_millis(20)
            })
            .await;
            let pdu = [unit, function, 2, high, low];
            let answer = [&pdu[..], &crc(&pdu).to_le_bytes()].concat();
            drop(answers.lock().await.write_all(&answer).await);
        });
    }
}
