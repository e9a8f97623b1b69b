//! From the settings of an uplink to one that is ready to run, or to the reason why it cannot. Nothing is started here.

use super::filter::EventFilter;
use super::http::HttpUplink;
use super::mqtt::{AddressError, MqttUplink, TemplateError};
use super::timing::Timing;
use super::window::Patience;
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
    /// How long the word of the MES is waited for, and where it comes, if it counts.
    pub(super) patience: Option<(Patience, String)>,
    /// A rejected event holds the later ones of its partition key.
    pub(super) holds: bool,
    /// Most events per second.
    pub(super) per_second: Option<f64>,
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
        UplinkProtocol::Mqtt(mqtt) => {
            Protocol::Mqtt(Box::new(MqttUplink::new(gateway, uplink, mqtt, timing)?))
        }
        UplinkProtocol::Http(http) => Protocol::Http(Box::new(HttpUplink::new(
            &uplink.name,
            http,
            uplink.format,
            timing,
        )?)),
    };
    let patience = match &protocol {
        Protocol::Mqtt(mqtt) => mqtt.answers().map(|topic| (patience(uplink), topic)),
        Protocol::Http(_) => None,
    };
    Ok(Prepared {
        name: uplink.name.clone(),
        filter: EventFilter::new(&uplink.events).in_format(uplink.format),
        timing,
        protocol,
        patience,
        holds: uplink.on_reject == shape::OnReject::Hold,
        per_second: uplink.rate_limit.map(|rate| rate.per_second()),
    })
}

fn patience(uplink: &settings::Uplink) -> Patience {
    Patience {
        first: uplink.ack_timeout.first.get(),
        longest: uplink.ack_timeout.then_up_to.get(),
    }
}
