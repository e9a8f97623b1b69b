//! Intervals: where the time went and what was made, by period and by shift. Pure.

use super::{Machine, Moment};
use crate::aggregate::equipment::Change;
use crate::model::{BootTime, OperationReport, Reference};

/// The intervals that are open.
#[derive(Debug, Default)]
pub(super) struct Intervals {}

impl Intervals {
    pub(super) fn due(&self) -> Option<BootTime> {
        None
    }
}

impl Machine {
    /// The state changed at `change.since`.
    pub(super) fn intervals_follow(&mut self, _change: &Change) {}

    /// A counter counted `delta`, now.
    pub(super) fn intervals_count(&mut self, _counter: usize, _delta: u64, _moment: &Moment<'_>) {}

    /// An operation ended.
    pub(super) fn intervals_operation(&mut self, _ended: &OperationReport, _at: BootTime) {}

    pub(super) fn intervals_expire(&mut self, _moment: &mut Moment<'_>) {}

    pub(super) fn intervals_shift_changed(
        &mut self,
        _before: Option<&str>,
        _moment: &mut Moment<'_>,
    ) {
    }

    pub(super) fn intervals_order_changed(
        &mut self,
        _before: Option<&Reference>,
        _moment: &mut Moment<'_>,
    ) {
    }
}
