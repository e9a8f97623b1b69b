//! The shift that the machine works in: one use of wall time, put on the boot clock by the present anchor. Pure.

use super::{Machine, Moment};
use crate::model::BootTime;

/// The shift now, and when it changes.
#[derive(Debug, Default)]
pub(super) struct Shifts {}

impl Shifts {
    /// When the shift changes.
    pub(super) fn due(&self) -> Option<BootTime> {
        None
    }

    /// `2026-11-22/early`; `None` without a calendar, or outside all shifts.
    pub(super) fn name(&self) -> Option<String> {
        None
    }
}

impl Machine {
    /// Works off a change of shift that is due. It never ends an operation: whoever tells things by shift does so before
    /// the new one begins.
    pub(super) fn shift_due(&mut self, _moment: &mut Moment<'_>) {}
}
