//! `millgate buffer`: looks into a store, running or broken.
//!
//! `site` finds the store and whoever has it open, and gets copies of its generations; `survey` reads them all, with
//! what `newest` finds of the head; the four commands show, judge, write out and mend.

#[cfg(test)]
mod agreement_tests;
pub(super) mod bar;
mod drain;
pub(super) mod export;
pub(super) mod interrupt;
mod newest;
mod repair;
pub(super) mod site;
pub(super) mod status;
pub(super) mod survey;
mod verify;
pub(super) mod words;

use super::Failure;
use std::sync::Once;
use tracing::subscriber::NoSubscriber;

/// Look into a store: how it goes, whether it is whole, what is in it.
#[derive(Debug, clap::Args)]
pub struct Buffer {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// How it goes, on one screen: what waits for whom, how much disk it takes.
    Status(status::Status),
    /// Read every record and say what is wrong, what it means and what to do. Exit code 65 when anything is.
    Verify(verify::Verify),
    /// Write the events that are stored, as JSON Lines of the original CloudEvents.
    Export(export::Export),
    /// Set aside what is damaged, renew what can be renewed, and say what was lost. Deletes no event.
    Repair(repair::Repair),
}

impl Buffer {
    pub(super) fn run(self) -> Result<(), Failure> {
        quietly(|| match self.what {
            What::Status(status) => status.run(),
            What::Verify(verify) => verify.run(),
            What::Export(export) => export.run(),
            What::Repair(repair) => repair.run(),
        })
    }
}

/// Without the log, unless somebody asks for it: what it would say of a copy, a command says in its own words.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    keep_the_library_quiet();
    if std::env::var_os("MILLGATE_LOG").is_some() {
        return run();
    }
    tracing::subscriber::with_default(NoSubscriber::default(), run)
}

/// sled panics on some damage. That is caught, and told as damage: the panic's own words would only frighten.
fn keep_the_library_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let sleds = panic
                .location()
                .is_some_and(|at| at.file().contains("/sled-"));
            if !sleds {
                before(panic);
            }
        }));
    });
}
