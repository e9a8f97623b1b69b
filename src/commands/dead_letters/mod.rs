//! `millgate dead-letters`: what a destination did not take, why, and what to do with it.
//!
//! `place` finds the files, which are read as they are, also beside a running gateway; `pick` chooses among them. `list`,
//! `show` and `export` tell; `change` tries again or discards, through the gateway where one runs.

mod change;
mod entry;
mod export;
mod list;
mod pick;
mod place;
mod show;
mod user;

use super::Failure;
use super::buffer::quietly;

/// What the MES did not take, why, and what to do with it.
#[derive(Debug, clap::Args)]
pub struct DeadLetters {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// How many there are, by class and code; one by one with `--each`.
    List(list::List),
    /// One event: what was tried, what was answered, what people did, and what it says.
    Show(show::Show),
    /// Send events again, with the ids they have: when the MES is ready for them.
    Retry(change::Retry),
    /// Give events up. Who did, when and why stays on a list.
    Discard(change::Discard),
    /// Write events with their verdicts as JSON Lines.
    Export(export::Export),
}

impl DeadLetters {
    pub(super) fn run(self) -> Result<(), Failure> {
        quietly(|| match self.what {
            What::List(list) => list.run(),
            What::Show(show) => show.run(),
            What::Retry(retry) => retry.run(),
            What::Discard(discard) => discard.run(),
            What::Export(export) => export.run(),
        })
    }
}
