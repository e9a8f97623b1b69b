//! Where a tag lies in a Modbus server: table, address, type, and what goes with it.

use super::join;
use super::modbus::{MAX_REGISTERS, kind};
use crate::model::Interpolation;
use crate::settings::plant::{Register, Table};
use crate::settings::report::Report;
use crate::settings::shape::{Addresses, Device, Tag, TagType};

/// Addresses of a Modbus table.
const ADDRESSES: u32 = 1 << 16;
/// First numbers of a manual for each table: five digits, then six.
const MANUAL: [(Table, [u32; 2]); 3] = [
    (Table::DiscreteInputs, [10_001, 100_001]),
    (Table::InputRegisters, [30_001, 300_001]),
    (Table::HoldingRegisters, [40_001, 400_001]),
];

/// The registers of a tag; `None` when they cannot be said. Every problem is noted.
pub(super) fn check(
    tag: &Tag,
    device: &Device,
    path: &str,
    report: &mut Report,
) -> Option<Register> {
    type_and_table(tag, path, report);
    let (table, key, written) = table(tag, path, report)?;
    let mut register = Register {
        table,
        address: 0,
        kind: kind(tag),
        bit: tag.bit.unwrap_or(0),
        length: tag.length.unwrap_or(0),
        trim: tag.trim.clone(),
        byte_order: tag.byte_order.or(device.byte_order).unwrap_or_default(),
    };
    let max_registers = device.max_registers.unwrap_or(MAX_REGISTERS);
    if register.width() > max_registers {
        let message = format!(
            "a text of {} bytes takes {} registers, and `max_registers` of its device is {}",
            register.length,
            register.width(),
            max_registers
        );
        report.add(join(path, "length"), message);
    }
    register.address = address(
        tag,
        device,
        written,
        register.width(),
        &join(path, key),
        report,
    )?;
    Some(register)
}

/// The one table that is written.
fn table(tag: &Tag, path: &str, report: &mut Report) -> Option<(Table, &'static str, u32)> {
    let given: Vec<(Table, &str, u32)> = [
        (Table::HoldingRegisters, "holding", tag.holding),
        (Table::InputRegisters, "input", tag.input),
        (Table::Coils, "coil", tag.coil),
        (Table::DiscreteInputs, "discrete", tag.discrete),
    ]
    .into_iter()
    .filter_map(|(table, key, address)| Some((table, key, address?)))
    .collect();
    match given.as_slice() {
        [one] => return Some(*one),
        [] => report.add(
            path,
            "where does it lie? Write one of `holding:`, `input:`, `coil:`, `discrete:` with its address",
        ),
        several => {
            let keys: Vec<String> = several.iter().map(|(_, key, _)| format!("`{key}:`")).collect();
            report.add(path, format!("{} stand here together: a tag lies in one place only", keys.join(" and ")));
        }
    }
    None
}

/// The address on the wire.
fn address(
    tag: &Tag,
    device: &Device,
    written: u32,
    width: u16,
    path: &str,
    report: &mut Report,
) -> Option<u16> {
    let base = device.base.unwrap_or(0);
    let one_based = device.addresses == Some(Addresses::OneBased);
    if one_based && written == 0 {
        report.add(
            path,
            "with `addresses: one_based` the first address is 1: write 1, or `addresses: zero_based`",
        );
        return None;
    }
    let wire = u64::from(written) - u64::from(one_based) + u64::from(base);
    if wire + u64::from(width) > u64::from(ADDRESSES) {
        let message = match looks_like_a_manual(tag) {
            Some(how) => format!(
                "`{written}` lies outside the table, which ends at 65535; it looks like a number of a manual: {how}"
            ),
            None if base > 0 => format!(
                "`{written}` with `base: {base}` lies outside the table, which ends at 65535"
            ),
            None if width > 1 => format!(
                "`{written}` lies outside the table: with its {width} registers the value goes beyond 65535"
            ),
            None => format!("`{written}` lies outside the table, which ends at 65535"),
        };
        report.add(path, message);
        return None;
    }
    u16::try_from(wire).ok()
}

/// How an address is to be written that looks like the number of a manual: 40001 is the first holding register.
pub(super) fn looks_like_a_manual(tag: &Tag) -> Option<String> {
    let written = [
        ("holding", Table::HoldingRegisters, tag.holding),
        ("input", Table::InputRegisters, tag.input),
        ("discrete", Table::DiscreteInputs, tag.discrete),
    ];
    written.into_iter().find_map(|(key, table, address)| {
        let address = address?;
        let (_, firsts) = MANUAL.iter().find(|(of, _)| *of == table)?;
        let first = firsts.iter().rev().find(|first| (**first..**first + 9_999).contains(&address))?;
        let register = address - first;
        Some(format!(
            "{address} of a manual is `{key}: {register}` with `addresses: zero_based`, or `{key}: {}` with `one_based`",
            register + 1
        ))
    })
}

/// What a type needs beside it, and what does not go with it.
fn type_and_table(tag: &Tag, path: &str, report: &mut Report) {
    let kind = kind(tag);
    if matches!(kind, TagType::Bool | TagType::I8 | TagType::U8) {
        report.add(
            join(path, "type"),
            "that is a type of OPC UA: registers hold `bit`, `i16`, `u16` and wider ones",
        );
        return;
    }
    let bits = tag.coil.is_some() || tag.discrete.is_some();
    let registers = tag.holding.is_some() || tag.input.is_some();
    if bits && !registers && kind != TagType::Bit {
        report.add(
            join(path, "type"),
            "a coil or discrete input is a single bit: leave `type` out",
        );
    }
    match (tag.bit, kind) {
        (None, TagType::Bit) if registers => report.add(
            path,
            "which bit of the register? Write `bit: 0` to `bit: 15`, 0 is the least significant",
        ),
        (Some(_), TagType::Bit) if bits => report.add(
            join(path, "bit"),
            "`bit` picks one bit of a register; a coil or discrete input is one already: leave it out",
        ),
        (Some(bit), kind) if kind != TagType::Bit => report.add(
            join(path, "bit"),
            format!("`bit` needs `type: bit`: write `type: bit, bit: {bit}`"),
        ),
        _ => {}
    }
    match (tag.length, kind) {
        (None, TagType::Text) => report.add(
            path,
            "how long is the text? Write `length:` in bytes, two for each register",
        ),
        (Some(_), kind) if kind != TagType::Text => {
            report.add(
                join(path, "length"),
                "`length` is for `type: text` only: leave it out",
            );
        }
        _ => {}
    }
    if !tag.trim.is_empty() && kind != TagType::Text {
        report.add(
            join(path, "trim"),
            "`trim` is for `type: text` only: leave it out",
        );
    }
    let moves = tag.interpolation == Interpolation::Linear;
    if moves && matches!(kind, TagType::Bit | TagType::Text) {
        report.add(
            join(path, "interpolation"),
            "a bit or a text does not move along a line: leave `interpolation` out",
        );
    }
}
