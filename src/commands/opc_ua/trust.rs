//! `millgate opcua trust`: which servers are trusted, which were refused and why, and how that is changed.

use super::{Config, Exit, Failure, Gateway, now_unix_s, shown, unusable};
use crate::acquire::opc_ua::trust::{
    Certificate, Filed, MAX_CERTIFICATE_BYTES, Own, Place, Thumbprint, Trust, lasting_fault,
};
use crate::commands::terminal;
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

/// Trust a server's certificate, or list what is trusted and what was refused.
#[derive(Debug, clap::Args)]
pub(super) struct TrustCommand {
    /// Thumbprint of a refused certificate, or a file with the certificate of a server or CA (DER or PEM). Without it,
    /// everything is listed.
    #[arg(value_name = "THUMBPRINT|FILE", conflicts_with_all = ["list", "remove"])]
    what: Option<String>,
    /// List our own certificate, what is trusted, and what was refused and why.
    #[arg(long, conflicts_with = "remove")]
    list: bool,
    /// Trust that certificate no more.
    #[arg(long, value_name = "THUMBPRINT")]
    remove: Option<Thumbprint>,
    #[command(flatten)]
    config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl TrustCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let gateway = self.config.load()?;
        let trust = Trust::open(&gateway.pki);
        if let Some(thumbprint) = self.remove {
            return remove(&trust, &thumbprint, self.json);
        }
        match &self.what {
            Some(what) => accept(&trust, what, self.json),
            None => list(&gateway, &trust, self.json),
        }
    }
}

/// Trusts what a person names.
fn accept(trust: &Trust, what: &str, as_json: bool) -> Result<(), Failure> {
    let certificate = match what.parse() {
        Ok(thumbprint) => match refused(trust, &thumbprint)? {
            Some(certificate) => certificate,
            None => return known_already(trust, &thumbprint, as_json),
        },
        Err(_) => from_file(Path::new(what))?,
    };
    trust.trust(&certificate).map_err(unusable)?;
    let now = i64::try_from(now_unix_s()).unwrap_or(i64::MAX);
    let fault = lasting_fault(&certificate, now);
    if as_json {
        let mut entry = entry(&certificate);
        if let Some(fault) = fault {
            put(&mut entry, "refused_all_the_same", json!(fault.to_string()));
        }
        return terminal::print(&format!("{:#}\n", json!({ "trusted": entry })));
    }
    let mut text = format!(
        "trusted: {} {}\nA running gateway takes it at its next attempt, within half a minute.\n",
        certificate.thumbprint(),
        certificate.subject()
    );
    if let Some(fault) = fault {
        let _infallible = writeln!(text, "It will be refused all the same: {fault}");
    }
    terminal::print(&text)
}

/// The refused certificate of that thumbprint.
fn refused(trust: &Trust, thumbprint: &Thumbprint) -> Result<Option<Certificate>, Failure> {
    let there = trust.list(Place::Rejected).map_err(unusable)?;
    let Some(filed) = there
        .into_iter()
        .find(|filed| filed.thumbprint == *thumbprint)
    else {
        return Ok(None);
    };
    let path = shown(&filed.path);
    filed
        .certificate
        .map(Some)
        .with_context(|| format!("{path} cannot be trusted"))
        .map_err(|error| Failure::new(Exit::Data, error))
}

/// Nothing of that thumbprint was refused: it is trusted already, or nobody knows it.
fn known_already(trust: &Trust, thumbprint: &Thumbprint, as_json: bool) -> Result<(), Failure> {
    let there = trust.list(Place::Trusted).map_err(unusable)?;
    if !there.iter().any(|filed| filed.thumbprint == *thumbprint) {
        let error = anyhow!(
            "no certificate with the thumbprint {thumbprint} was refused: `millgate opcua trust --list` shows those that were"
        );
        return Err(Failure::new(Exit::NoInput, error));
    }
    if as_json {
        let trusted: Vec<Value> = there
            .iter()
            .filter(|filed| filed.thumbprint == *thumbprint)
            .map(filed_entry)
            .collect();
        return terminal::print(&format!("{:#}\n", json!({ "trusted": trusted.first() })));
    }
    terminal::print(&format!("{thumbprint} is trusted already\n"))
}

/// A certificate that a person has copied to the box.
fn from_file(path: &Path) -> Result<Certificate, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(2 * MAX_CERTIFICATE_BYTES).unwrap_or(u64::MAX);
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| {
            format!(
                "`{}` is neither a thumbprint, which has 40 hexadecimal digits, nor a file that can be read",
                path.display()
            )
        })
        .map_err(|error| Failure::new(Exit::NoInput, error))?;
    Certificate::from_file(&bytes)
        .with_context(|| format!("{} cannot be trusted", path.display()))
        .map_err(|error| Failure::new(Exit::Data, error))
}

/// Trusts a certificate no more.
fn remove(trust: &Trust, thumbprint: &Thumbprint, as_json: bool) -> Result<(), Failure> {
    let was_there = trust.remove(Place::Trusted, thumbprint).map_err(unusable)?;
    if !was_there {
        let error = anyhow!(
            "no certificate with the thumbprint {thumbprint} is trusted: `millgate opcua trust --list` shows those that are"
        );
        return Err(Failure::new(Exit::NoInput, error));
    }
    if as_json {
        let report = json!({ "removed": thumbprint.to_string() });
        return terminal::print(&format!("{report:#}\n"));
    }
    terminal::print(&format!(
        "{thumbprint} is trusted no more; a connection that is open stays open until it breaks\n"
    ))
}

/// Everything there is.
fn list(gateway: &Gateway, trust: &Trust, as_json: bool) -> Result<(), Failure> {
    let own = Own::load(&gateway.pki);
    let mut places = Vec::new();
    for (name, place) in [
        ("trusted", Place::Trusted),
        ("issuers", Place::Issuers),
        ("rejected", Place::Rejected),
    ] {
        places.push((name, trust.list(place).map_err(unusable)?));
    }
    if as_json {
        let mut report = json!({ "own": match &own {
            Ok(own) => entry(own.certificate()),
            Err(error) => json!({ "error": error.to_string() }),
        }});
        for (name, there) in &places {
            put(&mut report, name, there.iter().map(filed_entry).collect());
        }
        return terminal::print(&format!("{report:#}\n"));
    }
    let mut text = String::from("own\n");
    text += &match &own {
        Ok(own) => line(own.certificate()),
        Err(error) => format!("  {error}\n"),
    };
    for (name, there) in &places {
        if there.is_empty() && *name == "issuers" {
            continue;
        }
        text += name;
        text += "\n";
        if there.is_empty() {
            text += "  none\n";
        }
        there.iter().for_each(|filed| text += &filed_lines(filed));
    }
    terminal::print(&text)
}

fn line(certificate: &Certificate) -> String {
    format!(
        "  {}  until {}  {}\n",
        certificate.thumbprint(),
        certificate.valid_until_text(),
        certificate.subject()
    )
}

fn filed_lines(filed: &Filed) -> String {
    let mut text = match &filed.certificate {
        Ok(certificate) => line(certificate),
        Err(error) => format!("  {}  {error}\n", filed.thumbprint),
    };
    if let Some(reason) = &filed.reason {
        let _infallible = writeln!(text, "      {reason}");
    }
    text
}

fn entry(certificate: &Certificate) -> Value {
    let names = certificate.names();
    json!({
        "thumbprint": certificate.thumbprint().to_string(),
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "valid_until": certificate.valid_until_text(),
        "application_uris": names.uris,
        "authority": certificate.is_authority(),
    })
}

fn filed_entry(filed: &Filed) -> Value {
    let mut entry = match &filed.certificate {
        Ok(certificate) => entry(certificate),
        Err(error) => json!({
            "thumbprint": filed.thumbprint.to_string(),
            "error": error.to_string(),
        }),
    };
    put(&mut entry, "file", json!(shown(&filed.path)));
    if let Some(reason) = &filed.reason {
        put(&mut entry, "reason", json!(reason));
    }
    entry
}

/// One more member of an object.
fn put(object: &mut Value, name: &str, member: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), member);
    }
}
