//! Bad input, as a table: what is changed in a good file, where the problem is shown, what is said.

mod calendars;
mod conditioning;
mod control;
mod http;
mod keys;
mod lines;
mod modbus;
mod opc_ua;
mod opc_ua_box;
mod operation_keys;
mod operations;
mod pairs;
mod robust;
mod scans;
mod stops;
mod templates;
mod text;
mod uplinks;

use super::*;

pub(super) const PRESS: &str = include_str!("../../../examples/press.yaml");
pub(super) const TWO: &str = include_str!("../../../examples/two-machines.yaml");

pub(super) const LINE: &str = include_str!("../../../examples/press-line.yaml");
pub(super) const SHOP: &str = include_str!("../../../examples/press-shop.yaml");
pub(super) const LATHE: &str = include_str!("../../../examples/lathe.yaml");
pub(super) const FILLER: &str = include_str!("../../../examples/filler.yaml");

/// The example with one change.
pub(super) fn with(from: &str, to: &str) -> String {
    changed(PRESS, from, to)
}

/// Place, message and suggestion of each problem.
pub(super) fn told(text: &str) -> Vec<(Place, String)> {
    let problems = load(text).expect_err("there should be a problem");
    let one = |problem: &Problem| {
        let hint = problem.suggestion.as_ref();
        let hint = hint.map_or(String::new(), |word| format!("; did you mean `{word}`?"));
        (
            problems.places.of(problem),
            format!("{}{hint}", problem.message),
        )
    };
    problems.list.iter().map(one).collect()
}

/// Where `mark` first stands.
pub(super) fn place_of(text: &str, mark: &str) -> Place {
    let at = text
        .find(mark)
        .unwrap_or_else(|| panic!("{mark} is not in the text"));
    let before = &text[..at];
    Place {
        line: before.matches('\n').count() + 1,
        column: before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1,
    }
}

/// One change of the example gives exactly one problem, shown where `mark` first stands, that says `says`.
pub(super) fn check(from: &str, to: &str, mark: &str, says: &str) {
    check_in(PRESS, from, to, mark, says);
}

/// The same in another example.
pub(super) fn check_in(example: &str, from: &str, to: &str, mark: &str, says: &str) {
    let text = changed(example, from, to);
    let told = told(&text);
    assert_eq!(told.len(), 1, "{to}\n{told:#?}");
    let (place, message) = &told[0];
    assert!(
        message.contains(says),
        "{to}\nsays  {message}\nnot   {says}"
    );
    assert_eq!(*place, place_of(&text, mark), "{to}\n{message}");
}

/// One change of an example is good, and warned of with `says`.
pub(super) fn warned(example: &str, from: &str, to: &str, says: &str) {
    let text = changed(example, from, to);
    let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let warnings = loaded.warnings();
    let said = |problem: &Problem| problem.message.contains(says);
    assert!(warnings.iter().any(said), "{says}\n{warnings:#?}");
}

/// An example with one change.
pub(super) fn changed(example: &str, from: &str, to: &str) -> String {
    let changed = example.replacen(from, to, 1);
    assert_ne!(changed, example, "{from} is not in the example");
    changed
}

#[test]
fn the_press_becomes_a_plant() {
    use crate::model::ValueKind;
    use std::time::Duration;
    let plant = load(PRESS).unwrap().plant;
    assert_eq!(plant.machines.len(), 1);
    let machine = &plant.machines[0];
    assert_eq!(
        (machine.name.as_str(), machine.path.as_str()),
        ("PRESS-12", "")
    );
    let tag = |name: &str| &plant.tags[machine.tags[name].index()];
    assert_eq!(tag("status").kind, ValueKind::Int);
    assert_eq!(
        tag("oil").kind,
        ValueKind::Float,
        "a scale makes it a measured number"
    );
    assert_eq!(tag("order_no").kind, ValueKind::Text);
    let TagSource::Modbus(register) = &tag("ram").source else {
        panic!("not Modbus")
    };
    assert_eq!(
        (register.table, register.address),
        (Table::InputRegisters, 2)
    );
    assert_eq!(register.byte_order, shape::ByteOrder::CDAB);
    assert_eq!(plant.devices[0].name, "PRESS-12.plc");
    assert_eq!(plant.devices[0].lost_after, Duration::from_secs(3));
    assert_eq!(plant.uplinks[0].name, "mes");
}

#[test]
fn numbers_run_through_all_machines_and_a_base_moves_the_addresses() {
    let plant = load(TWO).unwrap().plant;
    let names: Vec<&str> = plant.machines.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(names, ["machines.PRESS-21", "machines.PRESS-22"]);
    for (at, tag) in plant.tags.iter().enumerate() {
        assert_eq!(tag.id.index(), at);
        let device = &plant.devices[tag.device.index()];
        assert_eq!(device.machine, tag.machine);
        assert!(device.tags.contains(&tag.id));
    }
    let first = |machine: usize| {
        let TagSource::Modbus(register) =
            &plant.tags[plant.machines[machine].tags["running"].index()].source
        else {
            panic!("not Modbus")
        };
        (register.address, register.bit)
    };
    assert_eq!(
        first(0),
        (0, 0),
        "one-based: the first register is 0 on the wire"
    );
    assert_eq!(first(1), (1000, 0));
}

#[test]
fn a_comment_does_not_change_the_digest_and_a_setting_does() {
    let digest = |text: &str| load(text).unwrap().plant.digest;
    let plain = digest(PRESS);
    assert_eq!(plain.len(), "sha256:".len() + 16);
    assert_eq!(plain, digest(&format!("# one more line\n{PRESS}")));
    assert_eq!(
        plain,
        digest(&PRESS.replace("max_duration: 2min", "max_duration: 120s"))
    );
    assert_ne!(plain, digest(&with("debounce: 200ms", "debounce: 300ms")));
}

#[test]
fn several_problems_are_told_together_in_the_order_of_the_file() {
    let text = PRESS
        .replace("path: [EXAMPLE", "path: [\"\", EXAMPLE")
        .replace(
            "fault:    { holding: 1,  type: u16",
            "fault:    { holdng: 1,  type: u17",
        )
        .replace("recovery_counter: strokes", "recovery_counter: stroke")
        .replace("pieces: { tag: cavities }", "pieces: { tag: cavites }")
        .replace("url: mqtt://", "url: mqt://");
    let told = told(&text);
    let says: Vec<&str> = told.iter().map(|(_, message)| message.as_str()).collect();
    let expected = [
        "an empty level",
        "`holdng` is not a key of `fault`; did you mean `holding`?",
        "`u17` is not one of bit, i16, u16,",
        "`stroke` is not a counter of this machine",
        "`cavites` is not a tag of this machine; did you mean `cavities`?",
        "`mqt` is not known here",
    ];
    assert_eq!(says.len(), expected.len(), "{says:#?}");
    for (said, expected) in says.iter().zip(expected) {
        assert!(said.contains(expected), "{said}\n{expected}");
    }
    assert!(told.is_sorted_by_key(|(place, _)| *place));
}

#[test]
fn what_only_follows_from_a_problem_is_not_told() {
    // The tags of a misspelt block, and what refers to them.
    let told_of = |text: &str| {
        told(text)
            .into_iter()
            .map(|(_, message)| message)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told_of(&with("    tags:", "    tag:")),
        ["`tag` is not a key of `plc`; did you mean `tags`?"]
    );
    assert_eq!(
        told_of(&with("  counters:", "  counter:")),
        ["`counter` is not a key of `equipment`; did you mean `counters`?"]
    );
    assert_eq!(
        told_of(&with("    start: {", "    strat: {")),
        ["`strat` is not a key of `form`; did you mean `start`?"]
    );
    // A tag without an address is still a tag.
    assert_eq!(
        told_of(&with("status:   { holding: 0,  ", "status:   { ")).len(),
        1
    );
}

#[test]
fn a_hundred_problems_are_told_and_the_rest_counted() {
    let many: String = (0..250).map(|at| format!("unknown_{at}: 1\n")).collect();
    let problems = load(&format!("{PRESS}\n{many}")).unwrap_err();
    assert_eq!((problems.list.len(), problems.left_out), (100, 150));
    let more: String = (0..5_000).map(|at| format!("unknown_{at}: 1\n")).collect();
    let problems = load(&format!("{PRESS}\n{more}")).unwrap_err();
    assert_eq!((problems.list.len(), problems.left_out), (100, 4_900));
}
