//! What a link knows of one of its devices: when it answered last, whether it is lost, how long it is left alone.
//!
//! Pure: time comes in as an argument. A device that never answered is lost `lost_after` after the start.

use super::condition::Conditioner;
use super::driver::{Reading, later, link_error};
use super::heartbeat::{Beat, Heartbeat};
use crate::backoff::Backoff;
use crate::health::DeviceHealth;
use crate::model::{DeviceId, LinkError, Sample, Stamp, TagId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A device of a link, as the settings have it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its number.
    pub id: DeviceId,
    /// Its name, for the log.
    pub name: String,
    /// Silence after which it is lost.
    pub lost_after: Duration,
    /// Its silence means nothing while the connection is there.
    pub speaks_unasked: bool,
    /// The tag that its program keeps changing, and within what time.
    pub heartbeat: Option<(TagId, Duration)>,
    /// Its counters.
    pub health: Arc<DeviceHealth>,
    /// What is done to its values.
    pub conditioner: Conditioner,
}

/// A device and what became of it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) device: Watched,
    backoff: Backoff,
    heartbeat: Option<Heartbeat>,
    answered: Instant,
    lost: bool,
    /// When its loss was told; what it said before that is known only now.
    lost_at: Option<Stamp>,
    /// The stamp of the last that was handed over.
    told: Option<Stamp>,
    /// Its tags are bad because it was not read.
    unread: bool,
    /// It has not answered on the connection that there is.
    unheard: bool,
    rests_until: Option<Instant>,
    error: Option<LinkError>,
    /// It has said something on the connection that there is.
    on_line: bool,
}

impl Watch {
    pub(super) fn new(device: Watched, backoff: Backoff, now: Instant) -> Watch {
        let heartbeat = device.heartbeat;
        Watch {
            device,
            backoff,
            heartbeat: heartbeat.map(|(tag, within)| Heartbeat::new(tag, within)),
            answered: now,
            lost: false,
            lost_at: None,
            told: None,
            unread: false,
            unheard: true,
            rests_until: None,
            error: None,
            on_line: false,
        }
    }

    /// It answered. True when it had been lost.
    pub(super) fn answered(&mut self, now: Instant) -> bool {
        self.answered = now;
        self.backoff.reset();
        self.rests_until = None;
        self.error = None;
        self.on_line = true;
        self.unheard = false;
        std::mem::take(&mut self.lost)
    }

    /// Its loss is told with this stamp.
    pub(super) fn told_lost(&mut self, stamp: Stamp) {
        self.lost_at = Some(stamp);
    }

    /// This was handed over with this stamp.
    pub(super) fn handed_over(&mut self, stamp: Stamp) {
        if self.told.is_none_or(|told| told.boot < stamp.boot) {
            self.told = Some(stamp);
        }
    }

    /// It is not read for a while: says that of all its tags, right behind what was handed over last. `None` where they are
    /// bad already, or nothing is known of them.
    pub(super) fn not_read(&mut self) -> Option<(Stamp, Vec<Sample>)> {
        let told = self.told.filter(|_| !self.lost && !self.unread)?;
        let stamp = later(told, told);
        let samples = self.device.conditioner.not_read(stamp);
        if samples.is_empty() {
            return None;
        }
        self.unread = true;
        self.lost_at = Some(stamp);
        self.device.health.gaps.add(1);
        Some((stamp, samples))
    }

    /// It is read again: whether its tags were bad until now because it was not.
    pub(super) fn read_again(&mut self) -> bool {
        std::mem::take(&mut self.unread)
    }

    /// What was read while it was declared lost holds from then on: before that it was bad, and the next stage has been told.
    pub(super) fn after_loss(&mut self, stamp: Stamp, readings: &mut [Reading]) -> Stamp {
        let Some(lost) = self.lost_at.take() else {
            return stamp;
        };
        for reading in readings {
            reading.stamp = later(reading.stamp, lost);
        }
        later(stamp, lost)
    }

    /// The connection is about to be made.
    pub(super) fn connecting(&mut self) {
        self.unheard = true;
    }

    /// A device that tells changes only tells all values when a connection begins; the driver hands them all on where it
    /// was lost before it said anything.
    pub(super) fn tells_anew(&self) -> bool {
        self.unheard
    }

    /// What its answer says of its heartbeat; a device without one lives as long as it answers.
    pub(super) fn beat(&mut self, readings: &[Reading], now: Instant) -> Beat {
        self.heartbeat
            .as_mut()
            .map_or(Beat::Lives, |heartbeat| heartbeat.hear(readings, now))
    }

    /// Its heartbeat stands still: it answers, but what it says is old.
    pub(super) fn freeze(&mut self) -> LinkError {
        self.device.conditioner.lost();
        let within = self.device.heartbeat.map_or(0, |(_, w)| w.as_millis());
        link_error(
            "frozen",
            format!(
                "it answers, but its heartbeat has not changed for {within} ms: check that its program runs"
            ),
        )
    }

    /// It did not answer: says until when it is left alone.
    pub(super) fn missed(&mut self, error: LinkError, now: Instant) -> Instant {
        self.error = Some(error);
        self.pause_heartbeat();
        let until = now + self.backoff.next_wait();
        self.rests_until = Some(until);
        until
    }

    /// The connection is gone. Who speaks when he wants to was there until now.
    pub(super) fn cut_off(&mut self, now: Instant) {
        if std::mem::take(&mut self.on_line) && self.device.speaks_unasked {
            self.answered = now;
        }
    }

    /// Nobody asked it for so long: that was not its silence.
    pub(super) fn excuse(&mut self, by: Duration) {
        self.answered += by;
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.excuse(by);
        }
    }

    /// The whole link is down, which is not this device's fault.
    pub(super) fn unreachable(&mut self, error: &LinkError) {
        self.error = Some(error.clone());
        self.pause_heartbeat();
    }

    /// Only while the device answers can its heartbeat stand still.
    fn pause_heartbeat(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.pause();
        }
    }

    /// When it may be asked.
    pub(super) fn ready(&self, now: Instant) -> Instant {
        self.rests_until.unwrap_or(now)
    }

    /// When it will be lost, if it does not answer before; `None` when it is lost already, or its silence means nothing.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let may_be_silent = self.device.speaks_unasked && self.on_line;
        (!self.lost && !may_be_silent).then(|| self.answered + self.device.lost_after)
    }

    /// Declares it lost if its time has come: says why, once.
    pub(super) fn lose(&mut self, now: Instant) -> Option<LinkError> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.lost = true;
        self.pause_heartbeat();
        self.device.conditioner.lost();
        let silence_ms = self.device.lost_after.as_millis();
        Some(
            self.error
                .clone()
                .unwrap_or_else(|| link_error("timeout", format!("no answer for {silence_ms} ms"))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a device that is lost after 300 ms.
    fn watch(speaks_unasked: bool, start: Instant) -> Watch {
        let device = Watched {
            id: DeviceId(0),
            name: "plc".into(),
            lost_after: Duration::from_millis(300),
            heartbeat: None,
            speaks_unasked,
            health: Arc::default(),
            conditioner: Conditioner::default(),
        };
        Watch::new(device, Backoff::standard(), start)
    }

    #[test]
    fn a_silent_scanner_is_lost_only_while_there_is_no_connection() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut scanner = watch(true, start);
        assert_eq!(scanner.deadline(), Some(after(300)));
        assert!(!scanner.answered(after(200)));
        assert_eq!(scanner.deadline(), None);
        assert_eq!(scanner.lose(after(3_600_000)), None);
        scanner.cut_off(after(4_000_000));
        // Attempts that fail do not prolong it.
        scanner.cut_off(after(4_000_200));
        assert_eq!(scanner.deadline(), Some(after(4_000_300)));
        assert!(scanner.lose(after(4_000_300)).is_some());
        assert!(scanner.answered(after(4_000_400)));
        assert_eq!(scanner.deadline(), None);
        let mut plc = watch(false, start);
        plc.answered(after(100));
        plc.cut_off(after(200));
        assert_eq!(plc.deadline(), Some(after(400)));
    }

    #[test]
    fn a_device_is_lost_once_until_it_answers() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut watch = watch(false, start);
        assert_eq!(watch.lose(after(299)), None);
        assert_eq!(
            watch.lose(after(300)).map(|error| error.code),
            Some("timeout")
        );
        assert_eq!(watch.lose(after(999)), None);
        assert_eq!(watch.deadline(), None);
        assert!(watch.answered(after(1_000)));
        assert!(!watch.answered(after(1_100)));
        let until = watch.missed(link_error("closed", "gone"), after(1_200));
        assert!(until >= after(1_200) && until <= after(2_200));
        assert_eq!(watch.ready(after(1_200)), until);
        assert_eq!(
            watch.lose(after(1_400)).map(|error| error.code),
            Some("closed")
        );
    }
}
