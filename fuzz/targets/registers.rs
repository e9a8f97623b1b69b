//! Registers of every type and order: whatever they hold, a value of that type comes of it, or the reason why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::acquire::modbus::registers::decode;
use millgate::model::Value;
use millgate::settings::shape::{ByteOrder, TagType, Trim};
use millgate::settings::{Register, Table};

const TYPES: [TagType; 12] = [
    TagType::Bit,
    TagType::I16,
    TagType::U16,
    TagType::I32,
    TagType::U32,
    TagType::I64,
    TagType::U64,
    TagType::F32,
    TagType::F64,
    TagType::Bcd16,
    TagType::Bcd32,
    TagType::Text,
];
const ORDERS: [ByteOrder; 4] = [
    ByteOrder::ABCD,
    ByteOrder::CDAB,
    ByteOrder::BADC,
    ByteOrder::DCBA,
];
const TRIMS: [&[Trim]; 3] = [&[], &[Trim::Nul], &[Trim::Nul, Trim::Space]];

fuzz_target!(|input: ([u8; 5], Vec<u16>)| {
    let ([kind, order, bit, length, trim], words) = input;
    let register = Register {
        table: Table::HoldingRegisters,
        address: 0,
        kind: TYPES[usize::from(kind) % TYPES.len()],
        bit,
        length: u16::from(length),
        trim: TRIMS[usize::from(trim) % TRIMS.len()].to_vec(),
        byte_order: ORDERS[usize::from(order) % ORDERS.len()],
    };
    let Ok(value) = decode(&register, &words) else {
        return;
    };
    assert!(words.len() >= usize::from(register.width()));
    match (register.kind, value) {
        (TagType::Bit, Value::Bool(_)) => {}
        (TagType::Text, Value::Text(text)) => assert!(text.len() <= 3 * usize::from(length)),
        (TagType::F32 | TagType::F64, Value::Float(number)) => assert!(number.is_finite()),
        (TagType::Bcd16, Value::Int(number)) => assert!((0..10_000).contains(&number)),
        (TagType::Bcd32, Value::Int(number)) => assert!((0..100_000_000).contains(&number)),
        (kind, Value::Int(_))
            if !matches!(
                kind,
                TagType::F32 | TagType::F64 | TagType::Text | TagType::Bit
            ) => {}
        (kind, value) => panic!("{kind:?} is {value:?}"),
    }
});
