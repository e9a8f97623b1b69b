//! What the stages publish about themselves: counters and link states, read by people-facing parts.
//!
//! Plain atomics behind one `Arc`: a stage adds to its own cells and never reads another's. Bounded by the settings. The one
//! cell with words is [`Destination`], which aggregation turns into alerts.

mod buffer;

pub use buffer::{Backlog, Backlogs, BufferHealth, Refusal, Refused, Refusing};

use crate::model::{BadReason, BootTime, DropNotice, ParkedGroup};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a stage beats its [`Pulse`] at the least, also when it has nothing to do.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `by` more.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stage's sign of life: it beats at each turn of its loop, and at least every [`BEAT_EVERY`]. The watchdog reads it.
///
/// Beaten by the stage and never by a timer beside it: a stage that hangs must fall silent. Waiting for a PLC or a MES that
/// is away is no hanging.
#[derive(Debug, Default)]
pub struct Pulse(AtomicI64);

impl Pulse {
    /// The stage has come round once more.
    pub fn beat(&self, now: BootTime) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    /// The last beat; the start of the boot when there was none.
    #[must_use]
    pub fn last(&self) -> BootTime {
        BootTime(self.0.load(Ordering::Relaxed))
    }
}

/// Longest reason of a [`Destination`], in characters.
const MAX_REASON: usize = 200;

/// Whether a destination takes events: a cell that its uplink sets and aggregation turns into alerts.
///
/// Never a queue: who reads it late finds the last state, and how often the destination was paused until then.
#[derive(Debug, Default)]
pub struct Destination(Mutex<DestinationState>);

/// What a [`Destination`] holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationState {
    /// Why nothing is sent to it; `None` while it takes events.
    pub paused: Option<String>,
    /// How often it was paused in this run.
    pub pauses: u64,
}

impl Destination {
    /// The destination itself is at fault, so nothing is sent to it. Said again, it is still the same pause.
    pub fn pause(&self, reason: &str) {
        let mut state = self.state();
        if state.paused.is_none() {
            state.pauses = state.pauses.saturating_add(1);
        }
        state.paused = Some(reason.chars().take(MAX_REASON).collect());
    }

    /// It takes events.
    pub fn resume(&self) {
        self.state().paused = None;
    }

    /// The state now, if it is another than that.
    #[must_use]
    pub fn other_than(&self, known: &DestinationState) -> Option<DestinationState> {
        let state = self.state();
        (*state != *known).then(|| state.clone())
    }

    fn state(&self) -> MutexGuard<'_, DestinationState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events that were dropped: a cell that the buffer adds to and aggregation turns into alerts. One notice per reason and
/// uplink, never a queue.
#[derive(Debug, Default)]
pub struct Drops(Mutex<Vec<DropNotice>>);

impl Drops {
    /// Adds to the notice of the same reason and uplink.
    pub fn add(&self, notice: DropNotice) {
        let mut notices = self.notices();
        if !notices.iter_mut().any(|known| known.join(&notice)) {
            notices.push(notice);
        }
    }

    /// Takes what is to be told now.
    #[must_use]
    pub fn take(&self) -> Vec<DropNotice> {
        std::mem::take(&mut *self.notices())
    }

    fn notices(&self) -> MutexGuard<'_, Vec<DropNotice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of several servers an uplink is connected to: a cell that the uplink sets at each connection.
#[derive(Debug, Default)]
pub struct Server(Mutex<Option<String>>);

impl Server {
    /// It is this one now.
    pub fn set(&self, server: &str) {
        let server = server.chars().take(MAX_REASON).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// The last one; `None` for an uplink that has only one, or was never connected.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How many events of each kind an uplink has parked: a cell that the uplink sets and aggregation turns into alerts.
#[derive(Debug, Default)]
pub struct ParkedCounts(Mutex<Vec<ParkedGroup>>);

impl ParkedCounts {
    /// These are all.
    pub fn set(&self, groups: Vec<ParkedGroup>) {
        *self.groups() = groups;
    }

    /// What was set last.
    #[must_use]
    pub fn get(&self) -> Vec<ParkedGroup> {
        self.groups().clone()
    }

    fn groups(&self) -> MutexGuard<'_, Vec<ParkedGroup>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that the stages publish.
#[derive(Debug, Default)]
pub struct Health {
    /// By device id.
    pub devices: Vec<Arc<DeviceHealth>>,
    /// Of aggregation.
    pub aggregate: Arc<AggregateHealth>,
    /// Of the buffer.
    pub buffer: Arc<BufferHealth>,
    /// By uplink id.
    pub uplinks: Vec<Arc<UplinkHealth>>,
}

impl Health {
    /// Cells for so many devices and uplinks.
    #[must_use]
    pub fn new(devices: usize, uplinks: usize) -> Arc<Health> {
        Arc::new(Health {
            devices: (0..devices).map(|_| Arc::default()).collect(),
            uplinks: (0..uplinks).map(|_| Arc::default()).collect(),
            ..Health::default()
        })
    }
}

/// Of one device.
#[derive(Debug, Default)]
pub struct DeviceHealth {
    /// Beaten by the link that serves the device.
    pub pulse: Pulse,
    /// Requests answered well.
    pub answers: Counter,
    /// Requests answered with an exception.
    pub exceptions: Counter,
    /// Requests without a usable answer.
    pub failures: Counter,
    /// Times the connection was made.
    pub connects: Counter,
    /// Poll cycles skipped because the one before took too long.
    pub overruns: Counter,
    /// Samples delivered.
    pub samples: Counter,
    /// Samples refused by decoding or conditioning, for whatever reason.
    pub refused: Counter,
    /// Of these, outside `range` or the type.
    pub out_of_range: Counter,
    /// Of these, NaN or infinite.
    pub not_finite: Counter,
    /// Of these, not valid for their type.
    pub malformed: Counter,
    /// Of these, changed too fast.
    pub too_fast: Counter,
    /// Of these, a number that `values:` does not list.
    pub unlisted: Counter,
    /// Of these, with a time stamp that cannot be.
    pub bad_stamps: Counter,
    /// Of these, behind values that were lost on the way.
    pub overflows: Counter,
    /// Of these, bad already at the source.
    pub bad_at_source: Counter,
    /// Texts cut to their limit.
    pub truncated: Counter,
    /// Values not handed on because they changed too little.
    pub unchanged: Counter,
    /// Values stamped by us because the device's clock is too far away.
    pub skewed: Counter,
    /// Values told again after a reconnect, unchanged: not handed on.
    pub duplicates: Counter,
    /// Merged requests that the device refused and that are asked apart since.
    pub unmerged: Counter,
    /// Values that were sent again after a reconnect, and not handed on.
    pub repeated: Counter,
    /// Times that the next stage was full and reading waited.
    pub waits: Counter,
    /// Of these, stretches so long that the values in between are missing: marked as not read.
    pub gaps: Counter,
    /// Lines that are none of those that the device should send.
    pub refused_lines: Counter,
    /// Lines thrown away because they were too long, too slow or broken off.
    pub dropped_lines: Counter,
    /// Answers thrown away because they came too late, or twice.
    pub stale_answers: Counter,
}

impl DeviceHealth {
    /// Counts a refused sample, and why.
    pub fn refuse(&self, reason: BadReason) {
        self.refused.add(1);
        match reason {
            BadReason::OutOfRange => self.out_of_range.add(1),
            BadReason::NotFinite => self.not_finite.add(1),
            BadReason::Malformed => self.malformed.add(1),
            BadReason::TooFast => self.too_fast.add(1),
            BadReason::Unlisted => self.unlisted.add(1),
            BadReason::Stamp => self.bad_stamps.add(1),
            BadReason::Overflow => self.overflows.add(1),
            BadReason::Source => self.bad_at_source.add(1),
            BadReason::DeviceLost
            | BadReason::Exception(_)
            | BadReason::Frozen
            | BadReason::NotRead => {}
        }
    }
}

/// Of aggregation.
#[derive(Debug, Default)]
pub struct AggregateHealth {
    /// Beaten by aggregation's loop.
    pub pulse: Pulse,
    /// Samples applied.
    pub samples: Counter,
    /// Events written.
    pub events: Counter,
    /// Operations below `min_duration`: counted here only.
    pub short_operations: Counter,
    /// Start edges that `only_if` kept from starting.
    pub starts_refused: Counter,
    /// Codes that readers read, repeats included.
    pub scans: Counter,
    /// Of these, the same code again within `same_within`.
    pub scans_repeated: Counter,
    /// Scans for another machine that had too many of them waiting.
    pub scans_dropped: Counter,
    /// Conditions that failed otherwise than by missing data.
    pub condition_errors: Counter,
    /// Samples that came after younger ones had been worked off: not merged.
    pub late: Counter,
    /// Samples that came twice with one stamp and value: taken once.
    pub duplicates: Counter,
    /// Times that a machine held more than it may and did not wait for the order of its samples.
    pub released_early: Counter,
    /// Times that a limit was exceeded and not told, because it fluttered.
    pub limits_held_back: Counter,
}

/// Of one uplink.
#[derive(Debug, Default)]
pub struct UplinkHealth {
    /// Beaten by the uplink's loop.
    pub pulse: Pulse,
    /// Events sent, repeats included.
    pub sent: Counter,
    /// Events that commands send to its destination beside the gateway: they count towards its `rate_limit`.
    pub beside: Counter,
    /// Events settled by a positive verdict.
    pub delivered: Counter,
    /// Events that the uplink's `events:` leaves out.
    pub filtered: Counter,
    /// Sent again because no verdict came.
    pub resent: Counter,
    /// Refused by the destination, and tried again.
    pub refused: Counter,
    /// Whether the destination takes events.
    pub destination: Destination,
    /// Messages on the topic of the MES's verdicts that were none, or on no event of ours.
    pub ignored_answers: Counter,
    /// Which of its servers it uses.
    pub server: Server,
    /// What it does not take.
    pub parked: ParkedCounts,
    /// Times the connection was made.
    pub connects: Counter,
}
