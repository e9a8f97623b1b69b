//! `mqtt:` of an uplink.

use super::{Tls, User, defaults};
use crate::settings::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An MQTT broker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    pub url: String,
    /// Brokers that stand in for it, at most 4: tried in turn when the one before cannot be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// Protocol version: `5`, or `3` for 3.1.1.
    #[serde(default)]
    pub version: MqttVersion,
    /// Client id; by default the gateway's id and the uplink's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Topic template.
    #[serde(default = "defaults::topic")]
    pub topic: String,
    /// Topic template of the MES's verdicts, with `acknowledge: mes`; `{enterprise}/{site}/_gw/{gateway}/ack` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// Topic template of the gateway's own status, a retained message: online, or offline (also by the broker's word). None
    /// by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Certificates, for `mqtts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Events on the way without the word that counts, the broker's or that of the MES, 1 to 1000.
    #[serde(default = "defaults::window")]
    #[schemars(range(min = 1, max = 1000))]
    pub window: u16,
    /// Silence after which the connection is probed.
    #[serde(default = "defaults::keep_alive")]
    pub keep_alive: Period,
}

/// Where the verdicts of the MES come, unless the settings say otherwise.
const ANSWERS: &str = "{enterprise}/{site}/_gw/{gateway}/ack";

impl Mqtt {
    /// Topic template of the MES's verdicts.
    #[must_use]
    pub fn answers(&self) -> &str {
        self.answers.as_deref().unwrap_or(ANSWERS)
    }
}

/// MQTT protocol version, as YAML numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum MqttVersion {
    /// 3.1.1, written `3`.
    V3,
    /// 5, written `5`.
    #[default]
    V5,
}

impl TryFrom<u8> for MqttVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            3 => Ok(MqttVersion::V3),
            5 => Ok(MqttVersion::V5),
            other => Err(format!(
                "MQTT version {other} is not known: write 5, or 3 for 3.1.1"
            )),
        }
    }
}

impl From<MqttVersion> for u8 {
    fn from(version: MqttVersion) -> u8 {
        match version {
            MqttVersion::V3 => 3,
            MqttVersion::V5 => 5,
        }
    }
}

impl JsonSchema for MqttVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MqttVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "MQTT protocol version: 5, or 3 for 3.1.1",
            "enum": [3, 5],
            "x-instead": {
                "3.1": "`3` means MQTT 3.1.1",
                "3.1.1": "`3` means MQTT 3.1.1",
                "4": "`3` means MQTT 3.1.1",
                "5.0": "`5` means MQTT 5.0",
            }
        })
    }
}
