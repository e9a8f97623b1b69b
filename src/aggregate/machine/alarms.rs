//! Alarms of the machine: raised and cleared, with their codes. Pure.

use super::{Machine, Moment};
use crate::model::BootTime;

/// The alarms of a machine, and which stand.
#[derive(Debug, Default)]
pub(super) struct Alarms {}

impl Alarms {
    pub(super) fn due(&self) -> Option<BootTime> {
        None
    }

    /// Code of the alarm that stands longest.
    pub(super) fn first(&self) -> Option<String> {
        None
    }
}

impl Machine {
    /// Tells alarms that were raised or cleared in this instant.
    pub(super) fn step_alarms(&mut self, _moment: &mut Moment<'_>) {}
}
