//! Operations that have ended and may still be corrected: a late id or order. At most 4 of each slot, for 2 min. Pure.

use super::{Machine, Moment};
use crate::model::BootTime;

impl Machine {
    pub(super) fn closed_due(&self) -> Option<BootTime> {
        None
    }

    pub(super) fn forget_closed(&mut self, _moment: &mut Moment<'_>) {}
}
