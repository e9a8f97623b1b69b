//! A few devices read by the real links, and the batches that come of it.

use millgate::acquire::{self, Pace};
use millgate::clock::Clock;
use millgate::health::{DeviceHealth, Health};
use millgate::model::{Batch, Content, Quality, Sample, Value};
use millgate::settings::{self, Plant};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that anything here may take. Far more than it takes: its breach is an error, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Quick attempts, so that a return is found soon.
const PACE: Pace = Pace {
    first: Duration::from_millis(10),
    longest: Duration::from_millis(50),
};

/// Links that run.
pub(crate) struct Cell {
    plant: Plant,
    health: Arc<Health>,
    batches: mpsc::Receiver<Batch>,
    stop: CancellationToken,
    links: Vec<JoinHandle<()>>,
}

impl Cell {
    /// Runs the devices of a machine `CELL`, given as the block below `devices:`.
    pub(crate) fn start(devices: &str) -> Cell {
        Cell::start_with("", devices)
    }

    /// The same with more lines before the devices.
    pub(crate) fn start_with(more: &str, devices: &str) -> Cell {
        let text = format!(
            "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\n{more}\ndevices:\n{devices}\n"
        );
        let plant = settings::load(&text)
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
            .plant;
        let health = Health::new(plant.devices.len(), 0);
        let (out, batches) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let links = acquire::links(&plant, &health, &Clock::system())
            .into_iter()
            .map(|link| tokio::spawn(link.with_pace(PACE).run(out.clone(), stop.clone())))
            .collect();
        Cell {
            plant,
            health,
            batches,
            stop,
            links,
        }
    }

    /// The counters of a device.
    pub(crate) fn health(&self, device: &str) -> &DeviceHealth {
        let full = format!("CELL.{device}");
        let id = self.plant.devices.iter().find(|known| known.name == full);
        &self.health.devices[id.unwrap().id.index()]
    }

    /// The next batch: short name of its device, and what it says.
    pub(crate) async fn next(&mut self) -> (String, Content) {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv())
            .await
            .expect("no batch in a minute")
            .expect("the links run");
        let name = &self.plant.devices[batch.device.index()].name;
        (name.trim_start_matches("CELL.").to_owned(), batch.content)
    }

    /// Reads batches until one of `device` is what is wanted; each one on the way is shown to `along`.
    pub(crate) async fn until(
        &mut self,
        device: &str,
        what: &str,
        mut along: impl FnMut(&str, &Content),
        mut wanted: impl FnMut(&Content) -> bool,
    ) -> Content {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
            let (name, content) = self.next().await;
            along(&name, &content);
            if name == device && wanted(&content) {
                return content;
            }
        }
    }

    /// Name, value and quality of each sample.
    pub(crate) fn named(&self, samples: &[Sample]) -> Vec<(String, Option<Value>, Quality)> {
        let named = samples.iter().map(|sample| {
            let name = self.plant.tags[sample.tag.index()].name.clone();
            (name, sample.value.clone(), sample.quality)
        });
        named.collect()
    }

    /// Stops the links and waits for their ends; a panic in one of them fails the test.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for link in std::mem::take(&mut self.links) {
            tokio::select! {
                ended = link => ended.unwrap(),
                () = async { while self.batches.recv().await.is_some() {} std::future::pending().await } => {}
            }
        }
    }
}

/// True for samples that are all good.
pub(crate) fn good(content: &Content) -> bool {
    matches!(content, Content::Samples(samples)
        if !samples.is_empty() && samples.iter().all(|sample| sample.quality == Quality::Good))
}
