//! The progress bar of a command that reads a whole store: `verify`, `repair`, `export`, `deliver resend`.

use super::super::terminal::Progress;
use super::words;
use crate::buffer::disk::{Disk, Files};
use crate::buffer::inspect::{Name, ShutStore};

/// How far it has come, by the bytes of the generations.
pub(in crate::commands) struct Bar {
    pub(in crate::commands) shown: Progress,
    sizes: Vec<u64>,
    at: usize,
}

impl Bar {
    pub(in crate::commands) fn new(store: &ShutStore, names: &[Name]) -> Bar {
        let size = |name: &Name| {
            Files
                .used(&store.root().join(name.to_string()))
                .unwrap_or(0)
        };
        Bar {
            shown: Progress::new(),
            sizes: names.iter().map(size).collect(),
            at: 0,
        }
    }

    /// So many records of the present generation are read.
    pub(in crate::commands) fn show(&mut self, records: u64) {
        let all: u64 = self.sizes.iter().sum();
        let done: u64 = self.sizes.iter().take(self.at).sum();
        let thousandths =
            |part: u64| u32::try_from(part.saturating_mul(1_000) / all.max(1)).unwrap_or(1_000);
        let words = format!(
            "generation {} of {}: {}",
            self.at + 1,
            self.sizes.len(),
            words::events(records)
        );
        self.shown.show_bar(thousandths(done), 1_000, &words);
    }

    /// The present generation is done.
    pub(in crate::commands) fn next(&mut self) {
        self.at += 1;
    }
}
