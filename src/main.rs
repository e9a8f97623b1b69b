//! The `millgate` command: arguments, logging, exit codes. What it does is in `commands`.

use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use millgate::commands::{Arguments, Exit};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to tell it to when neither output can be written.
            let _unwritable = error.print();
            if let Some(file) = settings_file(&error) {
                eprintln!("\nThe settings file is named by an option: --config {file}");
            }
            let help = !error.use_stderr();
            return if help {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Exit::Usage.code())
            };
        }
    };
    log_to_stderr();
    // Every TLS connection of the process uses this one; it fails only when something else was installed first.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed before");
    }
    match arguments.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(error) = failure.error {
                eprintln!("millgate: {}", with_causes(&error));
            }
            ExitCode::from(failure.exit.code())
        }
    }
}

/// A settings file that stands where a command takes none.
fn settings_file(error: &clap::Error) -> Option<&str> {
    let kinds = [ContextKind::InvalidArg, ContextKind::InvalidValue];
    let texts = kinds.iter().filter_map(|kind| match error.get(*kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    });
    let mut files = texts.filter(|text| text.ends_with(".yaml") || text.ends_with(".yml"));
    files.next()
}

/// An error with its causes in one line. A cause that is told already is not told twice.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
    }
    text
}

/// Libraries that are not to be heard unless somebody asks for them.
const QUIET: &str =
    "opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_server=off,opcua_types=off";

/// Logs go to standard error: the journal has its own time stamps, a terminal gets colours.
fn log_to_stderr() {
    let wished = std::env::var("MILLGATE_LOG").unwrap_or_default();
    // The OPC UA library tells much that is no trouble; what is, `acquire` tells with the device.
    // A default directive would count only where there is no other; a later one replaces its like.
    let filter = EnvFilter::new(format!("info,{QUIET},{wished}"));
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .init();
}
