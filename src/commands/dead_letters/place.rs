//! Where the files of parked events are, and reading them one after the other.

use super::super::buffer::interrupt::Interrupt;
use super::super::buffer::site::{Site, Which, failure};
use super::super::buffer::words;
use super::super::terminal::Progress;
use super::super::{Exit, Failure};
use crate::buffer::inspect::ShutStore;
use crate::buffer::{Parked, ParkedError};
use crate::model::Position;
use anyhow::anyhow;
use std::path::PathBuf;

/// Files between two looks at the signals and the terminal.
const STEP: usize = 256;

/// The arguments that say whose.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Whose {
    /// The settings file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/millgate/gateway.yaml"
    )]
    config: PathBuf,
    /// Only those of this uplink.
    #[arg(long, value_name = "NAME")]
    pub(super) uplink: Option<String>,
}

/// The parked events of some uplinks.
pub(super) struct Letters {
    /// Who has the store.
    pub(super) site: Site,
    /// Where it is.
    pub(super) store: ShutStore,
    /// In the order of the settings; then those that have left them.
    pub(super) uplinks: Vec<String>,
}

/// Files that are no use, of one uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Bent or cut off.
    pub(super) damaged: u64,
    /// Written by another release.
    pub(super) foreign: u64,
}

impl Unreadable {
    /// In words, if there are any.
    pub(super) fn told(self, uplink: &str) -> String {
        let mut text = String::new();
        if self.damaged > 0 {
            text += &format!(
                "{uplink}: the files of {} are damaged; the gateway sets them aside and counts them as dropped\n",
                words::events(self.damaged)
            );
        }
        if self.foreign > 0 {
            text += &format!(
                "{uplink}: {} were written by another release of Millgate; use its command\n",
                words::events(self.foreign)
            );
        }
        text
    }
}

impl Whose {
    /// Finds them.
    pub(super) fn letters(&self) -> Result<Letters, Failure> {
        let site = Which::of(&self.config).site()?;
        let store = site.store()?;
        let plant = site.plant.iter().flat_map(|plant| &plant.uplinks);
        let mut uplinks: Vec<String> = plant.map(|uplink| uplink.name.clone()).collect();
        for name in store.parked_uplinks().map_err(failure)? {
            let has_any = || store.parked_positions(&name).is_ok_and(|it| !it.is_empty());
            if !uplinks.contains(&name) && has_any() {
                uplinks.push(name);
            }
        }
        if let Some(wanted) = &self.uplink {
            if !uplinks.contains(wanted) {
                let known = match uplinks.as_slice() {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                let error = anyhow!(
                    "{} has no uplink `{wanted}`; it has {known}",
                    self.config.display()
                );
                return Err(Failure::new(Exit::Usage, error));
            }
            uplinks.retain(|name| name == wanted);
        }
        Ok(Letters {
            site,
            store,
            uplinks,
        })
    }
}

impl Letters {
    /// Reads all parked events of an uplink, in their order. One that goes meanwhile was taken, or discarded.
    pub(super) fn read(
        &self,
        uplink: &str,
        mut each: impl FnMut(Parked) -> Result<(), Failure>,
    ) -> Result<Unreadable, Failure> {
        let positions = self.store.parked_positions(uplink).map_err(failure)?;
        let mut interrupt = Interrupt::listen()?;
        let mut bar = Bar::new(&format!("reading {uplink}"), positions.len());
        let mut unreadable = Unreadable::default();
        for (at, position) in positions.iter().enumerate() {
            if at % STEP == 0 {
                bar.show(at);
                if interrupt.came() {
                    bar.clear();
                    return Err(Interrupt::failure());
                }
            }
            match self.store.read_parked(uplink, *position).map_err(failure)? {
                None => {}
                Some(Ok(parked)) => each(parked)?,
                Some(Err(ParkedError::Damaged(_))) => unreadable.damaged += 1,
                Some(Err(ParkedError::Version(_))) => unreadable.foreign += 1,
            }
        }
        bar.clear();
        Ok(unreadable)
    }

    /// Some of them, which were chosen before.
    pub(super) fn one(&self, uplink: &str, position: Position) -> Result<Option<Parked>, Failure> {
        let read = self.store.read_parked(uplink, position);
        Ok(read.map_err(failure)?.and_then(Result::ok))
    }
}

/// How many of many are done.
pub(super) struct Bar {
    shown: Progress,
    words: String,
    all: usize,
}

impl Bar {
    pub(super) fn new(words: &str, all: usize) -> Bar {
        Bar {
            shown: Progress::new(),
            words: words.to_owned(),
            all,
        }
    }

    pub(super) fn show(&mut self, done: usize) {
        let part = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let words = format!("{}: {done} of {}", self.words, self.all);
        self.shown.show_bar(part(done), part(self.all), &words);
    }

    pub(super) fn clear(&mut self) {
        self.shown.clear();
    }
}
