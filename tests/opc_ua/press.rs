//! A press that speaks OPC UA, read by the real link through the recorder, and what comes of its tags.

use crate::recorder::{Recorder, Spoken};
use millgate::acquire::{self, Pace};
use millgate::clock::Clock;
use millgate::health::{DeviceHealth, Health};
use millgate::model::{Batch, Content, LinkError, Quality, Sample, Value};
use millgate::settings::{self, Plant};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest that anything here may take. Far more than it takes: its breach is an error, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Quick attempts, so that a return is found soon.
const PACE: Pace = Pace {
    first: Duration::from_millis(10),
    longest: Duration::from_millis(50),
};

/// Before the port of the server in the settings.
const HOST: &str = "opc.tcp://127.0.0.1:";

/// A link that runs.
pub(super) struct Press {
    /// Fails the test where anything but reading was asked; none where nobody listens.
    recorder: Option<Recorder>,
    plant: Plant,
    health: Arc<Health>,
    batches: mpsc::Receiver<Batch>,
    /// Came in a batch of which only a part was looked at.
    waiting: VecDeque<Sample>,
    stop: CancellationToken,
    link: JoinHandle<()>,
}

/// The settings of the press: `server` stands below `opc_ua:`, `device` beside it, `tags` below `tags:`.
pub(super) fn settings_of(state: &Path, server: &str, device: &str, tags: &[&str]) -> String {
    let tags: String = tags.iter().map(|tag| format!("      {tag}\n")).collect();
    format!(
        "gateway: {{ id: gw-1, path: [acme] }}
machine: PRESS
buffer: {{ path: {state} }}
devices:
  plc:
    opc_ua: {{ {server}, namespaces: {{ p: http://acme.example/press }}, timeout: 20s, publishing_interval: 50ms }}
    {device}
    tags:
{tags}",
        state = state.display(),
    )
}

impl Press {
    /// Runs the press; a channel of `room` batches.
    pub(super) fn start_with(text: &str, room: usize) -> Press {
        Press::start_at(text, room, &Clock::system())
    }

    /// The same by another clock.
    pub(super) fn start_at(text: &str, room: usize, clock: &Clock) -> Press {
        let (before, after) = text.split_once(HOST).unwrap();
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        let (port, after) = after.split_at(digits);
        let recorder = Recorder::before(port.parse().unwrap(), Spoken::OpcUa);
        let text = format!("{before}{HOST}{}{after}", recorder.port);
        Press::run(&text, room, clock, Some(recorder))
    }

    /// Runs the press without the recorder, which would listen where nobody does.
    pub(super) fn start_alone(text: &str) -> Press {
        Press::run(text, 64, &Clock::system(), None)
    }

    fn run(text: &str, room: usize, clock: &Clock, recorder: Option<Recorder>) -> Press {
        let plant = settings::load(text)
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
            .plant;
        let health = Health::new(plant.devices.len(), 0);
        let (out, batches) = mpsc::channel(room);
        let stop = CancellationToken::new();
        let mut links = acquire::links(&plant, &health, clock);
        let link = links.pop().unwrap().with_pace(PACE);
        Press {
            recorder,
            plant,
            health,
            batches,
            waiting: VecDeque::new(),
            link: tokio::spawn(link.run(out, stop.clone())),
            stop,
        }
    }

    /// Runs the press.
    pub(super) fn start(text: &str) -> Press {
        Press::start_with(text, 64)
    }

    /// The counters of the device.
    pub(super) fn health(&self) -> &DeviceHealth {
        &self.health.devices[0]
    }

    /// Requests so far, by name.
    pub(super) fn requests(&self) -> BTreeMap<String, u64> {
        self.recorder
            .as_ref()
            .map_or_else(BTreeMap::new, Recorder::requests)
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Content {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv());
        batch
            .await
            .expect("no batch in a minute")
            .expect("the link runs")
            .content
    }

    /// The next samples of this tag, whatever comes of others.
    pub(super) async fn sample(&mut self, tag: &str) -> Sample {
        self.until(tag, |_| true).await
    }

    /// Reads until a sample of this tag is what is wanted.
    pub(super) async fn until(&mut self, tag: &str, wanted: impl Fn(&Sample) -> bool) -> Sample {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            while let Some(sample) = self.waiting.pop_front() {
                if self.plant.tags[sample.tag.index()].name != tag {
                    continue;
                }
                if wanted(&sample) {
                    return sample;
                }
                seen.push(sample);
            }
            if let Content::Samples(samples) = self.next().await {
                self.waiting.extend(samples);
            }
        }
        panic!("in vain for {tag}: {seen:?}");
    }

    /// Reads until each of these tags was seen: the first sample of each.
    pub(super) async fn firsts(&mut self, tags: &[&str]) -> Vec<Sample> {
        let mut found: Vec<Option<Sample>> = vec![None; tags.len()];
        while found.iter().any(Option::is_none) {
            let Content::Samples(samples) = self.next().await else {
                continue;
            };
            for sample in samples {
                let name = &self.plant.tags[sample.tag.index()].name;
                let place = tags.iter().position(|tag| tag == name);
                if let Some(place) = place {
                    found[place].get_or_insert(sample);
                }
            }
        }
        found.into_iter().flatten().collect()
    }

    /// Reads until the device is lost: why.
    pub(super) async fn lost(&mut self) -> LinkError {
        loop {
            if let Content::Lost(error) = self.next().await {
                return error;
            }
        }
    }

    /// Stops the link and waits for its end; a panic in it fails the test.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.batches.recv().await.is_some() {}
        self.link.await.unwrap();
    }
}

/// Value and quality.
pub(super) fn said(sample: &Sample) -> (Option<Value>, Quality) {
    (sample.value.clone(), sample.quality)
}

/// A good value.
pub(super) fn good(value: Value) -> (Option<Value>, Quality) {
    (Some(value), Quality::Good)
}
