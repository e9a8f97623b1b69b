//! Messages of an OPC UA server: what passes the first look is decoded by the library without a panic, and without more depth
//! or memory than the look allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::acquire::opc_ua::{context, skim::skim};
use opcua::core::{Message, ResponseMessage};
use opcua::types::{BinaryDecodable, ContextOwned, NodeId, ObjectId};
use std::io::Cursor;
use std::sync::LazyLock;

/// What a server may answer us, so that not every input has to find out.
const KINDS: [ObjectId; 12] = [
    ObjectId::PublishResponse_Encoding_DefaultBinary,
    ObjectId::ReadResponse_Encoding_DefaultBinary,
    ObjectId::BrowseResponse_Encoding_DefaultBinary,
    ObjectId::BrowseNextResponse_Encoding_DefaultBinary,
    ObjectId::TranslateBrowsePathsToNodeIdsResponse_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsResponse_Encoding_DefaultBinary,
    ObjectId::CreateSubscriptionResponse_Encoding_DefaultBinary,
    ObjectId::GetEndpointsResponse_Encoding_DefaultBinary,
    ObjectId::CreateSessionResponse_Encoding_DefaultBinary,
    ObjectId::ActivateSessionResponse_Encoding_DefaultBinary,
    ObjectId::OpenSecureChannelResponse_Encoding_DefaultBinary,
    ObjectId::ServiceFault_Encoding_DefaultBinary,
];
/// Time, handle and status, no diagnostics, no texts, no more.
const HEADER: [u8; 24] = [0; 24];

static CONTEXT: LazyLock<ContextOwned> = LazyLock::new(context);

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (kind, has_header, bytes) = input;
    check(bytes);
    let Some(kind) = KINDS.get(usize::from(kind) % (KINDS.len() + 1)) else {
        return;
    };
    let [low, high, ..] = (*kind as u32).to_le_bytes();
    let header = if has_header { &HEADER[..] } else { &[] };
    check(&[&[1, 0, low, high], header, bytes].concat());
});

fn check(message: &[u8]) {
    if skim(message).is_err() {
        return;
    }
    let context = CONTEXT.context();
    let mut stream = Cursor::new(message);
    // It may still refuse it, in words.
    let Ok(kind) = NodeId::decode(&mut stream, &context) else {
        return;
    };
    if let Ok(kind) = kind.as_object_id() {
        std::hint::black_box(ResponseMessage::decode_by_object_id(
            &mut stream,
            kind,
            &context,
        ))
        .ok();
    }
}
