//! 72 hours without the MES: 2.6 million events of 1 to 3 KB, delivered over MQTT QoS 1 to a mosquitto on loopback when it is
//! back, beside live events. Goals: at least 20,000 events/s, at most 64 MB of memory while it drains, at most 16 MB on the disk
//! after it, nothing lost, and live events that wait no longer than what was stored before them takes.
//!
//! `cargo bench --bench outage`; some 4 GB under `target/` while it runs. `MILLGATE_BACKLOG` is another number of events.

mod delivery;
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may panic"
)]
mod stores;

use delivery::broker::{Broker, Subscriber};
use delivery::goals::{Goals, measured};
use delivery::{Failure, Live, Stock, drain, in_earnest, mqtt};
use millgate::settings::shape;
use std::process::ExitCode;

const EVENTS: u64 = 2_600_000;
const MACHINES: u64 = 64;
const WINDOW: u16 = 64;
const GOAL_MEMORY_MB: f64 = 64.0;
const GOAL_LEFT_MB: f64 = 16.0;

fn main() -> ExitCode {
    let asked = std::env::var("MILLGATE_BACKLOG").ok();
    let asked = asked.and_then(|text| text.parse().ok());
    let events = asked.unwrap_or(if in_earnest() { EVENTS } else { 3_000 });
    measured("outage", measure(events))
}

async fn measure(events: u64) -> Result<Goals, Failure> {
    let folder = tempfile::tempdir()?;
    let broker = Broker::start(folder.path())?;
    let live = Live::default();
    let _subscriber = Subscriber::start(broker.port, &live).await?;
    let stock = Stock {
        events,
        bytes: 1_024..=3_072,
        machines: MACHINES,
    };
    let uplink = mqtt(shape::MqttVersion::V5, broker.port, WINDOW)?;
    let drained = drain(&uplink, &live, stock).await?;
    println!("{events} events of 1 to 3 KB, 50 live events/s beside them, MQTT 5 to mosquitto");
    println!("drained    {:>9.0} events/s (goal 20000)", drained.per_s);
    let memory_mb = drained.memory_kib as f64 * 1.024e-3;
    let left_mb = drained.left_bytes as f64 / 1e6;
    println!(
        "memory     {memory_mb:>9.1} MB at the most while it drained, this bench's subscriber included (goal {GOAL_MEMORY_MB:.0})"
    );
    println!(
        "disk       {left_mb:>9.1} MB after it, ballast included (goal {GOAL_LEFT_MB:.0}); {:.0} MB before",
        drained.stored_bytes as f64 / 1e6
    );
    println!("live       {}", drained.waits());
    let mut goals = Goals::default();
    goals.at_most("MB of memory", GOAL_MEMORY_MB, memory_mb);
    goals.at_most("MB on the disk after it", GOAL_LEFT_MB, left_mb);
    Ok(goals)
}
