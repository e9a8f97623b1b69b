//! The MES behind the scripted broker: what it says about the events, and when.

use super::broker::{Connection, Version};
use super::oracle::id_of;
use bytes::BytesMut;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How the MES behind the broker gives its verdicts. Numbers count the publishes of the connection from 1.
#[derive(Clone)]
pub(super) enum Mes {
    /// On each event, behind the broker's word.
    Speaks,
    /// Ahead of the broker's word.
    SpeaksEarly,
    /// Twice, with garbage, foreign sources and unknown ids in between.
    Babbles,
    /// Only by correlation data, without an id.
    Correlates,
    /// Nothing until this turns true.
    Silent(Arc<AtomicBool>),
    /// The event with this number is rejected with this code, the others accepted.
    Rejects(u128, &'static str),
    /// Each event is wanted later at first.
    PutsOff,
}

/// Where the gateway of the tests expects verdicts, and tells its status.
pub(super) const ANSWERS: &str = "ACME/PLANT1/_gw/gw07/ack";
pub(super) const STATUS: &str = "ACME/PLANT1/_gw/gw07/status";
const SOURCE: &str = "urn:acme:gw:gw07";

/// How it answers SUBSCRIBE.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Grants {
    #[default]
    All,
    /// The first so many are refused, on all connections together.
    NotTheFirst(usize),
}

impl Connection {
    /// Answers SUBSCRIBE.
    pub(super) fn subscribe(&mut self, packet_id: u16, topic: &str, output: &mut BytesMut) {
        assert_eq!(topic, ANSWERS);
        let nth = self.broker.subscriptions.fetch_add(1, Ordering::SeqCst) + 1;
        let granted = match self.script.grants {
            Grants::All => true,
            Grants::NotTheFirst(refused) => nth > refused,
        };
        self.subscribed = granted;
        match self.version {
            Version::V3 => {
                let code = match granted {
                    true => v4::SubscribeReasonCode::Success(rumqttc::QoS::AtLeastOnce),
                    false => v4::SubscribeReasonCode::Failure,
                };
                v4::SubAck::new(packet_id, vec![code]).write(output)
            }
            .expect("written"),
            Version::V5 => {
                let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                let code = match granted {
                    true => v5::SubscribeReasonCode::Success(qos),
                    false => v5::SubscribeReasonCode::NotAuthorized,
                };
                v5::SubAck {
                    pkid: packet_id,
                    return_codes: vec![code],
                    properties: None,
                }
                .write(output)
                .expect("written")
            }
        };
    }

    /// MQTT 5 says where the verdict is to come, and on which event it is.
    pub(super) fn check_answer(&self, payload: &[u8], answer: Option<(String, bytes::Bytes)>) {
        if self.version == Version::V5 {
            let id = id_of(payload).to_string();
            assert_eq!(answer, Some((ANSWERS.to_owned(), id.into())));
        }
    }

    /// What the MES says about an event, before or after the broker does.
    pub(super) fn speak(
        &mut self,
        id: uuid::Uuid,
        arrivals: usize,
        early: bool,
        output: &mut BytesMut,
    ) {
        let Some(mes) = self.script.mes.clone() else {
            return;
        };
        if matches!(mes, Mes::SpeaksEarly) != early {
            return;
        }
        let status = match &mes {
            Mes::Silent(speaks) if !speaks.load(Ordering::SeqCst) => return,
            Mes::Rejects(number, code) if id.as_u128() == *number => {
                let word = format!(
                    r#"{{"id":"{id}","source":"{SOURCE}","status":"rejected","code":"{code}","title":"no"}}"#
                );
                return self.verdict(&word, None, output);
            }
            Mes::PutsOff if arrivals == 1 => r#""retry","retry_after_s":0.001"#,
            _ if arrivals > 1 => r#""duplicate""#,
            _ => r#""accepted""#,
        };
        let word = format!(r#"{{"id":"{id}","source":"{SOURCE}","status":{status}}}"#);
        if !status.contains("retry") {
            self.oracle.grant(id);
        }
        match mes {
            Mes::Correlates => {
                let word = format!(r#"{{"status":{status}}}"#);
                self.verdict(&word, Some(id), output);
            }
            Mes::Babbles => {
                let foreign = word.replace("gw07", "gw08").replace("accepted", "rejected");
                let unknown = uuid::Uuid::from_u128(!id.as_u128());
                let unknown = word.replace(&id.to_string(), &unknown.to_string());
                let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000));
                let late = word.replace("accepted", "rejected");
                for word in [&foreign, &unknown, &large, "{", "", "null", &word, &late] {
                    self.verdict(word, None, output);
                }
            }
            _ => self.verdict(&word, None, output),
        }
    }

    fn verdict(&mut self, word: &str, correlation: Option<uuid::Uuid>, output: &mut BytesMut) {
        self.answered = self.answered % 1_000 + 1;
        match self.version {
            Version::V3 => {
                let qos = rumqttc::QoS::AtLeastOnce;
                let mut publish = v4::Publish::new(ANSWERS, qos, word);
                publish.pkid = self.answered;
                publish.write(output).expect("written");
            }
            Version::V5 => {
                let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                let properties = v5::PublishProperties {
                    correlation_data: correlation.map(|id| id.to_string().into()),
                    ..v5::PublishProperties::default()
                };
                let word = word.to_owned();
                let mut publish = v5::Publish::new(ANSWERS, qos, word, Some(properties));
                publish.pkid = self.answered;
                publish.write(output).expect("written");
            }
        }
    }
}
