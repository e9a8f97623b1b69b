//! What a scan found, as the `devices:` block of a settings file with a comment to each tag. Pure.
//!
//! A tag is what its registers most likely are: a text, a decimal number as a float in one of the byte orders, else a plain
//! register. Registers that are 0 and never changed get no tag unless all are wished.

use super::scan::Found;
use crate::commands::probe::view;
use crate::commands::range;
use crate::model::Value;
use crate::settings::shape::Parity;
use crate::settings::{ModbusWire, Table};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Most tags: more is no start for a person.
const MOST_TAGS: usize = 500;
/// A float of more significant digits than this is as well an accident.
const CONVINCING_DIGITS: usize = 5;
/// Longest text that a tag can be, in bytes.
const MOST_TEXT_BYTES: usize = 240;
/// Where comments begin.
const COMMENT_COLUMN: usize = 56;

/// What was found in one table.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) table: Table,
    pub(super) found: Vec<Found>,
    /// Addresses whose value was another one in the second reading.
    pub(super) changed: BTreeSet<u16>,
}

/// The block, and how many tags were left out.
pub(super) fn devices(wire: &ModbusWire, unit: u8, seen: &[Seen], all: bool) -> (String, usize) {
    let mut text = format!(
        "devices:\n  plc:\n    {}\n    addresses: zero_based\n    tags:\n",
        reached(wire, unit)
    );
    let tags: Vec<Tag> = seen.iter().flat_map(|seen| tags(seen, all)).collect();
    for tag in tags.iter().take(MOST_TAGS) {
        let line = format!("      {}: {{ {} }}", tag.name, tag.keys);
        let _infallible = writeln!(text, "{line:<COMMENT_COLUMN$}  # {}", tag.comment);
    }
    (text, tags.len().saturating_sub(MOST_TAGS))
}

/// The flow mapping of the protocol.
fn reached(wire: &ModbusWire, unit: u8) -> String {
    match wire {
        ModbusWire::Tcp { host, port } => {
            format!(
                "modbus_tcp: {{ host: {}, port: {port}, unit: {unit} }}",
                quoted(host)
            )
        }
        ModbusWire::RtuOverTcp { host, port } => {
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            };
            format!(
                "modbus_rtu: {{ tcp: {}, unit: {unit} }}",
                quoted(&format!("{host}:{port}"))
            )
        }
        ModbusWire::Rtu(port) => {
            let parity = match port.parity {
                Parity::None => "none",
                Parity::Even => "even",
                Parity::Odd => "odd",
            };
            format!(
                "modbus_rtu: {{ port: {}, baud: {}, parity: {parity}, stop_bits: {}, unit: {unit} }}",
                quoted(&port.path.display().to_string()),
                port.baud,
                port.stop_bits
            )
        }
    }
}

/// A YAML text that needs nothing to be escaped but itself: JSON's are.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Tag {
    name: String,
    keys: String,
    comment: String,
}

fn tags(seen: &Seen, all: bool) -> Vec<Tag> {
    let bits = matches!(seen.table, Table::Coils | Table::DiscreteInputs);
    let mut tags = Vec::new();
    for found in &seen.found {
        let mut at = 0;
        while let Some(words) = found.values.get(at..).filter(|words| !words.is_empty()) {
            let address = found
                .first
                .saturating_add(u16::try_from(at).unwrap_or(u16::MAX));
            let (tag, width) = if bits {
                bit(seen, address, words)
            } else {
                register(seen, address, words)
            };
            let changed = (address..=address.saturating_add(width - 1))
                .any(|one| seen.changed.contains(&one));
            let speaks = changed || words.iter().take(usize::from(width)).any(|word| *word != 0);
            if all || speaks {
                let comment = if changed {
                    format!("{}; it changed", tag.comment)
                } else {
                    tag.comment
                };
                tags.push(Tag { comment, ..tag });
            }
            at += usize::from(width);
        }
    }
    tags
}

fn bit(seen: &Seen, address: u16, words: &[u16]) -> (Tag, u16) {
    let tag = Tag {
        name: name(seen.table, address),
        keys: format!("{}: {address}", range::key(seen.table)),
        comment: words.first().copied().unwrap_or(0).to_string(),
    };
    (tag, 1)
}

/// What most likely begins at an address, and how many registers it takes.
fn register(seen: &Seen, address: u16, words: &[u16]) -> (Tag, u16) {
    let name = name(seen.table, address);
    let key = range::key(seen.table);
    let float = words.get(..2).and_then(|two| float(address, two));
    if let Some((order, number)) = float.filter(|(_, number)| digits(*number) <= CONVINCING_DIGITS)
    {
        let keys = format!("{key}: {address}, type: f32, byte_order: {order}");
        return (
            Tag {
                name,
                keys,
                comment: number.to_string(),
            },
            2,
        );
    }
    if let Some((text, width, order)) = text(address, words) {
        let length = usize::from(width) * 2;
        let order = if order == "BADC" {
            ", byte_order: BADC"
        } else {
            ""
        };
        let keys =
            format!("{key}: {address}, type: text, length: {length}, trim: [nul, space]{order}");
        return (
            Tag {
                name,
                keys,
                comment: format!("{text:?}"),
            },
            width,
        );
    }
    let word = words.first().copied().unwrap_or(0);
    let mut comment = word.to_string();
    if let Some((order, number)) = float {
        let _infallible = write!(comment, "; with the next one f32 {order} {number}");
    }
    (
        Tag {
            name,
            keys: format!("{key}: {address}"),
            comment,
        },
        1,
    )
}

/// A text that begins at an address: its characters, its registers, its order.
fn text(address: u16, words: &[u16]) -> Option<(String, u16, &'static str)> {
    let words = words.get(..words.len().min(MOST_TEXT_BYTES / 2))?;
    let found = view::texts(address, words);
    let here = found
        .into_iter()
        .find(|text| text.address == u32::from(address))?;
    let letters = here
        .text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .count();
    // Mostly letters and digits, or it is chance.
    if letters * 3 < here.text.len() * 2 {
        return None;
    }
    let width = here.text.len().div_ceil(2);
    Some((here.text, u16::try_from(width).ok()?, here.order))
}

/// The one byte order in which two registers look measured.
fn float(address: u16, two: &[u16]) -> Option<(&'static str, f64)> {
    let rows = view::pairs(address, two);
    let row = rows.iter().find(|row| row.kind == "f32")?;
    let mut measured = view::ORDERS
        .iter()
        .zip(&row.values)
        .filter_map(|((_, order), value)| {
            let value = value.as_ref().filter(|value| view::looks_measured(value))?;
            match value {
                Value::Float(number) => Some((*order, *number)),
                _ => None,
            }
        });
    let first = measured.next()?;
    // Where another order would do as well, the one with fewer digits was meant.
    Some(measured.fold(first, |best, next| {
        if digits(next.1) < digits(best.1) {
            next
        } else {
            best
        }
    }))
}

/// Significant digits as written.
fn digits(number: f64) -> usize {
    let text = format!("{:e}", number.abs());
    let mantissa = text.split('e').next().unwrap_or_default();
    mantissa.chars().filter(char::is_ascii_digit).count()
}

fn name(table: Table, address: u16) -> String {
    format!("{}_{address}", range::key(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, SerialPort};

    fn seen(table: Table, first: u16, values: &[u16], changed: &[u16]) -> Seen {
        Seen {
            table,
            found: vec![Found {
                first,
                values: values.to_vec(),
            }],
            changed: changed.iter().copied().collect(),
        }
    }

    fn tcp() -> ModbusWire {
        ModbusWire::Tcp {
            host: "10.0.0.5".into(),
            port: 502,
        }
    }

    /// The tags' lines, without the indentation.
    fn lines(seen: &[Seen], all: bool) -> Vec<String> {
        let (text, _) = devices(&tcp(), 7, seen, all);
        let lines = text.lines().skip(5);
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn each_tag_is_what_its_registers_most_likely_are() {
        let words = [7, 0, 0x6666, 0x4336, 0x534E, 0x2D30, 0x3137, 0, 9];
        let found = lines(&[seen(Table::HoldingRegisters, 40, &words, &[48])], false);
        assert_eq!(
            found,
            [
                "holding_40: { holding: 40 } # 7",
                "holding_42: { holding: 42, type: f32, byte_order: CDAB } # 182.4",
                "holding_44: { holding: 44, type: text, length: 6, trim: [nul, space] } # \"SN-017\"",
                "holding_48: { holding: 48 } # 9; it changed",
            ]
        );
    }

    #[test]
    fn what_is_zero_and_stays_it_has_no_tag_unless_all_are_wished() {
        let coils = [seen(Table::Coils, 0, &[0, 1, 0], &[2])];
        assert_eq!(
            lines(&coils, false),
            [
                "coil_1: { coil: 1 } # 1",
                "coil_2: { coil: 2 } # 0; it changed"
            ]
        );
        assert_eq!(lines(&coils, true).len(), 3);
    }

    #[test]
    fn an_unconvincing_float_is_a_register_with_a_remark() {
        // 182.43217 needs more digits than people set.
        let bits = 182.432_17_f32.to_bits();
        let words = [(bits >> 16) as u16, bits as u16];
        let found = lines(&[seen(Table::InputRegisters, 0, &words, &[])], false);
        assert!(found[0].starts_with("input_0: { input: 0 } #"), "{found:?}");
        assert!(found[0].contains("f32 ABCD 182.432"), "{found:?}");
    }

    #[test]
    fn every_way_to_a_device_is_accepted_by_check() {
        let serial = SerialPort {
            path: "/dev/ttyS1".into(),
            baud: 19_200,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
            rs485: None,
        };
        let converter = ModbusWire::RtuOverTcp {
            host: "10.0.0.6".into(),
            port: 4_001,
        };
        for wire in [tcp(), ModbusWire::Rtu(serial), converter] {
            let seen = [seen(Table::HoldingRegisters, 0, &[1, 0x6666, 0x4336], &[])];
            let (devices, left_out) = devices(&wire, 12, &seen, true);
            assert_eq!(left_out, 0);
            let text = format!(
                "gateway: {{ id: gw1, path: [acme] }}\nmachine: M1\n{devices}uplinks:\n  mes: {{ http: {{ url: \"http://127.0.0.1/\" }} }}\n"
            );
            let plant = settings::load(&text)
                .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
                .plant;
            assert_eq!(plant.tags.len(), 2);
        }
    }

    #[test]
    fn too_many_tags_are_cut_and_counted() {
        let (_, left_out) = devices(
            &tcp(),
            1,
            &[seen(Table::HoldingRegisters, 0, &[1; 700], &[])],
            false,
        );
        assert_eq!(left_out, 200);
    }
}
