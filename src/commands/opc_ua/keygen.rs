//! `millgate opcua keygen`: makes our own certificate and key, and says what to do with it.

use super::{Config, Exit, Failure, now_unix_s, shown, unusable};
use crate::acquire::opc_ua::trust::{KeygenError, MAX_DAYS, NewOwn, Own};
use crate::commands::terminal;
use serde_json::json;

/// How long a certificate is valid when nothing else is asked for: 10 years.
const DAYS: u32 = 3_652;

/// Make our own certificate and key: servers with security ask for one.
#[derive(Debug, clap::Args)]
pub(super) struct Keygen {
    #[command(flatten)]
    config: Config,
    /// Days that the certificate is valid.
    #[arg(long, value_name = "DAYS", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    days: u32,
    /// A name or address of this box; may be given several times, the first one stands in the application URI. The host
    /// name of the box when left out.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Bits of the RSA key.
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = ["2048", "3072", "4096"])]
    bits: String,
    /// Replace the certificate there is: each server must trust the new one anew.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Keygen {
    pub(super) fn run(self) -> Result<(), Failure> {
        let gateway = self.config.load()?;
        let hosts = if self.host.is_empty() {
            vec![own_name()?]
        } else {
            self.host
        };
        let host = hosts.first().map(String::as_str).unwrap_or_default();
        let wish = NewOwn {
            application_uri: format!("urn:{host}:millgate:{}", gateway.id),
            name: format!("Millgate {}", gateway.id),
            days: self.days,
            bits: self.bits.parse().unwrap_or_default(),
            hosts,
        };
        let own = Own::make(&gateway.pki, &wish, self.force, now_unix_s()).map_err(failure)?;
        terminal::print(&report(&own, self.json))
    }
}

fn report(own: &Own, as_json: bool) -> String {
    let certificate = shown(own.certificate_path());
    let until = own.certificate().valid_until_text();
    if as_json {
        let report = json!({
            "certificate": certificate,
            "key": shown(own.key_path()),
            "thumbprint": own.thumbprint().to_string(),
            "application_uri": own.application_uri(),
            "valid_until": until,
        });
        return format!("{report:#}\n");
    }
    format!(
        "certificate      {certificate}\nkey              {}\nthumbprint       {}\napplication URI  {}\nvalid until      {until}\n\n\
         Copy the certificate into the trust list of each OPC UA server, or accept it there once the server has refused it.\n\
         The key stays here.\n",
        shown(own.key_path()),
        own.thumbprint(),
        own.application_uri(),
    )
}

/// The host name of the box.
fn own_name() -> Result<String, Failure> {
    nix::sys::utsname::uname()
        .ok()
        .and_then(|box_| box_.nodename().to_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .ok_or_else(|| {
            let error = anyhow::anyhow!("this box has no host name: say one with `--host NAME`");
            Failure::new(Exit::Usage, error)
        })
}

fn failure(error: KeygenError) -> Failure {
    let exit = match error {
        KeygenError::Folder(error) => return unusable(error),
        KeygenError::Wish(_) | KeygenError::Exists(_) => Exit::Usage,
        KeygenError::Clock => Exit::Unavailable,
        KeygenError::Library(_) | KeygenError::Unusable(_) => Exit::Software,
    };
    Failure::new(exit, error)
}
