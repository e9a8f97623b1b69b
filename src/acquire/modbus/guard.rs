//! Stands between the socket and the Modbus library and lets through only bytes that can be the one answer awaited.
//!
//! tokio-modbus 0.17 waits for any length up to 65,535 that a header claims, throws away silently what follows an answer
//! in the same read, and reports a closed connection as whatever `errno` says. So the header is checked here, as the bytes
//! pass: protocol 0, length 3 to 254 (Messaging on TCP/IP 1.0b, 3.1.3), nothing that was not asked for, a closed
//! connection as one. What is inside the frame (transaction, unit, function, byte count) `wire` and the library compare.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes before those that the length counts: transaction, protocol, length.
const PREFIX_BYTES: u8 = 6;
/// Unit, function and one more: an exception.
const MIN_LENGTH: u16 = 3;
/// Unit and the largest PDU, 253 bytes.
const MAX_LENGTH: u16 = 254;

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Nothing: no request is open.
    Silence,
    /// The next byte of the prefix; `length` is what has been read of the length field.
    Prefix { at: u8, length: u16 },
    /// So many more bytes of the frame.
    Body { left: u16 },
}

/// The header rule as a small state machine, apart from the stream.
#[derive(Debug)]
struct Rule(Expected);

impl Rule {
    /// Bytes of a request went out: one answer may come.
    fn asked(&mut self) {
        if self.0 == Expected::Silence {
            self.0 = Expected::Prefix { at: 0, length: 0 };
        }
    }

    /// Checks the next bytes that came in, in whatever pieces.
    fn check(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = match self.0 {
                Expected::Silence => return Err("bytes that nobody asked for".into()),
                Expected::Prefix { at, length } => {
                    self.0 = prefix(at, length, *byte)?;
                    after
                }
                Expected::Body { left } => {
                    let now = usize::from(left).min(rest.len());
                    let left = left.saturating_sub(u16::try_from(now).unwrap_or(u16::MAX));
                    self.0 = if left == 0 {
                        Expected::Silence
                    } else {
                        Expected::Body { left }
                    };
                    rest.get(now..).unwrap_or_default()
                }
            };
        }
        Ok(())
    }
}

/// One byte of the prefix.
fn prefix(at: u8, length: u16, byte: u8) -> Result<Expected, String> {
    let length = match at {
        2 | 3 if byte != 0 => return Err("a protocol identifier that is not 0: no Modbus".into()),
        4 | 5 => (length << 8) | u16::from(byte),
        _ => length,
    };
    if at + 1 < PREFIX_BYTES {
        return Ok(Expected::Prefix { at: at + 1, length });
    }
    if (MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        Ok(Expected::Body { left: length })
    } else {
        Err(format!(
            "a frame length of {length}, outside {MIN_LENGTH} to {MAX_LENGTH}"
        ))
    }
}

/// A stream whose answers are checked while they are read.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    rule: Rule,
}

impl<S> Guard<S> {
    pub(super) fn new(stream: S) -> Guard<S> {
        Guard {
            stream,
            rule: Rule(Expected::Silence),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() && room {
            let closed = "the connection was closed by the other side";
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                closed,
            )));
        }
        let checked = self.rule.check(fresh);
        Poll::Ready(checked.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.rule.asked();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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

    /// The verdict on `bytes` after one request, fed in pieces of `piece`.
    fn verdict(bytes: &[u8], piece: usize) -> Result<(), String> {
        let mut rule = Rule(Expected::Silence);
        rule.asked();
        bytes.chunks(piece).try_for_each(|chunk| rule.check(chunk))
    }

    fn frame(protocol: u16, length: u16, body: usize) -> Vec<u8> {
        let mut bytes = vec![0, 7];
        bytes.extend(protocol.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![0xAA; body]);
        bytes
    }

    #[test]
    fn only_one_frame_of_a_believable_length_passes() {
        for piece in [1, 2, 5, 300] {
            for length in [3, 4, 100, 254] {
                assert_eq!(
                    verdict(&frame(0, length, usize::from(length)), piece),
                    Ok(())
                );
                assert!(verdict(&frame(0, length, usize::from(length) + 1), piece).is_err());
            }
            for length in [0, 1, 2, 255, 0xFFFF] {
                assert!(verdict(&frame(0, length, 3), piece).is_err(), "{length}");
            }
            for protocol in [1, 0x100, 0xFFFF] {
                assert!(verdict(&frame(protocol, 5, 5), piece).is_err());
            }
        }
    }

    #[test]
    fn nothing_may_come_before_a_request_and_one_answer_after_each() {
        let mut rule = Rule(Expected::Silence);
        assert!(rule.check(&[0]).is_err());
        for _ in 0..3 {
            rule.asked();
            rule.asked();
            assert_eq!(rule.check(&frame(0, 3, 3)), Ok(()));
            assert!(rule.check(&[0]).is_err());
        }
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..600), piece in 1usize..40) {
            prop_assert_eq!(verdict(&bytes, piece), verdict(&bytes, bytes.len().max(1)));
        }
    }
}
