//! The settings with every default written out, as YAML that can be read again, and the digest over them.

use super::check;
use super::shape::{
    Calendar, Device, Equipment, File, Parity, Reading, ScanFor, ScanRule, Timestamps, Until,
};
use super::units::Period;
use super::yaml::{Plain, meaning};
use indexmap::IndexMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Hex digits of the digest that events carry.
const DIGEST_DIGITS: usize = 16;

/// What is the same everywhere and no setting.
const FIXED: &str = "# Every default is written out. After a failure: waits of 1s doubling to 30s, each drawn evenly below that.\n";

/// The settings with every default written out, also those that depend on other keys. Read again, it is the same plant.
#[must_use]
pub fn effective(file: &File) -> String {
    let mut out = String::new();
    let mut value = serde_json::to_value(settled(file)).unwrap_or_default();
    without_idle_keys(&mut value);
    write(&value, 0, &mut out);
    format!("{FIXED}{}\n", out.trim_start_matches('\n'))
}

/// The file with the defaults that depend on other keys written out as well.
pub(super) fn settled(file: &File) -> File {
    let mut file = file.clone();
    let gateway = file.gateway.id.clone();
    let calendars = &file.calendars;
    if file.machine.is_some() {
        settle_equipment(file.equipment.get_or_insert_default(), calendars);
    }
    file.devices.values_mut().for_each(settle_device);
    file.scans.values_mut().flatten().for_each(settle_scan);
    for machine in file.machines.values_mut() {
        settle_equipment(machine.equipment.get_or_insert_default(), calendars);
        machine.scans.values_mut().flatten().for_each(settle_scan);
        machine.devices.values_mut().for_each(settle_device);
    }
    let shifts = file.calendars.values_mut();
    for shift in shifts.flat_map(|calendar| calendar.shifts.values_mut()) {
        shift.days.get_or_insert_with(|| "mon-sun".into());
    }
    for (name, uplink) in &mut file.uplinks {
        if let Some(mqtt) = &mut uplink.mqtt {
            mqtt.client_id
                .get_or_insert_with(|| format!("{gateway}-{name}"));
        }
    }
    file
}

/// The calendar of a machine, where there is one for it.
fn settle_equipment(equipment: &mut Equipment, calendars: &IndexMap<String, Calendar>) {
    let found = check::calendar_of(equipment, calendars).map(str::to_owned);
    if let Some(calendar) = found.filter(|name| calendars.contains_key(name)) {
        equipment.calendar.get_or_insert(calendar);
    }
}

/// How long what is scanned counts. A part waits for its operation instead, a reason is of one stop.
fn settle_scan(rule: &mut ScanRule) {
    let until = match rule.is {
        ScanFor::Part | ScanFor::Reason => return,
        ScanFor::Purpose => Until::NextOperation,
        _ => Until::Replaced,
    };
    rule.until.get_or_insert(until);
}

/// Takes away what only a part has from the rules of all other scans.
fn without_idle_keys(file: &mut Value) {
    let clean = |scans: Option<&mut Value>| {
        let scans = scans.and_then(Value::as_object_mut);
        let rules = scans.into_iter().flat_map(|scans| scans.values_mut());
        let rules = rules.filter_map(Value::as_array_mut).flatten();
        for rule in rules.filter_map(Value::as_object_mut) {
            if rule.get("is").is_some_and(|is| is != "part") {
                rule.shift_remove("bind");
                rule.shift_remove("valid_for");
            }
        }
    };
    clean(file.get_mut("scans"));
    let machines = file.get_mut("machines").and_then(Value::as_object_mut);
    for machine in machines
        .into_iter()
        .flat_map(|machines| machines.values_mut())
    {
        clean(machine.get_mut("scans"));
    }
}

fn settle_device(device: &mut Device) {
    device.lost_after = Some(check::lost_after(device));
    let described = device.clone();
    for tag in device.tags.values_mut() {
        if described.lines.is_none() {
            tag.every = Some(Period::rounded(check::every(tag, &described)));
        }
        if let Some(server) = &described.opc_ua
            && server.read == Reading::Subscribe
        {
            tag.queue.get_or_insert(check::queue(tag, server));
        }
    }
    if device.modbus_tcp.is_some() || device.modbus_rtu.is_some() {
        settle_modbus(device);
    }
    if let Some(server) = &mut device.opc_ua {
        let none = server.insecure && server.security.is_none();
        if !none {
            server.security.get_or_insert_default();
        }
        if *device.timestamps.get_or_insert_default() != Timestamps::Gateway {
            device
                .max_skew
                .get_or_insert(Period::rounded(check::MAX_SKEW));
        }
    }
    if let Some(lines) = &mut device.lines {
        if lines.serial.is_some() {
            lines.baud.get_or_insert(9_600);
            lines.parity.get_or_insert(Parity::None);
            lines.data_bits.get_or_insert(8);
            lines.stop_bits.get_or_insert(1);
        }
        if lines.poll.is_some() {
            lines
                .every
                .get_or_insert(Period::rounded(check::POLL_EVERY));
            lines
                .timeout
                .get_or_insert(Period::rounded(check::POLL_TIMEOUT));
        }
    }
}

fn settle_modbus(device: &mut Device) {
    device.byte_order.get_or_insert_default();
    device.base.get_or_insert(0);
    device.max_registers.get_or_insert(check::MAX_REGISTERS);
    device.max_gap.get_or_insert(check::MAX_GAP);
    for tag in device.tags.values_mut() {
        tag.kind = Some(check::kind(tag));
    }
    if let Some(rtu) = device.modbus_rtu.as_mut().filter(|rtu| rtu.port.is_some()) {
        rtu.baud.get_or_insert(19_200);
        let parity = *rtu.parity.get_or_insert(Parity::Even);
        rtu.stop_bits
            .get_or_insert(if parity == Parity::None { 2 } else { 1 });
    }
}

/// `sha256:` and the first 16 hex digits over the settled file as JSON.
pub(super) fn digest(file: &File) -> String {
    let json = serde_json::to_vec(file).unwrap_or_default();
    short(&Sha256::digest(&json))
}

/// The digest of settings with that of what their files hold.
pub(super) fn digest_with(digest: &str, contents: impl Iterator<Item = Vec<u8>>) -> String {
    let mut all = Sha256::new_with_prefix(digest);
    for content in contents {
        all.update(Sha256::digest(&content));
    }
    short(&all.finalize())
}

fn short(digest: &[u8]) -> String {
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let short = hex.get(..DIGEST_DIGITS).unwrap_or(&hex);
    format!("sha256:{short}")
}

/// Writes a value: blocks line by line, lists of single values in brackets.
fn write(value: &Value, depth: usize, out: &mut String) {
    let new_line = |out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(keys) if keys.is_empty() => out.push_str(" {}"),
        Value::Object(keys) => {
            for (key, value) in keys {
                new_line(out);
                out.push_str(&text(key));
                out.push(':');
                write(value, depth + 1, out);
            }
        }
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            let items: Vec<String> = items.iter().map(single).collect();
            out.push_str(&format!(" [{}]", items.join(", ")));
        }
        Value::Array(items) => {
            for item in items {
                new_line(out);
                let mut inner = String::new();
                write(item, depth + 1, &mut inner);
                // The first key stands beside its dash, the others below it.
                out.push_str("- ");
                out.push_str(inner.trim_start());
            }
        }
        single_value => {
            out.push(' ');
            out.push_str(&single(single_value));
        }
    }
}

fn single(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), text)
}

/// A text, in quotes unless it can be nothing else.
fn text(text: &str) -> String {
    let word = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    let number = text.starts_with(|letter: char| letter.is_ascii_digit())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "./".contains(letter));
    if (word || number) && meaning(text) == Plain::Text {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // What YAML calls not printable, and what changes the line in some readers.
            '\0'..=' '
            | '\u{7f}'..='\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}'
                if letter != ' ' =>
            {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    #[test]
    fn what_is_written_is_the_same_plant_when_read_again() {
        for example in [
            include_str!("../../examples/press.yaml"),
            include_str!("../../examples/two-machines.yaml"),
            include_str!("../../examples/press-cell.yaml"),
            include_str!("../../examples/press-line.yaml"),
            include_str!("../../examples/press-shop.yaml"),
            include_str!("../../examples/lathe.yaml"),
            include_str!("../../examples/filler.yaml"),
        ] {
            let first = load(example).unwrap();
            let written = effective(&first.file);
            let second = load(&written).unwrap_or_else(|problems| panic!("{problems}\n{written}"));
            assert_eq!(first.plant.digest, second.plant.digest);
            assert_eq!(written, effective(&second.file));
        }
    }

    #[test]
    fn defaults_of_calendars_scans_and_parts_are_shown() {
        let shown = |example: &str, lines: &[&str]| {
            let written = effective(&load(example).unwrap().file);
            for line in lines {
                assert!(written.contains(line), "{line} is not in\n{written}");
            }
        };
        let line = include_str!("../../examples/press-line.yaml")
            .replace("late_window: 10s, ", "")
            .replace("{ every: 15min, calendar: hall2 }", "{ split_at: [order] }")
            .replace(
                "SETUP|FIRST|REWORK)$\", is: purpose, until: next_operation",
                "SETUP)$\", is: purpose",
            );
        shown(
            &line,
            &[
                "bind: next_operation\n      valid_for: 2min\n      same_within: 5s",
                "bind: next_operation\n      valid_for: 2min",
                "is: order\n      same_within: 5s\n      until: replaced",
                "is: purpose\n      same_within: 5s\n      until: next_operation",
                "late_window: 30s",
                "performance:\n    every: 15min",
                "calendar: hall2",
                "on_next_start: abort_and_start",
            ],
        );
        let filler = include_str!("../../examples/filler.yaml");
        shown(
            filler,
            &["days: mon-sun", "dated: start", "calendar: packaging"],
        );
        let lathe = include_str!("../../examples/lathe.yaml");
        shown(
            &lathe.replace("    max_duration: 45min\n", ""),
            &["max_duration: 1d"],
        );
    }

    #[test]
    fn defaults_that_depend_on_other_keys_are_shown() {
        let file = load(include_str!("../../examples/press.yaml"))
            .unwrap()
            .file;
        let written = effective(&file);
        for line in [
            "lost_after: 3s",
            "client_id: forge-press-gw1-mes",
            "acknowledge: broker",
            "start_at: newest",
            "max_registers: 125",
            "pass_needs_good_fraction: 0.98",
            "generation_size: 8MiB",
            "max_size: 1GiB",
            "max_age: 30d",
            "keep_delivered: 0ms",
            "segment:\n      value: \"0020\"",
        ] {
            assert!(written.contains(line), "{line} is not in\n{written}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives_being_written(given in proptest::prelude::any::<String>()) {
            let file = format!("a: {}\n? {}\n: 1\n", text(&given), text("key"));
            let mut report = crate::settings::report::Report::default();
            let root = crate::settings::yaml::parse(&file, &mut report).unwrap();
            let crate::settings::yaml::Content::Map(entries) = &root.content else { panic!() };
            let read = match &entries[0].node.content {
                crate::settings::yaml::Content::Plain(read) if meaning(read) == Plain::Text => read,
                crate::settings::yaml::Content::Quoted(read) => read,
                other => panic!("{other:?}"),
            };
            proptest::prop_assert_eq!(read, &given);
        }
    }
}
