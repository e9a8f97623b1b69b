//! Looking into a store, running or not: what there is, copies of single generations, setting damaged ones aside.
//!
//! `live` answers beside a running gateway, on the buffer's task; `shut` looks at a store that nobody has open; `copy`
//! copies a generation, `walk` reads a copy record by record; `parked` reads the files of parked events; `outlook` says what
//! a start would find; `owner` gives what was written back to whose the store is. Nothing here writes to what a gateway may still need, but what sets a generation aside, and what
//! changes parked events under the lock.

mod copy;
mod live;
mod outlook;
mod owner;
mod parked;
mod shut;
mod status;
mod walk;

pub use super::generation::BEHIND;
pub(super) use copy::clear_copies;
pub use copy::{Copied, CopyError, copies_path, copy_generation};
pub use live::{Inspector, Look, SetAside};
pub use outlook::{Misses, Outlook, ParkedHarm, Scene};
pub use shut::{Beside, Held, RepairError, ShutError, ShutHead, ShutStore};
pub use status::{DrainStatus, EventLabel, GenerationStatus, Kind, StoreStatus, UplinkStatus};
pub use walk::{Opened, Seen, Trouble, Walked};

use super::disk::{Disk, Files};
use super::listing::{self, DAMAGED, LEAN};
use crate::model::Position;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of a generation: what it is called tells where its records begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The position of its first record.
    pub first: Position,
    /// It was set aside.
    pub damaged: bool,
    /// It was rewritten without its passing events.
    pub lean: bool,
}

impl Name {
    /// Reads the name of a directory; `None` for whatever is no generation.
    #[must_use]
    pub fn parse(text: &str) -> Option<Name> {
        let damaged = text.strip_prefix(DAMAGED);
        let lean = text.strip_suffix(LEAN);
        Some(Name {
            first: listing::parse(damaged.or(lean).unwrap_or(text))?,
            damaged: damaged.is_some(),
            lean: lean.is_some(),
        })
    }

    /// The generation that may have taken its place since its name was read.
    fn rewritten(self) -> Option<Name> {
        let lean = true;
        (!self.damaged && !self.lean).then_some(Name { lean, ..self })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.damaged { DAMAGED } else { "" };
        let suffix = if self.lean { LEAN } else { "" };
        write!(f, "{prefix}{}{suffix}", self.first)
    }
}

/// The store in a `buffer.path`.
#[must_use]
pub fn root(path: &Path) -> PathBuf {
    path.join("store")
}

/// The generation that has this name while a start sets it aside, until what is lost with it is counted.
#[must_use]
pub fn setting_aside(name: &str) -> Option<Position> {
    listing::setting_aside_of(name)
}

/// The generations of a store by their names, rising, and half-made directories that the next start tidies up. Changes nothing.
///
/// # Errors
/// When the directory cannot be read.
pub fn names(root: &Path) -> io::Result<(Vec<Name>, Vec<String>)> {
    let (mut found, mut half_made) = (Vec::new(), Vec::new());
    for name in Files.names(root)? {
        if let Some(name) = Name::parse(&name) {
            found.push(name);
        } else if listing::is_half_made(&name) {
            half_made.push(name);
        }
    }
    found.sort_unstable();
    let originals: BTreeSet<Name> = found.iter().copied().collect();
    found.retain(|name| {
        let original = Name {
            lean: false,
            ..*name
        };
        // A crash came when it was rewritten: one of the two goes, and the original has everything.
        let is_surplus = name.lean && originals.contains(&original);
        if is_surplus {
            half_made.push(name.to_string());
        }
        !is_surplus
    });
    Ok((found, half_made))
}
