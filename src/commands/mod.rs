//! What a person types: one file for each command. `main` parses, these do, both know the exit codes.
//!
//! A new command is a file here, one variant of [`Command`] and one arm of [`Command::run`].

mod browse;
mod buffer;
mod check;
mod control;
mod dead_letters;
mod deliver;
#[cfg(feature = "demo")]
pub mod demo;
mod modbus;
mod opc_ua;
mod probe;
mod range;
mod record;
mod reload;
pub mod replay;
mod run;
mod schema;
mod session;
mod target;
mod terminal;

pub use check::load_settings;

use crate::settings::Period;
use clap::{Parser, Subcommand};

/// Edge gateway that tells a MES what really happened at the machine.
#[derive(Debug, Parser)]
#[command(name = "millgate", version, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway.
    Run(run::Run),
    /// See it work: a simulated press cell (Modbus TCP, a barcode scanner, OPC UA), the gateway and a small MES.
    #[cfg(feature = "demo")]
    Demo(demo::Options),
    /// Check a settings file: every problem with line, column and what to write instead.
    Check(check::Check),
    /// Look at registers, nodes or lines of a device, in every type and byte order, to find the right one.
    Probe(probe::Probe),
    /// Find what a device has: scan Modbus addresses or walk an OPC UA server, and print ready settings.
    Browse(browse::Browse),
    /// Record what the machines say, for `millgate replay`.
    Record(record::Record),
    /// Run the aggregation on a capture in virtual time and print the events as JSON Lines.
    Replay(replay::Replay),
    /// Our own OPC UA certificate, and which servers are trusted.
    Opcua(opc_ua::OpcUa),
    /// Look into a store, running or broken: how it goes, whether it is whole, what is in it.
    Buffer(buffer::Buffer),
    /// What the MES did not take, why, and what to do with it: try it again, discard it, write it out.
    DeadLetters(dead_letters::DeadLetters),
    /// Try a destination with one marked event, or send it delivered events again.
    Deliver(deliver::Deliver),
    /// Print the JSON Schema of the settings, for editors.
    Schema(schema::Schema),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong, with the code to exit with.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Command::Run(run) => run.run(),
            #[cfg(feature = "demo")]
            Command::Demo(options) => demo::command(&options),
            Command::Check(check) => check.run(),
            Command::Probe(probe) => probe.run(),
            Command::Browse(browse) => browse.run(),
            Command::Record(record) => record.run(),
            Command::Replay(replay) => replay.run(),
            Command::Opcua(opcua) => opcua.run(),
            Command::Buffer(buffer) => buffer.run(),
            Command::DeadLetters(dead_letters) => dead_letters.run(),
            Command::Deliver(deliver) => deliver.run(),
            Command::Schema(schema) => schema.run(),
        }
    }
}

/// A duration on the command line, as in the settings.
fn period(text: &str) -> Result<Period, String> {
    let period = Period::try_from(text.to_owned())?;
    if period.get().is_zero() {
        return Err("must be longer than 0".into());
    }
    Ok(period)
}

/// Exit codes (sysexits.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// A file that was named has something wrong in it.
    Data = 65,
    /// A file that was named cannot be opened.
    NoInput = 66,
    /// Something that is needed does not answer.
    Unavailable = 69,
    /// Something that should never happen.
    Software = 70,
    /// Reading or writing failed.
    Io = 74,
    /// Somebody does not let us in.
    NoPermission = 77,
    /// The settings are wrong.
    Config = 78,
    /// Ctrl-C, or another signal to end, in a work that is worth nothing by halves: 128 and SIGINT, as shells have it.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command ended without doing what it should.
#[derive(Debug)]
pub struct Failure {
    /// The code to exit with.
    pub exit: Exit,
    /// What to tell; `None` when it has been told.
    pub error: Option<anyhow::Error>,
}

impl Failure {
    /// With something to tell.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure {
            exit,
            error: Some(error.into()),
        }
    }

    /// It has been told already.
    #[must_use]
    pub fn told(exit: Exit) -> Failure {
        Failure { exit, error: None }
    }
}
