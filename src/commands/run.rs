//! `millgate run`: the gateway, until SIGTERM or Ctrl-C.

use super::{Exit, Failure, load_settings};
use crate::gateway::{self, GatewayError};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Run the gateway.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The settings file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/millgate/gateway.yaml"
    )]
    config: PathBuf,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plant = load_settings(&self.config)?.plant;
        runtime()?.block_on(async {
            let stop = CancellationToken::new();
            let stopping = stop.clone();
            let gateway = gateway::run(plant, stop);
            let signals = stop_on_signals(stopping);
            tokio::select! {
                // Signals first: they are listened for before the store is opened.
                biased;
                error = signals => Err(Failure::new(Exit::Software, error)),
                ended = gateway => ended.map(drop).map_err(failure),
            }
        })
    }
}

/// Runs the gateway of a settings file inside another command, until `stop`; what it did.
///
/// # Errors
/// What `millgate run` would say.
#[cfg(feature = "demo")]
pub(super) async fn gateway_of(
    config: &std::path::Path,
    stop: CancellationToken,
) -> anyhow::Result<gateway::Account> {
    let loaded = load_settings(config).map_err(|failure| {
        failure
            .error
            .unwrap_or_else(|| anyhow::anyhow!("the settings have problems"))
    })?;
    Ok(gateway::run(loaded.plant, stop).await?)
}

/// The runtime of commands that run the gateway.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, error))
}

/// Cancels `stop` at SIGTERM or SIGINT. SIGHUP, which would end the process without a clean stop, is only answered. Ends
/// only when signals cannot be received.
async fn stop_on_signals(stop: CancellationToken) -> std::io::Error {
    let received = async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {
                    tracing::warn!("reload is not there yet: restart the service to use new settings");
                    continue;
                }
            }
            tracing::info!("stopping");
            stop.cancel();
        }
    };
    match received.await {
        Err(error) => error,
        Ok(never) => never,
    }
}

fn failure(error: GatewayError) -> Failure {
    let exit = match &error {
        GatewayError::Conditions(_) | GatewayError::Uplink(_) => Exit::Config,
        GatewayError::Store(_) => Exit::Io,
        GatewayError::Systemd(_) | GatewayError::Panicked(_) => Exit::Software,
    };
    Failure::new(exit, error)
}
