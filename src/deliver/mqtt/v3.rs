//! MQTT 3.1.1 over the library's first event loop. See `session` for what both versions share.

use super::super::uplink::{Fault, Verdict};
use super::address::Address;
use super::answers::{Heard, hear};
use super::session::{
    self, Client, Login, MAX_INCOMING_BYTES, MAX_OUTGOING_BYTES, Notice, PACKET_IDS, Session,
};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    Outgoing, Packet, Publish, QoS, StateError, SubAck, SubscribeReasonCode, TlsConfiguration,
    Transport,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// MQTT 3.1.1 brokers need not take longer client ids ([MQTT-3.1.3-5]).
const SURE_CLIENT_ID_BYTES: usize = 23;

/// Connects with a clean session. Dropping the future gives up.
pub(super) async fn open(login: Login) -> Result<Session, Fault> {
    let address = login.address.clone();
    let answers = login.answers.clone();
    let client_id = login.client_id.clone();
    let network = login.network();
    let (client, mut events) = AsyncClient::new(options(login), usize::from(PACKET_IDS));
    events.set_network_options(network);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => break,
            Ok(_) => {}
            Err(error) => {
                let fault = fault(&error, &address, &client_id);
                return Err(session::ungreeted(&error, fault, &address));
            }
        }
    }
    let run = move |notices| run(events, notices, answers, address, client_id);
    // 3.1.1 has no receive maximum; the window is the limit.
    Ok(Session::new(
        Client::V3(client),
        run,
        u16::MAX,
        MAX_OUTGOING_BYTES,
    ))
}

fn options(login: Login) -> MqttOptions {
    let mut options = MqttOptions::new(login.client_id, login.address.host, login.address.port);
    options
        .set_clean_session(true)
        .set_keep_alive(login.keep_alive)
        .set_inflight(PACKET_IDS)
        .set_max_packet_size(bytes(MAX_INCOMING_BYTES), bytes(MAX_OUTGOING_BYTES));
    if let Some((name, password)) = login.user {
        options.set_credentials(name, password.expose());
    }
    if let Some(will) = login.will {
        let payload = will.payload;
        options.set_last_will(LastWill::new(
            will.topic,
            payload,
            QoS::AtLeastOnce,
            will.retain,
        ));
    }
    if let Some(tls) = login.tls {
        let tls = TlsConfiguration::Rustls(Arc::new(tls));
        options.set_transport(Transport::tls_with_config(tls));
    }
    options
}

fn bytes(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Reports until the connection is lost. The event loop is never polled after an error: that would reconnect.
async fn run(
    mut events: EventLoop,
    notices: mpsc::Sender<Notice>,
    answers: Option<String>,
    address: Address,
    client_id: String,
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
                return fault(&error, &address, &client_id);
            }
        }
    }
}

fn notice(event: &Event, answers: Option<&str>) -> Option<Notice> {
    match event {
        Event::Outgoing(Outgoing::Publish(id)) => Some(Notice::Sent(*id)),
        Event::Incoming(Packet::PubAck(ack)) => {
            Some(Notice::Acknowledged(ack.pkid, Verdict::Accepted))
        }
        Event::Incoming(Packet::SubAck(ack)) => Some(Notice::Subscribed(subscribed(ack))),
        Event::Incoming(Packet::Publish(publish)) => Some(Notice::Heard(heard(publish, answers))),
        Event::Outgoing(Outgoing::Disconnect) => Some(Notice::Left),
        Event::Outgoing(_) | Event::Incoming(_) => None,
    }
}

/// The word on our one subscription.
fn subscribed(ack: &SubAck) -> Result<(), String> {
    let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
    if ack.return_codes.iter().all(granted) {
        Ok(())
    } else {
        Err("without a reason".into())
    }
}

fn heard(publish: &Publish, answers: Option<&str>) -> Heard {
    hear(answers, publish.topic.as_bytes(), &publish.payload, None)
}

fn fault(error: &ConnectionError, address: &Address, client_id: &str) -> Fault {
    match error {
        ConnectionError::ConnectionRefused(code) => session::refused(&refusal(*code, client_id)),
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Fault("the broker does not answer pings: the connection is dead".into())
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Fault("the broker closed the connection: its log says why; with 3.1.1 it may be its way to say that a topic, of the events or of `status`, is forbidden".into())
        }
        other => session::explain(other, address),
    }
}

fn refusal(code: ConnectReturnCode, client_id: &str) -> String {
    match code {
        ConnectReturnCode::Success => "without a reason".into(),
        ConnectReturnCode::RefusedProtocolVersion => {
            "it does not speak MQTT 3.1.1: set `version: 5`".into()
        }
        ConnectReturnCode::BadClientId if client_id.len() > SURE_CLIENT_ID_BYTES => format!(
            "it does not take the client id `{client_id}`: brokers of 3.1.1 need not take more than {SURE_CLIENT_ID_BYTES} characters, set `client_id`"
        ),
        ConnectReturnCode::BadClientId => {
            format!("it does not take the client id `{client_id}`: set `client_id`")
        }
        ConnectReturnCode::ServiceUnavailable => "its service is unavailable".into(),
        ConnectReturnCode::BadUserNamePassword => {
            "user name or password is wrong: check `user`".into()
        }
        ConnectReturnCode::NotAuthorized => session::NOT_LET_IN.into(),
    }
}
