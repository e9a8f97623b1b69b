//! What an event looks like to a destination: its content type and its bytes, by the `format:` of the uplink. Pure.

use super::uplink::Trouble;
use crate::buffer::Record;
use crate::format::b2mml;
use crate::model::EventKind;
use crate::settings::shape::Format;
use bytes::Bytes;

/// CloudEvents, HTTP protocol binding 1.0, structured mode; the same words as content type on MQTT 5.
pub(super) const CLOUD_EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// Several of them in a list.
pub(super) const CLOUD_EVENTS: &str = "application/cloudevents-batch+json; charset=utf-8";

/// B2MML, in UTF-8 as its XML declaration says (RFC 7303).
pub(super) const B2MML: &str = "application/xml";

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
        Format::B2mml => match b2mml::document(&record.payload) {
            Ok(document) => Ok(Body {
                content_type: B2MML,
                bytes: document.into(),
            }),
            Err(error) => Err(Trouble::new(format!(
                "no B2MML document can be made of this event: {error}"
            ))
            .coded(0, "b2mml")),
        },
    }
}

/// Whether the format has a form for events of this name.
pub(super) fn has_form(format: Format, name: &str) -> bool {
    match format {
        Format::Cloudevents => true,
        Format::B2mml => EventKind::ALL
            .into_iter()
            .any(|kind| kind.name() == name && b2mml::maps(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_a_form_for_some_events() {
        for (name, in_b2mml) in [
            ("operation.completed", true),
            ("quality.result", true),
            ("gateway.heartbeat", false),
            ("nothing.such", false),
        ] {
            assert_eq!(has_form(Format::B2mml, name), in_b2mml, "{name}");
            assert!(has_form(Format::Cloudevents, name), "{name}");
        }
    }
}
