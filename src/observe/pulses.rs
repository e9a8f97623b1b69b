//! Which stages still move. A stage that has not beaten its pulse for `patience` hangs, whatever else goes on.
//!
//! Pure: time comes in. A MES or a PLC that is away is no stall, because the stage that waits for it goes on beating.

use crate::health::{BEAT_EVERY, Health, Pulse};
use crate::model::BootTime;
use crate::settings::Plant;
use std::sync::Arc;
use std::time::Duration;

/// Finds the [`Pulse`] of one stage.
type Find = Box<dyn Fn(&Health) -> Option<&Pulse> + Send + Sync>;

/// The pulses of all stages, with the names that people know them by.
pub struct Pulses {
    health: Arc<Health>,
    stages: Vec<(String, Find)>,
    since: BootTime,
}

impl Pulses {
    /// The stages of a plant. A stage that has never beaten counts as having beaten at `since`.
    #[must_use]
    pub fn new(plant: &Plant, health: Arc<Health>, since: BootTime) -> Pulses {
        let devices = plant.devices.iter().map(|device| {
            let id = device.id;
            stage(format!("device {}", device.name), move |health| {
                Some(&health.devices.get(id.index())?.pulse)
            })
        });
        let uplinks = plant.uplinks.iter().map(|uplink| {
            let id = uplink.id;
            stage(format!("uplink {}", uplink.name), move |health| {
                Some(&health.uplinks.get(id.index())?.pulse)
            })
        });
        let middle = [
            stage("aggregation".into(), |health| Some(&health.aggregate.pulse)),
            stage("the buffer".into(), |health| Some(&health.buffer.pulse)),
        ];
        Pulses {
            stages: devices.chain(middle).chain(uplinks).collect(),
            health,
            since,
        }
    }

    /// The silence after which a stage hangs: two thirds of the watchdog's time, so that it is found and acted upon inside
    /// it, but never less than two missed beats.
    #[must_use]
    pub fn patience(watchdog: Duration) -> Duration {
        (watchdog * 2 / 3).max(BEAT_EVERY * 2)
    }

    /// The stages that hang at `now`, by name, with their silence.
    #[must_use]
    pub fn hanging(&self, now: BootTime, patience: Duration) -> Vec<(&str, Duration)> {
        self.stages
            .iter()
            .filter_map(|(name, find)| {
                let silence = now.since(find(&self.health)?.last().max(self.since));
                (silence > patience).then_some((name.as_str(), silence))
            })
            .collect()
    }
}

fn stage(
    name: String,
    find: impl Fn(&Health) -> Option<&Pulse> + Send + Sync + 'static,
) -> (String, Find) {
    (name, Box::new(find))
}

impl std::fmt::Debug for Pulses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.stages.iter().map(|(name, _)| name))
            .finish()
    }
}
