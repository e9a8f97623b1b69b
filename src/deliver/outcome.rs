//! What the task makes of a verdict: settles, postpones, parks or pauses. And of a verdict that does not come.

use super::task::{Drain, now};
use super::uplink::{Answer, Doubt, Terms, Trouble, Verdict};
use super::window::{Consequence, Doubted, Failure};
use crate::buffer::ParkedState;
use crate::model::{ParkClass, Position};
use std::time::{Duration, Instant};

impl Drain {
    /// A verdict came, on a live event or a parked one.
    pub(super) fn take_answer(&mut self, answer: Answer, terms: &Terms) {
        self.hear(&answer.verdict);
        if self.take_retry_answer(&answer) {
            return;
        }
        let now = now();
        let Answer { position, verdict } = answer;
        match verdict {
            Verdict::Taken => self.take_taken(position, now),
            Verdict::Accepted => {
                let Some(sent_at) = self.window.accept(position) else {
                    return;
                };
                self.health.delivered.add(1);
                self.gate.accepted(sent_at);
                self.retries.others_pass();
                self.resume(now);
            }
            Verdict::Rejected(class, trouble) => {
                let Some(sent_at) = self.window.sent_at(position) else {
                    return;
                };
                self.health.refused.add(1);
                self.gate.answered(sent_at);
                self.resume(now);
                self.park(position, (class, ParkedState::Rejected), trouble);
            }
            Verdict::Pending(trouble) => {
                if let Some(sent_at) = self.window.sent_at(position) {
                    self.gate.answered(sent_at);
                    self.resume(now);
                    self.park(position, (ParkClass::Held, ParkedState::Retrying), trouble);
                }
            }
            Verdict::Conflict(trouble) => {
                self.health.refused.add(1);
                self.fail(position, now, trouble, Failure::Conflict, terms);
            }
            Verdict::Refused(trouble) if self.puts_off_all(position) => {
                if let Some(sent_at) = self.window.put_back(position) {
                    self.close_gate(sent_at, now, trouble);
                }
            }
            Verdict::Refused(trouble) => {
                self.health.refused.add(1);
                self.fail(position, now, trouble, Failure::Refused, terms);
            }
            Verdict::Unanswered(trouble) => {
                self.fail(position, now, trouble, Failure::Unanswered, terms);
            }
            Verdict::Undivided(trouble) => {
                if let Some(sent_at) = self.window.divide(position) {
                    self.gate.answered(sent_at);
                    self.report.divided(now, &trouble.reason);
                }
            }
            // While nothing is in doubt, the first break may be that of a connection that was idle.
            Verdict::Broken(trouble)
                if self.gate.is_open() && !self.window.has_failed(position) =>
            {
                self.fail(position, now, trouble, Failure::Broken, terms);
            }
            Verdict::Broken(trouble) => {
                let doubted = self.window.breaks(position, now);
                self.take_doubted(position, now, doubted, (Doubt::Event, trouble), terms);
            }
            Verdict::InDoubt(doubt, trouble) => {
                let asked = self.asked(&trouble);
                let doubted = self.window.doubt(position, now, asked);
                self.take_doubted(position, now, doubted, (doubt, trouble), terms);
            }
            Verdict::Unavailable(trouble) => {
                if let Some(sent_at) = self.window.put_back(position) {
                    self.close_gate(sent_at, now, trouble);
                }
            }
        }
    }

    /// The answer may blame the destination as well as the event.
    fn take_doubted(
        &mut self,
        position: Position,
        now: Instant,
        doubted: Option<Doubted>,
        (doubt, trouble): (Doubt, Trouble),
        terms: &Terms,
    ) {
        let wait = match doubted {
            Some(Doubted::Unclear(sent_at)) => self.gate.doubt(sent_at, now, self.asked(&trouble)),
            Some(Doubted::Broke(sent_at)) => self.gate.doubt_broken(sent_at, now),
            // Its events go one by one; others are taken meanwhile.
            Some(Doubted::Together(sent_at)) if self.window.takes_since(sent_at) => None,
            Some(Doubted::Together(sent_at)) => self.gate.doubt_together(sent_at, now),
            Some(Doubted::Passing(wait)) => {
                self.health.refused.add(1);
                let holds = self.window.holds_its_key(position, terms);
                return self.follow(position, now, Consequence::Again(wait), trouble, holds);
            }
            Some(Doubted::Own) => {
                self.health.refused.add(1);
                let trouble = blaming(doubt, trouble);
                return self.fail(position, now, trouble, Failure::Doubted(doubt), terms);
            }
            None => None,
        };
        // A single answer of many is no pause: what is under way or another event shows in a moment whether it is one.
        let others_decide = self.window.in_flight() > 0 || self.window.has_another(terms);
        if self.gate.is_quiet() && others_decide {
            return;
        }
        let wait = self.gate.speaks(now).or(wait);
        self.tell_pause(now, wait, &trouble);
    }

    /// The destination takes nothing, as the answer to what was sent at `sent_at` says.
    pub(super) fn close_gate(&mut self, sent_at: Instant, now: Instant, trouble: Trouble) {
        let untold = self.gate.speaks(now);
        let wait = self.gate.close(sent_at, now, self.asked(&trouble));
        let wait = wait.or(untold);
        self.tell_pause(now, wait, &trouble);
    }

    /// The wait that the destination asks for, within reason.
    fn asked(&self, trouble: &Trouble) -> Duration {
        let asked = trouble.at_least.unwrap_or_default();
        asked.min(self.timing.longest_asked_wait)
    }

    fn tell_pause(&mut self, now: Instant, wait: Option<Duration>, trouble: &Trouble) {
        if let Some(wait) = wait {
            self.report.paused(now, &trouble.reason, wait);
            self.health.destination.pause(&trouble.reason);
        }
    }

    /// A verdict came: unless something holds events back, the destination works.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.gate.is_open() && !self.desk.is_full() && !self.is_silent() {
            self.report.resumed(now);
            self.health.destination.resume();
        }
    }

    fn fail(
        &mut self,
        position: Position,
        now: Instant,
        trouble: Trouble,
        failure: Failure,
        terms: &Terms,
    ) {
        let failed = self.window.fail(position, now, trouble.at_least, failure);
        let Some((sent_at, consequence)) = failed else {
            return;
        };
        match failure {
            // While the gate tries, this answer says nothing of the destination: the next event goes at once.
            Failure::Doubted(_) => {}
            // A server that has an error for each event is not back yet.
            Failure::Unanswered | Failure::Broken => self.gate.answered(sent_at),
            Failure::Refused | Failure::Conflict => {
                self.gate.answered(sent_at);
                self.resume(now);
            }
        }
        let holds_its_key = self.window.holds_its_key(position, terms);
        self.follow(position, now, consequence, trouble, holds_its_key);
    }

    fn follow(
        &mut self,
        position: Position,
        now: Instant,
        consequence: Consequence,
        trouble: Trouble,
        holds_its_key: bool,
    ) {
        let why = match consequence {
            // It goes at once: nothing that anybody could look at.
            Consequence::Again(wait) if wait.is_zero() => return,
            // Told of the one that it waits for.
            Consequence::Waits => return,
            Consequence::Again(wait) => {
                if let Some(record) = self.window.record(position) {
                    let reason = &trouble.reason;
                    self.report
                        .refused(now, record, reason, wait, holds_its_key);
                }
                return;
            }
            Consequence::Suspect => (ParkClass::Suspect, ParkedState::Retrying),
            Consequence::StillInConflict => (ParkClass::Business, ParkedState::Rejected),
        };
        self.park(position, why, trouble);
    }

    /// The broker has the event; the MES has not spoken of it yet.
    fn take_taken(&mut self, position: Position, now: Instant) {
        let Some(answering) = &self.answering else {
            return;
        };
        let patience = answering.patience;
        let opens = !answering.wants_nothing();
        if let Some(sent_at) = self.window.taken(position, now, patience)
            && opens
        {
            self.gate.accepted(sent_at);
            self.retries.others_pass();
            self.resume(now);
        }
    }

    /// A verdict of the MES shows that it lives: the window opens, and what it should have spoken of is sent again with the next
    /// turn ([`Drain::mind_silence`]).
    fn hear(&mut self, verdict: &Verdict) {
        // What has a number is the broker's word, or our own.
        let from_mes = match verdict {
            Verdict::Accepted => true,
            Verdict::Refused(trouble) | Verdict::Rejected(_, trouble) => trouble.status.is_none(),
            Verdict::Taken
            | Verdict::Conflict(_)
            | Verdict::Pending(_)
            | Verdict::Unanswered(_)
            | Verdict::Broken(_)
            | Verdict::Undivided(_)
            | Verdict::InDoubt(..)
            | Verdict::Unavailable(_) => false,
        };
        if !from_mes {
            return;
        }
        let now = now();
        if let Some(answering) = &mut self.answering {
            self.retries.heard();
            if *verdict == Verdict::Accepted {
                answering.takes();
            }
            if answering.hears(now) {
                self.resume(now);
            }
        }
    }

    /// True when the MES wants this event later, and all others, too.
    fn puts_off_all(&mut self, position: Position) -> bool {
        self.answering
            .as_mut()
            .is_some_and(|answering| answering.puts_off(position))
    }

    /// True while the MES gives no verdicts.
    pub(super) fn is_silent(&self) -> bool {
        self.answering
            .as_ref()
            .is_some_and(|answering| answering.is_silent())
    }

    /// Looks for verdicts of the MES that are overdue.
    pub(super) fn mind_silence(&mut self, now: Instant) {
        let Some(patience) = self.answering.as_ref().map(|mes| mes.patience) else {
            return;
        };
        let trouble = || {
            let words = format!(
                "the MES did not speak of it within {} s",
                patience.first.as_secs_f64()
            );
            Trouble::new(words)
        };
        self.fail_overdue_retry(now, trouble());
        while let Some((position, sent_at)) = self.window.overdue(now) {
            match &mut self.answering {
                Some(mes) if mes.is_silent() => return,
                Some(mes) if !mes.has_spoken_since(sent_at) => {
                    mes.falls_silent(now);
                    self.window.expect_nothing(now);
                    return;
                }
                Some(_) | None => {}
            }
            let Some(consequence) = self.window.unspoken(position, now, patience) else {
                return;
            };
            self.follow(position, now, consequence, trouble(), false);
        }
    }

    /// The MES is silent, as people are told. Not at once after a connection was made: its verdicts may have been lost with the
    /// one before.
    pub(super) fn tell_silence(&mut self, now: Instant, wait: Duration) {
        let Some(mes) = &self.answering else { return };
        let connected = now.saturating_duration_since(self.connected_at);
        if mes.knocks() > 1 || connected >= mes.patience.first {
            let reason = mes.reason();
            self.report.paused(now, &reason, wait);
            self.health.destination.pause(&reason);
        }
    }
}

/// An answer that might have blamed the destination, when others are taken.
fn blaming(doubt: Doubt, trouble: Trouble) -> Trouble {
    let what = match doubt {
        Doubt::Event => "this event",
        Doubt::Way => "the topic, the URL or the rights of such events",
    };
    Trouble {
        reason: format!("{}; others are taken, so it is {what}", trouble.reason),
        ..trouble
    }
}
