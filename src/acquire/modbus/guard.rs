//! Stands between the socket and the Modbus library and lets through only the one answer awaited, whole.
//!
//! tokio-modbus 0.17 waits for any length up to 65,535 that a header claims, throws away silently what follows an answer
//! in the same read, takes the late answer to a request that timed out for that of the next one and fails from then on, and
//! reports a closed connection as whatever `errno` says. So each header is checked here: protocol 0, length 3 to 254
//! (Messaging on TCP/IP 1.0b, 3.1.3), the transaction of the open request; a late answer to one of the last few is thrown
//! away, and nothing else may come. What is inside the frame (unit, function, byte count) `tcp` and the library compare.

use crate::acquire::whole::Patience;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes before those that the length counts: transaction, protocol, length.
const PREFIX_BYTES: usize = 6;
/// Unit, function and one more: an exception.
const MIN_LENGTH: u16 = 3;
/// Unit and the largest PDU, 253 bytes.
const MAX_LENGTH: u16 = 254;
/// A whole read request: prefix, unit, function, address, quantity.
const REQUEST_BYTES: usize = 12;
/// Requests that were given up and whose answers are still known when they come.
const MAX_LATE: usize = 16;
/// Bytes that are read at once: more than one answer has.
const PIECE_BYTES: usize = 512;

/// What the bytes that came in are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The beginning of a frame, or nothing.
    Wait,
    /// So many bytes are the answer.
    Answer(usize),
    /// So many bytes are an answer that nobody waits for any more.
    Late(usize),
}

/// The header rule, apart from the stream.
#[derive(Debug, Default)]
struct Rule {
    /// Transaction of the request that waits for its answer.
    open: Option<u16>,
    /// Those of requests that were given up.
    late: VecDeque<u16>,
    /// The beginning of a request of which only a part has gone out.
    sent: Vec<u8>,
}

impl Rule {
    /// Bytes of a request went out, in whatever pieces.
    fn sent(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sent.push(*byte);
            if let ([high, low], 2) = (self.sent.as_slice(), self.sent.len()) {
                self.asked(u16::from_be_bytes([*high, *low]));
            }
            if self.sent.len() == REQUEST_BYTES {
                self.sent.clear();
            }
        }
    }

    /// A request is open, and the one before given up if it had no answer.
    fn asked(&mut self, transaction: u16) {
        if let Some(given_up) = self.open.replace(transaction) {
            if self.late.len() == MAX_LATE {
                self.late.pop_front();
            }
            self.late.push_back(given_up);
        }
    }

    /// What the bytes are that have not been let through yet.
    fn judge(&mut self, bytes: &[u8]) -> Result<Verdict, String> {
        if bytes.is_empty() {
            return Ok(Verdict::Wait);
        }
        if self.open.is_none() && self.late.is_empty() {
            return Err("bytes that nobody asked for".into());
        }
        if bytes.iter().skip(2).take(2).any(|byte| *byte != 0) {
            return Err("a protocol identifier that is not 0: no Modbus".into());
        }
        let Some([high, low, _, _, length @ ..]) = bytes.first_chunk::<PREFIX_BYTES>() else {
            return Ok(Verdict::Wait);
        };
        let length = u16::from_be_bytes(*length);
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(format!(
                "a frame length of {length}, outside {MIN_LENGTH} to {MAX_LENGTH}"
            ));
        }
        let whole = PREFIX_BYTES + usize::from(length);
        self.whose(u16::from_be_bytes([*high, *low]), whole, bytes.len())
    }

    /// Whose frame of `whole` bytes that is, of which `come` bytes have come.
    fn whose(&mut self, transaction: u16, whole: usize, come: usize) -> Result<Verdict, String> {
        let late = self.late.iter().position(|late| *late == transaction);
        let is_open = self.open == Some(transaction);
        if !is_open && late.is_none() {
            return Err("the answer belongs to another request".into());
        }
        if come < whole {
            return Ok(Verdict::Wait);
        }
        if is_open {
            self.open = None;
            return Ok(Verdict::Answer(whole));
        }
        if let Some(at) = late {
            self.late.remove(at);
        }
        Ok(Verdict::Late(whole))
    }
}

/// A stream whose answers are checked while they are read.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    rule: Rule,
    /// Read, and not yet let through.
    incoming: Vec<u8>,
    /// How much of that is the answer.
    checked: usize,
    /// With a frame that has begun.
    patience: Patience,
}

impl<S> Guard<S> {
    pub(super) fn new(stream: S) -> Guard<S> {
        Guard {
            stream,
            rule: Rule::default(),
            incoming: Vec::with_capacity(2 * PIECE_BYTES),
            checked: 0,
            patience: Patience::default(),
        }
    }

    /// Looks at what came in, up to an answer and what follows it.
    fn check(&mut self) -> Result<(), String> {
        loop {
            let fresh = self.incoming.get(self.checked..).unwrap_or_default();
            match self.rule.judge(fresh)? {
                Verdict::Wait => return Ok(()),
                Verdict::Answer(bytes) => self.checked += bytes,
                Verdict::Late(bytes) => {
                    self.incoming.drain(self.checked..self.checked + bytes);
                }
            }
        }
    }

    /// Lets through what is checked.
    fn let_through(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.checked.min(buf.remaining());
        buf.put_slice(self.incoming.get(..count).unwrap_or_default());
        self.incoming.drain(..count);
        self.checked -= count;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.checked == 0 {
            let mut piece = [0; PIECE_BYTES];
            let mut fresh = ReadBuf::new(&mut piece);
            match Pin::new(&mut this.stream).poll_read(cx, &mut fresh) {
                Poll::Ready(read) => read?,
                Poll::Pending => return this.patience.poll_end(cx).map(Err),
            }
            if fresh.filled().is_empty() {
                let closed = "the connection was closed by the other side";
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    closed,
                )));
            }
            this.incoming.extend_from_slice(fresh.filled());
            let checked = this.check();
            checked.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
            let begun = this.incoming.len() > this.checked;
            this.patience.came(this.checked > 0, begun);
        }
        this.let_through(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.rule.sent(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(transaction: u8) -> [u8; REQUEST_BYTES] {
        [0, transaction, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]
    }

    fn frame(transaction: u8, protocol: u16, length: u16, body: usize) -> Vec<u8> {
        let mut bytes = vec![0, transaction];
        bytes.extend(protocol.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![0xAA; body]);
        bytes
    }

    /// What is let through of `bytes` after requests 7, 8, ... of which only the last is open, fed in pieces of `piece`.
    fn passed(requests: u8, bytes: &[u8], piece: usize) -> Result<Vec<u8>, String> {
        let mut guard = Guard::new(());
        for transaction in 7..7 + requests {
            for half in request(transaction).chunks(5) {
                guard.rule.sent(half);
            }
        }
        let mut through = Vec::new();
        for chunk in bytes.chunks(piece) {
            guard.incoming.extend_from_slice(chunk);
            guard.check()?;
            through.extend(guard.incoming.drain(..guard.checked));
            guard.checked = 0;
        }
        Ok(through)
    }

    #[test]
    fn only_one_frame_of_a_believable_length_passes() {
        for piece in [1, 2, 5, 300] {
            for length in [3, 4, 100, 254] {
                let right = frame(7, 0, length, usize::from(length));
                assert_eq!(passed(1, &right, piece), Ok(right));
                let long = frame(7, 0, length, usize::from(length) + 1);
                assert!(passed(1, &long, piece).is_err());
            }
            for length in [0, 1, 2, 255, 0xFFFF] {
                assert!(passed(1, &frame(7, 0, length, 3), piece).is_err());
            }
            for protocol in [1, 0x100, 0xFFFF] {
                assert!(passed(1, &frame(7, protocol, 5, 5), piece).is_err());
            }
            assert!(passed(1, &frame(9, 0, 5, 5), piece).is_err());
            assert!(passed(0, &[0], piece).is_err());
        }
    }

    #[test]
    fn a_late_answer_is_thrown_away_and_comes_once() {
        let (late, right) = (frame(7, 0, 9, 9), frame(8, 0, 5, 5));
        for piece in [1, 4, 300] {
            let both = [late.clone(), right.clone()].concat();
            assert_eq!(passed(2, &both, piece), Ok(right.clone()));
            let after = [right.clone(), late.clone()].concat();
            assert_eq!(passed(2, &after, piece), Ok(right.clone()));
            let twice = [late.clone(), late.clone()].concat();
            assert!(passed(2, &twice, piece).is_err());
        }
        let forgotten = u8::try_from(MAX_LATE).unwrap() + 2;
        assert!(passed(forgotten, &late, 300).is_err());
        assert_eq!(passed(forgotten - 1, &late, 300), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(
            requests in 0u8..4,
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(7), any::<u8>()], 0..600),
            piece in 1usize..40,
        ) {
            prop_assert_eq!(passed(requests, &bytes, piece).is_ok(), passed(requests, &bytes, bytes.len().max(1)).is_ok());
        }
    }
}
