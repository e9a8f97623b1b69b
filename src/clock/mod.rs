//! The two clocks of the box, and what the kernel says about the wall clock. Stages get their stamps here only.
//!
//! A [`Clock`] is cheap to clone. Tests and replay use a manual one, so that nothing waits for real time.

mod kernel;

use crate::model::{BootTime, ClockQuality, Stamp, UtcTime};
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where stamps come from.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Manual(Arc<ManualTime>),
}

/// Boot and UTC nanoseconds of a manual clock.
#[derive(Debug, Default)]
struct ManualTime {
    boot: AtomicI64,
    utc: AtomicI64,
}

impl Clock {
    /// The box's own clocks.
    #[must_use]
    pub fn system() -> Clock {
        Clock(Kind::System)
    }

    /// A clock that stands at `stamp` until it is set.
    #[must_use]
    pub fn manual(stamp: Stamp) -> Clock {
        let clock = Clock(Kind::Manual(Arc::default()));
        clock.set(stamp);
        clock
    }

    /// Sets a manual clock; does nothing to the box's own.
    pub fn set(&self, stamp: Stamp) {
        if let Kind::Manual(time) = &self.0 {
            time.boot.store(stamp.boot.0, Ordering::SeqCst);
            time.utc.store(stamp.utc.0, Ordering::SeqCst);
        }
    }

    /// Now, on both clocks.
    #[must_use]
    pub fn now(&self) -> Stamp {
        match &self.0 {
            Kind::System => Stamp {
                boot: BootTime(nanoseconds(ClockId::CLOCK_BOOTTIME)),
                utc: UtcTime(nanoseconds(ClockId::CLOCK_REALTIME)),
            },
            Kind::Manual(time) => Stamp {
                boot: BootTime(time.boot.load(Ordering::SeqCst)),
                utc: UtcTime(time.utc.load(Ordering::SeqCst)),
            },
        }
    }

    /// What the kernel says about the wall clock; a manual clock is synchronised without error.
    #[must_use]
    pub fn quality(&self) -> ClockQuality {
        match &self.0 {
            Kind::System => kernel::quality(),
            Kind::Manual(_) => ClockQuality {
                source: crate::model::ClockSource::Ntp,
                synchronised: true,
                max_error_s: Some(0.0),
            },
        }
    }
}

/// The kernel's random id of this boot, as a hyphenated UUID; empty where nobody tells it.
///
/// From `MILLGATE_BOOT_ID`, which the systemd unit sets because its sandbox hides `/proc/sys`; else from there.
#[must_use]
pub fn boot_id() -> String {
    std::env::var("MILLGATE_BOOT_ID")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/random/boot_id"))
        .ok()
        .and_then(|text| uuid::Uuid::try_parse(text.trim()).ok())
        .map(|id| id.to_string())
        .unwrap_or_default()
}

fn nanoseconds(id: ClockId) -> i64 {
    clock_gettime(id).map_or(0, |time| {
        time.tv_sec()
            .saturating_mul(1_000_000_000)
            .saturating_add(time.tv_nsec())
    })
}
