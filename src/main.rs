//! The `millgate` command: arguments, logging, exit codes. What it does is in `commands`.

use clap::Parser;
use millgate::commands::{Arguments, Exit};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to tell it to when neither output can be written.
            let _unwritable = error.print();
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

/// The OPC UA library tells of each trouble itself, and again in the error that we log; heard only when asked for by name.
const LIBRARIES: [&str; 3] = ["opcua_client=off", "opcua_core=off", "opcua_crypto=off"];

/// Logs go to standard error: the journal has its own time stamps, a terminal gets colours.
fn log_to_stderr() {
    let mut filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var("MILLGATE_LOG")
        .from_env_lossy();
    let asked_for = std::env::var("MILLGATE_LOG").is_ok_and(|asked| asked.contains("opcua_"));
    let quiet = LIBRARIES.iter().filter(|_| !asked_for);
    for directive in quiet.filter_map(|directive| directive.parse().ok()) {
        filter = filter.add_directive(directive);
    }
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .init();
}
