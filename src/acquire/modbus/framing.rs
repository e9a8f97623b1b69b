//! Modbus RTU frames: the request of a read, and the one answer to it in whatever bytes come back.
//!
//! Pure. Called by `rtu`. Own code, because the library cannot be made safe here: its RTU client takes the length from the
//! answer, drops bytes until some frame has a right checksum, and so returns a late answer as that of the next request. Here
//! everything is known beforehand: unit, function, byte count, length. Nothing else passes (Modbus over Serial Line 1.02,
//! 2.5.1), and requests of the four read functions are the only ones there are.

use super::answer::Answer;
use super::plan::{Request, has_bits};
use crate::settings::Table;

/// Bytes of a read request: unit, function, address, quantity, checksum.
pub const REQUEST_BYTES: usize = 8;
/// Longest frame (2.5.1.1).
pub const MAX_FRAME_BYTES: usize = 256;
/// Bytes of an exception: unit, function with its highest bit set, code, checksum.
const EXCEPTION_BYTES: usize = 5;
/// Bytes of an answer beside its values: unit, function, byte count, checksum.
const FRAME_BYTES: usize = 5;
/// Bytes before an answer that a transceiver makes up when it changes direction.
const MAX_NOISE_BYTES: usize = 4;
/// Marks the function of an exception.
const EXCEPTION: u8 = 0x80;

/// One read request to one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    unit: u8,
    table: Table,
    start: u16,
    count: u16,
}

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The beginning of an answer, or nothing yet.
    Wait,
    /// The answer: exactly as many values as were asked for.
    Answer(Answer),
    /// The unit says no, by this code.
    Exception(u8),
    /// They can no longer become an answer; why.
    Garbage(&'static str),
}

/// What is known of a wire when its bytes are judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The adapter hears itself: each request comes back before the answer.
    pub echoes: bool,
    /// A request that was given up: its answer may still come.
    pub abandoned: Option<Ask>,
}

/// What the bytes are, and whether the request came back before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The request itself was among the bytes.
    pub echoed: bool,
}

impl Ask {
    /// The request for `request` to a unit.
    #[must_use]
    pub fn new(unit: u8, request: &Request) -> Ask {
        Ask {
            unit,
            table: request.table,
            start: request.start,
            count: request.count,
        }
    }

    /// The frame on the wire.
    #[must_use]
    pub fn frame(self) -> [u8; REQUEST_BYTES] {
        let [start_high, start_low] = self.start.to_be_bytes();
        let [count_high, count_low] = self.count.to_be_bytes();
        let head = [
            self.unit,
            self.function(),
            start_high,
            start_low,
            count_high,
            count_low,
        ];
        let [low, high] = crc(&head).to_le_bytes();
        let [unit, function, ..] = head;
        [
            unit, function, start_high, start_low, count_high, count_low, low, high,
        ]
    }

    /// Bytes of the whole answer on the wire.
    #[must_use]
    pub fn answer_bytes(self) -> usize {
        FRAME_BYTES + usize::from(self.value_bytes())
    }

    /// What `bytes` are, which is all that came since the request went out.
    #[must_use]
    pub fn judge(self, bytes: &[u8], known: Known) -> Judged {
        let request = self.frame();
        let mut rest = bytes;
        let mut echoed = false;
        loop {
            let is_echo = !echoed && rest.starts_with(&request);
            let is_answer = matches!(self.whole(rest), Whole::Good(_));
            // An answer whose bytes are those of its request: only where the wire is known to echo, the request comes first.
            if is_echo && (known.echoes || !is_answer) {
                echoed = true;
                rest = rest.get(REQUEST_BYTES..).unwrap_or_default();
            } else if let Some(late) = self.late(rest, known.abandoned) {
                rest = rest.get(late..).unwrap_or_default();
            } else {
                break;
            }
        }
        let may_be_echo = !echoed && request.starts_with(rest);
        let verdict = match self.find(rest, known.abandoned) {
            Verdict::Garbage(_) if may_be_echo => Verdict::Wait,
            verdict => verdict,
        };
        Judged { verdict, echoed }
    }

    /// Length of the late answer to another request that `bytes` begin with.
    fn late(self, bytes: &[u8], abandoned: Option<Ask>) -> Option<usize> {
        let abandoned = abandoned?;
        if matches!(self.whole(bytes), Whole::Good(_)) {
            return None;
        }
        match abandoned.whole(bytes) {
            Whole::Good(Verdict::Exception(_)) => Some(EXCEPTION_BYTES),
            Whole::Good(_) => Some(abandoned.answer_bytes()),
            _ => None,
        }
    }

    /// The answer in `bytes`, behind a few bytes of noise at most.
    fn find(self, bytes: &[u8], abandoned: Option<Ask>) -> Verdict {
        if bytes.len() > 2 * MAX_FRAME_BYTES {
            return Verdict::Garbage("bytes without end");
        }
        let mut first = None;
        for noise in 0..=MAX_NOISE_BYTES.min(bytes.len()) {
            let here = bytes.get(noise..).unwrap_or_default();
            match self.whole(here) {
                Whole::Good(verdict) => return verdict,
                Whole::Partly => return Verdict::Wait,
                Whole::Other(why) => first = first.or(Some(why)),
            }
        }
        let late = abandoned.is_some_and(|ask| ask.whole(bytes) == Whole::Partly);
        match first {
            Some(why) if !late && bytes.len() > MAX_NOISE_BYTES => Verdict::Garbage(why),
            _ => Verdict::Wait,
        }
    }

    /// What `bytes` are when an answer begins with the first of them.
    fn whole(self, bytes: &[u8]) -> Whole {
        let Some((unit, after)) = bytes.split_first() else {
            return Whole::Partly;
        };
        if *unit != self.unit {
            return Whole::Other("the answer of another unit");
        }
        let Some((function, after)) = after.split_first() else {
            return Whole::Partly;
        };
        if *function == self.function() | EXCEPTION {
            return exception(bytes);
        }
        if *function != self.function() {
            return Whole::Other("the answer is of another function");
        }
        let Some((count, _)) = after.split_first() else {
            return Whole::Partly;
        };
        if *count != self.value_bytes() {
            return Whole::Other("another number of values than was asked for");
        }
        let Some(frame) = bytes.get(..self.answer_bytes()) else {
            return Whole::Partly;
        };
        match checked(frame).and_then(|content| content.get(3..)) {
            Some(values) => Whole::Good(Verdict::Answer(self.values(values))),
            None => Whole::Other("a wrong checksum"),
        }
    }

    /// The values of a frame whose length is right.
    fn values(self, bytes: &[u8]) -> Answer {
        if has_bits(self.table) {
            let bit = |at: usize| {
                let byte = bytes.get(at / 8).copied().unwrap_or_default();
                byte >> (at % 8) & 1 == 1
            };
            return Answer::Bits((0..usize::from(self.count)).map(bit).collect());
        }
        let (pairs, _) = bytes.as_chunks::<2>();
        Answer::Words(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    }

    /// Bytes of the values in the answer. A request has at most 125 registers or 2,000 bits: 250 bytes.
    fn value_bytes(self) -> u8 {
        let bytes = if has_bits(self.table) {
            self.count.div_ceil(8)
        } else {
            self.count.saturating_mul(2)
        };
        u8::try_from(bytes).unwrap_or(u8::MAX)
    }

    fn function(self) -> u8 {
        match self.table {
            Table::Coils => 1,
            Table::DiscreteInputs => 2,
            Table::HoldingRegisters => 3,
            Table::InputRegisters => 4,
        }
    }
}

/// What bytes are at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whole {
    Good(Verdict),
    Partly,
    Other(&'static str),
}

fn exception(bytes: &[u8]) -> Whole {
    let Some(frame) = bytes.get(..EXCEPTION_BYTES) else {
        return Whole::Partly;
    };
    match checked(frame) {
        Some([_, _, code]) => Whole::Good(Verdict::Exception(*code)),
        _ => Whole::Other("a wrong checksum"),
    }
}

/// A frame without its checksum, if that is right.
fn checked(frame: &[u8]) -> Option<&[u8]> {
    let (content, sum) = frame.split_last_chunk::<2>()?;
    (u16::from_le_bytes(*sum) == crc(content)).then_some(content)
}

/// The checksum of RTU: CRC-16 with the polynomial 0xA001, the low byte first on the wire (6.2.2).
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        let [low, _] = (sum ^ u16::from(*byte)).to_le_bytes();
        let step = CRC.get(usize::from(low)).copied().unwrap_or_default();
        (sum >> 8) ^ step
    })
}

/// What one byte does to the checksum.
const CRC: [u16; 256] = crc_table();

#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "made by the compiler: a place outside the table would not build"
)]
const fn crc_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0xA001
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests;
