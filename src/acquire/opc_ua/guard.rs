//! Looks at the head of each chunk before the library does, which would wait for any length that a server announces.
//!
//! Sits between the TCP stream and the library's codec, called by `wire`. A chunk that is too long, too short for what a
//! chunk must have, or of an unknown kind ends the connection.

use super::limits::MAX_CHUNK;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Kind (3 bytes), final or not (1 byte), size (4 bytes): OPC 10000-6, 7.1.2.2.
const HEAD: usize = 8;
/// Channel, token, sequence number, request, and the type of what follows.
const SHORTEST_CHUNK: usize = 24;

/// A stream whose chunks have been looked at.
#[derive(Debug)]
pub(super) struct Guarded<R> {
    inner: R,
    watch: Watch,
}

impl<R> Guarded<R> {
    /// Chunks of a secured channel end with a signature of so many bytes; 0 without security.
    pub(super) fn new(inner: R, signature: usize) -> Guarded<R> {
        Guarded {
            inner,
            watch: Watch {
                signature,
                head: [0; HEAD],
                got: 0,
                rest: 0,
            },
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.watch.pass(new).map_err(io::Error::other))
    }
}

/// Where in the stream of chunks we are.
#[derive(Debug)]
struct Watch {
    signature: usize,
    head: [u8; HEAD],
    got: usize,
    /// Bytes of the current chunk that are still to come.
    rest: usize,
}

impl Watch {
    /// Goes over the bytes that came. Pure.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let take = (HEAD - self.got).min(bytes.len());
            let (now, later) = bytes.split_at(take);
            if let Some(place) = self.head.get_mut(self.got..self.got + take) {
                place.copy_from_slice(now);
            }
            self.got += take;
            bytes = later;
            if self.got == HEAD {
                self.got = 0;
                self.rest = self.size()? - HEAD;
            }
        }
        Ok(())
    }

    /// The size of the chunk whose head is complete, if it can be one.
    fn size(&self) -> Result<usize, String> {
        let [a, b, c, _, size @ ..] = self.head;
        let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
        let shortest = match &[a, b, c] {
            b"MSG" | b"CLO" => SHORTEST_CHUNK + self.signature,
            b"OPN" => SHORTEST_CHUNK,
            b"ACK" => HEAD + 20,
            b"ERR" => HEAD + 8,
            other => {
                let shown = String::from_utf8_lossy(other).escape_default().to_string();
                return Err(format!("`{shown}` begins no OPC UA message"));
            }
        };
        if (shortest..=MAX_CHUNK).contains(&size) {
            Ok(size)
        } else {
            Err(format!("a chunk of {size} bytes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], size: u32, sent: usize) -> Vec<u8> {
        let mut bytes = kind.to_vec();
        bytes.extend(size.to_le_bytes());
        bytes.resize(sent, 0);
        bytes
    }

    fn check(signature: usize, bytes: &[u8], refused: Option<&str>) {
        // The same however the bytes are cut.
        for step in [1, 3, 8, 9, bytes.len()] {
            let mut guard = Guarded::new((), signature);
            let passed = bytes
                .chunks(step)
                .try_for_each(|part| guard.watch.pass(part));
            assert_eq!(passed.err().as_deref(), refused, "steps of {step}");
        }
    }

    #[test]
    fn whole_chunks_pass_however_they_are_cut() {
        let mut bytes = chunk(b"ACKF", 28, 28);
        bytes.extend(chunk(b"OPNF", 132, 132));
        bytes.extend(chunk(b"MSGC", 65_536, 65_536));
        bytes.extend(chunk(b"MSGF", 56, 56));
        check(32, &bytes, None);
    }

    #[test]
    fn lengths_that_no_chunk_has_are_refused() {
        for size in [0, 7, 8, 23, 65_537, u32::MAX] {
            let said = format!("a chunk of {size} bytes");
            check(0, &chunk(b"MSGF", size, 12), Some(&said));
        }
        check(32, &chunk(b"MSGF", 55, 55), Some("a chunk of 55 bytes"));
        check(0, &chunk(b"ACKF", 8, 8), Some("a chunk of 8 bytes"));
    }

    #[test]
    fn what_is_no_opc_ua_is_refused() {
        check(
            0,
            b"HTTP/1.1 400 Bad Request\r\n",
            Some("`HTT` begins no OPC UA message"),
        );
        check(
            0,
            &chunk(b"HELF", 32, 32),
            Some("`HEL` begins no OPC UA message"),
        );
    }
}
