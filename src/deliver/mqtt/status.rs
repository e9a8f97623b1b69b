//! Whether the gateway is there, as a retained message: online after connecting, offline at an orderly stop, and offline by the
//! broker's word (the will) when the connection is lost.

use super::session::Message;
use crate::clock::Clock;
use crate::model::UtcTime;
use bytes::Bytes;
use jiff::Timestamp;

/// The status of one gateway on its topic.
pub(super) struct Status {
    topic: String,
    gateway: String,
    clock: Clock,
}

/// The status of one connection.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    /// Drawn anew for each, so that a late will is told from a new birth.
    session: String,
    since: String,
}

impl Status {
    /// On that topic.
    pub(super) fn new(topic: String, gateway: &str) -> Status {
        Status {
            topic,
            gateway: gateway.to_owned(),
            clock: Clock::system(),
        }
    }

    /// Of a connection that is about to be made.
    pub(super) fn presence(&self) -> Presence {
        Presence {
            session: format!("{:016x}", fastrand::u64(..)),
            since: written(self.clock.now().utc),
        }
    }

    /// What is published after connecting.
    pub(super) fn online(&self, presence: &Presence) -> Message {
        self.message(presence, "online", None)
    }

    /// What the broker publishes when it loses us.
    pub(super) fn will(&self, presence: &Presence) -> Message {
        self.message(presence, "offline", Some(("reason", "lost".to_owned())))
    }

    /// What is published at an orderly stop.
    pub(super) fn offline(&self, presence: &Presence) -> Message {
        let at = written(self.clock.now().utc);
        self.message(presence, "offline", Some(("at", at)))
    }

    fn message(&self, presence: &Presence, state: &str, more: Option<(&str, String)>) -> Message {
        let mut body = serde_json::json!({
            "gateway": self.gateway,
            "state": state,
            "since": presence.since,
            "version": env!("CARGO_PKG_VERSION"),
            "session": presence.session,
        });
        if let (Some((key, value)), Some(body)) = (more, body.as_object_mut()) {
            body.insert(key.to_owned(), value.into());
        }
        Message {
            topic: self.topic.clone(),
            payload: Bytes::from(body.to_string()),
            retain: true,
            content_type: "application/json",
            answer: None,
        }
    }
}

fn written(utc: UtcTime) -> String {
    Timestamp::from_nanosecond(i128::from(utc.0))
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birth_will_and_leave_tell_the_same_session() {
        let status = Status::new("ACME/_gw/gw07/status".into(), "gw07");
        let presence = status.presence();
        let read = |message: &Message| -> serde_json::Value {
            assert!(message.retain && message.topic == "ACME/_gw/gw07/status");
            serde_json::from_slice(&message.payload).expect("JSON")
        };
        let birth = read(&status.online(&presence));
        let will = read(&status.will(&presence));
        let leave = read(&status.offline(&presence));
        assert_eq!(
            (&birth["state"], &birth["gateway"]),
            (&"online".into(), &"gw07".into())
        );
        assert_eq!(
            (&will["state"], &will["reason"]),
            (&"offline".into(), &"lost".into())
        );
        assert_eq!(leave["state"], "offline");
        assert!(
            leave["at"]
                .as_str()
                .is_some_and(|at| at.ends_with('Z') && at.len() == 24)
        );
        for other in [&will, &leave] {
            assert_eq!(other["session"], birth["session"]);
            assert_eq!(other["since"], birth["since"]);
        }
        assert_ne!(
            read(&status.online(&status.presence()))["session"],
            birth["session"]
        );
    }
}
