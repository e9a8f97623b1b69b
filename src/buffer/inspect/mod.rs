//! Looking into a store, running or not: what there is, copies of single generations, setting damaged ones aside.
//!
//! `live` answers beside a running gateway, on the buffer's task; `shut` looks at a store that nobody has open; `copy`
//! copies a generation, `walk` reads a copy record by record. Nothing here writes to what a gateway may still need, but
//! what sets a generation aside.

mod copy;
mod live;
mod shut;
mod status;
mod walk;

pub(super) use copy::clear_copies;
pub use copy::{Copied, CopyError, copies_path, copy_generation};
pub use live::{Inspector, Look, SetAside};
pub use shut::{Held, RepairError, ShutError, ShutHead, ShutStore};
pub use status::{EventLabel, GenerationStatus, Kind, StoreStatus, UplinkStatus};
pub use walk::{Opened, Seen, Trouble, Walked};

use super::disk::{Disk, Files};
use super::generations;
use crate::model::Position;
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
}

impl Name {
    /// Reads the name of a directory; `None` for whatever is no generation.
    #[must_use]
    pub fn parse(text: &str) -> Option<Name> {
        let rest = text.strip_prefix(generations::DAMAGED);
        Some(Name {
            first: generations::parse(rest.unwrap_or(text))?,
            damaged: rest.is_some(),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.damaged {
            generations::DAMAGED
        } else {
            ""
        };
        write!(f, "{prefix}{}", self.first)
    }
}

/// The store in a `buffer.path`.
#[must_use]
pub fn root(path: &Path) -> PathBuf {
    path.join("store")
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
        } else if generations::is_half_made(&name) {
            half_made.push(name);
        }
    }
    found.sort_unstable();
    Ok((found, half_made))
}
