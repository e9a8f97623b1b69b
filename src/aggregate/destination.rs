//! When a destination that is paused, or takes events again, becomes an alert: at most one a minute each. Pure.
//!
//! Delivery sets a cell (`health::Destination`); this rule looks at it now and then. What came and went between two alerts
//! is a number in the next one.

use crate::health::{DestinationState, UplinkHealth};
use crate::model::{BootTime, DeliveryAlert, DeliveryAlertKind};
use std::sync::Arc;
use std::time::Duration;

/// Least time between two alerts about one destination.
const GAP: Duration = Duration::from_secs(60);

/// All uplinks that are looked at.
#[derive(Debug, Default)]
pub(super) struct Destinations(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    name: String,
    health: Arc<UplinkHealth>,
    told: Told,
}

/// What was told last.
#[derive(Debug, Default)]
struct Told {
    state: DestinationState,
    at: Option<BootTime>,
}

impl Destinations {
    pub(super) fn new(uplinks: impl IntoIterator<Item = (String, Arc<UplinkHealth>)>) -> Self {
        let watched = uplinks.into_iter().map(|(name, health)| Watched {
            name,
            health,
            told: Told::default(),
        });
        Destinations(watched.collect())
    }

    /// What is to be told now.
    pub(super) fn look(&mut self, now: BootTime) -> Vec<DeliveryAlert> {
        let changed = self.0.iter_mut().filter_map(|watched| {
            if watched.told.waits(now) {
                return None;
            }
            let state = watched.health.destination.other_than(&watched.told.state)?;
            Some(watched.told.alert(&watched.name, state, now))
        });
        changed.collect()
    }
}

impl Told {
    fn waits(&self, now: BootTime) -> bool {
        self.at.is_some_and(|at| now < at.plus(GAP))
    }

    fn alert(&mut self, name: &str, state: DestinationState, now: BootTime) -> DeliveryAlert {
        let kind = match state.paused {
            Some(_) => DeliveryAlertKind::Paused,
            None => DeliveryAlertKind::Resumed,
        };
        let count = state.pauses.saturating_sub(self.state.pauses);
        self.at = Some(now);
        self.state = state;
        DeliveryAlert {
            destination: Some(name.to_owned()),
            kind,
            count,
            oldest: None,
            last_code: None,
            detail: self.state.paused.clone(),
            buffer_used_fraction: None,
            dropped: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Step {
        Pause(&'static str),
        Resume,
        Look,
    }
    use Step::{Look, Pause, Resume};

    /// Plays steps at their seconds; gives second, kind, count and reason of each alert.
    fn alerts(steps: &[(i64, Step)]) -> Vec<(i64, &'static str, u64, Option<String>)> {
        let health = Arc::new(UplinkHealth::default());
        let mut destinations = Destinations::new([("mes".to_owned(), Arc::clone(&health))]);
        let mut alerts = Vec::new();
        for (second, step) in steps {
            match step {
                Pause(reason) => health.destination.pause(reason),
                Resume => health.destination.resume(),
                Look => {}
            }
            for alert in destinations.look(BootTime(second * 1_000_000_000)) {
                assert_eq!(alert.destination.as_deref(), Some("mes"));
                alerts.push((*second, alert.kind.word(), alert.count, alert.detail));
            }
        }
        alerts
    }

    #[test]
    fn a_pause_and_its_end_are_told_once() {
        let steps = [
            (0, Look),
            (1, Pause("401")),
            (2, Pause("401")),
            (300, Look),
            (301, Resume),
            (302, Resume),
            (900, Look),
        ];
        let expected = vec![
            (1, "paused", 1, Some("401".to_owned())),
            (301, "resumed", 0, None),
        ];
        assert_eq!(alerts(&steps), expected);
    }

    #[test]
    fn a_destination_that_flaps_makes_one_alert_a_minute_with_a_count() {
        let steps: Vec<(i64, Step)> = (0..600)
            .map(|second| {
                (
                    second,
                    if second % 2 == 0 {
                        Pause("503")
                    } else {
                        Resume
                    },
                )
            })
            .collect();
        let alerts = alerts(&steps);
        assert_eq!(alerts.len(), 10, "{alerts:?}");
        let told: u64 = alerts.iter().map(|(_, _, count, _)| count).sum();
        assert!((270..=300).contains(&told), "{alerts:?}");
        assert!(alerts.iter().skip(1).all(|(.., count, _)| *count == 30));
    }

    #[test]
    fn what_ends_within_the_minute_is_told_when_it_is_over() {
        let steps = [(0, Pause("401")), (5, Resume), (59, Look), (60, Look)];
        let expected = vec![
            (0, "paused", 1, Some("401".to_owned())),
            (60, "resumed", 0, None),
        ];
        assert_eq!(alerts(&steps), expected);
    }

    #[test]
    fn another_reason_of_the_same_pause_is_told_without_counting_it_again() {
        let steps = [(0, Pause("401")), (100, Pause("404"))];
        let expected = vec![
            (0, "paused", 1, Some("401".to_owned())),
            (100, "paused", 0, Some("404".to_owned())),
        ];
        assert_eq!(alerts(&steps), expected);
    }
}
