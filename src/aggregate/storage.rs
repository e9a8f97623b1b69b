//! When what the buffer noticed becomes an alert: events that were dropped, a store that fills up, stretches in which it
//! accepted nothing, a new epoch. Pure.
//!
//! The buffer leaves coalescing cells (`health::BufferHealth`); this rule looks at them now and then. Of one cause, at most
//! one alert a minute: what comes meanwhile joins the next one.

use crate::health::{BufferHealth, Refused};
use crate::model::{
    BootTime, DeliveryAlert, DeliveryAlertKind, DropNotice, DropReason, EpochReason,
};
use std::sync::Arc;
use std::time::Duration;

/// Least time between two alerts of one cause.
const GAP: Duration = Duration::from_secs(60);
/// From here on the store fills up: there is time to look for the reason, and nothing is dropped yet.
const HIGH: f64 = 0.80;
/// From here on it is about to drop: told once more.
const CRITICAL: f64 = 0.95;
/// Back here it is about to drop no longer: the next time is told again.
const EASED: f64 = 0.85;
/// Below this it is over.
const OVER: f64 = 0.70;

/// What is known of the buffer.
#[derive(Debug, Default)]
pub(super) struct Storage {
    health: Arc<BufferHealth>,
    drops: Vec<Watched>,
    level: Level,
    /// When the fill level was told last.
    level_told: Option<BootTime>,
    refused_told: Option<BootTime>,
}

/// Drops of one reason and uplink.
#[derive(Debug)]
struct Watched {
    reason: DropReason,
    uplink: Option<String>,
    waiting: Option<DropNotice>,
    told: Option<BootTime>,
}

/// How full the store is, with hysteresis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Calm,
    High,
    Critical,
}

impl Level {
    fn next(self, fraction: f64) -> Level {
        match self {
            _ if fraction >= CRITICAL => Level::Critical,
            Level::Critical if fraction >= EASED => Level::Critical,
            Level::Calm if fraction < HIGH => Level::Calm,
            _ if fraction < OVER => Level::Calm,
            _ => Level::High,
        }
    }
}

impl Storage {
    pub(super) fn new(health: Arc<BufferHealth>) -> Storage {
        Storage {
            health,
            ..Storage::default()
        }
    }

    /// What is to be told now.
    pub(super) fn look(&mut self, now: BootTime) -> Vec<DeliveryAlert> {
        self.gather();
        let mut alerts = Vec::new();
        for watched in &mut self.drops {
            if !waits(watched.told, now)
                && let Some(notice) = watched.waiting.take()
            {
                watched.told = Some(now);
                alerts.push(dropped(notice));
            }
        }
        self.drops
            .retain(|watched| watched.waiting.is_some() || waits(watched.told, now));
        if !waits(self.refused_told, now)
            && let Some(stretch) = self.health.refusing.take_over()
        {
            self.refused_told = Some(now);
            alerts.push(refused(&stretch));
        }
        alerts.extend(self.look_at_level(now));
        alerts
    }

    /// Joins what the buffer dropped since to what waits.
    fn gather(&mut self) {
        for notice in self.health.drops.take() {
            let of_the_same = |watched: &&mut Watched| {
                watched.reason == notice.reason && watched.uplink == notice.uplink
            };
            match self.drops.iter_mut().find(of_the_same) {
                Some(watched) => match &mut watched.waiting {
                    Some(waiting) => {
                        waiting.join(&notice);
                    }
                    None => watched.waiting = Some(notice),
                },
                None => self.drops.push(Watched {
                    reason: notice.reason,
                    uplink: notice.uplink.clone(),
                    waiting: Some(notice),
                    told: None,
                }),
            }
        }
    }

    fn look_at_level(&mut self, now: BootTime) -> Option<DeliveryAlert> {
        let fraction = self.health.fraction()?;
        if waits(self.level_told, now) {
            return None;
        }
        let before = self.level;
        self.level = before.next(fraction);
        let eased = before == Level::Critical && self.level == Level::High;
        if self.level == before || eased {
            return None;
        }
        self.level_told = Some(now);
        let kind = match self.level {
            Level::Calm => DeliveryAlertKind::BufferOk,
            Level::High | Level::Critical => DeliveryAlertKind::BufferHigh,
        };
        let mut alert = alert(kind, None);
        alert.buffer_used_fraction = Some(fraction);
        alert.detail = self.what_fills();
        Some(alert)
    }

    /// For whom most waits, and what follows.
    fn what_fills(&self) -> Option<String> {
        if self.level == Level::Calm {
            return None;
        }
        let backlogs = self.health.backlogs.get();
        let longest = backlogs.iter().max_by_key(|backlog| backlog.stored);
        let waits = longest
            .filter(|backlog| backlog.stored > 0)
            .map(|backlog| format!("{} events wait for {}: ", backlog.stored, backlog.uplink));
        let follows = if self.level == Level::Critical {
            "the oldest will be dropped; see why the destination takes nothing, or raise buffer.max_size"
        } else {
            "see why the destination takes nothing, or raise buffer.max_size"
        };
        Some(waits.unwrap_or_default() + follows)
    }
}

/// A new epoch that somebody should know of; none for a store that was just created.
pub(super) fn new_epoch(reason: EpochReason) -> Option<DeliveryAlert> {
    let detail = format!("{}: {}", reason.words(), reason.advice()?);
    let mut alert = alert(DeliveryAlertKind::NewEpoch, None);
    alert.detail = Some(detail);
    Some(alert)
}

fn waits(told: Option<BootTime>, now: BootTime) -> bool {
    told.is_some_and(|at| now < at.plus(GAP))
}

fn alert(kind: DeliveryAlertKind, destination: Option<String>) -> DeliveryAlert {
    DeliveryAlert {
        destination,
        kind,
        count: 0,
        oldest: None,
        last_code: None,
        detail: None,
        buffer_used_fraction: None,
        dropped: None,
    }
}

fn dropped(notice: DropNotice) -> DeliveryAlert {
    let check = match notice.reason {
        DropReason::Evicted => {
            "the buffer was full, and events of the passing class went first: see why the destination takes nothing, \
             or raise buffer.max_size"
        }
        DropReason::Full => {
            "the buffer was full: see why the destination takes nothing, or raise buffer.max_size"
        }
        DropReason::Aged => "older than buffer.max_age: see why the destination takes nothing",
        DropReason::Damaged => {
            "the disk gave them back damaged: check the disk; `millgate buffer verify` says more"
        }
        DropReason::UplinkRemoved => "their uplink left the settings",
    };
    let detail = match &notice.detail {
        Some(found) => format!("{check} ({found})"),
        None => check.to_owned(),
    };
    DeliveryAlert {
        count: notice.count,
        detail: Some(detail),
        dropped: Some(notice.clone()),
        ..alert(DeliveryAlertKind::Dropped, notice.uplink)
    }
}

fn refused(stretch: &Refused) -> DeliveryAlert {
    let times = match stretch.times {
        1 => String::new(),
        more => format!(" in {more} stretches"),
    };
    let seconds = stretch.lasted.as_secs_f64();
    DeliveryAlert {
        count: stretch.times,
        oldest: Some(stretch.from.utc),
        detail: Some(format!(
            "the machines were not read for {seconds:.0} s{times}: {}",
            stretch.why
        )),
        ..alert(DeliveryAlertKind::BufferRefused, None)
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
