//! Which operation takes a part, and what becomes of those that wait.

use super::*;
use crate::model::{PartKind, PartSource, UtcTime};

fn seconds(s: i64) -> BootTime {
    BootTime(s * 1_000_000_000)
}

fn pending(id: &str, slot: Option<&str>, until_s: i64) -> Pending {
    Pending {
        part: Part {
            id: id.to_owned(),
            kind: PartKind::Serial,
            source: PartSource::Barcode,
            symbology: None,
            identified_at: UtcTime(0),
        },
        reader: "scan".to_owned(),
        text: id.to_owned(),
        slot: slot.map(str::to_owned),
        until: seconds(until_s),
    }
}

fn id(pending: Option<Pending>) -> Option<String> {
    pending.map(|pending| pending.part.id)
}

fn nobody(_: &Pending) -> bool {
    false
}

#[test]
fn the_latest_part_of_a_place_wins() {
    let mut waiting = Waiting::default();
    assert_eq!(id(waiting.put(pending("A", None, 10))), None);
    assert_eq!(id(waiting.put(pending("B", None, 10))), Some("A".into()));
    // Another slot is another place.
    assert_eq!(id(waiting.put(pending("C", Some("2"), 10))), None);
    // The same part once more only waits longer.
    assert_eq!(id(waiting.put(pending("B", None, 20))), None);
    assert_eq!(waiting.due(nobody), Some(BootTime(10_000_000_001)));
    assert_eq!(waiting.expire(seconds(10), nobody).len(), 0);
    assert_eq!(waiting.expire(seconds(20), nobody).len(), 1);
    assert_eq!(id(waiting.take("1", seconds(20))), Some("B".into()));
}

#[test]
fn a_slot_takes_its_own_part_before_one_for_any() {
    let mut waiting = Waiting::default();
    waiting.put(pending("any", None, 10));
    waiting.put(pending("two", Some("2"), 10));
    assert_eq!(id(waiting.take("2", seconds(0))), Some("two".into()));
    assert_eq!(id(waiting.take("1", seconds(0))), Some("any".into()));
    assert_eq!(id(waiting.take("1", seconds(0))), None);
    // What is for another slot, or too old, is not taken.
    waiting.put(pending("two", Some("2"), 10));
    assert_eq!(id(waiting.take("1", seconds(0))), None);
    assert_eq!(id(waiting.take("2", seconds(11))), None);
}

#[test]
fn what_is_taken_back_does_not_replace_what_came_since() {
    let mut waiting = Waiting::default();
    assert_eq!(id(waiting.take_back(pending("A", None, 10))), None);
    let other = pending("B", None, 10);
    assert_eq!(id(waiting.take_back(other)), Some("B".into()));
    assert_eq!(id(waiting.take_back(pending("A", None, 5))), None);
    assert_eq!(id(waiting.take("1", seconds(0))), Some("A".into()));
    assert_eq!(id(waiting.take("1", seconds(0))), None);
}

#[test]
fn what_is_awaited_does_not_expire() {
    let mut waiting = Waiting::default();
    waiting.put(pending("A", None, 10));
    assert_eq!(waiting.due(|_| true), None);
    assert_eq!(waiting.expire(seconds(20), |_| true).len(), 0);
    assert_eq!(waiting.expire(seconds(20), nobody).len(), 1);
}

#[test]
fn after_a_reboot_without_a_clock_nothing_waits_any_more() {
    let mut waiting = Waiting::default();
    waiting.put(pending("A", None, 10));
    waiting.resume(-5_000_000_000, true);
    assert_eq!(waiting.due(nobody), Some(BootTime(5_000_000_001)));
    waiting.resume(0, false);
    assert_eq!(waiting.expire(seconds(-1_000), nobody).len(), 1);
}

/// `slot`, `o` open or `e` ended, age in s or `?`, `p` with a part, `n` where another started since.
fn candidate(words: &'static str) -> Candidate<'static> {
    let mut words = words.split(' ');
    let (slot, kind, age) = (
        words.next().unwrap(),
        words.next().unwrap(),
        words.next().unwrap(),
    );
    let rest: Vec<&str> = words.collect();
    Candidate {
        slot,
        ended: kind == "e",
        age: age.parse().ok().map(Duration::from_secs),
        has_part: rest.contains(&"p"),
        late_window: Duration::from_secs(20),
        is_last: !rest.contains(&"n"),
    }
}

#[test]
fn a_part_goes_where_its_rule_says() {
    use Bind::{CurrentOperation as Current, LastOperation as Last, NextOperation as Next};
    type Case = (Bind, Option<&'static str>, &'static [&'static str], Place);
    let cases: &[Case] = &[
        (Next, None, &[], Place::Waits),
        (Next, None, &["1 o 8"], Place::To(0)),
        (Next, None, &["1 o 20"], Place::To(0)),
        (Next, None, &["1 o 21"], Place::Waits),
        (Next, None, &["1 o ?"], Place::Waits),
        (Next, None, &["1 o 8 p"], Place::Waits),
        // The one that waits longest; or that of the slot.
        (Next, None, &["1 o 3", "2 o 8"], Place::To(1)),
        (Next, Some("1"), &["1 o 3", "2 o 8"], Place::To(0)),
        (Next, Some("3"), &["1 o 3", "2 o 8"], Place::Waits),
        // After the end, while nothing else has started.
        (Next, None, &["1 e 8"], Place::To(0)),
        (Next, None, &["1 e 21"], Place::Waits),
        (Next, None, &["1 e 8 p"], Place::Waits),
        (Next, None, &["1 e 8 n", "1 o 2"], Place::To(1)),
        (Next, None, &["1 e 8 n", "1 o 2 p"], Place::Waits),
        (Current, None, &["1 e 1"], Place::Nowhere),
        (Current, None, &["1 o 900"], Place::To(0)),
        (Current, None, &["1 o 900 p", "2 o 3"], Place::To(1)),
        (Current, None, &["1 o 900 p", "2 o 3 p"], Place::To(0)),
        (Last, None, &["1 o 3"], Place::Nowhere),
        (Last, None, &["1 e 21"], Place::Nowhere),
        (Last, None, &["1 e ?"], Place::Nowhere),
        (Last, None, &["1 e 8 n", "1 e 3"], Place::To(1)),
        // The second of four is the one that lacks it.
        (
            Last,
            None,
            &["1 e 18 p n", "1 e 12 n", "1 e 8 p n", "1 e 3 p"],
            Place::To(1),
        ),
        (Last, None, &["1 e 8 p n", "1 e 3 p"], Place::To(1)),
    ];
    for (bind, slot, words, expected) in cases {
        let candidates: Vec<_> = words.iter().map(|words| candidate(words)).collect();
        assert_eq!(
            place(*bind, *slot, &candidates),
            *expected,
            "{bind:?} {words:?}"
        );
    }
}
