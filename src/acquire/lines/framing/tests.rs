//! Telegrams by hand, and the promise: whatever the bytes, the pieces and the pauses, what comes of them is bounded.

use super::*;
use proptest::prelude::*;

const WHOLE_WITHIN: Duration = Duration::from_secs(5);

fn framing(start: &str, end: FrameEnd) -> Framing {
    Framing {
        start: start.as_bytes().to_vec(),
        end,
    }
}

fn mark(mark: &str) -> FrameEnd {
    FrameEnd::Mark(mark.as_bytes().to_vec())
}

fn all(framer: &mut Framer) -> Vec<String> {
    let whole = std::iter::from_fn(|| framer.take());
    whole
        .map(|one| String::from_utf8_lossy(&one).into_owned())
        .collect()
}

/// The telegrams of `bytes`, at most eight bytes long, and how many were thrown away.
fn check(start: &str, end: FrameEnd, bytes: &str, telegrams: &[&str], dropped: u64) {
    let mut framer = Framer::new(framing(start, end.clone()), 8, WHOLE_WITHIN);
    framer.feed(bytes.as_bytes(), Instant::now());
    let found = (all(&mut framer), framer.dropped());
    let expected: Vec<String> = telegrams.iter().map(|one| (*one).to_owned()).collect();
    assert_eq!(found, (expected, dropped), "{start:?} {end:?} {bytes:?}");
}

#[test]
fn lines_end_with_any_newline() {
    let any = || FrameEnd::AnyNewline;
    check("", any(), "a\rb\nc\r\nd\n\re", &["a", "b", "c", "d"], 0);
    check("", any(), "\r\n\r\n\n", &[], 0);
    check(
        "",
        any(),
        "12345678\r123456789\rab\r",
        &["12345678", "ab"],
        1,
    );
    check("\x02", any(), "noise\x02a\rnoise\r\x02b\r", &["a", "b"], 0);
}

#[test]
fn a_mark_ends_a_telegram_even_across_the_limit() {
    check("", mark("\r\n"), "a\rb\r\nc\nd\r\n", &["a\rb", "c\nd"], 0);
    check(
        "",
        mark("\r\n"),
        "12345678\r\nab\r\n",
        &["12345678", "ab"],
        0,
    );
    check("", mark("\r\n"), "123456789\r\nab\r\n", &["ab"], 1);
    check("", mark("\r\n"), "1234567890\r\nab\r\n", &["ab"], 1);
    check("", mark("\r\n"), "12345678901\r\n\r\nab\r\n", &["ab"], 1);
    check(
        "\x02",
        mark("\x03"),
        "x\x02a\x03y\x02b\x03\x03\x02c",
        &["a", "b"],
        0,
    );
    check("((", mark("))"), "((a)(b))(((c))", &["a)(b", "(c"], 0);
}

#[test]
fn the_newline_behind_a_telegram_in_marks_belongs_to_neither() {
    let two = "\x02+12.5\x03\r\x02-0.3\x03\r\n";
    check("\x02", mark("\x03"), two, &["+12.5", "-0.3"], 0);
    check("\x02", mark("\x03\r"), two, &["+12.5", "-0.3"], 0);
    // STX and CR alone, as printers' ports have it.
    let plain = "\x02+12.5\r\x02-0.3\r";
    check("\x02", FrameEnd::AnyNewline, plain, &["+12.5", "-0.3"], 0);
}

#[test]
fn a_control_character_starts_anew_and_a_letter_does_not() {
    check(
        "\x02",
        mark("\x03"),
        "\x02half\x02\x02whole\x03",
        &["whole"],
        1,
    );
    check(
        "\x02",
        mark("\x03"),
        "\x02far too long\x02whole\x03",
        &["whole"],
        1,
    );
    check("W", mark("\r"), "WXW12\r12\rW7\r", &["XW12", "7"], 0);
    check("W", mark("\r"), "Wfar too Wlong\rW7\r", &["7"], 1);
}

#[test]
fn telegrams_of_a_length_find_their_start_again() {
    let length = FrameEnd::Length;
    check("", length(3), "abcdefgh", &["abc", "def"], 0);
    check(
        "\x02",
        length(4),
        "c\x02abcxx\x02defy\x02gh",
        &["abc", "def"],
        0,
    );
    check("\x02", length(4), "\x02ab\x02def", &["def"], 1);
    check("W", length(4), "WWWWW123", &["WWW", "123"], 0);
    check("", length(5), "12.\r\n13.\r\n", &["12.", "13."], 0);
}

#[test]
fn a_pause_ends_a_telegram() {
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    let gap = FrameEnd::Idle(Duration::from_millis(50));
    let mut framer = Framer::new(framing("", gap), 8, WHOLE_WITHIN);
    assert_eq!(framer.deadline(), None);
    framer.feed(b"ab", after(0));
    framer.feed(b"c\r", after(40));
    assert_eq!(framer.deadline(), Some(after(90)));
    framer.tick(after(89));
    assert_eq!(all(&mut framer), [""; 0]);
    framer.tick(after(90));
    assert_eq!(
        (all(&mut framer), framer.deadline()),
        (vec!["abc".into()], None)
    );
    framer.feed(b"d", after(200));
    framer.feed(b"e", after(250));
    framer.feed(b"123456789", after(260));
    framer.feed(b"f", after(310));
    framer.tick(after(360));
    assert_eq!(
        (all(&mut framer), framer.dropped()),
        (vec!["d".into(), "f".into()], 1)
    );
}

#[test]
fn half_a_line_does_not_stick_to_the_next_scan() {
    let start = Instant::now();
    let mut framer = Framer::new(framing("", FrameEnd::AnyNewline), 8, WHOLE_WITHIN);
    framer.feed(b"x7#", start);
    assert_eq!(framer.begun(), Some(start));
    framer.feed(b"A7\n", start + HALF_LINE);
    assert_eq!((all(&mut framer), framer.dropped()), (vec!["A7".into()], 1));
    assert_eq!(framer.begun(), None);
}

#[test]
fn a_byte_a_second_makes_no_line_and_no_half_of_one() {
    let start = Instant::now();
    let mut framer = Framer::new(framing("", FrameEnd::AnyNewline), 1_024, WHOLE_WITHIN);
    for (second, byte) in (0..).zip(b"0123456789\nA7\n") {
        framer.feed(&[*byte], start + Duration::from_secs(second));
    }
    assert_eq!((all(&mut framer), framer.dropped()), (vec!["A7".into()], 1));
}

#[test]
fn what_is_forgotten_is_counted_and_gone() {
    let now = Instant::now();
    let mut framer = Framer::new(framing("", FrameEnd::AnyNewline), 8, WHOLE_WITHIN);
    framer.feed(b"a\nb\nc", now);
    assert_eq!(framer.forget(), 3);
    framer.feed(b"d\n", now);
    assert_eq!(all(&mut framer), ["d"]);
}

fn any_end() -> impl Strategy<Value = FrameEnd> {
    prop_oneof![
        Just(FrameEnd::AnyNewline),
        prop::collection::vec(b'a'..=b'c', 1..4).prop_map(FrameEnd::Mark),
        (4usize..8).prop_map(FrameEnd::Length),
        Just(FrameEnd::Idle(Duration::from_millis(50))),
    ]
}

fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![b'a'..=b'c', Just(2u8), Just(b'\n'), any::<u8>()]
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        end in any_end(),
        start in prop::collection::vec(prop_oneof![Just(2u8), b'a'..=b'c'], 0..3),
        bytes in prop::collection::vec(any_byte(), 0..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let now = Instant::now();
        let framing = Framing { start, end };
        let fresh = || Framer::new(framing.clone(), 8, WHOLE_WITHIN);
        let (mut at_once, mut in_pieces) = (fresh(), fresh());
        at_once.feed(&bytes, now);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for cut in cuts.windows(2) {
            in_pieces.feed(&bytes[cut[0]..cut[1]], now);
            prop_assert!(in_pieces.kept.len() <= 8 + 4);
        }
        let later = now + Duration::from_millis(50);
        at_once.tick(later);
        in_pieces.tick(later);
        for telegram in &at_once.whole {
            prop_assert!(!telegram.is_empty() && telegram.len() <= 8);
        }
        prop_assert_eq!(at_once.whole, in_pieces.whole);
        prop_assert_eq!(at_once.dropped, in_pieces.dropped);
    }

    #[test]
    fn whatever_the_pauses_it_is_bounded(
        end in any_end(),
        start in prop::collection::vec(prop_oneof![Just(2u8), b'a'..=b'c'], 0..3),
        pieces in prop::collection::vec((0u64..6_000, prop::collection::vec(any_byte(), 0..30)), 0..30),
    ) {
        let mut framer = Framer::new(Framing { start, end }, 8, WHOLE_WITHIN);
        let mut now = Instant::now();
        for (pause_ms, piece) in pieces {
            now += Duration::from_millis(pause_ms);
            framer.feed(&piece, now);
            prop_assert!(framer.kept.len() <= 8 + 4);
            prop_assert!(framer.begun().is_none_or(|begun| now - begun <= WHOLE_WITHIN + HALF_LINE));
            while let Some(telegram) = framer.take() {
                prop_assert!((1..=8).contains(&telegram.len()));
            }
            prop_assert!(framer.dropped() <= 31);
        }
    }
}
