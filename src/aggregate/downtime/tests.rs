//! Tables of stops: what the machine says and when, and the segments that come of it.

use super::*;
use crate::model::UtcTime;
use crate::settings::shape::{Downtime, SplitAt};

fn at(s: i64) -> Stamp {
    Stamp {
        boot: BootTime(s * 1_000_000_000),
        utc: UtcTime(s * 1_000_000_000),
    }
}

fn plan(micro_s: u64) -> Plan {
    let mut plan = Plan::new(&Downtime {
        of: vec!["STOPPED".into(), "FAULTED".into()],
        in_modes: vec![Mode::Production],
        micro_stop_below: Default::default(),
        split_at: vec![SplitAt::Shift, SplitAt::Order],
        reasons: None,
    });
    plan.micro_stop_below = Duration::from_secs(micro_s);
    plan
}

fn reading(word: &str) -> Reading {
    let (word, reason) = match word.split_once(':') {
        Some((word, reason)) => (word, Some(Reason::plain(reason, ReasonSource::Plc))),
        None => (word, None),
    };
    let (state, mode) = match word {
        "run" => (State::Running, Mode::Production),
        "stop" => (State::Stopped, Mode::Production),
        "fault" => (State::Faulted, Mode::Production),
        "setup" => (State::Stopped, Mode::Setup),
        _ => (State::Unknown, Mode::None),
    };
    Reading {
        state,
        mode,
        mode_known: state != State::Unknown,
        substate: None,
        reason,
    }
}

fn order(id: &str) -> Option<Reference> {
    Some(Reference {
        id: id.into(),
        source: "plc".into(),
    })
}

/// Stops as they are played, and what was told of them.
struct Play {
    stops: Stops,
    order: String,
    shift: String,
    told: Vec<String>,
}

impl Play {
    fn new(micro_s: u64) -> Play {
        Play {
            stops: Stops::new(Some(plan(micro_s))),
            order: "A".into(),
            shift: "early".into(),
            told: Vec::new(),
        }
    }

    fn place(&self) -> Place {
        Place {
            order: order(&self.order),
            shift: Some(self.shift.clone()),
        }
    }

    fn tell(&mut self, ready: Option<Ready>) {
        let Some(ready) = ready else { return };
        for segment in ready.segments {
            let seconds = |s: Option<f64>| s.map_or("-".to_owned(), |s| s.to_string());
            self.told.push(format!(
                "{}.{}{} {}..{} {} {}/{}{}{}{}",
                ready.stop.id.as_u128(),
                segment.index,
                if segment.last { "!" } else { "" },
                segment.from.boot.0 / 1_000_000_000,
                segment.to.boot.0 / 1_000_000_000,
                seconds(segment.duration_s()),
                segment.place.order.as_ref().map_or("", |order| &order.id),
                segment.place.shift.as_deref().unwrap_or(""),
                if ready.micro { " micro" } else { "" },
                match segment.unseen_ns {
                    0 => String::new(),
                    ns => format!(" unseen {}", ns / 1_000_000_000),
                },
                match segment.end_uncertainty_s() {
                    None => String::new(),
                    Some(s) => format!(" earlier {s}"),
                },
            ));
            let event = Uuid::from_u128(self.told.len() as u128);
            self.stops.was_told(ready.stop.id, segment, event);
        }
    }

    fn step(&mut self, s: i64, word: &str) {
        let ready = self.stops.ready(at(s), None);
        self.tell(ready);
        if let Some(next) = word.strip_prefix("order ") {
            let before = Before::Order(order(&self.order));
            self.order = next.to_owned();
            let place = self.place();
            self.stops.shift_is(place.shift.as_deref());
            self.stops.cut(Cut { at: at(s), before }, &place);
        } else if let Some(next) = word.strip_prefix("shift ") {
            // As in the machine: the cut is told before the next shift has its name.
            let before = Before::Shift(Some(self.shift.clone()));
            let place = self.place();
            self.stops.cut(Cut { at: at(s), before }, &place);
            next.clone_into(&mut self.shift);
        } else {
            let name = |ordinal: u64| Uuid::from_u128(u128::from(ordinal));
            let place = self.place();
            self.stops.shift_is(place.shift.as_deref());
            let ready = self.stops.follow(&reading(word), at(s), &place, name);
            self.tell(ready);
        }
        let ready = self.stops.ready(at(s), None);
        self.tell(ready);
    }
}

/// Plays `(second, state | order X | shift X)`; a stop below 90 s is a micro-stop.
#[track_caller]
fn check(input: &[(i64, &str)], expected: &[&str]) -> Play {
    let mut play = Play::new(90);
    for (s, word) in input {
        play.step(*s, word);
    }
    assert_eq!(play.told, expected, "{input:?}");
    play
}

#[test]
fn a_stop_lasts_from_edge_to_edge_also_through_another_stop_state() {
    check(
        &[
            (0, "run"),
            (10, "stop"),
            (50, "fault"),
            (200, "run"),
            (300, "stop"),
            (310, "run"),
        ],
        &["1.1! 10..200 190 A/early", "2.1! 300..310 10 A/early micro"],
    );
}

#[test]
fn a_change_of_mode_ends_it_and_coming_back_is_another_stop() {
    check(
        &[(0, "stop"), (100, "setup"), (200, "stop"), (400, "run")],
        &["1.1! 0..100 100 A/early", "2.1! 200..400 200 A/early"],
    );
}

#[test]
fn segments_end_at_shift_and_order_and_sum_to_the_stop() {
    check(
        &[
            (0, "stop"),
            (100, "shift late"),
            (150, "order B"),
            (150, "shift night"),
            (400, "run"),
        ],
        &[
            "1.1 0..100 100 A/early",
            "1.2 100..150 50 A/late",
            "1.3! 150..400 250 B/night",
        ],
    );
}

#[test]
fn a_segment_waits_until_the_stop_is_known_to_be_no_micro_stop() {
    let play = check(&[(0, "stop"), (50, "order B")], &[]);
    assert_eq!(play.stops.due(None), Some(at(90).boot));
    // It may be over already: nothing is told before that is decided.
    assert_eq!(play.stops.due(Some(at(80).boot)), None);
    check(
        &[(0, "stop"), (50, "order B"), (70, "run")],
        &["1.1 0..50 50 A/early micro", "1.2! 50..70 20 B/early micro"],
    );
    check(
        &[(0, "stop"), (50, "order B"), (95, "stop"), (120, "run")],
        &["1.1 0..50 50 A/early", "1.2! 50..120 70 B/early"],
    );
}

#[test]
fn missing_data_neither_begins_nor_ends_a_stop() {
    check(&[(0, "run"), (10, "?"), (20, "run")], &[]);
    check(
        &[(0, "stop"), (100, "?"), (130, "stop"), (200, "run")],
        &["1.1! 0..200 200 A/early unseen 30"],
    );
    check(
        &[(0, "stop"), (100, "?"), (150, "shift late"), (170, "run")],
        &[
            "1.1 0..150 150 A/early unseen 50",
            "1.2! 150..170 20 A/late unseen 20 earlier 70",
        ],
    );
}

#[test]
fn an_order_that_chatters_cuts_a_short_stop_no_more_than_bounded() {
    let mut play = Play::new(3600);
    play.step(0, "stop");
    for i in 1..100 {
        play.step(i, if i % 2 == 0 { "order A" } else { "order B" });
    }
    play.step(200, "run");
    assert_eq!(play.told.len(), 17);
    assert_eq!(play.told.last().unwrap(), "1.17! 16..200 184 A/early micro");
}

#[test]
fn a_stop_that_is_told_late_is_cut_where_the_order_changed_meanwhile() {
    let mut play = Play::new(0);
    play.step(0, "run");
    play.step(30, "order B");
    play.step(40, "shift late");
    let name = |ordinal: u64| Uuid::from_u128(u128::from(ordinal));
    let place = play.place();
    play.stops.follow(&reading("stop"), at(10), &place, name);
    play.step(100, "run");
    assert_eq!(
        play.told,
        [
            "1.1 10..30 20 A/early",
            "1.2 30..40 10 B/early",
            "1.3! 40..100 60 B/late"
        ]
    );
}

#[test]
fn an_end_that_is_told_late_lies_before_the_cuts_after_it() {
    let mut play = Play::new(0);
    play.step(0, "stop");
    let leaving = Some(at(50).boot);
    let cut = Cut {
        at: at(60),
        before: Before::Order(order("A")),
    };
    play.order = "B".into();
    let place = play.place();
    play.stops.cut(cut, &place);
    assert_eq!(play.stops.ready(at(60), leaving), None);
    let name = |ordinal: u64| Uuid::from_u128(u128::from(ordinal));
    let ready = play.stops.follow(&reading("run"), at(50), &place, name);
    play.tell(ready);
    assert_eq!(play.told, ["1.1! 0..50 50 A/early"]);
}

#[test]
fn the_first_reason_of_the_machine_counts_and_a_scanned_one_replaces_it() {
    let mut play = check(&[(0, "stop"), (1, "fault:17"), (2, "fault:18")], &[]);
    let reason = |play: &Play| play.stops.open().and_then(|stop| stop.reason().cloned());
    assert_eq!(reason(&play).unwrap().code, "17");
    let scanned = Reason::plain("RSN-1", ReasonSource::Operator);
    let found = play.stops.reclassify(scanned.clone(), at(3).boot).unwrap();
    assert_eq!(
        (found.told.len(), found.before.unwrap().code.as_str()),
        (0, "17")
    );
    assert_eq!(reason(&play), Some(scanned.clone()));
    assert_eq!(play.stops.scanned_reason(&reading("fault")), Some(&scanned));
    assert_eq!(play.stops.scanned_reason(&reading("run")), None);
}

#[test]
fn a_reason_after_the_stop_is_about_the_last_one_that_kept_people_waiting() {
    let scan = |play: &mut Play, code: &str, s: i64| {
        let reason = Reason::plain(code, ReasonSource::Operator);
        play.stops.reclassify(reason, at(s).boot)
    };
    let mut play = check(
        &[
            (0, "stop"),
            (100, "order B"),
            (200, "run"),
            (300, "stop"),
            (310, "run"),
        ],
        &[
            "1.1 0..100 100 A/early",
            "1.2! 100..200 100 B/early",
            "2.1! 300..310 10 B/early micro",
        ],
    );
    let found = scan(&mut play, "RSN-1", 400).unwrap();
    assert_eq!(found.stop.id.as_u128(), 1);
    assert_eq!(found.before, None);
    let events: Vec<u128> = found.told.iter().map(|told| told.event.as_u128()).collect();
    assert_eq!(events, [1, 2]);
    // The next one answers to the event that told it last; the same again says nothing new.
    let segment = found.told[0].segment.clone();
    play.stops
        .was_told(found.stop.id, segment, Uuid::from_u128(9));
    let again = scan(&mut play, "RSN-2", 500).unwrap();
    assert_eq!(
        again
            .told
            .iter()
            .map(|told| told.event.as_u128())
            .collect::<Vec<_>>(),
        [2, 9]
    );
    assert_eq!(again.before.unwrap().code, "RSN-1");
    assert_eq!(scan(&mut play, "RSN-2", 501).unwrap().told, []);
    assert_eq!(scan(&mut play, "RSN-3", 9 * 3600), None);
}

#[test]
fn a_stop_that_goes_on_after_a_restart_is_one_and_says_what_nobody_saw() {
    for (measurable, expected) in [
        (true, "1.1! 0..200 200 A/early unseen 60"),
        (false, "1.1! 0..200 - A/early unseen 60"),
    ] {
        let before = check(&[(0, "stop")], &[]);
        let mut after = Play::new(90);
        let memory = before.stops.memory().clone();
        after.stops.resume(memory, at(90).boot, 0, measurable);
        let ready = after.stops.seen(&reading("stop"), at(150));
        assert_eq!(ready, None);
        after.step(200, "run");
        assert_eq!(after.told, [expected]);
        assert_eq!(after.stops.memory().ordinal, 1);
    }
}

#[test]
fn a_stop_that_ended_in_the_down_time_is_closed_once() {
    let before = check(&[(0, "stop")], &[]);
    let mut after = Play::new(90);
    after
        .stops
        .resume(before.stops.memory().clone(), at(90).boot, 0, true);
    after.step(150, "run");
    after.step(151, "run");
    assert_eq!(after.told, ["1.1! 0..150 150 A/early unseen 60 earlier 60"]);
}

#[test]
fn settings_that_know_no_stops_any_more_close_the_open_one() {
    let before = check(&[(0, "stop")], &[]);
    let mut after = Play::new(90);
    after.stops = Stops::new(None);
    after
        .stops
        .resume(before.stops.memory().clone(), at(90).boot, 0, true);
    assert!(after.stops.due(None).is_some());
    let ready = after.stops.ready(at(150), None);
    after.tell(ready);
    assert_eq!(after.told, ["1.1! 0..150 150 A/early unseen 60 earlier 60"]);
    assert_eq!(after.stops.due(None), None);
}
