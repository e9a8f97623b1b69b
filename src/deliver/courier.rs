//! Events on a connection of a command's own, beside what the gateway delivers or without it: one that tries a destination,
//! or many that are sent again. It sends and reports, like the protocols below it; when to stop, the command decides.

use super::body;
use super::filter::EventFilter;
use super::http::http_request;
use super::mqtt;
use super::setup::{Prepared, Protocol, SetupError, prepare};
use super::timing::Timing;
use super::uplink::{Answer, Fault, Terms, Uplink, Verdict};
use crate::buffer::Record;
use crate::model::{ParkClass, Position};
use crate::settings::shape::{self, Acknowledge};
use crate::settings::{self, UplinkProtocol};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for a verdict where the protocol sets no limit of its own: above each time-out of the settings that is
/// worth waiting for in front of a screen.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Somebody who carries events to one destination.
pub struct Courier {
    filter: EventFilter,
    timing: Timing,
    protocol: Protocol,
    terms: Terms,
    /// Where the word of the MES counts: the longest wait for it.
    mes_within: Option<Duration>,
}

/// What a destination says to one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has it.
    Accepted,
    /// It refuses it for good: such an event is parked.
    Rejected(ParkClass),
    /// It refuses it, and may take it later.
    Refused,
    /// It has something else under that id.
    Conflict,
    /// There was no verdict.
    Unanswered,
    /// It has it and does not say yet what becomes of it.
    Pending,
    /// It takes nothing at present, whatever the event.
    Unavailable,
}

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// On which event.
    pub position: Position,
    /// The verdict.
    pub word: Word,
    /// Why, and what to check; empty for what is accepted.
    pub reason: String,
    /// The destination's code.
    pub code: Option<String>,
    /// The HTTP status, or the reason code of MQTT.
    pub status: Option<u16>,
    /// How long it wants not to be asked again.
    pub at_least: Option<Duration>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoToken {
    /// In words, with what to check.
    pub why: String,
    /// The endpoint refused it, rather than not being reachable or not at work.
    pub refused: bool,
}

/// An event as it would travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Name and value of what goes with it: broker and topic, or URL and headers. Secrets are masked.
    pub label: Vec<(String, String)>,
    /// Where it goes to, for HTTP: with `requests:` that depends on the event.
    pub url: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Courier {
    /// To the destination of an uplink, under a name of its own: a broker closes the older of two connections with one
    /// client id, and that would be the gateway's.
    ///
    /// # Errors
    /// [`SetupError`] as a start of the gateway would give it.
    pub fn new(
        gateway: &shape::Gateway,
        uplink: &settings::Uplink,
        purpose: &str,
        timing: Timing,
    ) -> Result<Courier, SetupError> {
        let mut own = uplink.clone();
        if let UplinkProtocol::Mqtt(mqtt) = &mut own.protocol {
            mqtt.client_id = Some(client_id(gateway, &uplink.name, mqtt, purpose));
            // Whether the gateway is there is not for a command to say, least of all by its will.
            mqtt.status = None;
        }
        let Prepared {
            filter, protocol, ..
        } = prepare(gateway, &own, timing)?;
        let mes_within = match uplink.acknowledge {
            Acknowledge::Broker => None,
            Acknowledge::Mes => Some(uplink.ack_timeout.first.get().min(LONGEST_WAIT)),
        };
        Ok(Courier {
            mes_within,
            filter,
            timing,
            protocol,
            terms: Terms {
                in_flight: 1,
                batch: 1,
                connected: false,
                one_per_key: true,
                verdict_within: None,
            },
        })
    }

    /// Where it delivers to, without secrets.
    #[must_use]
    pub fn destination(&self) -> String {
        match &self.protocol {
            Protocol::Mqtt(mqtt) => mqtt.destination(),
            Protocol::Http(http) => http.destination(),
        }
    }

    /// Whether the uplink's `events:` wants events of this name.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        self.filter.wants(kind)
    }

    /// Makes the connection. With HTTP the first event does that.
    ///
    /// # Errors
    /// Why it could not be made, and what to check.
    pub async fn connect(&mut self) -> Result<(), String> {
        let within = self.timing.connect_within;
        let connecting = async {
            match &mut self.protocol {
                Protocol::Mqtt(mqtt) => mqtt.connect().await,
                Protocol::Http(http) => http.connect().await,
            }
        };
        let slow = || {
            Fault(format!(
                "no complete answer to the connection within {} ms: check that this is the right server and port",
                within.as_millis()
            ))
        };
        let made = timeout(within, connecting).await;
        let terms = made.unwrap_or_else(|_| Err(slow()));
        self.terms = terms.map_err(|fault| fault.0)?;
        Ok(())
    }

    /// Fetches a token, which is then used for the events; `None` where the settings want none. How long it lives, where the
    /// endpoint says so.
    pub async fn fetch_token(&self) -> Option<Result<Option<Duration>, NoToken>> {
        let Protocol::Http(http) = &self.protocol else {
            return None;
        };
        let fetched = http.login()?.life().await;
        Some(fetched.map_err(|trouble| NoToken {
            refused: matches!(trouble.status, Some(400..=499)),
            why: trouble.reason,
        }))
    }

    /// Most events that may be under way at a time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.terms.in_flight.max(1)
    }

    /// Whether only one event of a partition key may be under way, or their order is lost.
    #[must_use]
    pub fn one_per_key(&self) -> bool {
        self.terms.one_per_key
    }

    /// Starts sending an event.
    pub fn send(&mut self, record: &Record) {
        match &mut self.protocol {
            Protocol::Mqtt(mqtt) => mqtt.send(&[record]),
            Protocol::Http(http) => http.send(&[record]),
        }
    }

    /// The next verdict on what is under way. Cancel-safe.
    ///
    /// # Errors
    /// The connection is lost, or brings no verdicts: everything under way is undecided.
    pub async fn next(&mut self) -> Result<Said, String> {
        let by_broker = self.terms.verdict_within.unwrap_or(LONGEST_WAIT);
        let within = self.mes_within.unwrap_or(by_broker);
        let hearing = async {
            loop {
                let answer = match &mut self.protocol {
                    Protocol::Mqtt(mqtt) => mqtt.next().await?,
                    Protocol::Http(http) => http.next().await?,
                };
                // The broker's word, where that of the MES counts.
                if answer.verdict != Verdict::Taken {
                    return Ok(answer);
                }
            }
        };
        match timeout(within, hearing).await {
            Ok(Ok(answer)) => Ok(said(answer)),
            Ok(Err(Fault(why))) => Err(why),
            Err(_) if self.mes_within.is_some() => Err(format!(
                "the broker takes it, and the MES said nothing within {} s: does it read this topic, and does it answer on the topic `answers`?",
                within.as_secs()
            )),
            Err(_) => Err(format!("no verdict came within {} s", within.as_secs())),
        }
    }
}

/// The client id of a command's own connection.
fn client_id(gateway: &shape::Gateway, uplink: &str, mqtt: &shape::Mqtt, purpose: &str) -> String {
    format!("{}-{purpose}", mqtt::client_id(gateway, uplink, mqtt))
}

fn said(answer: Answer) -> Said {
    let (word, trouble) = match answer.verdict {
        Verdict::Accepted | Verdict::Taken => (Word::Accepted, None),
        Verdict::Rejected(class, trouble) => (Word::Rejected(class), Some(trouble)),
        Verdict::Refused(trouble) => (Word::Refused, Some(trouble)),
        Verdict::Conflict(trouble) => (Word::Conflict, Some(trouble)),
        Verdict::Unanswered(trouble) | Verdict::Broken(trouble) | Verdict::Undivided(trouble) => {
            (Word::Unanswered, Some(trouble))
        }
        Verdict::Pending(trouble) => (Word::Pending, Some(trouble)),
        Verdict::InDoubt(_, trouble) | Verdict::Unavailable(trouble) => {
            (Word::Unavailable, Some(trouble))
        }
    };
    let trouble = trouble.as_ref();
    Said {
        position: answer.position,
        word,
        reason: trouble.map(|it| it.reason.clone()).unwrap_or_default(),
        code: trouble.and_then(|it| it.code.clone()),
        status: trouble.and_then(|it| it.status),
        at_least: trouble.and_then(|it| it.at_least),
    }
}

/// An event as the destination of an uplink would get it. Nothing is sent, and no secret is read. The inner error says why
/// this event has no form there.
///
/// # Errors
/// [`SetupError`] as a start of the gateway would give it.
pub fn parcel(
    gateway: &shape::Gateway,
    uplink: &settings::Uplink,
    record: &Record,
) -> Result<Result<Parcel, String>, SetupError> {
    if let Some(shown) = http_request(uplink, record)? {
        return Ok(shown.map(|shown| {
            let mut label = vec![(shown.method, shown.url.clone())];
            label.extend(shown.headers);
            Parcel {
                label,
                url: Some(shown.url),
                body: shown.body.into(),
            }
        }));
    }
    let prepared = prepare(gateway, uplink, Timing::default())?;
    let body = match body::render(uplink.format, record) {
        Ok(body) => body,
        Err(trouble) => return Ok(Err(trouble.reason)),
    };
    let mut label = Vec::new();
    if let Protocol::Mqtt(mqtt) = &prepared.protocol {
        label.push(("broker".into(), mqtt.destination()));
        label.push(("topic".into(), mqtt.topic(record)));
        label.push(("content type".into(), body.content_type.into()));
    }
    Ok(Ok(Parcel {
        label,
        url: None,
        body: body.bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_never_takes_the_gateways_place_at_the_broker() {
        let gateway = shape::Gateway {
            id: "gw07".into(),
            path: Vec::new(),
        };
        let mut mqtt: shape::Mqtt =
            serde_json::from_value(serde_json::json!({ "url": "mqtt://broker" })).unwrap();
        assert_eq!(client_id(&gateway, "mes", &mqtt, "test"), "gw07-mes-test");
        mqtt.client_id = Some("own".into());
        assert_eq!(client_id(&gateway, "mes", &mqtt, "resend"), "own-resend");
    }
}
