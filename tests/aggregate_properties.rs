//! What must hold whatever a plant does: random strokes, power cuts at any moment, losses, nonsense. Each runs through the
//! code of `millgate replay`; proptest prints the input of a failure, made as small as it can be.

mod capture;
mod kept;
mod settings;

use capture::{Away, Cut, Stroke, World};
use kept::{Told, keeps_the_life_cycle};
use proptest::prelude::*;
use serde_json::Value;
use settings::{ALL, Kind};

/// What comes of `capture` in a plant with an operation of `kind`.
fn replayed(kind: Kind, capture: &str) -> Vec<Value> {
    let loaded = millgate::settings::load(&kind.settings()).unwrap();
    let mut out = Vec::new();
    millgate::commands::replay::replay(&loaded.plant, capture, &mut out, None).unwrap();
    let lines = String::from_utf8(out).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn strokes() -> impl Strategy<Value = Vec<Stroke>> {
    prop::collection::vec(capture::stroke(), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_or_a_loss_changes_no_operation_that_it_did_not_touch(
        kind in prop::sample::select(ALL),
        away in prop::sample::select(&[Away::Gateway, Away::Device][..]),
        strokes in strokes(),
        cuts in capture::cuts(),
    ) {
        let whole = World::new(&strokes, away, &[]);
        let cut = World::new(&strokes, away, &cuts);
        let without = Told::new(&replayed(kind, &whole.lines()));
        let with = replayed(kind, &cut.lines());
        keeps_the_life_cycle(&with)?;
        let with = Told::new(&with);
        without_a_mark_nothing_differs(&with, &without)?;
        what_was_seen_whole_is_told(kind, &cut, &with, &without)?;
        if !(kind.counts_short_ones || away == Away::Device && kind.begins_again) {
            prop_assert!(with.started <= without.started, "{} operations became {}", without.started, with.started);
        }
    }

    #[test]
    fn what_is_told_of_a_prefix_is_a_prefix_of_what_is_told(
        kind in prop::sample::select(ALL),
        strokes in strokes(),
        at in 0.0..1.0f64,
    ) {
        let world = World::new(&strokes, Away::Gateway, &[]);
        let whole = replayed(kind, &world.lines());
        let part = replayed(kind, &world.prefix(at));
        let told: Vec<_> = part.iter().map(of_substance).collect();
        let whole: Vec<_> = whole.iter().take(told.len()).map(of_substance).collect();
        prop_assert_eq!(told, whole);
    }

    #[test]
    fn whatever_comes_each_operation_is_told_once_and_fits_the_schema(
        kind in prop::sample::select(ALL),
        lines in capture::nonsense(),
    ) {
        let events = replayed(kind, &lines);
        keeps_the_life_cycle(&events)?;
        kept::fits_the_schema(&events)?;
    }
}

/// When it was on disk depends on what comes after it; what it says does not.
fn of_substance(event: &Value) -> Value {
    let mut event = event.clone();
    event.as_object_mut().unwrap().remove("recordedtime");
    event
}

/// An operation that is neither flagged nor recovered is told exactly as if the power had stayed on.
fn without_a_mark_nothing_differs(with: &Told, without: &Told) -> Result<(), TestCaseError> {
    for ended in with.ended.iter().filter(|ended| !ended.is_marked()) {
        let same = without.ended.iter().any(|other| other.says_the_same(ended));
        prop_assert!(
            same,
            "not so without the cut: {:#}\nthen: {:#?}",
            ended.0,
            without.times()
        );
    }
    Ok(())
}

/// What began and ended while the power was on is told.
fn what_was_seen_whole_is_told(
    kind: Kind,
    world: &World,
    with: &Told,
    without: &Told,
) -> Result<(), TestCaseError> {
    for ended in &without.ended {
        let (from, to) = ended.span();
        let seen = |cut: &Cut| {
            to + kind.settles_in < cut.from() || cut.to() + 0.2 < from - kind.settles_in
        };
        if world.cuts.iter().all(seen) {
            let same = with.ended.iter().any(|other| other.says_the_same(ended));
            prop_assert!(same, "lost: {:#}\ncame: {:#?}", ended.0, with.times());
        }
    }
    Ok(())
}
