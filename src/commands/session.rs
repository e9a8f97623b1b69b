//! OPC UA as `probe` and `browse` use it: a session with a server that is no device yet, and nodes as people write them.
//!
//! Without settings it is anonymous and without security, which is told. With `--config`, a device of the settings that has
//! this address lends its security and its user.

use super::{Exit, Failure, load_settings, terminal};
use crate::acquire::opc_ua::Client;
use crate::settings::shape::{Reading, Security, SecurityMode, SecurityPolicy};
use crate::settings::{Namespace, Node, OpcUa, OpcUaUser, Protocol};
use anyhow::anyhow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Opens a session with the server at `endpoint`.
///
/// # Errors
/// 69 with what to do, 64 where the settings have no such device.
pub(super) async fn connect(
    endpoint: &str,
    config: Option<&Path>,
    timeout: Duration,
) -> Result<Client, Failure> {
    let (settings, pki) = match config {
        Some(config) => of_settings(endpoint, config)?,
        None => {
            terminal::print_error(
                "without security and without a user; --config FILE takes those of the device with this address\n",
            )?;
            (without_security(endpoint, timeout), PathBuf::new())
        }
    };
    let connected = Client::connect(&settings, &pki).await;
    connected.map_err(|error| Failure::new(Exit::Unavailable, error))
}

fn without_security(endpoint: &str, timeout: Duration) -> OpcUa {
    OpcUa {
        endpoint: endpoint.to_owned(),
        security: Security {
            policy: SecurityPolicy::None,
            mode: SecurityMode::None,
        },
        user: OpcUaUser::Anonymous,
        read: Reading::Poll,
        publishing_interval: Duration::from_secs(1),
        timeout,
    }
}

fn of_settings(endpoint: &str, config: &Path) -> Result<(OpcUa, PathBuf), Failure> {
    let plant = load_settings(config)?.plant;
    let same = |known: &str| known.trim_end_matches('/') == endpoint.trim_end_matches('/');
    let found = plant
        .devices
        .iter()
        .find_map(|device| match &device.protocol {
            Protocol::OpcUa(settings) if same(&settings.endpoint) => Some(settings.clone()),
            _ => None,
        });
    let settings = found.ok_or_else(|| {
        let none = anyhow!(
            "no device of {} has `endpoint: {endpoint}`",
            config.display()
        );
        Failure::new(Exit::Usage, none)
    })?;
    Ok((settings, plant.buffer.path.join("pki")))
}

/// Reads `nsu=URI;s=NAME`, `ns=2;s=NAME` or `i=85`.
///
/// # Errors
/// What to write instead.
pub(super) fn node(text: &str) -> Result<Node, String> {
    let wrong = || {
        format!(
            "`{text}` is no node: write \"nsu=URI;s=NAME\", \"ns=2;s=NAME\" or \"i=85\", in quotes because of the semicolon"
        )
    };
    let (namespace, identifier) = if let Some(rest) = text.strip_prefix("nsu=") {
        let (uri, identifier) = rest.split_once(';').ok_or_else(wrong)?;
        (Namespace::Uri(uri.to_owned()), identifier)
    } else if let Some(rest) = text.strip_prefix("ns=") {
        let (index, identifier) = rest.split_once(';').ok_or_else(wrong)?;
        (
            Namespace::Index(index.parse().map_err(|_| wrong())?),
            identifier,
        )
    } else {
        (Namespace::Index(0), text)
    };
    let (kind, value) = identifier.split_once('=').ok_or_else(wrong)?;
    let good = match kind {
        "i" => value.parse::<u32>().is_ok(),
        "s" | "g" | "b" => !value.is_empty(),
        _ => false,
    };
    if !good {
        return Err(wrong());
    }
    Ok(Node {
        namespace,
        identifier: identifier.to_owned(),
    })
}

/// A node as [`node`] reads it.
pub(super) fn written(node: &Node) -> String {
    match &node.namespace {
        Namespace::Uri(uri) => format!("nsu={uri};{}", node.identifier),
        Namespace::Index(0) => node.identifier.clone(),
        Namespace::Index(index) => format!("ns={index};{}", node.identifier),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_as_it_is_written() {
        for text in [
            "nsu=urn:x:y;s=Filler.Speed",
            "ns=2;i=7",
            "i=85",
            "ns=3;g=09087e75-8e5e-499b-954f-f2a9603db28a",
        ] {
            assert_eq!(node(text).map(|node| written(&node)), Ok(text.to_owned()));
        }
        for wrong in [
            "",
            "Filler",
            "ns=x;s=A",
            "ns=2",
            "nsu=urn:x",
            "s=",
            "i=-1",
            "q=1",
        ] {
            assert!(node(wrong).unwrap_err().contains("in quotes"), "{wrong}");
        }
    }
}
