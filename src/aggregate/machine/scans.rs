//! What the machine's readers read, routed by the settings' patterns to what it is for. Pure.

use super::{Machine, Moment};
use crate::model::{BootTime, Sample};

/// The readers of a machine, and what was read and still waits.
#[derive(Debug, Default)]
pub(super) struct Scans {}

impl Scans {
    pub(super) fn due(&self) -> Option<BootTime> {
        None
    }
}

impl Machine {
    /// A sample of a tag that may be a reader's.
    pub(super) fn scanned(&mut self, _local: usize, _sample: &Sample, _moment: &mut Moment<'_>) {}

    /// Parts that have waited too long.
    pub(super) fn scans_expire(&mut self, _moment: &mut Moment<'_>) {}
}
