//! One connection to a broker, and which event each packet id stands for on it.
//!
//! Where the word of the MES counts, nothing is sent before the subscription to it stands. A refused one is asked for again with
//! each event that is tried.

use super::super::body;
use super::super::uplink::{Answer, Fault, Trouble, Verdict};
use super::answers::Answers;
use super::session::{Message, Notice, Session};
use super::status::{Presence, Status};
use super::topic::TopicTemplate;
use crate::buffer::Record;
use crate::model::{ParkClass, Position};
use crate::settings::shape::Format;
use std::collections::{HashMap, VecDeque};
use tracing::warn;

/// What a PUBLISH has beside topics and payload: fixed header, packet id, content type, correlation data, room for later
/// properties.
const PACKET_OVERHEAD: usize = 192;

/// What outlives a connection: where events go, and whose word counts.
pub(super) struct Way {
    /// Name of the uplink, for the log.
    pub(super) uplink: String,
    pub(super) topics: TopicTemplate,
    /// What an event looks like there.
    pub(super) format: Format,
    pub(super) answers: Option<Answers>,
    pub(super) status: Option<Status>,
}

/// One connection.
pub(super) struct Link {
    session: Session,
    /// What it tells about the gateway being there.
    presence: Option<Presence>,
    subscription: Subscription,
    /// Wait for the subscription.
    waiting: VecDeque<Record>,
    /// Handed to the client, not yet given a packet id.
    submitted: VecDeque<Sent>,
    on_wire: HashMap<u16, Sent>,
    /// Verdicts that need no broker.
    own_verdicts: VecDeque<Answer>,
}

/// What a packet id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Event(Position),
    Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    NotNeeded,
    Asked,
    Stands,
    Refused,
}

impl Link {
    pub(super) fn new(session: Session, presence: Option<Presence>) -> Link {
        Link {
            session,
            presence,
            subscription: Subscription::NotNeeded,
            waiting: VecDeque::new(),
            submitted: VecDeque::new(),
            on_wire: HashMap::new(),
            own_verdicts: VecDeque::new(),
        }
    }

    /// Most events that the broker takes without having acknowledged them.
    pub(super) fn receive_maximum(&self) -> usize {
        usize::from(self.session.receive_maximum.max(1))
    }

    /// Subscribes and tells that the gateway is there, before anything else.
    pub(super) fn begin(&mut self, way: &Way) -> Result<(), Fault> {
        if let Some(answers) = &way.answers {
            self.subscribe(answers)?;
        }
        if let (Some(status), Some(presence)) = (&way.status, &self.presence) {
            let online = status.online(presence);
            self.publish_status(online);
        }
        Ok(())
    }

    fn subscribe(&mut self, answers: &Answers) -> Result<(), Fault> {
        if !self.session.subscribe(&answers.topic) {
            return Err(Fault("the connection takes no more packets".into()));
        }
        self.subscription = Subscription::Asked;
        Ok(())
    }

    fn publish_status(&mut self, message: Message) {
        if self.session.publish(message) {
            self.submitted.push_back(Sent::Status);
        }
    }

    /// Sends an event, or has it wait for the subscription.
    pub(super) fn send(&mut self, record: &Record, way: &mut Way) {
        if self.subscription == Subscription::Refused
            && let Some(answers) = &way.answers
            && self.subscribe(answers).is_err()
        {
            self.has_own_verdict(record.position, no_room());
            return;
        }
        match self.subscription {
            Subscription::NotNeeded | Subscription::Stands => self.publish(record, way),
            Subscription::Asked | Subscription::Refused => self.waiting.push_back(record.clone()),
        }
    }

    fn publish(&mut self, record: &Record, way: &mut Way) {
        let topic = way.topics.topic(&record.envelope);
        let body = match body::render(way.format, record) {
            Ok(body) => body,
            Err(trouble) => {
                let verdict = Verdict::Rejected(ParkClass::Schema, trouble);
                return self.has_own_verdict(record.position, verdict);
            }
        };
        let answers = way.answers.as_ref().map_or("", |own| own.topic.as_str());
        let bytes = body.bytes.len() + topic.len() + answers.len() + PACKET_OVERHEAD;
        let limit = self.session.max_packet_bytes;
        if topic.is_empty() {
            let trouble =
                Trouble::new("its topic is empty: the template needs a level that every event has");
            let verdict = Verdict::Rejected(ParkClass::Schema, trouble.coded(0x90, "0x90"));
            return self.has_own_verdict(record.position, verdict);
        }
        if bytes > limit {
            let trouble = Trouble::new(format!(
                "its packet has {bytes} bytes and the broker takes {limit}: raise the broker's maximum packet size"
            ));
            let verdict = Verdict::Rejected(ParkClass::Schema, trouble.coded(0x95, "0x95"));
            return self.has_own_verdict(record.position, verdict);
        }
        let id = record.envelope.id;
        let message = Message {
            topic,
            payload: body.bytes,
            retain: false,
            content_type: body.content_type,
            answer: way.answers.as_ref().map(|own| (own.topic.clone(), id)),
        };
        if !self.session.publish(message) {
            return self.has_own_verdict(record.position, no_room());
        }
        self.submitted.push_back(Sent::Event(record.position));
        if let Some(answers) = &mut way.answers {
            answers.awaits(id, record.position);
        }
    }

    fn has_own_verdict(&mut self, position: Position, verdict: Verdict) {
        self.own_verdicts.push_back(Answer { position, verdict });
    }

    /// Drives the connection to the next verdict. Cancel-safe.
    pub(super) async fn next(&mut self, way: &mut Way) -> Result<Answer, Fault> {
        loop {
            if let Some(answer) = self.own_verdicts.pop_front() {
                return Ok(answer);
            }
            let notice = self.session.next().await?;
            if let Some(answer) = self.take(notice, way) {
                return Ok(answer);
            }
        }
    }

    fn take(&mut self, notice: Notice, way: &mut Way) -> Option<Answer> {
        match notice {
            Notice::Sent(packet_id) => {
                if let Some(sent) = self.submitted.pop_front() {
                    self.on_wire.insert(packet_id, sent);
                }
            }
            // An id that stands for nothing: acknowledged a second time.
            Notice::Acknowledged(packet_id, verdict) => match self.on_wire.remove(&packet_id)? {
                Sent::Event(position) => {
                    let verdict = match verdict {
                        Verdict::Accepted if way.answers.is_some() => Verdict::Taken,
                        other => other,
                    };
                    return Some(Answer { position, verdict });
                }
                Sent::Status => tell_status(way, &verdict),
            },
            Notice::Subscribed(granted) => self.subscribed(granted, way),
            Notice::Heard(heard) => {
                let now = super::super::task::now();
                return way.answers.as_mut()?.take(heard, now);
            }
            Notice::Left => {}
        }
        None
    }

    fn subscribed(&mut self, granted: Result<(), String>, way: &mut Way) {
        let waiting = std::mem::take(&mut self.waiting);
        let Err(why) = granted else {
            self.subscription = Subscription::Stands;
            waiting.iter().for_each(|record| self.publish(record, way));
            return;
        };
        self.subscription = Subscription::Refused;
        let topic = way.answers.as_ref().map_or("", |own| own.topic.as_str());
        let reason = format!(
            "the broker does not let this client read the MES's verdicts on {topic} ({why}): check its permissions, or `answers`"
        );
        for record in waiting {
            let verdict = Verdict::Unavailable(Trouble::new(reason.clone()));
            self.has_own_verdict(record.position, verdict);
        }
    }

    /// Says that the gateway goes, behind all that was sent. What comes meanwhile is too late.
    pub(super) async fn close(&mut self, way: &mut Way) {
        if let (Some(status), Some(presence)) = (&way.status, &self.presence) {
            let offline = status.offline(presence);
            self.publish_status(offline);
        }
        if !self.session.leave() {
            return;
        }
        while let Ok(notice) = self.session.next().await {
            if notice == Notice::Left {
                return;
            }
            let _too_late = self.take(notice, way);
        }
    }
}

fn no_room() -> Verdict {
    Verdict::Unanswered(Trouble::new("the connection takes no more packets"))
}

/// The status is for others: that a broker does not take it stops nothing.
fn tell_status(way: &Way, verdict: &Verdict) {
    match verdict {
        Verdict::Rejected(_, trouble)
        | Verdict::InDoubt(_, trouble)
        | Verdict::Unavailable(trouble)
            if trouble.status != Some(0x10) =>
        {
            warn!(uplink = %way.uplink, "the broker does not take the gateway's status: {}", trouble.reason);
        }
        _ => {}
    }
}
