//! From the settings of an uplink to one that is ready to run, or to the reason why it cannot. Nothing is started here.

use super::filter::EventFilter;
use super::http::HttpUplink;
use super::mqtt::{AddressError, MqttUplink, TemplateError};
use super::timing::Timing;
use crate::settings::{self, UplinkProtocol, shape};

/// Why an uplink's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL of an MQTT broker.
    #[error("uplink `{uplink}`: {source}")]
    Address {
        /// Name of the uplink.
        uplink: String,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The topic template.
    #[error("uplink `{uplink}`: {source}")]
    Topic {
        /// Name of the uplink.
        uplink: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// The requests of an HTTP uplink, or what answers mean.
    #[error("uplink `{uplink}`: {why}")]
    Http {
        /// Name of the uplink.
        uplink: String,
        /// What is wrong with them.
        why: String,
    },
    /// The URL of an HTTP server.
    #[error("uplink `{uplink}`: `{url}` is not an URL: {reason}")]
    Url {
        /// Name of the uplink.
        uplink: String,
        /// As it stands in the settings.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An uplink whose settings are usable, ready to run.
pub struct Prepared {
    pub(super) name: String,
    pub(super) filter: EventFilter,
    pub(super) timing: Timing,
    pub(super) protocol: Protocol,
}

/// One variant per protocol.
pub(super) enum Protocol {
    Mqtt(Box<MqttUplink>),
    Http(Box<HttpUplink>),
}

/// Looks at the settings of an uplink, before anything is started.
///
/// # Errors
/// [`SetupError`] when an URL or a topic template cannot be used.
pub fn prepare(
    gateway: &shape::Gateway,
    uplink: &settings::Uplink,
    timing: Timing,
) -> Result<Prepared, SetupError> {
    let protocol = match &uplink.protocol {
        UplinkProtocol::Mqtt(mqtt) => Protocol::Mqtt(Box::new(MqttUplink::new(
            gateway,
            &uplink.name,
            mqtt,
            timing,
        )?)),
        UplinkProtocol::Http(http) => Protocol::Http(Box::new(HttpUplink::new(
            &uplink.name,
            http,
            uplink.format,
            timing,
        )?)),
    };
    Ok(Prepared {
        name: uplink.name.clone(),
        filter: EventFilter::new(&uplink.events).in_format(uplink.format),
        timing,
        protocol,
    })
}
