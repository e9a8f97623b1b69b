//! A broker on loopback that follows a script, in MQTT 3.1.1 and 5. Only the codecs are those of the library under test.

pub(super) use super::broker_greeting::{Allows, Greeting};
pub(super) use super::broker_mes::{Grants, Mes, STATUS};
use super::oracle::{Oracle, id_of};
use bytes::BytesMut;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// Protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V5,
}

impl Version {
    pub(super) const BOTH: [Version; 2] = [Version::V3, Version::V5];

    /// As in the settings.
    pub(super) fn number(self) -> u8 {
        match self {
            Version::V3 => 3,
            Version::V5 => 5,
        }
    }
}

/// What the broker does on one connection.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) greeting: Greeting,
    pub(super) session_present: bool,
    /// MQTT 5 only.
    pub(super) receive_maximum: Option<u16>,
    /// MQTT 5 only.
    pub(super) max_packet_bytes: Option<u32>,
    /// MQTT 5 only.
    pub(super) allows: Allows,
    pub(super) manner: Manner,
    /// How it answers SUBSCRIBE.
    pub(super) grants: Grants,
    /// The MES behind it; without one nobody gives verdicts, and its PUBACK grants an event.
    pub(super) mes: Option<Mes>,
}

/// How it answers PUBLISH. Numbers count the publishes of the connection from 1.
#[derive(Clone, Default)]
pub(super) enum Manner {
    #[default]
    Honest,
    /// Closes instead of acknowledging this one.
    CutBefore(usize),
    /// Never acknowledges this one.
    Swallow(usize),
    /// Acknowledges this one twice.
    Twice(usize),
    /// Collects so many, then acknowledges the newest first.
    Backwards(usize),
    /// Acknowledges nothing.
    Mute,
    /// Acknowledges nothing until this turns true, then everything.
    Hold(watch::Receiver<bool>),
    /// This one gets a reason other than success, on its first arrival.
    Once(usize, v5::PubAckReason),
    /// The event with this number gets that reason until it is mended.
    Poison(u128, v5::PubAckReason, Arc<AtomicBool>),
    /// The events with such numbers do.
    Refuse(fn(u128) -> bool, v5::PubAckReason, Arc<AtomicBool>),
}

/// A scripted broker. Its scripts are followed one per connection, the last one for ever.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
    most_outstanding: Arc<AtomicUsize>,
    topics: Arc<Mutex<Vec<String>>>,
    pub(super) subscriptions: Arc<AtomicUsize>,
    statuses: Arc<Mutex<Vec<serde_json::Value>>>,
    pings: Arc<Mutex<Vec<Instant>>>,
}

impl Broker {
    pub(super) async fn start(version: Version, scripts: Vec<Script>, oracle: Oracle) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let broker = Broker {
            port: listener.local_addr().expect("an address").port(),
            connections: Arc::default(),
            most_outstanding: Arc::default(),
            topics: Arc::default(),
            subscriptions: Arc::default(),
            statuses: Arc::default(),
            pings: Arc::default(),
        };
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = serving.connections.fetch_add(1, Ordering::SeqCst);
                let script = scripts.get(number).or(scripts.last()).cloned();
                let connection = Connection {
                    version,
                    number,
                    script: script.expect("at least one script"),
                    oracle: oracle.clone(),
                    broker: serving.clone(),
                    unacknowledged: Vec::new(),
                    published: 0,
                    subscribed: false,
                    will: None,
                    answered: 0,
                };
                tokio::spawn(connection.serve(stream));
            }
        });
        broker
    }

    pub(super) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Connections made so far, refused ones included.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Most publishes that ever waited for their acknowledgement on one connection.
    pub(super) fn most_outstanding(&self) -> usize {
        self.most_outstanding.load(Ordering::SeqCst)
    }

    /// Subscriptions that were asked for.
    pub(super) fn subscribed(&self) -> usize {
        self.subscriptions.load(Ordering::SeqCst)
    }

    /// What was told on the topic of the status, wills included.
    pub(super) fn statuses(&self) -> Vec<serde_json::Value> {
        self.statuses.lock().expect("no panic").clone()
    }

    /// When it was pinged, on all connections together.
    pub(super) fn pings(&self) -> Vec<Instant> {
        self.pings.lock().expect("no panic").clone()
    }

    fn tell_status(&self, payload: &[u8]) {
        let status = serde_json::from_slice(payload).expect("a status is JSON");
        self.statuses.lock().expect("no panic").push(status);
    }

    /// Topics in the order of arrival.
    pub(super) fn topics(&self) -> Vec<String> {
        self.topics.lock().expect("no panic").clone()
    }
}

/// What matters of a packet.
enum Packet {
    Connect {
        will: Option<bytes::Bytes>,
    },
    Subscribe {
        packet_id: u16,
        topic: String,
    },
    Publish {
        packet_id: u16,
        topic: String,
        payload: bytes::Bytes,
        /// The response topic and the correlation data of MQTT 5.
        answer: Option<(String, bytes::Bytes)>,
    },
    Ping,
    Disconnect,
    Other,
}

pub(super) struct Connection {
    pub(super) version: Version,
    /// Which of the connections to the broker it is, from 0.
    number: usize,
    pub(super) script: Script,
    pub(super) oracle: Oracle,
    pub(super) broker: Broker,
    /// Packet ids and event ids that were not answered yet.
    unacknowledged: Vec<(u16, uuid::Uuid)>,
    published: usize,
    pub(super) subscribed: bool,
    will: Option<bytes::Bytes>,
    /// Verdicts sent.
    pub(super) answered: u16,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(will) = &self.will {
            self.broker.tell_status(will);
        }
    }
}

/// The end of a hold; without one, never.
async fn released(manner: Manner) {
    if let Manner::Hold(mut held) = manner
        && held.wait_for(|released| *released).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Whether the connection goes on.
pub(super) enum Next {
    GoOn,
    Close,
}

impl Connection {
    async fn serve(mut self, mut stream: TcpStream) {
        let mut input = BytesMut::new();
        loop {
            while let Some(packet) = self.read(&mut input) {
                let mut output = BytesMut::new();
                let next = self.answer(packet, &mut output);
                if stream.write_all(&output).await.is_err() || matches!(next, Next::Close) {
                    return;
                }
            }
            let manner = self.script.manner.clone();
            tokio::select! {
                read = stream.read_buf(&mut input) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                () = released(manner) => {
                    self.script.manner = Manner::Honest;
                    let mut output = BytesMut::new();
                    self.acknowledge_all(&mut output);
                    if stream.write_all(&output).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn acknowledge_all(&mut self, output: &mut BytesMut) {
        for (packet_id, id) in std::mem::take(&mut self.unacknowledged) {
            self.acknowledge(packet_id, id, output);
        }
    }

    fn read(&self, input: &mut BytesMut) -> Option<Packet> {
        const LIMIT: u32 = 1 << 20;
        // Without a reason it has two bytes, which the codec takes for a mistake.
        if input.starts_with(&[0xe0, 0x00]) {
            return Some(Packet::Disconnect);
        }
        match self.version {
            Version::V3 => Some(match v4::Packet::read(input, LIMIT as usize).ok()? {
                v4::Packet::Connect(connect) => Packet::Connect {
                    will: connect.last_will.map(|will| will.message),
                },
                v4::Packet::Subscribe(subscribe) => Packet::Subscribe {
                    packet_id: subscribe.pkid,
                    topic: subscribe.filters.first().expect("a filter").path.clone(),
                },
                v4::Packet::Publish(publish) => Packet::Publish {
                    packet_id: publish.pkid,
                    topic: publish.topic,
                    payload: publish.payload,
                    answer: None,
                },
                v4::Packet::PingReq => Packet::Ping,
                v4::Packet::Disconnect => Packet::Disconnect,
                _ => Packet::Other,
            }),
            Version::V5 => Some(match v5::Packet::read(input, Some(LIMIT)).ok()? {
                v5::Packet::Connect(_, will, _) => Packet::Connect {
                    will: will.map(|will| will.message),
                },
                v5::Packet::Subscribe(subscribe) => Packet::Subscribe {
                    packet_id: subscribe.pkid,
                    topic: subscribe.filters.first().expect("a filter").path.clone(),
                },
                v5::Packet::Publish(publish) => {
                    let properties = publish.properties.expect("properties");
                    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                    let kind = match topic.as_str() {
                        STATUS => "application/json",
                        _ => "application/cloudevents+json; charset=utf-8",
                    };
                    assert_eq!(properties.content_type.as_deref(), Some(kind));
                    assert_eq!(properties.topic_alias, None);
                    assert!(
                        !publish.retain || self.script.allows.retain != Some(0),
                        "a retained message where there are none"
                    );
                    Packet::Publish {
                        packet_id: publish.pkid,
                        topic,
                        payload: publish.payload,
                        answer: properties.response_topic.zip(properties.correlation_data),
                    }
                }
                v5::Packet::PingReq(_) => Packet::Ping,
                v5::Packet::Disconnect(_) => Packet::Disconnect,
                _ => Packet::Other,
            }),
        }
    }

    fn answer(&mut self, packet: Packet, output: &mut BytesMut) -> Next {
        match packet {
            Packet::Connect { will } => {
                self.will = will;
                return self.greet(output);
            }
            Packet::Subscribe { packet_id, topic } => self.subscribe(packet_id, &topic, output),
            Packet::Publish {
                packet_id,
                topic,
                payload,
                ..
            } if topic == STATUS => {
                self.broker.tell_status(&payload);
                self.puback(packet_id, v5::PubAckReason::Success, output);
            }
            Packet::Publish {
                packet_id,
                topic,
                payload,
                answer,
            } => {
                self.broker.topics.lock().expect("no panic").push(topic);
                if self.script.mes.is_some() {
                    assert!(self.subscribed, "first it subscribes, then it sends");
                    self.check_answer(&payload, answer);
                }
                return self.publish(packet_id, &payload, output);
            }
            Packet::Disconnect => {
                self.will = None;
                return Next::Close;
            }
            Packet::Ping => {
                self.broker
                    .pings
                    .lock()
                    .expect("no panic")
                    .push(Instant::now());
                if !matches!(self.script.manner, Manner::Mute) {
                    self.pong(output);
                }
            }
            Packet::Other => {}
        }
        Next::GoOn
    }

    fn publish(&mut self, packet_id: u16, payload: &[u8], output: &mut BytesMut) -> Next {
        let id = id_of(payload);
        let arrivals = self.oracle.arrived_on(self.number, id);
        self.published += 1;
        self.unacknowledged.push((packet_id, id));
        let outstanding = self.unacknowledged.len();
        self.broker
            .most_outstanding
            .fetch_max(outstanding, Ordering::SeqCst);
        let number = self.published;
        self.speak(id, arrivals, true, output);
        match self.script.manner.clone() {
            Manner::CutBefore(nth) if nth == number => return Next::Close,
            Manner::Mute | Manner::Hold(_) => {}
            Manner::Swallow(nth) if nth == number => {}
            Manner::Backwards(group) => {
                if outstanding == group {
                    while let Some((packet_id, id)) = self.unacknowledged.pop() {
                        self.acknowledge(packet_id, id, output);
                    }
                }
            }
            Manner::Twice(nth) if nth == number => {
                self.acknowledge(packet_id, id, output);
                self.acknowledge(packet_id, id, output);
            }
            Manner::Once(nth, reason) if nth == number && arrivals == 1 => {
                self.refuse(packet_id, reason, output);
            }
            Manner::Poison(poison, reason, mended)
                if id.as_u128() == poison && !mended.load(Ordering::SeqCst) =>
            {
                self.refuse(packet_id, reason, output);
            }
            Manner::Refuse(is_refused, reason, mended)
                if is_refused(id.as_u128()) && !mended.load(Ordering::SeqCst) =>
            {
                self.refuse(packet_id, reason, output);
            }
            _ => self.acknowledge(packet_id, id, output),
        }
        self.speak(id, arrivals, false, output);
        Next::GoOn
    }

    fn acknowledge(&mut self, packet_id: u16, id: uuid::Uuid, output: &mut BytesMut) {
        if self.script.mes.is_none() {
            self.oracle.grant(id);
        }
        self.puback(packet_id, v5::PubAckReason::Success, output);
    }

    fn refuse(&mut self, packet_id: u16, reason: v5::PubAckReason, output: &mut BytesMut) {
        self.puback(packet_id, reason, output);
    }

    fn puback(&mut self, packet_id: u16, reason: v5::PubAckReason, output: &mut BytesMut) {
        self.unacknowledged.retain(|(other, _)| *other != packet_id);
        match self.version {
            Version::V3 => v4::PubAck::new(packet_id).write(output).expect("written"),
            Version::V5 => {
                let mut ack = v5::PubAck::new(packet_id, None);
                ack.reason = reason;
                ack.write(output).expect("written")
            }
        };
    }

    fn pong(&self, output: &mut BytesMut) {
        match self.version {
            Version::V3 => v4::PingResp.write(output).expect("written"),
            Version::V5 => v5::PingResp::write(output).expect("written"),
        };
    }
}
