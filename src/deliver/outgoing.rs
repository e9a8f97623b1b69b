//! What the task sends now: live events, a parked one that is due, or, while the MES is silent, one that knocks.

use super::task::Drain;
use super::uplink::{Terms, Uplink};
use super::window::Started;
use crate::buffer::Record;
use std::time::Instant;

impl Drain {
    /// Sends what may be sent.
    pub(super) fn send_due<U: Uplink>(&mut self, uplink: &mut U, terms: &Terms, now: Instant) {
        if let Some(pace) = &mut self.pace {
            pace.others_sent(now, self.health.beside.get());
        }
        let has_another = self.has_another(terms);
        let open = self.gate.allows(now, terms.in_flight, has_another);
        if self.is_silent() {
            self.knock(uplink, terms, open, now);
            return;
        }
        // What the broker has is in the window, too, until the MES has spoken of it.
        let wants_nothing = self
            .answering
            .as_ref()
            .is_some_and(|mes| mes.wants_nothing());
        let window = if wants_nothing { 1 } else { terms.in_flight };
        let allowed = open
            .min(window.saturating_sub(self.window.taken_count()))
            .min(self.repeatable(terms));
        // Where events are counted, a parked one is not put off for ever.
        if self.pace.is_some() && self.live_went_last {
            self.send_parked(uplink, allowed, now);
        }
        self.send_live(uplink, terms, allowed, now);
        self.send_parked(uplink, allowed, now);
    }

    /// Whether, behind a closed gate, an event waits that nothing was said of.
    pub(super) fn has_another(&self, terms: &Terms) -> bool {
        self.gate.is_closed() && self.window.has_another(terms)
    }

    fn send_live<U: Uplink>(
        &mut self,
        uplink: &mut U,
        terms: &Terms,
        allowed: usize,
        now: Instant,
    ) {
        let most = if self.desk.holds_all() || !self.keys_are_known() {
            0
        } else {
            self.retries.leaves(allowed)
        };
        loop {
            let batch = terms.batch.min(self.pace_allows(now));
            if batch == 0 {
                return;
            }
            let started = if self.gate.is_open() {
                self.window.start(now, terms, most, batch)
            } else {
                self.window.start_probe(now, terms, most)
            };
            if started.is_empty() {
                return;
            }
            self.hand_over(uplink, &started, now);
        }
    }

    fn hand_over<U: Uplink>(&mut self, uplink: &mut U, started: &[Started], now: Instant) {
        let records = |one: &Started| self.window.record(one.position);
        let events: Vec<&Record> = started.iter().filter_map(records).collect();
        uplink.send(&events);
        self.pace_takes(now, started.len());
        self.live_went_last = true;
        self.health.sent.add(started.len() as u64);
        let again = started.iter().filter(|one| one.again).count();
        self.health.resent.add(again as u64);
    }

    /// Sends the parked event that is due, where live ones leave a slot.
    fn send_parked<U: Uplink>(&mut self, uplink: &mut U, allowed: usize, now: Instant) {
        if self.pace_allows(now) == 0 {
            return;
        }
        let in_flight = self.window.in_flight();
        let Some(record) = self.retries.start(now, in_flight, allowed) else {
            return;
        };
        uplink.send(&[record]);
        self.live_went_last = false;
        self.pace_takes(now, 1);
        self.health.sent.add(1);
        self.health.resent.add(1);
    }

    /// While the MES is silent one event goes at a time, less and less often; and a new one, where it is silent about one only.
    fn knock<U: Uplink>(&mut self, uplink: &mut U, terms: &Terms, open: usize, now: Instant) {
        let closed = self.desk.holds_all() || self.window.in_flight() >= open;
        if closed || self.pace_allows(now) == 0 {
            return;
        }
        let Some(mes) = &mut self.answering else {
            return;
        };
        let Some(nth) = mes.knocks_with(now) else {
            if let Some(started) = self.window.ask_with_another(now, terms.one_per_key) {
                self.hand_over(uplink, &[started], now);
            }
            return;
        };
        if let Some(started) = self.window.knock(now, nth, terms.one_per_key) {
            let wait = mes.knocked(now);
            self.tell_silence(now, wait);
            self.hand_over(uplink, &[started], now);
        } else if self.window.oldest_sent().is_none() {
            mes.forgets();
            self.resume(now);
        }
    }

    fn pace_allows(&self, now: Instant) -> usize {
        self.pace
            .as_ref()
            .map_or(usize::MAX, |pace| pace.allows(now))
    }

    fn pace_takes(&mut self, now: Instant, events: usize) {
        if let Some(pace) = &mut self.pace {
            pace.takes(now, events);
        }
    }
}
