//! `millgate dead-letters export`: one line of JSON for each event.

use super::super::buffer::export::{open, unwritable};
use super::super::buffer::words;
use super::super::{Exit, Failure, terminal};
use super::entry;
use super::pick::Pick;
use super::place::Whose;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Write events with their verdicts as JSON Lines.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pick: Pick,
    /// Write to this file, which must not be there yet; else to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let letters = self.whose.letters()?;
        let mut ready = self.pick.ready(&letters)?;
        let mut out = open(self.out.as_deref())?;
        let (mut written, mut unreadable, mut gone) = (0_u64, String::new(), false);
        for uplink in &letters.uplinks {
            let read = letters.read(uplink, |parked| {
                if gone || !ready.wants(&parked) {
                    return Ok(());
                }
                match out.write_all(&entry::line(uplink, &parked)) {
                    Ok(()) => written += 1,
                    // Whoever reads has enough.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => gone = true,
                    Err(error) => return Err(unwritable(self.out.as_deref(), error)),
                }
                Ok(())
            })?;
            unreadable += &read.told(uplink);
        }
        if gone {
            return Ok(());
        }
        let flushed = out.flush();
        flushed.map_err(|error| unwritable(self.out.as_deref(), error))?;
        let out = self.out.as_ref();
        let to = out.map_or(String::new(), |out| format!(" to {}", out.display()));
        terminal::print_error(&format!(
            "{} written{to}\n{unreadable}",
            words::events(written)
        ))?;
        ready.all_seen()?;
        if unreadable.is_empty() {
            return Ok(());
        }
        Err(Failure::told(Exit::Data))
    }
}
