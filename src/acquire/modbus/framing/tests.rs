//! Frames by hand, and the promise: whatever the bytes, only what was asked for is an answer.

use super::*;
use proptest::prelude::*;

fn ask(table: Table, count: u16) -> Ask {
    Ask {
        unit: 0x11,
        table,
        start: 0x6B,
        count,
    }
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut frame = content.to_vec();
    frame.extend(crc(content).to_le_bytes());
    frame
}

/// The right answer, with these value bytes.
fn answer(ask: Ask, values: &[u8]) -> Vec<u8> {
    let count = u8::try_from(values.len()).unwrap();
    sealed(&[&[ask.unit, ask.function(), count][..], values].concat())
}

fn judge(ask: Ask, bytes: &[u8]) -> Verdict {
    ask.judge(bytes, Known::default()).verdict
}

fn garbage(ask: Ask, bytes: &[u8]) -> bool {
    matches!(judge(ask, bytes), Verdict::Garbage(_))
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    // The check value of CRC-16/MODBUS, and the example of the guide: 02 07 -> 41 12.
    assert_eq!(crc(b"123456789"), 0x4B37);
    assert_eq!(sealed(&[0x02, 0x07]), [0x02, 0x07, 0x41, 0x12]);
}

#[test]
fn a_request_is_one_of_the_four_reads() {
    let functions = [
        (Table::Coils, 1),
        (Table::DiscreteInputs, 2),
        (Table::HoldingRegisters, 3),
        (Table::InputRegisters, 4),
    ];
    for (table, function) in functions {
        let frame = ask(table, 3).frame();
        assert_eq!(frame[..6], [0x11, function, 0, 0x6B, 0, 3]);
        assert!(checked(&frame).is_some());
    }
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    let three = ask(Table::HoldingRegisters, 3);
    let bytes = answer(three, &[0x02, 0x2B, 0, 0, 0, 0x64]);
    for end in 0..bytes.len() {
        assert_eq!(judge(three, &bytes[..end]), Verdict::Wait, "{end}");
    }
    let words = Answer::Words(vec![0x022B, 0, 0x64]);
    assert_eq!(judge(three, &bytes), Verdict::Answer(words));
    let nine = ask(Table::Coils, 9);
    let bits = [true, false, true, false, false, false, false, false, true];
    let bytes = answer(nine, &[0b101, 0b11]);
    assert_eq!(
        judge(nine, &bytes),
        Verdict::Answer(Answer::Bits(bits.into()))
    );
}

#[test]
fn an_exception_keeps_its_code() {
    let three = ask(Table::InputRegisters, 3);
    let bytes = sealed(&[0x11, 0x84, 2]);
    assert_eq!(judge(three, &bytes), Verdict::Exception(2));
    assert_eq!(judge(three, &bytes[..4]), Verdict::Wait);
    assert!(
        garbage(three, &sealed(&[0x11, 0x83, 2])),
        "of another function"
    );
}

#[test]
fn nothing_but_the_answer_to_the_request_is_one() {
    let three = ask(Table::HoldingRegisters, 3);
    let right = answer(three, &[1, 2, 3, 4, 5, 6]);
    for place in 0..right.len() {
        let mut damaged = right.clone();
        damaged[place] ^= 0x10;
        assert!(garbage(three, &damaged), "byte {place}");
    }
    assert!(garbage(three, &sealed(&[0x12, 3, 6, 1, 2, 3, 4, 5, 6])));
    assert!(garbage(three, &sealed(&[0x11, 4, 6, 1, 2, 3, 4, 5, 6])));
    assert!(garbage(three, &sealed(&[0x11, 3, 4, 1, 2, 3, 4])));
    assert!(garbage(
        three,
        &sealed(&[0x11, 3, 8, 1, 2, 3, 4, 5, 6, 7, 8])
    ));
    assert!(garbage(three, &[0; 600]));
    assert!(garbage(three, &[0x11; 600]));
}

#[test]
fn a_transceiver_may_make_up_a_few_bytes_before_an_answer() {
    let one = ask(Table::HoldingRegisters, 1);
    for noise in [&[0][..], &[0xFF, 0], &[0; 4]] {
        let bytes = [noise, &answer(one, &[0, 7])].concat();
        assert_eq!(judge(one, &bytes), Verdict::Answer(Answer::Words(vec![7])));
    }
    let bytes = [&[0; 5][..], &answer(one, &[0, 7])].concat();
    assert!(garbage(one, &bytes));
}

#[test]
fn an_adapter_may_hear_itself() {
    let one = ask(Table::HoldingRegisters, 1);
    let bytes = [one.frame().to_vec(), answer(one, &[0, 7])].concat();
    let known = Known::default();
    for end in 0..bytes.len() {
        let judged = one.judge(&bytes[..end], known);
        assert_eq!((judged.verdict, judged.echoed), (Verdict::Wait, end >= 8));
    }
    let judged = one.judge(&bytes, known);
    assert_eq!(judged.verdict, Verdict::Answer(Answer::Words(vec![7])));
    let twice = [one.frame().to_vec(), one.frame().to_vec()].concat();
    assert!(garbage(one, &twice), "once is an echo, twice is noise");
}

#[test]
fn an_answer_with_the_bytes_of_its_request_is_an_echo_only_where_there_are_echoes() {
    let twin = Ask {
        unit: 1,
        table: Table::Coils,
        start: 0x0355,
        count: 24,
    };
    let bytes = answer(twin, &[0x55, 0, 24]);
    assert_eq!(bytes, twin.frame());
    assert!(matches!(judge(twin, &bytes), Verdict::Answer(_)));
    let echoing = Known {
        echoes: true,
        abandoned: None,
    };
    assert_eq!(twin.judge(&bytes, echoing).verdict, Verdict::Wait);
    let both = [bytes.clone(), bytes].concat();
    assert!(matches!(
        twin.judge(&both, echoing).verdict,
        Verdict::Answer(_)
    ));
}

#[test]
fn the_late_answer_to_another_request_is_skipped() {
    let one = ask(Table::HoldingRegisters, 1);
    let late = Ask {
        unit: 9,
        ..ask(Table::Coils, 100)
    };
    let known = Known {
        echoes: false,
        abandoned: Some(late),
    };
    let right = answer(one, &[0, 7]);
    for old in [answer(late, &[0xA5; 13]), sealed(&[9, 0x81, 4])] {
        let bytes = [old.clone(), right.clone()].concat();
        for end in 0..bytes.len() {
            assert_eq!(one.judge(&bytes[..end], known).verdict, Verdict::Wait);
        }
        let verdict = one.judge(&bytes, known).verdict;
        assert_eq!(verdict, Verdict::Answer(Answer::Words(vec![7])));
        assert!(garbage(one, &bytes), "that of a unit nobody asked");
    }
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let tables = [
        (Table::Coils, 2_000),
        (Table::DiscreteInputs, 2_000),
        (Table::HoldingRegisters, 125),
        (Table::InputRegisters, 125),
    ];
    let table = prop::sample::select(tables.to_vec());
    (any::<u8>(), table, any::<u16>(), any::<u16>()).prop_map(
        |(unit, (table, most), start, count)| Ask {
            unit,
            table,
            start,
            count: count % most + 1,
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        ask in any_ask(),
        abandoned in prop::option::of(any_ask()),
        echoes: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        std::hint::black_box(ask.judge(&bytes, Known { echoes, abandoned }));
    }

    #[test]
    fn what_is_sealed_rightly_is_an_answer_only_with_as_many_values(
        ask in any_ask(),
        abandoned in prop::option::of(any_ask()),
        echoes: bool,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        before in prop::collection::vec(any::<u8>(), 0..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut content = [&before[..], &answer(ask, &vec![0x5A; usize::from(ask.value_bytes())])].concat();
        for (at, byte) in edits {
            let length = content.len();
            content[at.index(length)] = byte;
        }
        content.truncate(cut.index(content.len() + 1));
        let bytes = sealed(&content);
        match ask.judge(&bytes, Known { echoes, abandoned }).verdict {
            Verdict::Answer(Answer::Words(words)) => prop_assert_eq!(words.len(), usize::from(ask.count)),
            Verdict::Answer(Answer::Bits(bits)) => prop_assert_eq!(bits.len(), usize::from(ask.count)),
            Verdict::Exception(_) | Verdict::Wait | Verdict::Garbage(_) => {}
        }
    }

    #[test]
    fn a_right_answer_is_read_in_whatever_pieces(ask in any_ask(), byte: u8, cut in any::<prop::sample::Index>()) {
        let bytes = answer(ask, &vec![byte; usize::from(ask.value_bytes())]);
        prop_assert_eq!(bytes.len(), ask.answer_bytes());
        prop_assert!(bytes.len() <= MAX_FRAME_BYTES);
        let part = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(judge(ask, part), Verdict::Wait);
        let is_right = match judge(ask, &bytes) {
            Verdict::Answer(Answer::Words(words)) => words.len() == usize::from(ask.count),
            Verdict::Answer(Answer::Bits(bits)) => bits.len() == usize::from(ask.count),
            _ => false,
        };
        prop_assert!(is_right);
    }

    #[test]
    fn two_damaged_bits_are_always_found(ask in any_ask(), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let right = answer(ask, &vec![0x5A; usize::from(ask.value_bytes())]);
        let bits = right.len() * 8;
        let (one, other) = (one.index(bits), other.index(bits));
        prop_assume!(one != other);
        let mut damaged = right;
        for bit in [one, other] {
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assert!(!matches!(judge(ask, &damaged), Verdict::Answer(_)));
    }
}
