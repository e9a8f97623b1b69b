//! What an event looks like to a destination: its content type and its bytes, by the `format:` of the uplink. Pure.

use super::uplink::Trouble;
use crate::buffer::Record;
use crate::settings::shape::Format;
use bytes::Bytes;

/// CloudEvents, HTTP protocol binding 1.0, structured mode; the same words as content type on MQTT 5.
pub(super) const CLOUD_EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// Several of them in a list.
pub(super) const CLOUD_EVENTS: &str = "application/cloudevents-batch+json; charset=utf-8";

/// An event as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// MIME type with its charset.
    pub(super) content_type: &'static str,
    /// The bytes.
    pub(super) bytes: Bytes,
}

/// The event in that format.
///
/// # Errors
/// When the format has no form for it; then it is for no destination of this format.
pub(super) fn render(format: Format, record: &Record) -> Result<Body, Trouble> {
    match format {
        Format::Cloudevents => Ok(Body {
            content_type: CLOUD_EVENT,
            bytes: record.payload.clone(),
        }),
        Format::B2mml => Err(Trouble::new("B2MML")),
    }
}
