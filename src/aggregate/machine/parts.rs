//! The parts of operations: those that wait for the next one, those that come during it and after it. Pure.

use super::{Machine, Moment};

impl Machine {
    /// Part tags that changed in this instant.
    pub(super) fn step_part_tags(&mut self, _moment: &mut Moment<'_>) {}
}
