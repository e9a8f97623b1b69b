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
mod tests;
