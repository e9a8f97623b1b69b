//! `millgate run`: the gateway, until SIGTERM or Ctrl-C; `reload` is what it does at SIGHUP.

use super::reload::{self, Signals};
use super::{Exit, Failure, load_settings};
#[cfg(feature = "demo")]
use crate::gateway;
use crate::gateway::GatewayError;
#[cfg(feature = "demo")]
use crate::observe::Phases;
use std::path::PathBuf;
#[cfg(feature = "demo")]
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
    /// The same, as `check` takes it.
    #[arg(value_name = "FILE", conflicts_with = "config", hide = true)]
    file: Option<PathBuf>,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.file.unwrap_or(self.config);
        let plant = load_settings(&config)?.plant;
        runtime()?.block_on(async {
            // Signals first: they are listened for before the store is opened.
            let software = |error| Failure::new(Exit::Software, error);
            let signals = Signals::listen().map_err(software)?;
            reload::run(&config, plant, signals).await
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
    Ok(gateway::run(loaded.plant, stop, Phases::default()).await?)
}

/// The runtime of commands that run the gateway.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, error))
}

pub(super) fn failure(error: GatewayError) -> Failure {
    let exit = match &error {
        GatewayError::Conditions(_) | GatewayError::Uplink(_) => Exit::Config,
        GatewayError::Store(_) => Exit::Io,
        GatewayError::Systemd(_) | GatewayError::Panicked(_) => Exit::Software,
    };
    Failure::new(exit, error)
}
