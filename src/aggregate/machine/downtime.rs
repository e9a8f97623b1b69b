//! Stops of the machine, told in segments when they end. Pure.

use super::{Machine, Moment};
use crate::aggregate::equipment::Change;
use crate::model::{BootTime, Reference};
use uuid::Uuid;

/// The stop that is open, and those that may still be given a reason.
#[derive(Debug, Default)]
pub(super) struct Stops {}

impl Stops {
    pub(super) fn due(&self) -> Option<BootTime> {
        None
    }

    /// Id of the open stop.
    pub(super) fn open(&self) -> Option<Uuid> {
        None
    }
}

impl Machine {
    /// The state changed: a stop may begin or end at `change.since`. Called before the change is told.
    pub(super) fn stops_follow(&mut self, _change: &Change, _moment: &mut Moment<'_>) {}

    pub(super) fn stops_expire(&mut self, _moment: &mut Moment<'_>) {}

    pub(super) fn stops_shift_changed(&mut self, _before: Option<&str>, _moment: &mut Moment<'_>) {}

    pub(super) fn stops_order_changed(
        &mut self,
        _before: Option<&Reference>,
        _moment: &mut Moment<'_>,
    ) {
    }

    /// Somebody scanned why the machine stands: of the open stop, else of the last one.
    pub(super) fn reason_scanned(&mut self, _code: &str, _moment: &mut Moment<'_>) {}
}
