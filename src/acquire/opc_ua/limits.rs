//! What an OPC UA server may send us and what we ask of it at once.
//!
//! Used by the wire and everything that splits requests. None of them is 0: to the library a size of 0 means unlimited.

use opcua::client::transport::TransportConfiguration;
use opcua::types::{ContextOwned, DecodingOptions, DepthGauge, NamespaceMap, TypeLoaderCollection};
use std::time::Duration;

/// Longest wait for a TCP connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);
/// Longest message in bytes, all chunks together.
pub(super) const MAX_MESSAGE: usize = 1 << 20;
/// Most chunks of a message.
pub(super) const MAX_CHUNKS: usize = 16;
/// Longest chunk in bytes; 16 of them make the longest message.
pub(super) const MAX_CHUNK: usize = 64 << 10;
/// Longest string or byte string in bytes.
pub(super) const MAX_STRING: usize = 64 << 10;
/// Most elements of an array in the answer to a Publish; the library has one limit for all answers.
pub(super) const MAX_ARRAY: usize = 10_000;
/// Most elements of an array in any other answer, and most nodes in one request.
pub(super) const MAX_NODES: usize = 1_000;
/// Most values that the server may put into one answer to a Publish.
pub(super) const MAX_NOTIFICATIONS: u32 = 1_000;
/// How deep values may be nested.
pub(super) const MAX_DEPTH: u64 = 10;
/// How long a secure channel lives before its keys are changed.
pub(super) const CHANNEL_LIFETIME_MS: u32 = 600_000;
/// How long the server keeps a session that it hears nothing of.
pub(super) const SESSION_TIMEOUT_MS: f64 = 60_000.0;
/// Longest wait for the end of a session that is closed.
pub(super) const CLOSING: Duration = Duration::from_secs(1);

/// The limits of the transport.
pub(super) fn transport() -> TransportConfiguration {
    TransportConfiguration {
        send_buffer_size: MAX_CHUNK,
        recv_buffer_size: MAX_CHUNK,
        max_message_size: MAX_MESSAGE,
        max_chunk_count: MAX_CHUNKS,
    }
}

/// The limits of decoding.
pub(super) fn decoding() -> DecodingOptions {
    DecodingOptions {
        max_message_size: MAX_MESSAGE,
        max_chunk_count: MAX_CHUNKS,
        max_string_length: MAX_STRING,
        max_byte_string_length: MAX_STRING,
        max_array_length: MAX_ARRAY,
        decoding_depth_gauge: DepthGauge::new(MAX_DEPTH),
        ..DecodingOptions::default()
    }
}

/// What the library needs to know to decode: the limits, and a loader that keeps structures as bytes.
#[must_use]
pub fn context() -> ContextOwned {
    // Without the library's own loader, which decodes any type of the standard, whatever may be nested in it.
    let mut loaders = TypeLoaderCollection::new_empty();
    loaders.add_type_loader(super::structure::Unread);
    ContextOwned::new(NamespaceMap::new(), loaders, decoding())
}
