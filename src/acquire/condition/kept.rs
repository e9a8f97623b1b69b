//! What a device that tells changes only told last of each tag: after a loss on a connection that held, it is still so.
//!
//! Pure. One reading per tag, so bounded by the settings.

use crate::acquire::driver::Reading;
use crate::model::Stamp;

/// The last reading of each tag.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Number of the first tag.
    first: usize,
    last: Vec<Option<Reading>>,
}

impl Kept {
    pub(super) fn new(first: usize, tags: usize) -> Kept {
        Kept {
            first,
            last: vec![None; tags],
        }
    }

    pub(super) fn keep(&mut self, readings: &[Reading]) {
        for reading in readings {
            let local = reading.tag.index().checked_sub(self.first);
            if let Some(place) = local.and_then(|local| self.last.get_mut(local)) {
                *place = Some(reading.clone());
            }
        }
    }

    /// Adds what the answer does not say, as known again since `stamp`.
    pub(super) fn complete(&self, readings: &mut Vec<Reading>, stamp: Stamp) {
        let said: std::collections::HashSet<_> =
            readings.iter().map(|reading| reading.tag).collect();
        let unsaid = self.last.iter().flatten();
        readings.extend(
            unsaid
                .filter(|kept| !said.contains(&kept.tag))
                .map(|kept| Reading {
                    stamp,
                    source: None,
                    ..kept.clone()
                }),
        );
    }
}
