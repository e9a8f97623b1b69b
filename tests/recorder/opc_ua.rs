//! OPC UA requests, from the chunks of a secure channel: the type of the message, and where it is not encrypted the service. Pure.

use super::Verdict;
use opcua::types::ObjectId;

/// Type, kind and size.
const HEADER: usize = 8;
/// More than the gateway may send in one chunk.
const MOST_BYTES: usize = 1 << 20;
/// Header, channel, token, sequence number and request id of a chunk of the policy None.
const BODY: usize = HEADER + 4 + 4 + 4 + 4;
const POLICY_NONE: &[u8] = b"http://opcfoundation.org/UA/SecurityPolicy#None";

/// Services that read, browse, subscribe, or keep the session.
const READING: &[ObjectId] = &[
    ObjectId::FindServersRequest_Encoding_DefaultBinary,
    ObjectId::GetEndpointsRequest_Encoding_DefaultBinary,
    ObjectId::CreateSessionRequest_Encoding_DefaultBinary,
    ObjectId::ActivateSessionRequest_Encoding_DefaultBinary,
    ObjectId::CloseSessionRequest_Encoding_DefaultBinary,
    ObjectId::CancelRequest_Encoding_DefaultBinary,
    ObjectId::BrowseRequest_Encoding_DefaultBinary,
    ObjectId::BrowseNextRequest_Encoding_DefaultBinary,
    ObjectId::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary,
    ObjectId::RegisterNodesRequest_Encoding_DefaultBinary,
    ObjectId::UnregisterNodesRequest_Encoding_DefaultBinary,
    ObjectId::ReadRequest_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::ModifyMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::SetMonitoringModeRequest_Encoding_DefaultBinary,
    ObjectId::DeleteMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::CreateSubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::ModifySubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::SetPublishingModeRequest_Encoding_DefaultBinary,
    ObjectId::PublishRequest_Encoding_DefaultBinary,
    ObjectId::RepublishRequest_Encoding_DefaultBinary,
    ObjectId::TransferSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::DeleteSubscriptionsRequest_Encoding_DefaultBinary,
];

/// What a client sends, cut into chunks.
#[derive(Default)]
pub(super) struct Chunks {
    waiting: Vec<u8>,
    /// The channel was opened with a policy, so services may not be readable.
    encrypted: bool,
    /// The chunk before was not the last of its request.
    inside: bool,
}

impl Chunks {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Verdict> {
        self.waiting.extend_from_slice(bytes);
        let mut verdicts = Vec::new();
        while let Some(size) = size(&self.waiting) {
            if !(HEADER..=MOST_BYTES).contains(&size) {
                verdicts.push(Verdict::Forbidden(format!("a chunk of {size} bytes")));
                self.waiting.clear();
            } else if self.waiting.len() < size {
                break;
            } else {
                let chunk: Vec<u8> = self.waiting.drain(..size).collect();
                verdicts.extend(self.chunk(&chunk));
            }
        }
        verdicts
    }

    /// What a whole chunk is; `None` where it goes on with a request that was judged by its first one.
    fn chunk(&mut self, chunk: &[u8]) -> Option<Verdict> {
        let kind = &chunk[..3];
        match kind {
            b"OPN" => {
                self.encrypted = !chunk
                    .windows(POLICY_NONE.len())
                    .any(|part| part == POLICY_NONE);
                let how = if self.encrypted {
                    "with a policy"
                } else {
                    "without security"
                };
                Some(Verdict::Reads(format!("OPN {how}")))
            }
            b"HEL" | b"CLO" => Some(Verdict::Reads(String::from_utf8_lossy(kind).into())),
            b"MSG" => {
                let goes_on = std::mem::replace(&mut self.inside, chunk[3] == b'C');
                (!goes_on).then(|| self.service(chunk))
            }
            _ => Some(Verdict::Forbidden(format!("message {kind:02x?}"))),
        }
    }

    /// The service of the first chunk of a request. Signed ones can be read too; encrypted ones look like no service.
    fn service(&self, chunk: &[u8]) -> Verdict {
        match chunk.get(BODY..).and_then(type_id) {
            Some(id) if READING.contains(&id) => Verdict::Reads(format!("{id:?}")),
            Some(id) if !self.encrypted || format!("{id:?}").contains("Request_Encoding") => {
                Verdict::Forbidden(format!("{id:?}"))
            }
            None if !self.encrypted => Verdict::Forbidden("a service without a name".into()),
            _ => Verdict::Reads("encrypted".into()),
        }
    }
}

fn size(waiting: &[u8]) -> Option<usize> {
    let bytes = waiting.get(4..HEADER)?.try_into().unwrap();
    Some(usize::try_from(u32::from_le_bytes(bytes)).unwrap())
}

/// The node id in front of a body: the namespace of OPC UA, and a number of two or of four bytes.
fn type_id(body: &[u8]) -> Option<ObjectId> {
    let number = match body {
        [1, 0, low, high, ..] => u32::from(u16::from_le_bytes([*low, *high])),
        [2, 0, 0, a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => return None,
    };
    ObjectId::try_from(number).ok()
}

/// A chunk of one kind around a body, as a client of the policy None sends it.
#[cfg(test)]
pub(super) fn chunk_of(kind: &[u8; 4], between: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER + between.len() + body.len()).unwrap();
    [kind, &size.to_le_bytes()[..], between, body].concat()
}

#[cfg(test)]
mod cases {
    use super::*;

    fn opened(policy: &[u8]) -> Chunks {
        let mut chunks = Chunks::default();
        chunks.take(&chunk_of(b"OPNF", &[0; 4], policy));
        chunks
    }

    fn message(service: u16, kind: &[u8; 4]) -> Vec<u8> {
        let [low, high] = service.to_le_bytes();
        chunk_of(kind, &[0; 16], &[1, 0, low, high, 9, 9])
    }

    #[test]
    fn services_that_change_something_are_forbidden() {
        let (read, publish) = (631, 826);
        // Write, Call, HistoryUpdate, AddNodes, AddReferences, DeleteNodes, DeleteReferences, and one that there is not.
        let others = [673, 712, 700, 488, 494, 500, 506, 60_000];
        for service in others {
            let mut chunks = opened(POLICY_NONE);
            let verdicts = chunks.take(&message(service, b"MSGF"));
            assert!(
                matches!(verdicts[..], [Verdict::Forbidden(_)]),
                "{service}: {verdicts:?}"
            );
        }
        for service in [read, publish] {
            let verdicts = opened(POLICY_NONE).take(&message(service, b"MSGF"));
            assert!(
                matches!(verdicts[..], [Verdict::Reads(_)]),
                "{service}: {verdicts:?}"
            );
        }
        let signed = opened(b"Basic256Sha256").take(&message(673, b"MSGF"));
        assert!(matches!(signed[..], [Verdict::Forbidden(_)]), "{signed:?}");
        let encrypted = opened(b"Basic256Sha256").take(&chunk_of(b"MSGF", &[0; 16], &[0xA5; 64]));
        assert_eq!(encrypted, [Verdict::Reads("encrypted".into())]);
    }

    #[test]
    fn a_request_of_several_chunks_is_judged_once() {
        let stream = [
            message(631, b"MSGC"),
            chunk_of(b"MSGC", &[0; 16], &[1, 0, 161, 2]),
            chunk_of(b"MSGF", &[0; 16], &[1, 0, 161, 2]),
            message(673, b"MSGF"),
        ]
        .concat();
        for cut in 0..stream.len() {
            let mut chunks = opened(POLICY_NONE);
            let verdicts = [chunks.take(&stream[..cut]), chunks.take(&stream[cut..])].concat();
            assert!(
                matches!(verdicts[..], [Verdict::Reads(_), Verdict::Forbidden(_)]),
                "cut at {cut}: {verdicts:?}"
            );
        }
    }

    #[test]
    fn what_is_no_chunk_is_forbidden() {
        let huge = [b"MSGF", &u32::MAX.to_le_bytes()[..]].concat();
        for bytes in [
            &huge,
            &b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            &chunk_of(b"ACKF", &[], &[]),
        ] {
            let verdicts = Chunks::default().take(bytes);
            assert!(matches!(verdicts[0], Verdict::Forbidden(_)), "{verdicts:?}");
        }
    }
}
