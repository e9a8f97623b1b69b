use super::*;
use crate::commands::replay::capture::{Capture, Happening};
use crate::commands::replay::replay;
use crate::model::{DeviceId, LinkError, TagId};
use crate::settings;
use std::fs;
use std::path::Path;

const SECOND: i64 = 1_000_000_000;

fn at(s: f64) -> Stamp {
    let ns = (s * 1e9).round() as i64;
    Stamp {
        boot: BootTime(5 * SECOND + ns),
        utc: UtcTime(1_800_000_000 * SECOND + ns),
    }
}

fn plant(timestamps: &str) -> Plant {
    let text = format!(
        "gateway: {{ id: gw1, path: [EXAMPLE] }}
machine: PRESS-04
devices:
  plc:
    modbus_tcp: {{ host: 127.0.0.1 }}
    addresses: zero_based
{timestamps}    tags:
      speed: {{ holding: 0 }}
      name: {{ holding: 1, type: text, length: 4 }}
uplinks:
  mes: {{ http: {{ url: \"http://127.0.0.1:1/\" }} }}
"
    );
    settings::load(&text).unwrap().plant
}

fn sample(tag: usize, seconds: f64, value: Option<Value>, quality: Quality) -> Sample {
    Sample {
        tag: TagId(tag.try_into().unwrap()),
        stamp: at(seconds),
        value,
        quality,
    }
}

fn said(seconds: f64, samples: Vec<Sample>) -> Batch {
    Batch {
        device: DeviceId(0),
        stamp: at(seconds),
        content: Content::Samples(samples),
    }
}

fn good(tag: usize, seconds: f64, value: i64) -> Sample {
    sample(tag, seconds, Some(Value::Int(value)), Quality::Good)
}

/// The lines of a tape of these batches.
fn taped(batches: &[Batch], end: f64) -> (Vec<String>, Counts) {
    let mut out = Vec::new();
    let mut tape = Tape::begin(&plant(""), at(0.0), &mut out).unwrap();
    for batch in batches {
        tape.hear(batch);
        tape.write(batch.stamp.boot, &mut out).unwrap();
    }
    let counts = tape.end(at(end).boot, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.len() as u64, counts.bytes);
    (text.lines().map(str::to_owned).collect(), counts)
}

#[test]
fn each_sample_is_a_line_that_says_what_it_was() {
    let text = Value::Text("A\"7".into());
    let batch = said(
        0.5,
        vec![
            good(0, 0.25, 7),
            sample(1, 0.25, Some(text), Quality::Uncertain),
            sample(
                0,
                0.5,
                Some(Value::Float(1.0)),
                Quality::Bad(BadReason::OutOfRange),
            ),
            sample(1, 0.5, None, Quality::Bad(BadReason::Exception(2))),
        ],
    );
    let (lines, counts) = taped(&[batch], 2.0);
    let expected = [
        r#"{"start":"2027-01-15T08:00:00Z"}"#,
        r#"{"t":0.25,"tag":"speed","value":7}"#,
        r#"{"t":0.25,"tag":"name","value":"A\"7","quality":"uncertain"}"#,
        r#"{"t":0.5,"tag":"speed","value":1.0,"quality":"bad","reason":"out_of_range"}"#,
        r#"{"t":0.5,"tag":"name","quality":"bad","reason":"exception 2"}"#,
        r#"{"t":2.0,"end":true}"#,
    ];
    assert_eq!(lines, expected);
    assert_eq!((counts.samples, counts.bad, counts.late), (4, 2, 0));
}

#[test]
fn a_loss_and_the_return_are_lines_of_their_device() {
    let lost = Batch {
        device: DeviceId(0),
        stamp: at(3.0),
        content: Content::Lost(LinkError {
            code: "timeout",
            detail: "silent".into(),
        }),
    };
    let back = said(4.0, vec![good(0, 4.0, 1)]);
    let (lines, counts) = taped(&[said(1.0, vec![]), lost, back], 5.0);
    let expected = [
        r#"{"t":3.0,"device":"plc","link":"lost"}"#,
        r#"{"t":4.0,"device":"plc","link":"good"}"#,
        r#"{"t":4.0,"tag":"speed","value":1}"#,
        r#"{"t":5.0,"end":true}"#,
    ];
    assert_eq!(lines[1..], expected);
    assert_eq!(counts.lost, 1);
}

#[test]
fn lines_are_in_order_although_they_come_in_another() {
    let one = said(1.0, vec![good(0, 1.0, 1)]);
    let earlier = said(1.5, vec![good(0, 0.75, 2)]);
    let (lines, counts) = taped(&[one, earlier], 2.0);
    let expected = [
        r#"{"t":0.75,"tag":"speed","value":2}"#,
        r#"{"t":1.0,"tag":"speed","value":1}"#,
    ];
    assert_eq!(lines[1..3], expected);
    assert_eq!(counts.late, 0);
}

#[test]
fn what_comes_after_its_time_was_written_is_counted_and_keeps_the_order() {
    let mut out = Vec::new();
    let mut tape = Tape::begin(&plant(""), at(0.0), &mut out).unwrap();
    tape.hear(&said(1.0, vec![good(0, 1.0, 1)]));
    tape.write(at(8.0).boot, &mut out).unwrap();
    tape.hear(&said(9.0, vec![good(0, 0.5, 3)]));
    assert_eq!(tape.end(at(9.0).boot, &mut out).unwrap().late, 1);
    let text = String::from_utf8(out).unwrap();
    let late = r#"{"t":1.0,"tag":"speed","value":3}"#;
    assert_eq!(text.lines().nth(2), Some(late));
}

#[test]
fn what_the_clocks_do_is_on_the_tape() {
    let mut out = Vec::new();
    let mut tape = Tape::begin(&plant(""), at(0.0), &mut out).unwrap();
    tape.clock(at(0.0), false);
    let mut later = at(2.0);
    later.utc.0 -= 30 * SECOND;
    tape.clock(later, false);
    // Slewing is no step, and a step is told once.
    later = later.plus(Duration::from_secs(1));
    later.utc.0 += SECOND / 4;
    tape.clock(later, true);
    tape.end(at(4.0).boot, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let expected = [
        r#"{"t":0.0,"clock":{"synchronised":false}}"#,
        r#"{"t":2.0,"wall_step":-30.0}"#,
        r#"{"t":3.0,"clock":{"synchronised":true}}"#,
        r#"{"t":4.0,"end":true}"#,
    ];
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), expected);
}

/// A tape made of what a capture says.
fn copied(plant: &Plant, capture: Capture) -> Option<String> {
    let mut out = Vec::new();
    let mut tape = Tape::begin(plant, capture.start, &mut out).unwrap();
    let start = capture.start;
    let own = |source: UtcTime| start.at(start.boot.shifted(source.0 - start.utc.0));
    let mut last = BootTime(0);
    let mut lines = capture.lines.into_iter().peekable();
    while let Some((t, happening)) = lines.next() {
        last = BootTime(t);
        let stamp = capture.start.at(last);
        let (device, content) = match happening {
            Happening::Link(device, true) => (device, Content::Samples(Vec::new())),
            Happening::Link(device, false) => {
                let silent = LinkError {
                    code: "timeout",
                    detail: String::new(),
                };
                (device, Content::Lost(silent))
            }
            Happening::End => continue,
            Happening::Power(_)
            | Happening::WallStep(_)
            | Happening::Clock(_)
            | Happening::Settings(_) => return None,
            reading => {
                let (device, first) = reading.sample(stamp, own).unwrap();
                let mut samples = vec![first];
                let same = |next: &(i64, Happening)| {
                    next.0 == t && matches!(next.1, Happening::Reading(of, ..) if of == device)
                };
                while let Some((_, next)) = lines.next_if(same) {
                    samples.extend(next.sample(stamp, own).map(|(_, sample)| sample));
                }
                (device, Content::Samples(samples))
            }
        };
        tape.hear(&Batch {
            device,
            stamp,
            content,
        });
    }
    tape.end(last, &mut out).unwrap();
    Some(String::from_utf8(out).unwrap())
}

#[test]
fn a_recording_of_each_case_replays_to_the_same_events() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut compared = 0;
    for case in fs::read_dir(cases).unwrap() {
        let case = case.unwrap().path();
        let text = fs::read_to_string(case.join("settings.yaml")).unwrap();
        let plant = settings::load(&text).unwrap().plant;
        let original = fs::read_to_string(case.join("capture.jsonl")).unwrap();
        let Some(copy) = copied(&plant, Capture::read(&original, &plant, &[]).unwrap()) else {
            continue;
        };
        let events = |capture: &str| {
            let mut out = Vec::new();
            replay(&plant, capture, &mut out, None).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(events(&original), events(&copy), "{}", case.display());
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} cases have no power cut");
}
