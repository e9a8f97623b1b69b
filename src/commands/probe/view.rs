//! Registers as everything that they could mean, side by side: a person sees which one is right. Pure.
//!
//! What a type makes of registers is `acquire::modbus::registers`, the same as in the running gateway.

use crate::acquire::modbus::registers;
use crate::model::Value;
use crate::settings::shape::{ByteOrder, TagType};
use crate::settings::{Register, Table};

/// The byte orders, in the order of their columns.
pub(in crate::commands) const ORDERS: [(ByteOrder, &str); 4] = [
    (ByteOrder::ABCD, "ABCD"),
    (ByteOrder::CDAB, "CDAB"),
    (ByteOrder::BADC, "BADC"),
    (ByteOrder::DCBA, "DCBA"),
];
/// Types of two registers.
const PAIRS: [(TagType, &str); 4] = [
    (TagType::F32, "f32"),
    (TagType::I32, "i32"),
    (TagType::U32, "u32"),
    (TagType::Bcd32, "bcd32"),
];
/// Types of four registers.
const QUADS: [(TagType, &str); 3] = [
    (TagType::F64, "f64"),
    (TagType::I64, "i64"),
    (TagType::U64, "u64"),
];
/// Magnitudes that measured values have; what bytes in a wrong order make is mostly far outside.
const MEASURED: std::ops::RangeInclusive<f64> = 1e-3..=1e7;
/// Fewer characters in a row may be chance.
const SHORTEST_TEXT: usize = 4;

/// One register as all that it could be.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands) struct Single {
    pub(in crate::commands) address: u32,
    pub(in crate::commands) word: u16,
    pub(in crate::commands) i16: i16,
    /// `None` where a digit is above 9.
    pub(in crate::commands) bcd16: Option<i64>,
}

/// Several registers as one type, in all byte orders.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands) struct Several {
    pub(in crate::commands) address: u32,
    pub(in crate::commands) kind: &'static str,
    /// In the order of [`ORDERS`]; `None` is not a value of the type.
    pub(in crate::commands) values: [Option<Value>; 4],
}

impl Several {
    /// All registers are 0: nothing to choose from.
    pub(in crate::commands) fn is_zero(&self) -> bool {
        let zero = |value: &Option<Value>| value.as_ref().and_then(Value::number) == Some(0.0);
        self.values.iter().all(zero)
    }
}

/// Printable characters that stand in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Text {
    /// Register of the first character.
    pub(in crate::commands) address: u32,
    pub(in crate::commands) order: &'static str,
    pub(in crate::commands) text: String,
}

/// Each register alone.
pub(in crate::commands) fn singles(first: u16, words: &[u16]) -> Vec<Single> {
    let single = |(address, word): (u32, &u16)| {
        let bcd16 = match decoded(TagType::Bcd16, ByteOrder::ABCD, &[*word]) {
            Some(Value::Int(number)) => Some(number),
            _ => None,
        };
        Single {
            address,
            word: *word,
            i16: word.cast_signed(),
            bcd16,
        }
    };
    (u32::from(first)..).zip(words).map(single).collect()
}

/// Each two neighbours together; unsigned only where that is another number than signed, BCD only where it is one.
pub(in crate::commands) fn pairs(first: u16, words: &[u16]) -> Vec<Several> {
    together(first, words, &PAIRS)
}

/// Each four neighbours together.
pub(in crate::commands) fn quads(first: u16, words: &[u16]) -> Vec<Several> {
    together(first, words, &QUADS)
}

fn together(first: u16, words: &[u16], kinds: &[(TagType, &'static str)]) -> Vec<Several> {
    let Some((widest, _)) = kinds.first() else {
        return Vec::new();
    };
    let width = usize::from(register(*widest, ByteOrder::ABCD).width());
    let mut rows = Vec::new();
    for (address, words) in (u32::from(first)..).zip(words.windows(width)) {
        let mut signed: Option<[Option<Value>; 4]> = None;
        for (kind, name) in kinds {
            let values = ORDERS.map(|(order, _)| decoded(*kind, order, words));
            let says_nothing_new = match kind {
                TagType::U32 | TagType::U64 => signed.as_ref() == Some(&values),
                TagType::Bcd32 => {
                    values.iter().all(Option::is_none) || signed.is_none() || all_zero(&values)
                }
                _ => false,
            };
            if matches!(kind, TagType::I32 | TagType::I64) {
                signed = Some(values.clone());
            }
            if !says_nothing_new {
                rows.push(Several {
                    address,
                    kind: name,
                    values,
                });
            }
        }
    }
    rows
}

fn all_zero(values: &[Option<Value>]) -> bool {
    values
        .iter()
        .all(|value| matches!(value, Some(Value::Int(0))))
}

/// Texts in the registers, as they stand and with the two characters of each register swapped.
pub(in crate::commands) fn texts(first: u16, words: &[u16]) -> Vec<Text> {
    let mut found = Vec::new();
    for (order, swapped) in [("ABCD", false), ("BADC", true)] {
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word| {
                if swapped {
                    word.to_le_bytes()
                } else {
                    word.to_be_bytes()
                }
            })
            .collect();
        let mut at = 0;
        for run in bytes.chunk_by(|a, b| printable(*a) == printable(*b)) {
            if run.len() >= SHORTEST_TEXT && run.iter().copied().all(printable) {
                let register = u32::try_from(at / 2).unwrap_or(u32::MAX);
                let text = run.iter().copied().map(char::from).collect();
                found.push(Text {
                    address: u32::from(first) + register,
                    order,
                    text,
                });
            }
            at += run.len();
        }
    }
    found.sort_by_key(|text| text.address);
    found
}

fn printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// True for a number that looks as if somebody had measured it.
pub(in crate::commands) fn looks_measured(value: &Value) -> bool {
    matches!(value, Value::Float(number) if MEASURED.contains(&number.abs()))
}

fn decoded(kind: TagType, byte_order: ByteOrder, words: &[u16]) -> Option<Value> {
    registers::decode(&register(kind, byte_order), words).ok()
}

fn register(kind: TagType, byte_order: ByteOrder) -> Register {
    Register {
        table: Table::HoldingRegisters,
        address: 0,
        kind,
        bit: 0,
        length: 0,
        trim: Vec::new(),
        byte_order,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[Several], address: u32, kind: &str) -> [Option<Value>; 4] {
        let row = rows
            .iter()
            .find(|row| row.address == address && row.kind == kind);
        row.unwrap_or_else(|| panic!("no {kind} at {address}: {rows:#?}"))
            .values
            .clone()
    }

    #[test]
    fn the_right_order_of_a_float_is_the_one_that_looks_measured() {
        // 182.4 as an IEEE 754 single is 0x43366666.
        let words = [0x6666, 0x4336];
        let values = of(&pairs(99, &words), 99, "f32");
        let marked: Vec<bool> = values.iter().flatten().map(looks_measured).collect();
        assert_eq!(values[1], Some(Value::Float(182.4)));
        assert_eq!(
            marked.iter().filter(|marked| **marked).count(),
            1,
            "{values:?}"
        );
        assert!(looks_measured(values[1].as_ref().unwrap()));
    }

    #[test]
    fn a_register_is_shown_as_each_of_its_types() {
        let rows = singles(99, &[0x8123, 0xFFFF]);
        assert_eq!(
            rows[0],
            Single {
                address: 99,
                word: 0x8123,
                i16: -32_477,
                bcd16: Some(8_123)
            }
        );
        assert_eq!(
            rows[1],
            Single {
                address: 100,
                word: 0xFFFF,
                i16: -1,
                bcd16: None
            }
        );
    }

    #[test]
    fn unsigned_and_bcd_are_shown_where_they_say_something() {
        let small = pairs(0, &[0x00AB, 0xCDEF]);
        // BADC and DCBA set the highest bit of one of them.
        assert!(small.iter().any(|row| row.kind == "u32"));
        let plain = pairs(0, &[0x0001, 0x000A]);
        let kinds: Vec<_> = plain.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, ["f32", "i32"]);
        let bcd = pairs(0, &[0x1234, 0x5678]);
        let number = |number| Some(Value::Int(number));
        let expected = [
            number(12_345_678),
            number(56_781_234),
            number(34_127_856),
            number(78_563_412),
        ];
        assert_eq!(of(&bcd, 0, "bcd32"), expected);
    }

    #[test]
    fn four_registers_make_wide_numbers_and_three_make_none() {
        let double = 21.3_f64.to_be_bytes();
        let words: Vec<u16> = double
            .chunks(2)
            .map(|two| u16::from_be_bytes([two[0], two[1]]))
            .collect();
        assert_eq!(
            of(&quads(10, &words), 10, "f64")[0],
            Some(Value::Float(21.3))
        );
        assert_eq!(quads(10, &words[..3]), Vec::new());
        assert_eq!(pairs(10, &words[..1]), Vec::new());
    }

    #[test]
    fn texts_are_found_in_both_orders() {
        let words = [0, 0x534E, 0x2D30, 0x3137, 0];
        let found = texts(40, &words);
        let text = |order, text: &str| Text {
            address: 41,
            order,
            text: text.into(),
        };
        assert_eq!(found, [text("ABCD", "SN-017"), text("BADC", "NS0-71")]);
        assert_eq!(
            texts(0, &[0x534E, 0]),
            Vec::new(),
            "two characters are chance"
        );
    }

    #[test]
    fn the_last_register_of_all_has_an_address() {
        let rows = singles(65_534, &[1, 2]);
        assert_eq!(rows[1].address, 65_535);
        assert_eq!(pairs(65_534, &[1, 2])[0].address, 65_534);
    }
}
