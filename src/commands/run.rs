//! `millgate run`: the gateway, until SIGTERM or Ctrl-C.

use super::{Exit, Failure, load_settings};
use crate::gateway::{self, GatewayError};
use std::path::{Path, PathBuf};
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
                ended = gateway => ended.map(drop).map_err(failure),
                error = signals => Err(Failure::new(Exit::Software, error)),
            }
        })
    }
}

/// Runs the gateway of a settings file inside another command, until `stop`.
///
/// # Errors
/// What `millgate run` would say.
pub(super) async fn gateway_of(config: &Path, stop: CancellationToken) -> anyhow::Result<()> {
    let loaded = load_settings(config).map_err(|failure| {
        failure
            .error
            .unwrap_or_else(|| anyhow::anyhow!("the settings have problems"))
    })?;
    gateway::run(loaded.plant, stop).await?;
    Ok(())
}

/// The runtime of commands that run the gateway.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, error))
}

/// Cancels `stop` at SIGTERM or SIGINT. Ends only when signals cannot be received.
async fn stop_on_signals(stop: CancellationToken) -> std::io::Error {
    let received = async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
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
