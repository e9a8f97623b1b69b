//! An MQTT broker as a destination: 3.1.1 (`v3`) and 5 (`v5`), plain or TLS, QoS 1, settled by PUBACK.
//!
//! Every connection gets a new client with a clean session, so the library never owns an undelivered event: what was
//! on the way is forgotten with the connection, and the task sends it again from its window.

mod address;
mod session;
mod topic;
mod v3;
mod v5;

pub use address::AddressError;
pub use topic::TemplateError;

use super::setup::SetupError;
use super::timing::Timing;
use super::tls;
use super::uplink::{Answer, Fault, Terms, Trouble, Uplink, Verdict};
use crate::buffer::Record;
use crate::model::{ParkClass, Position};
use crate::settings::shape::{self, MqttVersion};
pub(super) use address::Address;
use session::{Login, Notice, Session};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use topic::TopicTemplate;

/// What a PUBLISH has beside topic and payload: fixed header, packet id, content type, room for later properties.
const PACKET_OVERHEAD: usize = 128;
/// Shortest and longest keep-alive that both protocol versions can express and the library takes.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(65_535));

/// One broker.
pub(super) struct MqttUplink {
    address: Address,
    version: MqttVersion,
    client_id: String,
    topics: TopicTemplate,
    user: Option<shape::User>,
    tls: Option<shape::Tls>,
    keep_alive: Duration,
    window: usize,
    timing: Timing,
    link: Option<Link>,
}

/// One connection, and which event each packet id stands for on it.
struct Link {
    session: Session,
    /// Handed to the client, not yet given a packet id.
    submitted: VecDeque<Position>,
    on_wire: HashMap<u16, Position>,
    /// Verdicts that need no broker.
    own_verdicts: VecDeque<Answer>,
}

impl MqttUplink {
    /// Checks the settings of the uplink called `name`.
    pub(super) fn new(
        gateway: &shape::Gateway,
        name: &str,
        mqtt: &shape::Mqtt,
        timing: Timing,
    ) -> Result<MqttUplink, SetupError> {
        let uplink = || name.to_owned();
        let address = Address::parse(&mqtt.url).map_err(|source| SetupError::Address {
            uplink: uplink(),
            source,
        })?;
        let topics =
            TopicTemplate::new(&mqtt.topic, &gateway.id).map_err(|source| SetupError::Topic {
                uplink: uplink(),
                source,
            })?;
        let (shortest, longest) = KEEP_ALIVE;
        Ok(MqttUplink {
            address,
            version: mqtt.version,
            client_id: mqtt
                .client_id
                .clone()
                .unwrap_or_else(|| format!("{}-{name}", gateway.id)),
            topics,
            user: mqtt.user.clone(),
            tls: mqtt.tls.clone(),
            keep_alive: mqtt.keep_alive.get().clamp(shortest, longest),
            window: usize::from(mqtt.window.clamp(1, session::MAX_WINDOW)),
            timing,
            link: None,
        })
    }

    /// Where it delivers to, for the log.
    pub(super) fn destination(&self) -> String {
        let version = match self.version {
            MqttVersion::V3 => "3.1.1",
            MqttVersion::V5 => "5",
        };
        format!("{} (MQTT {version})", self.address)
    }

    /// The topic of an event.
    pub(super) fn topic(&self, record: &Record) -> String {
        self.topics.topic(&record.envelope)
    }

    /// Everything that is needed to connect, secrets and certificates read now.
    fn login(&self) -> Result<Login, Fault> {
        let because = |error: &dyn std::error::Error| Fault(error.to_string());
        let user = match &self.user {
            Some(user) => {
                let password = user.password.read().map_err(|error| because(&error))?;
                Some((user.name.clone(), password))
            }
            None => None,
        };
        let tls = if self.address.tls {
            Some(tls::client_config(self.tls.as_ref()).map_err(|error| because(&error))?)
        } else {
            None
        };
        Ok(Login {
            address: self.address.clone(),
            client_id: self.client_id.clone(),
            user,
            tls,
            keep_alive: self.keep_alive,
            write_within: self.timing.verdict_within,
        })
    }
}

impl Uplink for MqttUplink {
    async fn connect(&mut self) -> Result<Terms, Fault> {
        // First away with the old one: a broker knows one connection per client id.
        self.link = None;
        let login = self.login()?;
        let session = match self.version {
            MqttVersion::V3 => v3::open(login).await?,
            MqttVersion::V5 => v5::open(login).await?,
        };
        let in_flight = self.window.min(usize::from(session.receive_maximum.max(1)));
        self.link = Some(Link {
            session,
            submitted: VecDeque::new(),
            on_wire: HashMap::new(),
            own_verdicts: VecDeque::new(),
        });
        Ok(Terms {
            in_flight,
            batch: 1,
            connected: true,
            one_per_key: false,
            verdict_within: Some(self.timing.verdict_within),
        })
    }

    fn send(&mut self, events: &[&Record]) {
        events.iter().for_each(|record| self.publish(record));
    }

    async fn next(&mut self) -> Result<Answer, Fault> {
        let Some(link) = &mut self.link else {
            return Err(Fault("not connected".into()));
        };
        loop {
            if let Some(answer) = link.own_verdicts.pop_front() {
                return Ok(answer);
            }
            match link.session.next().await? {
                Notice::Sent(packet_id) => {
                    if let Some(position) = link.submitted.pop_front() {
                        link.on_wire.insert(packet_id, position);
                    }
                }
                // An id that stands for nothing: acknowledged a second time.
                Notice::Acknowledged(packet_id, verdict) => {
                    if let Some(position) = link.on_wire.remove(&packet_id) {
                        return Ok(Answer { position, verdict });
                    }
                }
            }
        }
    }
}

impl MqttUplink {
    fn publish(&mut self, record: &Record) {
        let Some(link) = &mut self.link else {
            // Not reached: the task sends between `connect` and the next fault. Unsent, it would be sent again anyway.
            return;
        };
        let topic = self.topics.topic(&record.envelope);
        let bytes = record.payload.len() + topic.len() + PACKET_OVERHEAD;
        let limit = link.session.max_packet_bytes;
        let verdict = if topic.is_empty() {
            Verdict::Rejected(
                ParkClass::Schema,
                Trouble::new("its topic is empty: the template needs a level that every event has")
                    .coded(0x90, "0x90"),
            )
        } else if bytes > limit {
            let trouble = Trouble::new(format!(
                "its packet has {bytes} bytes and the broker takes {limit}: raise the broker's maximum packet size"
            ));
            Verdict::Rejected(ParkClass::Schema, trouble.coded(0x95, "0x95"))
        } else if link.session.publish(topic, record.payload.clone()) {
            link.submitted.push_back(record.position);
            return;
        } else {
            Verdict::Unanswered(Trouble::new("the connection takes no more packets"))
        };
        link.own_verdicts.push_back(Answer {
            position: record.position,
            verdict,
        });
    }
}
