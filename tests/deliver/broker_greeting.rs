//! How the scripted broker answers CONNECT, and what it says about itself (MQTT 5, 3.2.2.3).

use super::broker::{Connection, Next, Version};
use bytes::BytesMut;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

/// How it answers CONNECT.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Greeting {
    #[default]
    Accept,
    Refuse,
    /// With this code, in MQTT 5.
    RefuseWith(v5::ConnectReturnCode),
    Silence,
}

/// What it says about itself beside its receive maximum and its largest packet.
#[derive(Clone, Copy, Default)]
pub(super) struct Allows {
    /// In seconds.
    pub(super) keep_alive: Option<u16>,
    pub(super) qos: Option<u8>,
    pub(super) retain: Option<u8>,
    pub(super) topic_aliases: Option<u16>,
    pub(super) wildcards: Option<u8>,
}

impl Connection {
    /// Answers CONNECT.
    pub(super) fn greet(&self, output: &mut BytesMut) -> Next {
        let refused = match self.script.greeting {
            Greeting::Silence => return Next::GoOn,
            Greeting::Accept => None,
            Greeting::Refuse => Some(v5::ConnectReturnCode::ServerBusy),
            Greeting::RefuseWith(code) => Some(code),
        };
        match self.version {
            Version::V3 => {
                let code = match refused {
                    Some(_) => v4::ConnectReturnCode::ServiceUnavailable,
                    None => v4::ConnectReturnCode::Success,
                };
                v4::ConnAck::new(code, self.script.session_present).write(output)
            }
            .expect("written"),
            Version::V5 => self
                .greeting(refused.unwrap_or(v5::ConnectReturnCode::Success))
                .write(output)
                .expect("written"),
        };
        if refused.is_some() {
            Next::Close
        } else {
            Next::GoOn
        }
    }

    fn greeting(&self, code: v5::ConnectReturnCode) -> v5::ConnAck {
        let allows = self.script.allows;
        let properties = v5::ConnAckProperties {
            receive_max: self.script.receive_maximum,
            max_packet_size: self.script.max_packet_bytes,
            max_qos: allows.qos,
            retain_available: allows.retain,
            topic_alias_max: allows.topic_aliases,
            wildcard_subscription_available: allows.wildcards,
            server_keep_alive: allows.keep_alive,
            session_expiry_interval: None,
            assigned_client_identifier: None,
            reason_string: None,
            user_properties: Vec::new(),
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        v5::ConnAck {
            session_present: self.script.session_present,
            code,
            properties: Some(properties),
        }
    }
}
