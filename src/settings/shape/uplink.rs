//! `uplinks:`: where events go, and how they get in there.

use super::{Http, Mqtt, defaults};
use crate::settings::units::{Period, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A destination: one of the protocols, and what it gets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// An MQTT broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<Mqtt>,
    /// An HTTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// What an event looks like there.
    #[serde(default)]
    pub format: Format,
    /// Whose word settles an event.
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// How long the word of the MES is waited for, where it counts.
    #[serde(default)]
    pub ack_timeout: AckTimeout,
    /// What happens to the later events of an equipment when one is rejected.
    #[serde(default)]
    pub on_reject: OnReject,
    /// Most events per time, such as `200/min`; as many as the destination takes by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// Patterns of event names, such as `operation.*`; `*` is all that the format has.
    #[serde(default = "defaults::all_events")]
    pub events: Vec<String>,
    /// Where an uplink begins that this store has not seen before.
    #[serde(default)]
    pub start_at: StartAt,
}

/// Whose word settles an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledge {
    /// The broker's PUBACK, or the HTTP server's 2xx.
    #[default]
    Broker,
    /// The verdict of the MES, on the topic `answers`.
    Mes,
}

/// What an event looks like to a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-instead" = { "json": "`cloudevents` is CloudEvents JSON", "xml": "`b2mml` is ISA-95 as XML" }))]
pub enum Format {
    /// CloudEvents 1.0, JSON.
    #[default]
    Cloudevents,
    /// B2MML 7.0.1: operations, equipment states, quality results and limits; the other events have no form there.
    B2mml,
}

/// What a rejected event means for the later ones of its equipment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// They are delivered: each event stands for itself.
    #[default]
    Continue,
    /// They wait until somebody has retried or discarded it.
    Hold,
}

/// How long the word of the MES is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AckTimeout {
    /// At first; then the oldest event alone is sent again, and the others wait.
    #[serde(default = "defaults::ack_first")]
    pub first: Period,
    /// The wait doubles up to this.
    #[serde(default = "defaults::ack_then_up_to")]
    pub then_up_to: Period,
}

impl Default for AckTimeout {
    fn default() -> Self {
        AckTimeout {
            first: defaults::ack_first(),
            then_up_to: defaults::ack_then_up_to(),
        }
    }
}

/// Where a new uplink begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With the next event.
    #[default]
    Newest,
    /// With the oldest event in the store.
    Oldest,
}

/// A name and a password.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User name.
    pub name: String,
    /// Where the password is.
    pub password: Secret,
}

/// Certificates.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the authorities to trust; without it the public ones that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of the own certificate chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Where the own key is (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
}

/// Where a secret is. It never stands in the file itself, is read anew at each connect, and is never printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Secret {
    /// `$CREDENTIALS_DIRECTORY/NAME`, as systemd provides it.
    Credential(String),
    /// A file.
    File(PathBuf),
}
