//! Two clocks, never mixed: boot time for order and durations, UTC as a label for people and for the MES.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nanoseconds of `CLOCK_BOOTTIME`: rises through suspend, never steps. All order, durations and waiting use it.
///
/// Signed, because the start of an operation that outlived a reboot lies before the present boot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct BootTime(pub i64);

impl BootTime {
    /// Seconds from `earlier` to `self`; negative when `self` is the earlier one.
    #[must_use]
    pub fn seconds_since(self, earlier: BootTime) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }

    /// The time from `earlier` to `self`, zero when `self` is not later.
    #[must_use]
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant moved later by `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> BootTime {
        BootTime(
            self.0
                .saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant moved by signed nanoseconds, saturating: used to carry stamps across a reboot.
    #[must_use]
    pub fn shifted(self, by_ns: i64) -> BootTime {
        BootTime(self.0.saturating_add(by_ns))
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z. A label with a quality: never used for order or waiting.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct UtcTime(pub i64);

/// When something was known: taken when a device's answer was complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Order and durations.
    pub boot: BootTime,
    /// The label that leaves the box.
    pub utc: UtcTime,
}

impl Stamp {
    /// The stamp of another boot-clock instant, labelled by the anchor that this stamp is.
    #[must_use]
    pub fn at(self, boot: BootTime) -> Stamp {
        Stamp {
            boot,
            utc: UtcTime(
                self.utc
                    .0
                    .saturating_add(boot.0.saturating_sub(self.boot.0)),
            ),
        }
    }

    /// This stamp moved later by `by` on both clocks.
    #[must_use]
    pub fn plus(self, by: Duration) -> Stamp {
        self.at(self.boot.plus(by))
    }
}

/// What disciplines the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockSource {
    /// Network Time Protocol.
    Ntp,
    /// Nothing known to discipline it.
    #[default]
    None,
}

/// How far the UTC labels can be trusted at the moment an event was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockQuality {
    /// What disciplines the clock.
    pub source: ClockSource,
    /// True when the kernel says that the clock is synchronised.
    pub synchronised: bool,
    /// Largest error in seconds that the kernel admits; `None` when not synchronised.
    pub max_error_s: Option<f64>,
}
