//! Every type in every order, against an encoder of our own; `tests/` has the same against another's.

use super::*;
use proptest::prelude::*;

const ORDERS: [ByteOrder; 4] = [
    ByteOrder::ABCD,
    ByteOrder::CDAB,
    ByteOrder::BADC,
    ByteOrder::DCBA,
];

fn register(kind: TagType, byte_order: ByteOrder) -> Register {
    Register {
        table: crate::settings::Table::HoldingRegisters,
        address: 0,
        kind,
        bit: 0,
        length: 0,
        trim: Vec::new(),
        byte_order,
    }
}

fn text_register(length: u16, trim: &[Trim], byte_order: ByteOrder) -> Register {
    Register {
        length,
        trim: trim.to_vec(),
        ..register(TagType::Text, byte_order)
    }
}

/// Big-endian bytes of a value, laid out in registers by the letters of the order.
fn encode(bytes: &[u8], order: ByteOrder) -> Vec<u16> {
    let mut pairs: Vec<[u8; 2]> = bytes.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
    if bytes.len() > 2 {
        if matches!(order, ByteOrder::CDAB | ByteOrder::DCBA) {
            pairs.reverse();
        }
        if matches!(order, ByteOrder::BADC | ByteOrder::DCBA) {
            pairs.iter_mut().for_each(|pair| pair.reverse());
        }
    }
    pairs.into_iter().map(u16::from_be_bytes).collect()
}

fn round_trip(kind: TagType, bytes: &[u8], expected: &Result<Value, BadReason>) {
    for order in ORDERS {
        let words = encode(bytes, order);
        assert_eq!(
            &decode(&register(kind, order), &words),
            expected,
            "{kind:?} {order:?}"
        );
    }
}

fn check(kind: TagType, order: ByteOrder, words: &[u16], expected: Result<Value, BadReason>) {
    assert_eq!(
        decode(&register(kind, order), words),
        expected,
        "{kind:?} {order:?} {words:04x?}"
    );
}

#[test]
fn the_letters_mean_what_they_say() {
    let value = Ok(Value::Int(0x0A0B_0C0D));
    check(
        TagType::U32,
        ByteOrder::ABCD,
        &[0x0A0B, 0x0C0D],
        value.clone(),
    );
    check(
        TagType::U32,
        ByteOrder::CDAB,
        &[0x0C0D, 0x0A0B],
        value.clone(),
    );
    check(
        TagType::U32,
        ByteOrder::BADC,
        &[0x0B0A, 0x0D0C],
        value.clone(),
    );
    check(TagType::U32, ByteOrder::DCBA, &[0x0D0C, 0x0B0A], value);
    let wide = Ok(Value::Int(0x0A0B_0C0D_0E0F_1011));
    check(
        TagType::I64,
        ByteOrder::ABCD,
        &[0x0A0B, 0x0C0D, 0x0E0F, 0x1011],
        wide.clone(),
    );
    check(
        TagType::I64,
        ByteOrder::CDAB,
        &[0x1011, 0x0E0F, 0x0C0D, 0x0A0B],
        wide.clone(),
    );
    check(
        TagType::I64,
        ByteOrder::BADC,
        &[0x0B0A, 0x0D0C, 0x0F0E, 0x1110],
        wide.clone(),
    );
    check(
        TagType::I64,
        ByteOrder::DCBA,
        &[0x1110, 0x0F0E, 0x0D0C, 0x0B0A],
        wide,
    );
}

#[test]
fn one_register_alone_has_no_order() {
    for order in ORDERS {
        check(TagType::U16, order, &[0x1234], Ok(Value::Int(0x1234)));
        check(TagType::I16, order, &[0xFFFE], Ok(Value::Int(-2)));
        check(TagType::Bcd16, order, &[0x1234], Ok(Value::Int(1234)));
    }
}

#[test]
fn bit_0_is_the_least_significant() {
    for (bit, expected) in [(0, true), (1, false), (11, true), (15, false), (200, false)] {
        let register = Register {
            bit,
            ..register(TagType::Bit, ByteOrder::DCBA)
        };
        assert_eq!(
            decode(&register, &[0b0000_1000_0000_0001]),
            Ok(Value::Bool(expected))
        );
    }
}

#[test]
fn what_a_type_cannot_be_is_bad_with_its_reason() {
    let (malformed, not_finite) = (Err(BadReason::Malformed), Err(BadReason::NotFinite));
    check(
        TagType::Bcd16,
        ByteOrder::ABCD,
        &[0x12A4],
        malformed.clone(),
    );
    check(
        TagType::Bcd32,
        ByteOrder::ABCD,
        &[0x1234, 0x567F],
        malformed.clone(),
    );
    check(
        TagType::U64,
        ByteOrder::ABCD,
        &[0x8000, 0, 0, 0],
        Err(BadReason::OutOfRange),
    );
    check(
        TagType::F32,
        ByteOrder::ABCD,
        &[0x7FC0, 0],
        not_finite.clone(),
    );
    check(
        TagType::F32,
        ByteOrder::CDAB,
        &[0, 0xFF80],
        not_finite.clone(),
    );
    check(
        TagType::F64,
        ByteOrder::ABCD,
        &[0x7FF0, 0, 0, 0],
        not_finite,
    );
    check(TagType::U32, ByteOrder::ABCD, &[1], malformed.clone());
    check(TagType::U16, ByteOrder::ABCD, &[], malformed);
}

#[test]
fn limits_of_the_types() {
    round_trip(
        TagType::I16,
        &i16::MIN.to_be_bytes(),
        &Ok(Value::Int(-32_768)),
    );
    round_trip(
        TagType::U32,
        &u32::MAX.to_be_bytes(),
        &Ok(Value::Int(4_294_967_295)),
    );
    round_trip(
        TagType::I64,
        &i64::MIN.to_be_bytes(),
        &Ok(Value::Int(i64::MIN)),
    );
    round_trip(
        TagType::U64,
        &i64::MAX.to_be_bytes(),
        &Ok(Value::Int(i64::MAX)),
    );
    round_trip(
        TagType::Bcd32,
        &[0x99, 0x99, 0x99, 0x99],
        &Ok(Value::Int(99_999_999)),
    );
    round_trip(
        TagType::F32,
        &21.3f32.to_be_bytes(),
        &Ok(Value::Float(21.3)),
    );
}

/// Bytes, length, what is cut, what is left.
type TextCase = (
    &'static [u8],
    u16,
    &'static [Trim],
    Result<&'static str, BadReason>,
);

#[test]
fn texts_are_trimmed_as_told() {
    const NUL: Trim = Trim::Nul;
    const SPACE: Trim = Trim::Space;
    let cases: [TextCase; 10] = [
        (b"A7\0\0", 4, &[NUL], Ok("A7")),
        (b"A7  ", 4, &[SPACE], Ok("A7")),
        (b"A7 \0", 4, &[NUL, SPACE], Ok("A7")),
        (b"A7\0\0", 4, &[], Ok("A7\0\0")),
        (b"\0\xFF\xFF\xFF", 4, &[NUL], Ok("")),
        (b"    ", 4, &[SPACE], Ok("")),
        (b"A\r\n ", 4, &[SPACE], Ok("A\r\n")),
        (b"ABCD", 3, &[], Ok("ABC")),
        (b"AB\xC3\xA4", 3, &[], Err(BadReason::Malformed)),
        (b"\xFFBCD", 4, &[NUL], Err(BadReason::Malformed)),
    ];
    for (bytes, length, trim, expected) in cases {
        let words: Vec<u16> = bytes
            .chunks(2)
            .map(|p| u16::from_be_bytes([p[0], p[1]]))
            .collect();
        let swapped: Vec<u16> = words.iter().map(|word| word.swap_bytes()).collect();
        let expected = expected.map(|text| Value::Text(text.into()));
        for (order, words) in [
            (ByteOrder::ABCD, &words),
            (ByteOrder::CDAB, &words),
            (ByteOrder::BADC, &swapped),
            (ByteOrder::DCBA, &swapped),
        ] {
            assert_eq!(decode(&text_register(length, trim, order), words), expected);
        }
    }
}

fn any_register() -> impl Strategy<Value = Register> {
    let kinds = [
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
    let trims = prop::collection::vec(prop::sample::select(vec![Trim::Nul, Trim::Space]), 0..3);
    (
        prop::sample::select(kinds.to_vec()),
        prop::sample::select(ORDERS.to_vec()),
        any::<u8>(),
        any::<u16>(),
        trims,
    )
        .prop_map(|(kind, order, bit, length, trim)| Register {
            bit,
            length,
            trim,
            ..register(kind, order)
        })
}

proptest! {
    #[test]
    fn whole_numbers_come_back(value: i64) {
        let bytes = value.to_be_bytes();
        round_trip(TagType::I64, &bytes, &Ok(Value::Int(value)));
        round_trip(TagType::I32, &bytes[4..], &Ok(Value::Int(i64::from(value as i32))));
        round_trip(TagType::U32, &bytes[4..], &Ok(Value::Int(i64::from(value as u32))));
        round_trip(TagType::I16, &bytes[6..], &Ok(Value::Int(i64::from(value as i16))));
        round_trip(TagType::U16, &bytes[6..], &Ok(Value::Int(i64::from(value as u16))));
        let unsigned = u64::try_from(value).map(|_| Value::Int(value)).map_err(|_| BadReason::OutOfRange);
        round_trip(TagType::U64, &bytes, &unsigned);
    }

    #[test]
    fn measured_numbers_come_back(double: f64, single: f32) {
        prop_assume!(double.is_finite() && single.is_finite());
        round_trip(TagType::F64, &double.to_be_bytes(), &Ok(Value::Float(double)));
        for order in ORDERS {
            let words = encode(&single.to_be_bytes(), order);
            let Ok(Value::Float(read)) = decode(&register(TagType::F32, order), &words) else {
                return Err(TestCaseError::fail("not a number"));
            };
            prop_assert_eq!(read as f32, single);
        }
    }

    #[test]
    fn bcd_comes_back(value in 0i64..=99_999_999) {
        let packed = u32::from_str_radix(&value.to_string(), 16).unwrap();
        round_trip(TagType::Bcd32, &packed.to_be_bytes(), &Ok(Value::Int(value)));
        let low = u16::try_from(packed & 0xFFFF).unwrap();
        round_trip(TagType::Bcd16, &low.to_be_bytes(), &Ok(Value::Int(value % 10_000)));
    }

    #[test]
    fn no_registers_make_it_panic(register in any_register(), words in prop::collection::vec(any::<u16>(), 0..130)) {
        if let Ok(Value::Text(text)) = decode(&register, &words) {
            prop_assert!(text.len() <= usize::from(register.length));
        }
    }
}
