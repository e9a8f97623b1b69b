//! An MQTT broker as a destination: 3.1.1 (`v3`) and 5 (`v5`), plain or TLS, QoS 1. Settled by PUBACK, or with
//! `acknowledge: mes` by the verdict of the MES (`answers`).
//!
//! Every connection (`link`) gets a new client with a clean session, so the library never owns an undelivered event: what was
//! on the way is forgotten with the connection, and the task sends it again from its window.

mod address;
mod answers;
mod link;
mod servers;
mod session;
mod status;
mod topic;
mod v3;
mod v5;

pub use address::AddressError;
pub use topic::TemplateError;
pub(super) use topic::{TopicTemplate, fixed};

use super::setup::SetupError;
use super::timing::Timing;
use super::tls;
use super::uplink::{Answer, Fault, Terms, Uplink};
use crate::buffer::Record;
use crate::format;
use crate::health::UplinkHealth;
use crate::settings;
use crate::settings::shape::{self, Acknowledge, MqttVersion};
pub(super) use address::Address;
use answers::Answers;
use link::{Link, Way};
use servers::Servers;
use session::{Login, Session};
use status::{Presence, Status};
use std::sync::Arc;
use std::time::Duration;

/// Shortest and longest keep-alive that both protocol versions can express and the library takes.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(65_535));

/// One broker, or several that stand in for one another.
pub(super) struct MqttUplink {
    servers: Servers,
    version: MqttVersion,
    client_id: String,
    user: Option<shape::User>,
    tls: Option<shape::Tls>,
    keep_alive: Duration,
    window: usize,
    timing: Timing,
    way: Way,
    link: Option<Link>,
}

impl MqttUplink {
    /// Checks the settings of an uplink.
    pub(super) fn new(
        gateway: &shape::Gateway,
        uplink: &settings::Uplink,
        mqtt: &shape::Mqtt,
        timing: Timing,
    ) -> Result<MqttUplink, SetupError> {
        let name = &uplink.name;
        let address = |url: &String| {
            Address::parse(url).map_err(|source| SetupError::Address {
                uplink: name.clone(),
                source,
            })
        };
        let topic = |source| SetupError::Topic {
            uplink: name.clone(),
            source,
        };
        let fixed = |template: &str| topic::fixed(template, gateway).map_err(topic);
        let answers = match uplink.acknowledge {
            Acknowledge::Broker => None,
            Acknowledge::Mes => {
                let at = fixed(mqtt.answers())?;
                Some(Answers::new(name, at, format::source_of(gateway)))
            }
        };
        let status = match &mqtt.status {
            Some(template) => Some(Status::new(fixed(template)?, &gateway.id)),
            None => None,
        };
        let fallback: Result<Vec<Address>, SetupError> =
            mqtt.fallback.iter().map(address).collect();
        let (shortest, longest) = KEEP_ALIVE;
        Ok(MqttUplink {
            servers: Servers::new(address(&mqtt.url)?, fallback?),
            version: mqtt.version,
            client_id: client_id(gateway, name, mqtt),
            user: mqtt.user.clone(),
            tls: mqtt.tls.clone(),
            keep_alive: mqtt.keep_alive.get().clamp(shortest, longest),
            window: usize::from(mqtt.window.clamp(1, session::MAX_WINDOW)),
            timing,
            way: Way {
                format: uplink.format,
                uplink: name.clone(),
                topics: TopicTemplate::new(&mqtt.topic, &gateway.id).map_err(topic)?,
                answers,
                status,
            },
            link: None,
        })
    }

    /// Where it delivers to, for the log.
    pub(super) fn destination(&self) -> String {
        let version = match self.version {
            MqttVersion::V3 => "3.1.1",
            MqttVersion::V5 => "5",
        };
        format!("{} (MQTT {version})", self.servers.used())
    }

    /// Where the verdicts of the MES come, if they count.
    pub(super) fn answers(&self) -> Option<String> {
        self.way.answers.as_ref().map(|own| own.topic.clone())
    }

    /// Counts there what comes on that topic and is none.
    pub(super) fn count_ignored_in(&mut self, health: Arc<UplinkHealth>) {
        if let Some(answers) = &mut self.way.answers {
            answers.count_in(health);
        }
    }

    /// The topic of an event.
    pub(super) fn topic(&self, record: &Record) -> String {
        self.way.topics.topic(&record.envelope)
    }

    /// Everything that is needed to connect, secrets and certificates read now.
    fn login(&self, address: Address, presence: Option<&Presence>) -> Result<Login, Fault> {
        let because = |error: &dyn std::error::Error| Fault(error.to_string());
        let user = match &self.user {
            Some(user) => {
                let password = user.password.read().map_err(|error| because(&error))?;
                Some((user.name.clone(), password))
            }
            None => None,
        };
        let tls = if address.tls {
            Some(tls::client_config(self.tls.as_ref()).map_err(|error| because(&error))?)
        } else {
            None
        };
        let status = self.way.status.as_ref();
        let will = status.and_then(|status| Some(status.will(presence?)));
        Ok(Login {
            address,
            client_id: self.client_id.clone(),
            user,
            tls,
            keep_alive: self.keep_alive,
            write_within: self.timing.verdict_within,
            will,
            answers: self.answers(),
        })
    }
}

/// Under which name an uplink is known to its broker.
pub(super) fn client_id(gateway: &shape::Gateway, uplink: &str, mqtt: &shape::Mqtt) -> String {
    let own = mqtt.client_id.clone();
    own.unwrap_or_else(|| format!("{}-{uplink}", gateway.id))
}

async fn open(version: MqttVersion, login: Login) -> Result<Session, Fault> {
    match version {
        MqttVersion::V3 => v3::open(login).await,
        MqttVersion::V5 => v5::open(login).await,
    }
}

impl Uplink for MqttUplink {
    async fn connect(&mut self) -> Result<Terms, Fault> {
        // First away with the old one: a broker knows one connection per client id.
        self.link = None;
        let Some(address) = self.servers.take() else {
            return Err(Fault("there is no server".into()));
        };
        let presence = self.way.status.as_ref().map(Status::presence);
        let opened = match self.login(address, presence.as_ref()) {
            Ok(login) => open(self.version, login).await,
            Err(fault) => Err(fault),
        };
        let mut link = match opened {
            Ok(session) => Link::new(session, presence),
            Err(Fault(reason)) => return Err(Fault(self.servers.fails(&reason))),
        };
        self.servers.works();
        // Where the word of the MES counts, an event stays under way longer than the broker counts it: the library waits for
        // the broker then.
        let in_flight = match self.way.answers {
            Some(_) => self.window,
            None => self.window.min(link.receive_maximum()),
        };
        link.begin(&self.way)?;
        self.link = Some(link);
        Ok(Terms {
            in_flight,
            batch: 1,
            connected: true,
            one_per_key: false,
            verdict_within: Some(self.timing.verdict_within),
        })
    }

    fn send(&mut self, events: &[&Record]) {
        // Without a link not reached: the task sends between `connect` and the next fault. Unsent, it would be sent again anyway.
        if let Some(link) = &mut self.link {
            events
                .iter()
                .for_each(|record| link.send(record, &mut self.way));
        }
    }

    async fn next(&mut self) -> Result<Answer, Fault> {
        match &mut self.link {
            Some(link) => link.next(&mut self.way).await,
            None => Err(Fault("not connected".into())),
        }
    }

    fn server(&self) -> Option<String> {
        self.servers.are_several().then(|| self.destination())
    }

    async fn close(&mut self) {
        if let Some(link) = &mut self.link {
            link.close(&mut self.way).await;
        }
    }
}
