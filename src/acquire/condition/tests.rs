//! Whole answers through the conditioner, with the settings as an integrator writes them.

use super::*;
use crate::model::{BadReason, BootTime, UtcTime};

const MS: i64 = 1_000_000;
const EPOCH: i64 = 1_800_000_000_000 * MS;

/// A conditioner over the tags of an OPC UA server, with further keys of the device.
fn conditioner(keys: &str, tags: &str) -> Conditioner {
    let text = format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: M\ndevices:\n  server:\n    opc_ua: {{ endpoint: \"opc.tcp://127.0.0.1:4840\" }}\n{keys}    tags:\n{tags}"
    );
    let plant = crate::settings::load(&text).unwrap().plant;
    let device = plant.devices.first().unwrap();
    let mut made = Conditioner::new(&plant.tags, Arc::new(DeviceHealth::default())).of(device);
    made.set_synchronised(true);
    made
}

fn stamp(ms: i64) -> Stamp {
    Stamp {
        boot: BootTime(ms * MS),
        utc: UtcTime(EPOCH + ms * MS),
    }
}

/// A reading that arrived at `ms`, stamped by the device at `source`.
fn reading(tag: u32, ms: i64, source: Option<i64>, raw: Value) -> Reading {
    Reading {
        tag: TagId(tag),
        stamp: stamp(ms),
        source: source.map(|ms| UtcTime(EPOCH + ms * MS)),
        raw: Ok(raw),
        uncertain: false,
    }
}

/// Tag, boot time in ms and quality of each sample.
fn shown(samples: &[Sample]) -> Vec<(u32, i64, Quality)> {
    samples
        .iter()
        .map(|sample| (sample.tag.0, sample.stamp.boot.0 / MS, sample.quality))
        .collect()
}

const ONE: &str = "      a: { node: \"ns=2;s=A\", type: f64 }\n";
const TWO: &str =
    "      a: { node: \"ns=2;s=A\", type: f64 }\n      b: { node: \"ns=2;s=B\", type: f64 }\n";
const SOURCE: &str = "    timestamps: source\n";

#[test]
fn every_step_has_its_reason_and_its_counter() {
    let mut made = conditioner(
        "",
        "      a: { node: \"ns=2;s=A\", type: f64, range: [0, 100], max_rate: 10/s, deadband: { absolute: 1 } }\n      word: { node: \"ns=2;s=W\", type: u16, values: { \"0\": idle } }\n      text: { node: \"ns=2;s=T\", type: text }\n",
    );
    let bad = |reason| Quality::Bad(reason);
    let mut heard = Vec::new();
    for (tag, ms, raw) in [
        (0, 0, Value::Float(20.0)),
        (0, 100, Value::Float(20.5)),
        (0, 200, Value::Float(90.0)),
        (0, 300, Value::Float(120.0)),
        (0, 400, Value::Float(f64::NAN)),
        (1, 500, Value::Int(7)),
        (2, 600, Value::Text("x".repeat(1_025).into())),
    ] {
        heard.extend(made.samples(vec![reading(tag, ms, None, raw)]));
    }
    let expected = [
        (0, 0, Quality::Good),
        (0, 200, bad(BadReason::TooFast)),
        (0, 300, bad(BadReason::OutOfRange)),
        (0, 400, bad(BadReason::NotFinite)),
        (1, 500, bad(BadReason::Unlisted)),
        (2, 600, Quality::Uncertain),
    ];
    assert_eq!(shown(&heard), expected);
    assert_eq!(heard[1].value, Some(Value::Float(90.0)));
    let health = &made.health;
    assert_eq!(health.refused.get(), 4);
    for counter in [
        &health.too_fast,
        &health.out_of_range,
        &health.not_finite,
        &health.unlisted,
        &health.truncated,
        &health.unchanged,
    ] {
        assert_eq!(counter.get(), 1);
    }
}

#[test]
fn doubts_of_the_source_are_kept_and_do_not_make_bad_values_better() {
    let mut made = conditioner(
        "",
        "      a: { node: \"ns=2;s=A\", type: f64, range: [0, 1] }\n",
    );
    let mut doubtful = reading(0, 0, None, Value::Float(0.5));
    doubtful.uncertain = true;
    let mut far = reading(0, 1, None, Value::Float(5.0));
    far.uncertain = true;
    let mut source = reading(0, 2, None, Value::Float(0.5));
    source.raw = Err(BadReason::Source);
    let expected = [
        (0, 0, Quality::Uncertain),
        (0, 1, Quality::Bad(BadReason::OutOfRange)),
        (0, 2, Quality::Bad(BadReason::Source)),
    ];
    assert_eq!(shown(&made.samples(vec![doubtful, far, source])), expected);
}

#[test]
fn a_tag_of_another_device_is_no_sample() {
    let mut made = conditioner("", ONE);
    assert!(
        made.samples(vec![reading(7, 0, None, Value::Float(1.0))])
            .is_empty()
    );
}

#[test]
fn the_first_value_holds_at_its_arrival_however_old_its_stamp_is() {
    let mut made = conditioner(SOURCE, ONE);
    let first = made.samples(vec![reading(0, 7_200_000, Some(0), Value::Float(1.0))]);
    assert_eq!(shown(&first), [(0, 7_200_000, Quality::Good)]);
    // A new one has its own time; the label is ours.
    let second = made.samples(vec![reading(
        0,
        7_210_080,
        Some(7_210_000),
        Value::Float(2.0),
    )]);
    assert_eq!(shown(&second), [(0, 7_210_080, Quality::Good)]);
    let third = made.samples(vec![reading(
        0,
        7_220_300,
        Some(7_220_000),
        Value::Float(3.0),
    )]);
    assert_eq!(shown(&third), [(0, 7_220_080, Quality::Good)]);
    assert_eq!(third[0].stamp.utc, UtcTime(EPOCH + 7_220_080 * MS));
    // After a loss the same begins anew.
    made.lost();
    let again = made.samples(vec![reading(
        0,
        7_300_000,
        Some(7_220_000),
        Value::Float(3.0),
    )]);
    assert_eq!(shown(&again), [(0, 7_300_000, Quality::Good)]);
}

/// A conditioner that has learnt that the device's clock is 10 ms behind, from two tags.
fn learnt() -> Conditioner {
    let mut made = conditioner(SOURCE, TWO);
    for ms in [1_000, 2_000] {
        let both = (0..2).map(|tag| reading(tag, ms, Some(ms - 10), Value::Float(ms as f64)));
        made.samples(both.collect());
    }
    made
}

#[test]
fn one_answer_is_put_in_the_order_of_its_stamps() {
    let mut made = learnt();
    let answer = vec![
        reading(0, 3_000, Some(2_500), Value::Float(1.0)),
        reading(0, 3_000, Some(2_900), Value::Float(2.0)),
        reading(1, 3_000, Some(2_700), Value::Float(3.0)),
        reading(1, 3_000, Some(2_900), Value::Float(4.0)),
    ];
    let good = Quality::Good;
    let expected = [
        (0, 2_510, good),
        (1, 2_710, good),
        (0, 2_910, good),
        (1, 2_910, good),
    ];
    assert_eq!(shown(&made.samples(answer)), expected);
}

#[test]
fn an_exact_repeat_keeps_its_stamp_and_another_value_of_an_old_stamp_is_new() {
    let mut made = learnt();
    let same = |ms, value| vec![reading(0, ms, Some(2_500), Value::Float(value))];
    for (ms, value, boot) in [
        (3_000, 1.0, 2_510),
        (4_000, 1.0, 2_510),
        (5_000, 2.0, 5_000),
    ] {
        let samples = made.samples(same(ms, value));
        assert_eq!(shown(&samples), [(0, boot, Quality::Good)]);
    }
}

#[test]
fn the_first_values_after_a_clock_was_set_back_hold_at_their_arrival() {
    let mut made = learnt();
    made.set_synchronised(false);
    let hour = 3_600_000;
    for ms in [3_000, 4_000, 5_000, 6_000, 7_000] {
        let answer = vec![reading(
            0,
            ms,
            Some(ms - 10 - hour),
            Value::Float(ms as f64),
        )];
        assert_eq!(shown(&made.samples(answer)), [(0, ms, Quality::Good)]);
    }
}

#[test]
fn a_clock_too_far_away_gives_way_to_ours_and_says_so_once() {
    let mut made = learnt();
    let ahead = |ms| vec![reading(0, ms, Some(ms + 60_000), Value::Float(ms as f64))];
    for ms in [3_000, 4_000] {
        assert_eq!(shown(&made.samples(ahead(ms))), [(0, ms, Quality::Good)]);
    }
    let news = made.take_news();
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(
        news[0].starts_with("its clock is 60000 ms ahead of ours"),
        "{news:?}"
    );
    assert_eq!(made.health.skewed.get(), 2);
    let right = |ms| vec![reading(0, ms, Some(ms - 10), Value::Float(ms as f64))];
    for ms in [5_000, 6_000, 7_000, 8_000] {
        assert_eq!(shown(&made.samples(right(ms))), [(0, ms, Quality::Good)]);
    }
    assert_eq!(
        made.take_news(),
        ["its clock is good again: its own stamps are used"]
    );
    assert_eq!(made.health.skewed.get(), 4);
}

#[test]
fn a_stamp_that_cannot_be_makes_its_value_bad() {
    let mut made = learnt();
    let day = 86_400_000;
    for source in [-8 * day, 10 * day] {
        let samples = made.samples(vec![reading(0, 3_000, Some(source), Value::Float(1.0))]);
        assert_eq!(
            shown(&samples),
            [(0, 3_000, Quality::Bad(BadReason::Stamp))]
        );
    }
    let news = made.take_news();
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(news[0].contains("8 days old"), "{news:?}");
    assert_eq!(made.health.bad_stamps.get(), 2);
    let samples = made.samples(vec![reading(0, 4_000, Some(3_990), Value::Float(1.0))]);
    assert_eq!(shown(&samples), [(0, 4_000, Quality::Good)]);
}

#[test]
fn a_gateway_without_a_clock_uses_the_stamps_of_the_device() {
    let mut made = conditioner(SOURCE, ONE);
    made.set_synchronised(false);
    let year = 365 * 86_400_000;
    for (ms, waited, boot) in [(1_000, 10, 1_000), (2_000, 10, 2_000), (3_200, 210, 3_000)] {
        let stamped = Some(year + ms - waited);
        let samples = made.samples(vec![reading(0, ms, stamped, Value::Float(ms as f64))]);
        assert_eq!(shown(&samples), [(0, boot, Quality::Good)]);
    }
    assert_eq!(made.health.skewed.get(), 0);
}
