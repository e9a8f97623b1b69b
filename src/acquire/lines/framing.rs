//! Pure. Bytes in pieces of any size -> telegrams. Called by the driver with what it read and when.
//!
//! Bounded: a telegram that is longer than `max_length`, or not whole in time, is thrown away and counted, and what follows
//! is taken again from the next end (or start mark) on. Marks are cut off, empty telegrams are nothing.

use crate::settings::{FrameEnd, Framing};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// After so long without a byte, half a line is no beginning of what comes next.
pub const HALF_LINE: Duration = Duration::from_secs(5);

/// Takes telegrams out of a stream of bytes.
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    max_length: usize,
    /// A telegram that is not whole so long after its first byte is thrown away.
    whole_within: Duration,
    place: Place,
    /// The telegram so far; while hunting or skipping, as much as the longest mark.
    kept: Vec<u8>,
    begun: Option<Instant>,
    last: Option<Instant>,
    whole: VecDeque<Vec<u8>>,
    dropped: u64,
}

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a start mark.
    Hunting,
    /// In a telegram.
    Inside,
    /// In one that is thrown away: until its end.
    Skipping,
}

impl Framer {
    /// A framer that has seen nothing. `whole_within` is what a telegram may take from its first byte to its last.
    #[must_use]
    pub fn new(framing: Framing, max_length: usize, whole_within: Duration) -> Framer {
        let mut framer = Framer {
            framing,
            max_length,
            whole_within,
            place: Place::Hunting,
            kept: Vec::new(),
            begun: None,
            last: None,
            whole: VecDeque::new(),
            dropped: 0,
        };
        framer.afresh();
        framer
    }

    /// Takes bytes that were read at `now`. At most one telegram per byte comes of them: call [`Framer::take`] in between.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) {
        self.tick(now);
        for byte in bytes {
            self.step(*byte, now);
        }
        if !bytes.is_empty() {
            self.last = Some(now);
        }
    }

    /// Looks at the time: a pause may end a telegram, or half of one.
    pub fn tick(&mut self, now: Instant) {
        let Some(last) = self.last else { return };
        let quiet = now.saturating_duration_since(last);
        match self.framing.end {
            FrameEnd::Idle(gap) if quiet >= gap => {
                if self.place == Place::Inside {
                    self.complete(0);
                } else {
                    self.afresh();
                }
                self.last = None;
            }
            _ if quiet >= HALF_LINE => {
                self.dropped += u64::from(self.has_begun());
                self.afresh();
                self.last = None;
            }
            _ if self.has_begun() && self.is_slow(now) => self.skip(),
            _ => {}
        }
    }

    /// When [`Framer::tick`] has something to do, if no byte comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.framing.end {
            FrameEnd::Idle(gap) => self.last.map(|last| last + gap),
            _ => None,
        }
    }

    /// The next whole telegram.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }

    /// The telegram that is coming has begun at this instant.
    #[must_use]
    pub fn begun(&self) -> Option<Instant> {
        self.begun.filter(|_| self.has_begun())
    }

    /// Telegrams thrown away since the last call: too long, too slow, broken off.
    pub fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Forgets what it has, whole or not: the next byte is a first one. Says how many telegrams that were.
    pub fn forget(&mut self) -> usize {
        let forgotten = self.whole.len() + usize::from(self.has_begun());
        self.whole.clear();
        self.last = None;
        self.afresh();
        forgotten
    }

    fn step(&mut self, byte: u8, now: Instant) {
        match self.place {
            Place::Hunting => {
                self.slide(byte);
                if self.kept.ends_with(&self.framing.start) {
                    self.begin(now);
                }
            }
            Place::Inside => {
                self.begun.get_or_insert(now);
                self.kept.push(byte);
                self.inside(now);
            }
            Place::Skipping => {
                self.slide(byte);
                if self.mark().is_some() {
                    self.afresh();
                } else if self.starts_anew() {
                    self.begin(now);
                }
            }
        }
    }

    /// A byte more of the telegram.
    fn inside(&mut self, now: Instant) {
        let most = self.max_length + self.longest_end();
        if let Some(mark) = self.mark() {
            self.complete(mark);
        } else if self.starts_anew() {
            let broken_off = self.kept.len() > self.framing.start.len();
            self.dropped += u64::from(broken_off);
            self.begin(now);
        } else if self.kept.len() >= most && self.longest_end() > 0 || self.kept.len() > most {
            self.skip();
        }
    }

    /// The length of the mark that ends the telegram here, if one does.
    fn mark(&self) -> Option<usize> {
        match &self.framing.end {
            FrameEnd::AnyNewline => {
                let ends = matches!(self.kept.last(), Some(b'\r' | b'\n'));
                ends.then_some(1)
            }
            FrameEnd::Mark(mark) => self.kept.ends_with(mark).then_some(mark.len()),
            FrameEnd::Length(length) => {
                let whole = self.kept.len() + self.framing.start.len() >= *length;
                (whole && self.place == Place::Inside && !self.starts_anew()).then_some(0)
            }
            FrameEnd::Idle(_) => None,
        }
    }

    fn longest_end(&self) -> usize {
        match &self.framing.end {
            FrameEnd::AnyNewline => 1,
            FrameEnd::Mark(mark) => mark.len(),
            FrameEnd::Length(_) | FrameEnd::Idle(_) => 0,
        }
    }

    /// A start mark inside a telegram means that the end before it was lost. Only control characters are never text.
    fn starts_anew(&self) -> bool {
        let start = &self.framing.start;
        start.first().is_some_and(u8::is_ascii_control) && self.kept.ends_with(start)
    }

    fn has_begun(&self) -> bool {
        self.place == Place::Inside && !self.kept.is_empty()
    }

    fn is_slow(&self, now: Instant) -> bool {
        let taken = self.begun.map(|begun| now.saturating_duration_since(begun));
        taken.is_some_and(|taken| taken > self.whole_within)
    }

    /// Behind a start mark.
    fn begin(&mut self, now: Instant) {
        self.place = Place::Inside;
        self.kept.clear();
        self.begun = (!self.framing.start.is_empty()).then_some(now);
    }

    /// Before a telegram.
    fn afresh(&mut self) {
        self.kept.clear();
        self.begun = None;
        self.place = if self.framing.start.is_empty() {
            Place::Inside
        } else {
            Place::Hunting
        };
    }

    /// Throws the telegram away; its end may have begun already.
    fn skip(&mut self) {
        self.dropped += 1;
        self.place = Place::Skipping;
        self.begun = None;
        let surplus = self.kept.len().saturating_sub(self.window());
        self.kept.drain(..surplus);
    }

    /// Keeps the last bytes only.
    fn slide(&mut self, byte: u8) {
        self.kept.push(byte);
        let surplus = self.kept.len().saturating_sub(self.window());
        self.kept.drain(..surplus);
    }

    fn window(&self) -> usize {
        self.framing.start.len().max(self.longest_end()).max(1)
    }

    /// A whole telegram, without the mark at its end and, where no mark ends it, without a line end.
    fn complete(&mut self, mark: usize) {
        let mut telegram = std::mem::take(&mut self.kept);
        telegram.truncate(telegram.len().saturating_sub(mark));
        if self.longest_end() == 0 {
            while telegram
                .pop_if(|last| matches!(last, b'\r' | b'\n'))
                .is_some()
            {}
        }
        if !telegram.is_empty() {
            self.whole.push_back(telegram);
        }
        self.afresh();
    }
}

#[cfg(test)]
mod tests {
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

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            end in any_end(),
            start in prop::collection::vec(prop_oneof![Just(2u8), b'a'..=b'c'], 0..3),
            bytes in prop::collection::vec(prop_oneof![b'a'..=b'c', Just(2u8), Just(b'\n'), any::<u8>()], 0..200),
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
    }
}
