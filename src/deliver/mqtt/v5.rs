//! MQTT 5 over the library's second event loop. See `session` for what both versions share.

use super::super::uplink::{Doubt, Fault, Trouble, Verdict};
use super::address::Address;
use super::answers::{Heard, hear};
use super::session::{self, Client, Login, MAX_INCOMING_BYTES, Notice, PACKET_IDS, Session};
use crate::model::ParkClass;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, LastWill, Packet, PubAck, PubAckReason, Publish, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The library's own time-out of the connection; ours is shorter and set by the task.
const CONNECT_S: u64 = 3_600;

/// Connects with a clean start. Dropping the future gives up.
pub(super) async fn open(login: Login) -> Result<Session, Fault> {
    let address = login.address.clone();
    let answers = login.answers.clone();
    let keep_alive = login.keep_alive;
    let (client, mut events) = AsyncClient::new(options(login), usize::from(PACKET_IDS));
    let greeting = loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(greeting))) => break greeting,
            Ok(_) => {}
            Err(error) => {
                return Err(session::ungreeted(
                    &error,
                    fault(&error, &address),
                    &address,
                ));
            }
        }
    };
    let limits = Limits::of(&greeting)?;
    if limits.keep_alive_off {
        // The library would take 0 for a period and ping without pause.
        events.options.set_keep_alive(keep_alive);
    }
    let run = move |notices| run(events, notices, answers, address);
    Ok(Session::new(
        Client::V5(client),
        run,
        limits.receive_maximum,
        limits.max_packet_bytes,
    )
    .retaining(limits.retains))
}

fn options(login: Login) -> MqttOptions {
    let network = login.network();
    let mut options = MqttOptions::new(login.client_id, login.address.host, login.address.port);
    options
        .set_clean_start(true)
        .set_keep_alive(login.keep_alive)
        .set_connection_timeout(CONNECT_S)
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_max_packet_size(Some(MAX_INCOMING_BYTES))
        .set_network_options(network);
    if let Some((name, password)) = login.user {
        options.set_credentials(name, password.expose());
    }
    if let Some(will) = login.will {
        let qos = QoS::AtLeastOnce;
        options.set_last_will(LastWill::new(
            will.topic,
            will.payload,
            qos,
            will.retain,
            None,
        ));
    }
    if let Some(tls) = login.tls {
        let tls = TlsConfiguration::Rustls(Arc::new(tls));
        options.set_transport(Transport::tls_with_config(tls));
    }
    options
}

/// What a broker's greeting allows (MQTT 5, 3.2.2.3). Topic aliases, wildcards, shared subscriptions and subscription
/// identifiers are never used, so what it says about them changes nothing; the keep-alive that it wants is kept by the library.
#[derive(Debug, PartialEq, Eq)]
struct Limits {
    receive_maximum: u16,
    max_packet_bytes: u32,
    keep_alive_off: bool,
    /// It keeps retained messages.
    retains: bool,
}

/// Without acknowledgements nothing can be settled.
const NO_QOS_1: &str =
    "the broker does not acknowledge anything (maximum QoS 0): allow QoS 1 there";

impl Limits {
    fn of(greeting: &ConnAck) -> Result<Limits, Fault> {
        let Some(properties) = &greeting.properties else {
            return Ok(Limits {
                receive_maximum: u16::MAX,
                max_packet_bytes: u32::MAX,
                keep_alive_off: false,
                retains: true,
            });
        };
        if properties.max_qos == Some(0) {
            return Err(Fault(NO_QOS_1.into()));
        }
        Ok(Limits {
            receive_maximum: properties.receive_max.unwrap_or(u16::MAX),
            max_packet_bytes: properties.max_packet_size.unwrap_or(u32::MAX),
            keep_alive_off: properties.server_keep_alive == Some(0),
            retains: properties.retain_available != Some(0),
        })
    }
}

/// Reports until the connection is lost. The event loop is never polled after an error: that would reconnect.
async fn run(
    mut events: EventLoop,
    notices: mpsc::Sender<Notice>,
    answers: Option<String>,
    address: Address,
) -> Fault {
    loop {
        match events.poll().await {
            Ok(event) => {
                if let Some(notice) = notice(&event, answers.as_deref())
                    && notices.send(notice).await.is_err()
                {
                    return Fault("given up".into());
                }
            }
            Err(error) => {
                // Acknowledgements that were read together with the end.
                let left = std::mem::take(&mut events.state.events);
                let left = left.iter();
                for notice in left.filter_map(|event| notice(event, answers.as_deref())) {
                    if notices.send(notice).await.is_err() {
                        break;
                    }
                }
                return fault(&error, &address);
            }
        }
    }
}

fn notice(event: &Event, answers: Option<&str>) -> Option<Notice> {
    match event {
        Event::Outgoing(Outgoing::Publish(id)) => Some(Notice::Sent(*id)),
        Event::Incoming(Packet::PubAck(ack)) => Some(Notice::Acknowledged(ack.pkid, verdict(ack))),
        Event::Incoming(Packet::SubAck(ack)) => Some(Notice::Subscribed(subscribed(ack))),
        Event::Incoming(Packet::Publish(publish)) => Some(Notice::Heard(heard(publish, answers))),
        Event::Outgoing(Outgoing::Disconnect) => Some(Notice::Left),
        Event::Outgoing(_) | Event::Incoming(_) => None,
    }
}

/// The meaning of a PUBACK (MQTT 5, 3.4.2.1). A used-up quota, missing rights and subscribers hold for all events
/// or for those of the topic; the others for this one.
fn verdict(ack: &PubAck) -> Verdict {
    let said = session::said(
        ack.properties
            .as_ref()
            .and_then(|properties| properties.reason_string.as_deref()),
    );
    let trouble = |what: &str| Trouble::new(format!("{what}{said}"));
    match ack.reason {
        PubAckReason::Success => Verdict::Accepted,
        PubAckReason::NoMatchingSubscribers => Verdict::InDoubt(
            Doubt::Way,
            trouble(
                "nobody has subscribed to the topic (0x10): is the MES connected to the broker, and to this topic?",
            )
            .coded(0x10, "0x10"),
        ),
        PubAckReason::NotAuthorized => Verdict::InDoubt(
            Doubt::Way,
            trouble(
                "this client may not publish to the topic (0x87): check the broker's permissions",
            )
            .coded(0x87, "0x87"),
        ),
        // Of this client, or of this topic.
        PubAckReason::QuotaExceeded => Verdict::InDoubt(
            Doubt::Way,
            trouble("the broker's quota is used up (0x97)").coded(0x97, "0x97"),
        ),
        PubAckReason::TopicNameInvalid => Verdict::Rejected(
            ParkClass::Schema,
            trouble("the broker does not accept the topic (0x90): check `topic`")
                .coded(0x90, "0x90"),
        ),
        PubAckReason::PayloadFormatInvalid => Verdict::Rejected(
            ParkClass::Schema,
            trouble("the broker does not accept the payload (0x99)").coded(0x99, "0x99"),
        ),
        PubAckReason::ImplementationSpecificError => Verdict::Rejected(
            ParkClass::Business,
            trouble("the broker refuses it for a reason of its own (0x83)").coded(0x83, "0x83"),
        ),
        PubAckReason::UnspecifiedError => Verdict::Rejected(
            ParkClass::Business,
            trouble("the broker refuses it without a reason (0x80)").coded(0x80, "0x80"),
        ),
        PubAckReason::PacketIdentifierInUse => {
            Verdict::Unanswered(trouble("the broker still uses its packet id (0x91)"))
        }
    }
}

/// The word on our one subscription.
fn subscribed(ack: &SubAck) -> Result<(), String> {
    let refused = |code: &&SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
    let Some(refused) = ack.return_codes.iter().find(refused) else {
        return Ok(());
    };
    let said = ack.properties.as_ref();
    let said = session::said(said.and_then(|properties| properties.reason_string.as_deref()));
    Err(format!("{refused:?}{said}"))
}

fn heard(publish: &Publish, answers: Option<&str>) -> Heard {
    let properties = publish.properties.as_ref();
    let correlation = properties.and_then(|properties| properties.correlation_data.as_deref());
    hear(answers, &publish.topic, &publish.payload, correlation)
}

fn fault(error: &ConnectionError, address: &Address) -> Fault {
    match error {
        ConnectionError::ConnectionRefused(code) => session::refused(&refusal(*code)),
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string,
        }) => Fault(format!(
            "the broker ended the connection: {reason_code:?}{}",
            session::said(reason_string.as_deref())
        )),
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Fault("the broker does not answer pings: the connection is dead".into())
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Fault("the broker closed the connection: its log says why".into())
        }
        other => session::explain(other, address),
    }
}

fn refusal(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => {
            "user name or password is wrong: check `user`".into()
        }
        ConnectReturnCode::NotAuthorized => session::NOT_LET_IN.into(),
        ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion => {
            "it does not speak MQTT 5: set `version: 3`".into()
        }
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => {
            "it does not take the client id: set `client_id`".into()
        }
        ConnectReturnCode::RetainNotSupported => {
            "it keeps no retained messages (0x9A): allow them there, or leave out `status`".into()
        }
        ConnectReturnCode::QoSNotSupported => NO_QOS_1.into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::v5::mqttbytes::v5::{ConnAckProperties, PubAckProperties};

    /// A greeting that says nothing but this.
    fn greeting(change: impl FnOnce(&mut ConnAckProperties)) -> ConnAck {
        let mut properties = ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        change(&mut properties);
        ConnAck {
            session_present: false,
            code: ConnectReturnCode::Success,
            properties: Some(properties),
        }
    }

    #[test]
    fn a_greeting_limits_what_it_names_and_nothing_else() {
        let nothing = Limits {
            receive_maximum: u16::MAX,
            max_packet_bytes: u32::MAX,
            keep_alive_off: false,
            retains: true,
        };
        let bare = ConnAck {
            properties: None,
            ..greeting(|_| {})
        };
        assert_eq!(Limits::of(&bare), Ok(nothing));
        let of = |change: fn(&mut ConnAckProperties)| {
            let limits = Limits::of(&greeting(change)).expect("it can be used");
            let Limits {
                receive_maximum,
                max_packet_bytes,
                keep_alive_off,
                retains,
            } = limits;
            (receive_maximum, max_packet_bytes, keep_alive_off, retains)
        };
        let (window, bytes) = (u16::MAX, u32::MAX);
        for (what, said, allowed) in [
            ("nothing", of(|_| {}), (window, bytes, false, true)),
            (
                "receive maximum 1",
                of(|it| it.receive_max = Some(1)),
                (1, bytes, false, true),
            ),
            (
                "10,000 bytes",
                of(|it| it.max_packet_size = Some(10_000)),
                (window, 10_000, false, true),
            ),
            (
                "no aliases",
                of(|it| it.topic_alias_max = Some(0)),
                (window, bytes, false, true),
            ),
            (
                "aliases",
                of(|it| it.topic_alias_max = Some(10)),
                (window, bytes, false, true),
            ),
            (
                "QoS 1",
                of(|it| it.max_qos = Some(1)),
                (window, bytes, false, true),
            ),
            (
                "no retain",
                of(|it| it.retain_available = Some(0)),
                (window, bytes, false, false),
            ),
            (
                "retain",
                of(|it| it.retain_available = Some(1)),
                (window, bytes, false, true),
            ),
            (
                "no wildcards",
                of(|it| it.wildcard_subscription_available = Some(0)),
                (window, bytes, false, true),
            ),
            (
                "no shared ones",
                of(|it| it.shared_subscription_available = Some(0)),
                (window, bytes, false, true),
            ),
            (
                "no pings",
                of(|it| it.server_keep_alive = Some(0)),
                (window, bytes, true, true),
            ),
            (
                "pings at 2 s",
                of(|it| it.server_keep_alive = Some(2)),
                (window, bytes, false, true),
            ),
        ] {
            assert_eq!(said, allowed, "{what}");
        }
        let Err(Fault(why)) = Limits::of(&greeting(|it| it.max_qos = Some(0))) else {
            panic!("without acknowledgements nothing is sent");
        };
        assert!(why.contains("QoS 1"), "{why}");
    }

    #[test]
    fn a_broker_that_refuses_retained_messages_or_qos_1_is_told_in_words() {
        for (code, word) in [
            (ConnectReturnCode::RetainNotSupported, "`status`"),
            (ConnectReturnCode::QoSNotSupported, "QoS 1"),
        ] {
            let said = refusal(code);
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn only_success_settles_and_each_other_reason_blames_event_or_destination() {
        let of = |reason| {
            let mut ack = PubAck::new(7, None);
            ack.reason = reason;
            verdict(&ack)
        };
        assert_eq!(of(PubAckReason::Success), Verdict::Accepted);
        for reason in [
            PubAckReason::NoMatchingSubscribers,
            PubAckReason::NotAuthorized,
        ] {
            let verdict = of(reason);
            assert!(
                matches!(verdict, Verdict::InDoubt(Doubt::Way, _)),
                "{reason:?}"
            );
        }
        assert!(matches!(
            of(PubAckReason::QuotaExceeded),
            Verdict::InDoubt(Doubt::Way, _)
        ));
        for reason in [
            PubAckReason::TopicNameInvalid,
            PubAckReason::PayloadFormatInvalid,
            PubAckReason::ImplementationSpecificError,
            PubAckReason::UnspecifiedError,
        ] {
            assert!(matches!(of(reason), Verdict::Rejected(..)), "{reason:?}");
        }
        assert!(matches!(
            of(PubAckReason::PacketIdentifierInUse),
            Verdict::Unanswered(_)
        ));
    }

    #[test]
    fn what_the_broker_says_reaches_the_log_in_one_line() {
        let mut ack = PubAck::new(
            7,
            Some(PubAckProperties {
                reason_string: Some("no\nsuch topic".into()),
                user_properties: Vec::new(),
            }),
        );
        ack.reason = PubAckReason::TopicNameInvalid;
        let Verdict::Rejected(ParkClass::Schema, trouble) = verdict(&ack) else {
            panic!("rejected");
        };
        assert!(
            trouble.reason.ends_with(r"(it says: no\nsuch topic)"),
            "{}",
            trouble.reason
        );
    }
}
