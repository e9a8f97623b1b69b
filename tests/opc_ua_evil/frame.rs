//! Chunks of a conversation without security, taken apart and put together by hand (OPC 10000-6, 7.1 and 6.7).

use opcua::types::ObjectId;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Where in a connection a server's answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The answer to Hello.
    Acknowledge,
    Channel,
    Endpoints,
    Session,
    Activation,
    Read,
    Subscription,
    Items,
    Publish,
}

impl Stage {
    fn of(kind: u32) -> Option<Stage> {
        let known = [
            (
                ObjectId::OpenSecureChannelResponse_Encoding_DefaultBinary,
                Stage::Channel,
            ),
            (
                ObjectId::GetEndpointsResponse_Encoding_DefaultBinary,
                Stage::Endpoints,
            ),
            (
                ObjectId::CreateSessionResponse_Encoding_DefaultBinary,
                Stage::Session,
            ),
            (
                ObjectId::ActivateSessionResponse_Encoding_DefaultBinary,
                Stage::Activation,
            ),
            (ObjectId::ReadResponse_Encoding_DefaultBinary, Stage::Read),
            (
                ObjectId::CreateSubscriptionResponse_Encoding_DefaultBinary,
                Stage::Subscription,
            ),
            (
                ObjectId::CreateMonitoredItemsResponse_Encoding_DefaultBinary,
                Stage::Items,
            ),
            (
                ObjectId::PublishResponse_Encoding_DefaultBinary,
                Stage::Publish,
            ),
        ];
        let found = known.iter().find(|(id, _)| *id as u32 == kind)?;
        Some(found.1)
    }
}

/// One chunk.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// `MSG`, `OPN`, `ACK`...
    pub(super) kind: [u8; 3],
    /// `F` final, `C` more to come.
    pub(super) last: u8,
    /// All between the size and the sequence number: channel, and token or certificates.
    pub(super) security: Vec<u8>,
    pub(super) sequence: u32,
    pub(super) request: u32,
    /// Type and message; for the first messages all that follows the size.
    pub(super) body: Vec<u8>,
}

impl Frame {
    /// Reads one chunk; `None` at the end.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        let mut head = [0; 8];
        if from.read_exact(&mut head).await.is_err() {
            return Ok(None);
        }
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let mut rest = vec![0; usize::try_from(size).unwrap().checked_sub(8).unwrap()];
        from.read_exact(&mut rest).await?;
        let kind = [head[0], head[1], head[2]];
        let security = match &kind {
            b"MSG" | b"CLO" => 8,
            b"OPN" => 4 + (0..3).fold(0, |at, _| at + text_length(&rest[4 + at..])),
            _ => {
                let frame = Frame {
                    kind,
                    last: head[3],
                    security: Vec::new(),
                    sequence: 0,
                    request: 0,
                    body: rest,
                };
                return Ok(Some(frame));
            }
        };
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        Ok(Some(Frame {
            kind,
            last: head[3],
            sequence: number(security),
            request: number(security + 4),
            body: rest[security + 8..].to_vec(),
            security: rest[..security].to_vec(),
        }))
    }

    /// What a server answers with it.
    pub(super) fn stage(&self) -> Option<Stage> {
        match &self.kind {
            b"ACK" => Some(Stage::Acknowledge),
            b"MSG" | b"OPN" => match self.body.as_slice() {
                [1, 0, low, high, ..] => Stage::of(u32::from(u16::from_le_bytes([*low, *high]))),
                _ => None,
            },
            _ => None,
        }
    }

    /// As bytes, with the size that it has.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut rest = self.security.clone();
        if !rest.is_empty() {
            rest.extend(self.sequence.to_le_bytes());
            rest.extend(self.request.to_le_bytes());
        }
        rest.extend(&self.body);
        let mut bytes = self.kind.to_vec();
        bytes.push(self.last);
        bytes.extend(u32::try_from(rest.len() + 8).unwrap().to_le_bytes());
        bytes.extend(rest);
        bytes
    }
}

/// Length of a text or byte string with its length before it; -1 stands for none.
fn text_length(bytes: &[u8]) -> usize {
    let length = i32::from_le_bytes(bytes[..4].try_into().unwrap());
    4 + usize::try_from(length).unwrap_or(0)
}
