//! `millgate opcua`: our own certificate, and which servers are trusted.

mod keygen;
mod trust;

use super::{Exit, Failure, load_settings};
use crate::acquire::opc_ua::trust::FolderError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Our own certificate, and which OPC UA servers are trusted.
#[derive(Debug, clap::Args)]
pub struct OpcUa {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make our own certificate and key: servers with security ask for one.
    Keygen(keygen::Keygen),
    /// Trust a server's certificate, or list what is trusted and what was refused.
    Trust(trust::TrustCommand),
}

impl OpcUa {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Keygen(keygen) => keygen.run(),
            What::Trust(trust) => trust.run(),
        }
    }
}

/// Which settings say where the folder is.
#[derive(Debug, clap::Args)]
struct Config {
    /// The settings file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/millgate/gateway.yaml"
    )]
    config: PathBuf,
}

/// What the settings say about us.
struct Gateway {
    id: String,
    pki: PathBuf,
}

impl Config {
    fn load(&self) -> Result<Gateway, Failure> {
        let plant = load_settings(&self.config)?.plant;
        Ok(Gateway {
            id: plant.gateway.id,
            pki: plant.buffer.path.join("pki"),
        })
    }
}

fn now_unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A file or folder that cannot be read or written, with what to do where that is known.
fn unusable(error: FolderError) -> Failure {
    let advice = if error.source.kind() == ErrorKind::PermissionDenied {
        ": run the command as root, or as the user of the service"
    } else {
        ""
    };
    Failure::new(Exit::Io, anyhow::anyhow!("{error}{advice}"))
}

/// A path as it is shown.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
