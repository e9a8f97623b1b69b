//! When parked events become an alert: at most one a minute for each uplink and code, however many come. Pure.
//!
//! Delivery sets a cell (`health::ParkedCounts`); this rule looks at it now and then. After a start, what is still parked is
//! told once more: nobody knows whether the alert before was delivered.

use crate::health::UplinkHealth;
use crate::model::{BootTime, DeliveryAlert, DeliveryAlertKind, ParkClass, ParkedGroup};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Least time between two alerts about one uplink and code.
const GAP: Duration = Duration::from_secs(60);

/// All uplinks that are looked at.
#[derive(Debug, Default)]
pub(super) struct DeadLetters(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    name: String,
    health: Arc<UplinkHealth>,
    /// How many had come to a group when it was told last, and when. As many as there are groups: the buffer bounds them.
    told: HashMap<(ParkClass, Option<String>), (u64, BootTime)>,
}

impl DeadLetters {
    pub(super) fn new(uplinks: impl IntoIterator<Item = (String, Arc<UplinkHealth>)>) -> Self {
        let watched = uplinks.into_iter().map(|(name, health)| Watched {
            name,
            health,
            told: HashMap::new(),
        });
        DeadLetters(watched.collect())
    }

    /// What is to be told now.
    pub(super) fn look(&mut self, now: BootTime) -> Vec<DeliveryAlert> {
        let alerts = self.0.iter_mut().flat_map(|watched| {
            let groups = watched.health.parked.get();
            let Watched { name, told, .. } = watched;
            let new = groups.into_iter().filter(|group| news(told, group, now));
            new.map(|group| alert(name, group)).collect::<Vec<_>>()
        });
        alerts.collect()
    }
}

fn news(
    told: &mut HashMap<(ParkClass, Option<String>), (u64, BootTime)>,
    group: &ParkedGroup,
    now: BootTime,
) -> bool {
    let key = (group.class, group.code.clone());
    let is_news = match told.get(&key) {
        Some((came, at)) => group.came > *came && now >= at.plus(GAP),
        None => group.came > 0,
    };
    // What came and went again needs nobody.
    let is_news = is_news && group.count > 0;
    if is_news {
        told.insert(key, (group.came, now));
    }
    is_news
}

fn alert(name: &str, group: ParkedGroup) -> DeliveryAlert {
    let detail = match group.class {
        ParkClass::Schema => "it does not understand them: compare its interface with the events",
        ParkClass::Business => "it refuses what they say: look at the order or part there",
        ParkClass::Suspect => "they failed again and again while others passed: look into its log",
        ParkClass::Held => "it did not take them, and others would have waited behind them",
    };
    DeliveryAlert {
        destination: Some(name.to_owned()),
        kind: DeliveryAlertKind::DeadLetter,
        count: group.count,
        oldest: group.oldest,
        last_code: group.code,
        detail: Some(format!("{}: {detail}", group.class.word())),
        buffer_used_fraction: None,
        dropped: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn group(code: &str, count: u64, came: u64) -> ParkedGroup {
        ParkedGroup {
            class: ParkClass::Business,
            code: Some(code.into()),
            count,
            oldest: Some(UtcTime(7)),
            came,
        }
    }

    #[test]
    fn what_is_put_aside_is_told_by_code_and_once_a_minute() {
        let health = Arc::new(UplinkHealth::default());
        let mut letters = DeadLetters::new([("mes".to_owned(), Arc::clone(&health))]);
        let mut at = |second: i64, groups: Vec<ParkedGroup>| {
            health.parked.set(groups);
            let alerts = letters.look(BootTime(second * 1_000_000_000));
            let short = |alert: DeliveryAlert| {
                assert_eq!(alert.kind, DeliveryAlertKind::DeadLetter);
                assert_eq!(alert.oldest, Some(UtcTime(7)));
                (alert.last_code.unwrap(), alert.count)
            };
            alerts.into_iter().map(short).collect::<Vec<_>>()
        };
        let told = |code: &str, count| (code.to_owned(), count);
        assert_eq!(at(0, vec![]), []);
        assert_eq!(at(1, vec![group("a", 1, 1)]), [told("a", 1)]);
        let both = vec![group("a", 9_000, 9_000), group("b", 2, 2)];
        assert_eq!(at(2, both.clone()), [told("b", 2)]);
        assert_eq!(at(60, both.clone()), []);
        assert_eq!(at(61, both.clone()), [told("a", 9_000)]);
        assert_eq!(at(900, both), [], "no news");
        assert_eq!(at(901, vec![group("a", 0, 9_001)]), [], "gone again");
        assert_eq!(at(902, vec![group("a", 1, 9_002)]), [told("a", 1)]);
        assert_eq!(
            at(999, vec![group("c", 3, 0)]),
            [],
            "only alerts themselves"
        );
    }
}
