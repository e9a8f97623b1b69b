//! What OPC UA devices need on the box: our own certificate, the files of a user. Told by `check`, stops nothing.

use super::join;
use super::warning::{absent, secret, user};
use crate::settings::problem::Problem;
use crate::settings::shape::{Device, File, OpcUa, SecurityPolicy};
use indexmap::IndexMap;
use std::path::Path;

/// What is worth a look. Looks at the box.
pub(super) fn warnings(file: &File, found: &mut Vec<Problem>) {
    let own = file.buffer.path.join("pki/own/cert.der");
    servers(&file.devices, "", &own, found);
    for (name, machine) in &file.machines {
        servers(&machine.devices, &join("machines", name), &own, found);
    }
}

fn servers(devices: &IndexMap<String, Device>, path: &str, own: &Path, found: &mut Vec<Problem>) {
    for (name, device) in devices {
        if let Some(server) = &device.opc_ua {
            let path = join(&join(path, "devices"), name);
            self::server(server, &join(&path, "opc_ua"), own, found);
        }
    }
}

fn server(server: &OpcUa, path: &str, own: &Path, found: &mut Vec<Problem>) {
    let secured = match server.security {
        Some(security) => security.policy != SecurityPolicy::None,
        None => !server.insecure,
    };
    if secured && !own.exists() {
        let message = format!(
            "the server will ask for our certificate, and {} is not there: `millgate opcua keygen` makes one",
            own.display()
        );
        found.push(Problem::new(path, message));
    }
    if let Some(named) = &server.user {
        if !secured {
            let message = "the password may travel unencrypted: with `security:` nobody on the way can read it";
            found.push(Problem::new(join(path, "user"), message));
        }
        user(named, &join(path, "user"), found);
    }
    if let Some(certificate) = &server.certificate {
        let path = join(path, "certificate");
        absent(&certificate.cert, &join(&path, "cert"), found);
        secret(&certificate.key, &join(&path, "key"), found);
    }
}
