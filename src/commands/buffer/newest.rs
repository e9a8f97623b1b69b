//! Which generation a start would go on with: the newest one that opens, and those above it that do not.

use super::super::Failure;
use super::site::{Site, failure};
use crate::buffer::inspect::{Beside, Name, Scene, ShutHead, ShutStore, Trouble, setting_aside};
use crate::model::Position;
use std::collections::BTreeSet;

/// Looks at a store whose newest generation goes away while it is looked for: a gateway rotates and removes.
const MAX_LOOKS: u32 = 10;

/// Why a generation that an earlier start was setting aside is damaged.
const LEFT: &str = "it did not open at an earlier start";

/// The names of a store, and what its newest generations tell.
pub(super) struct Newest {
    /// All generations, rising.
    pub(super) names: Vec<Name>,
    /// Directories that a crash left, and the next start tidies up.
    pub(super) half_made: Vec<String>,
    /// Read before the head was, which knows at least as much.
    pub(super) beside: Beside,
    /// Of the newest generation that opens.
    pub(super) head: Option<ShutHead>,
    /// Those above it, the newest first, and why they do not open.
    pub(super) broken: Vec<(Position, String)>,
    /// One of another release or program ended the search: a start would refuse the store.
    pub(super) foreign: bool,
}

impl Newest {
    /// Looks for it.
    ///
    /// # Errors
    /// When the store cannot be looked at.
    pub(super) fn find(site: &Site, store: &ShutStore) -> Result<Newest, Failure> {
        let mut looks = 1;
        loop {
            let beside = store.beside().map_err(failure)?;
            let (names, half_made) = store.names().map_err(failure)?;
            let mut newest = Newest {
                names,
                half_made,
                beside,
                head: None,
                broken: Vec::new(),
                foreign: false,
            };
            let steady = newest.search(site, store)?;
            if steady || looks >= MAX_LOOKS {
                return Ok(newest);
            }
            looks += 1;
        }
    }

    /// False where a generation went away meanwhile.
    fn search(&mut self, site: &Site, store: &ShutStore) -> Result<bool, Failure> {
        // A start goes by the names of those that an earlier one did not get to the end of.
        let left = self.half_made.iter();
        let left: BTreeSet<Position> = left.filter_map(|name| setting_aside(name)).collect();
        let mut left = left.into_iter().rev().peekable();
        for name in self.names.iter().rev().filter(|name| !name.damaged) {
            self.broken.extend(std::iter::from_fn(|| {
                let first = left.next_if(|first| *first > name.first)?;
                Some((first, LEFT.to_owned()))
            }));
            let Some(opened) = site.open(store, *name)? else {
                return Ok(false);
            };
            match opened.and_then(|reading| store.head(*name, &reading.opened)) {
                Ok(head) => {
                    self.head = Some(head);
                    return Ok(true);
                }
                Err(Trouble::Foreign(_) | Trouble::OtherRelease(_)) => {
                    self.foreign = true;
                    return Ok(true);
                }
                Err(trouble) => self.broken.push((name.first, trouble.to_string())),
            }
        }
        self.broken
            .extend(left.map(|first| (first, LEFT.to_owned())));
        Ok(true)
    }

    /// What a start goes by.
    pub(super) fn scene(&self, runs: bool) -> Scene<'_> {
        Scene {
            names: &self.names,
            half_made: &self.half_made,
            head: self.head.as_ref(),
            broken: &self.broken,
            beside: &self.beside,
            runs,
        }
    }

    /// Why a start would set this generation aside, if it would.
    pub(super) fn why_broken(&self, name: Name) -> Option<&str> {
        let found = self.broken.iter().find(|(first, _)| *first == name.first);
        found.map(|(_, why)| why.as_str())
    }
}
