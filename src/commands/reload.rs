//! The signals of a running gateway. SIGTERM and Ctrl-C stop it; at SIGHUP other settings are checked, and if they are good
//! the gateway stops in order and begins again with them in the same process, through the recovery of every start.
//!
//! Bad settings change nothing. Should a start with good ones fail all the same (another `buffer.path` that cannot be
//! written), it goes on with those that worked.

use super::run::failure;
use super::{Failure, load_settings};
use crate::gateway::{self, GatewayError};
use crate::observe::{Phases, Systemd};
use crate::settings::Plant;
use sd_notify::NotifyState;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
}

/// The signals that a gateway listens for, from its first moment on.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Several of a kind that come together are one. Dropping it loses none.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

/// Runs the gateway of `plant`, and again with what `config` says then whenever a reload is asked for, until a stop is.
///
/// # Errors
/// What the gateway could not mend.
pub(super) async fn run(
    config: &Path,
    mut plant: Plant,
    mut signals: Signals,
) -> Result<(), Failure> {
    let mut before = None;
    loop {
        let phases = Phases::default();
        let (ended, next) = one_run(config, &plant, &mut signals, &phases).await;
        let next = match (ended, before.take()) {
            // Nothing was read with them yet: those that worked do so again.
            (Err(error), Some(worked)) if !phases.ready.is_cancelled() => {
                error!(%error, "no start with the new settings: back to those before");
                plant = worked;
                continue;
            }
            (Err(error), _) => return Err(failure(error)),
            (Ok(()), _) => next,
        };
        let Some(next) = next else { return Ok(()) };
        info!(before = %plant.digest, after = %next.digest, "beginning again with other settings");
        before = Some(std::mem::replace(&mut plant, next));
    }
}

/// One run from start to end; the settings to begin again with, if there are any.
async fn one_run(
    config: &Path,
    plant: &Plant,
    signals: &mut Signals,
    phases: &Phases,
) -> (Result<(), GatewayError>, Option<Plant>) {
    let stop = CancellationToken::new();
    let gateway = gateway::run(plant.clone(), stop.clone(), phases.clone());
    tokio::pin!(gateway);
    let mut next = None;
    let mut for_good = false;
    loop {
        tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::Stop => {
                    info!("stopping");
                    for_good = true;
                    stop.cancel();
                }
                Asked::Reload if for_good => info!("stopping already: no reload"),
                Asked::Reload => {
                    let running = next.as_ref().unwrap_or(plant);
                    if let Some(other) = other_settings(config, running, phases) {
                        next = Some(other);
                        phases.reloading.cancel();
                        stop.cancel();
                    }
                }
            },
            ended = &mut gateway => return (ended.map(drop), next.filter(|_| !for_good)),
        }
    }
}

/// The settings of the file, if they are good and others than those that run. Tells the log and the service manager.
fn other_settings(config: &Path, running: &Plant, phases: &Phases) -> Option<Plant> {
    let systemd = Systemd::from_environment().unwrap_or_default();
    let begun = NotifyState::monotonic_usec_now().ok();
    let begun: Vec<NotifyState<'_>> = [NotifyState::Reloading].into_iter().chain(begun).collect();
    systemd.tell(&begun);
    let checked = load_settings(config).and_then(|loaded| {
        gateway::check(&loaded.plant).map_err(failure)?;
        Ok(loaded.plant)
    });
    match checked {
        Ok(plant) if plant.digest != running.digest => return Some(plant),
        Ok(_) => {
            phases.refused.store(false, Ordering::Relaxed);
            info!(digest = %running.digest, "the settings are those that run: nothing changes");
            systemd.tell(&[NotifyState::Ready]);
        }
        Err(refused) => {
            phases.refused.store(true, Ordering::Relaxed);
            // What `load_settings` found it has told; the rest is told here.
            if let Some(error) = refused.error {
                warn!("{error:#}");
            }
            error!(file = %config.display(), "the new settings are refused: the gateway runs on with those it has");
            let why = "other settings were refused, the log says why; the gateway runs on";
            systemd.tell(&[NotifyState::Ready, NotifyState::Status(why)]);
        }
    }
    None
}
