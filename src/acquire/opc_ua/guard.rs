//! Looks at each chunk before the library does, which would wait for any length that a server announces, and decode what
//! fills its stack.
//!
//! Sits between the TCP stream and the library's codec, called by `wire`. A chunk that is too long, too short for what a
//! chunk must have, or of an unknown kind ends the connection at its head; a message that `skim` refuses, before its last
//! chunk is handed on.

use super::limits::{MAX_CHUNK, MAX_CHUNKS, MAX_MESSAGE};
use super::reason::Reason;
use super::skim::skim;
use crate::acquire::whole::Patience;
use bytes::Bytes;
use opcua::client::transport::SecureChannelState;
use opcua::core::comms::message_chunk::{MessageChunk, MessageIsFinalType};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Kind (3 bytes), final or not (1 byte), size (4 bytes): OPC 10000-6, 7.1.2.2.
const HEAD: usize = 8;
/// Channel, token, sequence number, request, and the type of what follows.
const SHORTEST_CHUNK: usize = 24;
/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// Most messages that come in chunks at the same time.
const MAX_BEGUN: usize = 8;

/// A stream whose chunks have been looked at.
pub(super) struct Guarded<R> {
    inner: R,
    watch: Watch,
    messages: Messages,
    reason: Reason,
    /// Came, but not a whole chunk yet; at most one chunk and [`READ`] bytes.
    held: Vec<u8>,
    /// Whole chunks, to be handed on.
    good: Bytes,
    /// With a chunk that has begun.
    patience: Patience,
}

impl<R> Guarded<R> {
    /// Chunks of a secured channel end with a signature of so many bytes; 0 without security.
    /// Why the connection ends is noted in `reason`.
    pub(super) fn new(
        inner: R,
        signature: usize,
        channel: Arc<SecureChannelState>,
        reason: Reason,
    ) -> Guarded<R> {
        Guarded {
            inner,
            reason,
            watch: Watch::new(signature),
            messages: Messages {
                channel,
                begun: HashMap::new(),
            },
            held: Vec::new(),
            good: Bytes::new(),
            patience: Patience::default(),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.good.is_empty() {
            let mut room = [0; READ];
            let mut new = ReadBuf::new(&mut room);
            match Pin::new(&mut self.inner).poll_read(cx, &mut new) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    let slow = ready!(self.patience.poll_end(cx));
                    self.reason.refuse(&slow.to_string());
                    return Poll::Ready(Err(slow));
                }
            }
            if new.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Err(what) = self.take(new.filled()) {
                self.reason.refuse(&what);
                return Poll::Ready(Err(io::Error::other(what)));
            }
        }
        let now = self.good.len().min(buf.remaining());
        let handed = self.good.split_to(now);
        buf.put_slice(&handed);
        Poll::Ready(Ok(()))
    }
}

impl<R> Guarded<R> {
    /// Looks at what came, and lets whole chunks go on.
    fn take(&mut self, new: &[u8]) -> Result<(), String> {
        self.watch.pass(new)?;
        self.held.extend_from_slice(new);
        let mut whole = 0;
        while let Some(chunk) = first_chunk(self.held.get(whole..).unwrap_or_default()) {
            whole += chunk.len();
            self.reason.look(chunk);
            self.messages.look(chunk)?;
        }
        self.good = self.held.drain(..whole).collect::<Vec<u8>>().into();
        self.patience.came(whole > 0, !self.held.is_empty());
        Ok(())
    }
}

/// The chunk that is complete at the beginning; `watch` has seen that its size is one.
fn first_chunk(bytes: &[u8]) -> Option<&[u8]> {
    let size: [u8; 4] = bytes.get(4..HEAD)?.try_into().ok()?;
    bytes.get(..usize::try_from(u32::from_le_bytes(size)).ok()?)
}

/// The security policy that the head of an answer to OpenSecureChannel names: it stands behind the channel's number.
fn policy(chunk: &[u8]) -> Option<&str> {
    let length: [u8; 4] = chunk.get(HEAD + 4..HEAD + 8)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let uri = chunk.get(HEAD + 8..)?.get(..length)?;
    std::str::from_utf8(uri).ok()
}

/// Messages of which some chunks have come.
struct Messages {
    channel: Arc<SecureChannelState>,
    /// By request; together at most [`MAX_BEGUN`] messages.
    begun: HashMap<u32, Begun>,
}

#[derive(Default)]
struct Begun {
    body: Vec<u8>,
    chunks: usize,
}

impl Messages {
    /// Looks at a chunk, and with the last one at the message.
    fn look(&mut self, chunk: &[u8]) -> Result<(), String> {
        if !(chunk.starts_with(b"MSG") || chunk.starts_with(b"OPN")) {
            return Ok(());
        }
        let (request, last, body) = self.open(chunk)?;
        let (MessageIsFinalType::Final | MessageIsFinalType::Intermediate) = last else {
            self.begun.remove(&request);
            return Ok(());
        };
        let is_last = matches!(last, MessageIsFinalType::Final);
        if is_last && !self.begun.contains_key(&request) {
            return skim(&body).map_err(|excess| excess.to_string());
        }
        if self.begun.len() >= MAX_BEGUN && !self.begun.contains_key(&request) {
            return Err("too many messages at once".to_owned());
        }
        let message = self.begun.entry(request).or_default();
        message.body.extend_from_slice(&body);
        message.chunks += 1;
        if message.body.len() > MAX_MESSAGE || message.chunks > MAX_CHUNKS {
            return Err(format!(
                "a message of more than {MAX_CHUNKS} chunks or {MAX_MESSAGE} bytes"
            ));
        }
        if is_last {
            let message = self.begun.remove(&request).unwrap_or_default();
            return skim(&message.body).map_err(|excess| excess.to_string());
        }
        Ok(())
    }

    /// Which request a chunk answers, whether it is the last one, and its part of the message, in plain.
    fn open(&self, chunk: &[u8]) -> Result<(u32, MessageIsFinalType, Bytes), String> {
        let channel = self.channel.secure_channel().read();
        // The library decrypts by what the server says, with keys that an unsecured channel does not have.
        if chunk.starts_with(b"OPN") && policy(chunk) != Some(channel.security_policy().to_uri()) {
            return Err("another security policy than that of the channel".to_owned());
        }
        let opened = channel
            .verify_and_remove_security(Bytes::copy_from_slice(chunk))
            .map_err(|error| error.to_string())?;
        let info =
            MessageChunk::chunk_info(&opened, &channel).map_err(|error| error.to_string())?;
        let body = info.body_offset..info.body_offset.saturating_add(info.body_length);
        if body.end > opened.data.len() || body.start > body.end {
            return Err("a chunk that ends before it begins".to_owned());
        }
        let request = info.sequence_header.request_id;
        Ok((
            request,
            info.message_header.is_final,
            opened.data.slice(body),
        ))
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
    fn new(signature: usize) -> Watch {
        Watch {
            signature,
            head: [0; HEAD],
            got: 0,
            rest: 0,
        }
    }

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
            let mut watch = Watch::new(signature);
            let passed = bytes.chunks(step).try_for_each(|part| watch.pass(part));
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
