//! The newest generation of a store that opens, and those above it that do not: the first thing that a start looks for.

use super::disk::Disk;
use super::engine::{EngineError, Medium, Purpose};
use super::error::StoreError;
use super::generation::{Generation, Loss, predecessor};
use super::head::Head;
use super::listing::{self, Listing, lean_path_of, path_of};
use super::losses;
use crate::model::Position;
use std::collections::BTreeSet;
use std::path::Path;

/// The newest generation that opens, and what did not.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) opened: Option<(Generation, Head)>,
    /// What is lost with each one above it, the newest first.
    pub(super) set_aside: Vec<Loss>,
}

impl Newest {
    /// Opens generations from the newest down until one is whole. Damaged ones are named anew, so that none is opened twice:
    /// the first attempt may have changed what a second one finds. Those that an earlier start found and did not account for
    /// are found again, by their names. `furthest` tells where the newest of them ended.
    pub(super) fn find(
        medium: &Medium,
        root: &Path,
        listing: &Listing,
        furthest: Option<Position>,
    ) -> Result<Newest, StoreError> {
        let mut end = furthest;
        let mut newest = Newest::default();
        let all = listing.whole.iter().chain(&listing.setting_aside);
        let all: BTreeSet<&Position> = all.collect();
        for first in all.into_iter().rev() {
            let path = listing.path_of(root, *first);
            let found = match listing.setting_aside.contains(first) {
                true => Ok(Err("it did not open at an earlier start".into())),
                false => open(medium, &path, *first),
            };
            let reason = match found {
                Ok(Ok(opened)) => {
                    newest.opened = Some(opened);
                    break;
                }
                Ok(Err(reason)) | Err(EngineError::Damaged { reason, .. }) => reason,
                Err(other) => return Err(other.into()),
            };
            tracing::error!(generation = %first, reason, "a damaged generation is set aside");
            if !listing.setting_aside.contains(first) {
                let disk = medium.disk.as_ref();
                listing::begin_setting_aside(disk, root, &path, *first)?;
            }
            let loss = losses::with_newest(*first, end, reason);
            newest.set_aside.push(loss);
            end = Some(predecessor(*first));
        }
        Ok(newest)
    }
}

fn open(
    medium: &Medium,
    path: &Path,
    first: Position,
) -> Result<Result<(Generation, Head), String>, EngineError> {
    let generation = Generation::open(medium, path, first, Purpose::Write)?;
    Ok(generation.head()?.map(|head| (generation, head)))
}

/// Where a crash came between rewriting a generation and removing the original: the copy counts when its evicted events
/// are in the accounts.
pub(super) fn settle_copies(
    disk: &dyn Disk,
    root: &Path,
    listing: &Listing,
    swept: Position,
) -> Result<(), StoreError> {
    for first in &listing.twice {
        let surplus = if *first <= swept {
            path_of(root, *first)
        } else {
            lean_path_of(root, *first)
        };
        listing::remove(disk, root, &surplus)?;
    }
    Ok(())
}
