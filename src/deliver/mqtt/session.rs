//! One connection to a broker, the same for both protocol versions: `v3` and `v5` open it and translate.
//!
//! The library's event loop is not cancel-safe (a PUBLISH can get lost between its state and the socket), so it runs
//! inside a future that is kept here and only polled, never dropped, while the connection lives.

use super::super::handshake;
use super::super::uplink::{Fault, Verdict, printable, with_causes};
use super::address::Address;
use super::answers::Heard;
use crate::settings::SecretText;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use rumqttc::{NetworkOptions, QoS};
use rustls::ClientConfig;
use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Largest window of the settings. Below [`PACKET_IDS`], so that ids never collide while acknowledgements are in order.
pub(super) const MAX_WINDOW: u16 = 1_000;
/// Packet ids in use, and room in the queue to the event loop: never full, since only a window is ever in it.
pub(super) const PACKET_IDS: u16 = 1_024;
/// Largest packet from a broker.
pub(super) const MAX_INCOMING_BYTES: u32 = 64 << 10;
/// Largest packet that is sent. An event has at most 60 KiB; as a B2MML document with a long profile it is several times
/// longer. What is longer still is put aside.
pub(super) const MAX_OUTGOING_BYTES: u32 = 1 << 20;
/// Notices under way: one per event sent and one per acknowledgement of a window. Verdicts of a MES fill what is left, each of
/// at most 1 KiB; past that the connection is not read.
const NOTICES: usize = 2 * PACKET_IDS as usize;
/// Longest text of a broker in the log.
const MAX_REASON_CHARS: usize = 200;

/// What is needed to connect.
pub(super) struct Login {
    pub(super) address: Address,
    pub(super) client_id: String,
    pub(super) user: Option<(String, SecretText)>,
    /// For `mqtts`.
    pub(super) tls: Option<ClientConfig>,
    pub(super) keep_alive: Duration,
    /// Longest wait for the socket to take a packet.
    pub(super) write_within: Duration,
    /// What the broker publishes when it loses us.
    pub(super) will: Option<Message>,
    /// Where the verdicts of the MES come.
    pub(super) answers: Option<String>,
}

/// What is published, QoS 1.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
    /// MQTT 5 says what the payload is.
    pub(super) content_type: &'static str,
    /// Where the verdict on it is to come, and on which event it is: for MQTT 5.
    pub(super) answer: Option<(String, Uuid)>,
}

impl Login {
    /// Nagle's delay would add 40 ms to every window of acknowledgements.
    pub(super) fn network(&self) -> NetworkOptions {
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(self.write_within.as_secs().max(1));
        network
    }
}

/// What the connection reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The oldest submitted event is on its way under this packet id.
    Sent(u16),
    /// The broker's word on a packet id.
    Acknowledged(u16, Verdict),
    /// The subscription stands, or is refused, and why.
    Subscribed(Result<(), String>),
    /// Something came on the topic of the verdicts.
    Heard(Heard),
    /// We have said that we go.
    Left,
}

/// The sending side.
pub(super) enum Client {
    /// MQTT 3.1.1.
    V3(rumqttc::AsyncClient),
    /// MQTT 5.
    V5(rumqttc::v5::AsyncClient),
}

/// One connection.
pub(super) struct Session {
    client: Client,
    notices: mpsc::Receiver<Notice>,
    event_loop: BoxFuture<'static, Fault>,
    ended: Option<Fault>,
    /// Most events that the broker takes without having acknowledged them.
    pub(super) receive_maximum: u16,
    /// Largest packet that the broker takes.
    pub(super) max_packet_bytes: usize,
    /// The broker keeps retained messages; to send one where it does not is an error of the protocol (MQTT 5, 3.2.2.3.5).
    retains: bool,
}

impl Session {
    /// `run` is the event loop: it reports until the connection is lost, and ends with the reason.
    pub(super) fn new<F>(
        client: Client,
        run: impl FnOnce(mpsc::Sender<Notice>) -> F,
        receive_maximum: u16,
        max_packet_bytes: u32,
    ) -> Session
    where
        F: Future<Output = Fault> + Send + 'static,
    {
        let (sender, notices) = mpsc::channel(NOTICES);
        Session {
            client,
            notices,
            event_loop: run(sender).boxed(),
            ended: None,
            receive_maximum,
            max_packet_bytes: usize::try_from(max_packet_bytes.min(MAX_OUTGOING_BYTES))
                .unwrap_or(usize::MAX),
            retains: true,
        }
    }

    /// Where the broker says whether it keeps retained messages: what is to be kept goes without that where it does not.
    pub(super) fn retaining(self, retains: bool) -> Session {
        Session { retains, ..self }
    }

    /// Hands a message to the event loop; false when its queue is full.
    pub(super) fn publish(&self, message: Message) -> bool {
        let Message {
            topic,
            payload,
            retain,
            content_type,
            answer,
        } = message;
        let retain = retain && self.retains;
        match &self.client {
            Client::V3(client) => client
                .publish_bytes(topic, QoS::AtLeastOnce, retain, payload)
                .now_or_never()
                .is_some_and(|sent| sent.is_ok()),
            Client::V5(client) => {
                let (response_topic, correlation_data) = match answer {
                    Some((topic, id)) => (Some(topic), Some(Bytes::from(id.to_string()))),
                    None => (None, None),
                };
                let properties = PublishProperties {
                    content_type: Some(content_type.into()),
                    response_topic,
                    correlation_data,
                    ..PublishProperties::default()
                };
                let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                let sent =
                    client.try_publish_with_properties(topic, qos, retain, payload, properties);
                sent.is_ok()
            }
        }
    }

    /// Asks for what comes on a topic, QoS 1; false when the queue is full.
    pub(super) fn subscribe(&self, topic: &str) -> bool {
        match &self.client {
            Client::V3(client) => client.try_subscribe(topic, QoS::AtLeastOnce).is_ok(),
            Client::V5(client) => {
                let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                client.try_subscribe(topic, qos).is_ok()
            }
        }
    }

    /// Says that we go, behind all that was published; false when the queue is full.
    pub(super) fn leave(&self) -> bool {
        match &self.client {
            Client::V3(client) => client.try_disconnect().is_ok(),
            Client::V5(client) => client.try_disconnect().is_ok(),
        }
    }

    /// Drives the connection to its next notice. Cancel-safe: the event loop goes on where it was.
    pub(super) async fn next(&mut self) -> Result<Notice, Fault> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Notice, Fault>> {
        if let Poll::Ready(Some(notice)) = self.notices.poll_recv(context) {
            return Poll::Ready(Ok(notice));
        }
        if self.ended.is_none()
            && let Poll::Ready(fault) = self.event_loop.poll_unpin(context)
        {
            self.ended = Some(fault);
        }
        // Acknowledgements that came before the end count.
        match (self.notices.poll_recv(context), &self.ended) {
            (Poll::Ready(Some(notice)), _) => Poll::Ready(Ok(notice)),
            (_, Some(fault)) => Poll::Ready(Err(fault.clone())),
            (Poll::Ready(None) | Poll::Pending, None) => Poll::Pending,
        }
    }
}

/// Why a connection failed, in words that tell what to check.
pub(super) fn explain(error: &(dyn std::error::Error + 'static), address: &Address) -> Fault {
    if let Some(tls) = handshake::find(error) {
        return Fault(handshake::explain(tls, &address.host));
    }
    let mut cause = Some(error);
    while let Some(inner) = cause {
        let hint = inner.downcast_ref::<io::Error>().map(io_hint);
        if let Some(Some(hint)) = hint {
            return Fault(hint);
        }
        cause = inner.source();
    }
    Fault(printable(&with_causes(error), MAX_REASON_CHARS))
}

fn io_hint(error: &io::Error) -> Option<String> {
    let check = match error.kind() {
        io::ErrorKind::ConnectionRefused => "is the broker running, and is the port right?",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "check cable, address and route"
        }
        io::ErrorKind::TimedOut => "check cable, address and firewall",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "the broker closed the connection: its log says why",
        // The resolver's errors have no kind of their own.
        _ if error.to_string().contains("lookup") => "check the host name and the name server",
        _ => return None,
    };
    Some(format!("{error}: {check}"))
}

const REFUSED: &str = "the broker refuses the connection";

/// The broker refuses the connection, and what to check.
pub(super) fn refused(what: &str) -> Fault {
    Fault(format!("{REFUSED}: {what}"))
}

/// What brokers say in MQTT 5 and 3.1.1 to a wrong password as well as to missing rights.
pub(super) const NOT_LET_IN: &str = "user name or password is wrong, or this client may not connect: check `user`, the credential of its password, and the broker's permissions";

/// Why there is no greeting: whoever answers may be no broker, or one that wants TLS.
pub(super) fn ungreeted(
    error: &(dyn std::error::Error + 'static),
    fault: Fault,
    address: &Address,
) -> Fault {
    if handshake::find(error).is_some() || fault.0.starts_with(REFUSED) {
        return fault;
    }
    if closes(error) {
        return Fault(match address.tls {
            true => format!("{}; or it is no MQTT broker: check the port", fault.0),
            false => format!(
                "{}; a port that wants TLS does that, too (`mqtts://`), or one that is no MQTT broker's",
                fault.0
            ),
        });
    }
    if is_of_the_network(error) {
        return fault;
    }
    Fault(match address.tls {
        true => "what answers there does not speak MQTT (a web server does that): check the port in `url`".into(),
        false => "what answers there does not speak MQTT: a web server, or a port that wants TLS (`mqtts://`); check the port in `url`".into(),
    })
}

/// The first error of the operating system among an error and its causes.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<io::Error>() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

fn closes(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = io_error(error).map(io::Error::kind);
    let aborted = error.to_string().contains("closed by peer");
    aborted
        || matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        )
}

/// Not so what cannot be read, or ends in the middle of a message.
fn is_of_the_network(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = io_error(error).map(io::Error::kind);
    let is_of_the_words = |kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::Other);
    kind.is_some_and(|kind| !is_of_the_words(kind))
}

/// Text that a broker sent, for the log.
pub(super) fn said(text: Option<&str>) -> String {
    text.map(|text| format!(" (it says: {})", printable(text, MAX_REASON_CHARS)))
        .unwrap_or_default()
}
