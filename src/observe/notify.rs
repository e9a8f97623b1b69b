//! Tells systemd that the gateway is ready, how it goes, that it stops; and feeds the watchdog, but only while every stage
//! moves. Run by the gateway beside the stages.
//!
//! A watchdog that a timer feeds proves that the timer works. Here the timer only looks: what it looks for is each stage's
//! own [`crate::health::Pulse`]. A stalled stage is named in the log and in the status line, and then systemd is told to act
//! at once (`WATCHDOG=trigger`) instead of after another full period.

use super::{Pulses, Systemd};
use crate::clock::Clock;
use crate::health::Health;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Looks per watchdog period: with a patience of two thirds, a stall is acted upon inside the period.
const LOOKS_PER_PERIOD: u32 = 6;
/// How often the status line is renewed where there is no watchdog.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// What the gateway has reached: each is cancelled once, when it is so.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// The store is open, the stages run.
    pub ready: CancellationToken,
    /// The gateway has begun to stop.
    pub stopping: CancellationToken,
    /// It stops only to begin again with other settings: cancelled before `stopping`.
    pub reloading: CancellationToken,
    /// Other settings were refused since the start; the status line says so.
    pub refused: Arc<AtomicBool>,
}

/// Runs until the gateway stops. `pulses` makes the list of stages when they have begun. Dropping it is safe anywhere.
pub async fn run(
    systemd: Systemd,
    phases: Phases,
    health: Arc<Health>,
    clock: Clock,
    pulses: impl FnOnce() -> Pulses,
) {
    tokio::select! {
        () = phases.ready.cancelled() => {}
        () = phases.stopping.cancelled() => return stopping(&systemd, &phases),
    }
    let pulses = pulses();
    let line = || status(&health, phases.refused.load(Ordering::Relaxed));
    systemd.tell(&[NotifyState::Ready, NotifyState::Status(&line())]);
    tokio::select! {
        () = phases.stopping.cancelled() => {}
        () = watch(&systemd, &pulses, line, &clock) => {}
    }
    stopping(&systemd, &phases);
}

/// Tells that the gateway waits for something before it can begin, and is alive: `why` in words. A start-up time-out would
/// end it for nothing, so it counts as started.
pub fn waits(systemd: &Systemd, why: &str) {
    systemd.tell(&[
        NotifyState::Ready,
        NotifyState::Watchdog,
        NotifyState::Status(&format!("not reading the machines: {why}")),
    ]);
}

/// A gateway that begins again is not stopping for the service manager, which would wait for its end.
fn stopping(systemd: &Systemd, phases: &Phases) {
    let state = if phases.reloading.is_cancelled() {
        NotifyState::Watchdog
    } else {
        NotifyState::Stopping
    };
    systemd.tell(&[
        state,
        NotifyState::Status("stopping: what was read goes to the disk"),
    ]);
}

/// Looks at the pulses for ever.
async fn watch(systemd: &Systemd, pulses: &Pulses, status: impl Fn() -> String, clock: &Clock) {
    let patience = systemd.watchdog().map(Pulses::patience);
    let mut looks = interval(
        systemd
            .watchdog()
            .map_or(STATUS_EVERY, |period| period / LOOKS_PER_PERIOD)
            .max(Duration::from_millis(1)),
    );
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_status = String::new();
    loop {
        looks.tick().await;
        let hanging = patience.map_or_else(Vec::new, |it| pulses.hanging(clock.now().boot, it));
        if !hanging.is_empty() {
            report(systemd, &hanging);
            continue;
        }
        if patience.is_some() {
            systemd.tell(&[NotifyState::Watchdog]);
        }
        let news = status();
        if news != last_status {
            systemd.tell(&[NotifyState::Status(&news)]);
            last_status = news;
        }
    }
}

/// Names the stages that hang and asks systemd to end this process.
fn report(systemd: &Systemd, hanging: &[(&str, Duration)]) {
    let named: Vec<String> = hanging
        .iter()
        .map(|(name, silence)| format!("{name} for {} s", silence.as_secs()))
        .collect();
    let named = named.join(", ");
    tracing::error!("stalled: {named}; asking systemd for a restart");
    systemd.tell(&[
        NotifyState::Status(&format!("stalled: {named}")),
        NotifyState::WatchdogTrigger,
    ]);
}

/// One line for `systemctl status`.
fn status(health: &Health, refused: bool) -> String {
    let accepted = health.buffer.accepted.get();
    let answers: u64 = health.devices.iter().map(|it| it.answers.get()).sum();
    let delivered: Vec<String> = health
        .uplinks
        .iter()
        .map(|it| it.delivered.get().to_string())
        .collect();
    let delivered = match delivered.as_slice() {
        [] => "no uplink".to_owned(),
        all => format!("delivered by uplink {}", all.join(", ")),
    };
    let refused = if refused {
        "other settings were refused, the log says why; "
    } else {
        ""
    };
    let full = health
        .buffer
        .refusing
        .now()
        .map(|refusal| format!("not reading the machines: {}; ", refusal.why))
        .unwrap_or_default();
    format!(
        "{full}{refused}since the start: {answers} answers, {accepted} events on disk, {delivered}"
    )
}

#[cfg(test)]
mod tests;
