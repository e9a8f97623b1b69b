//! What wears: trend and level of tags over long windows. Pure.

use super::{Machine, Moment};
use crate::model::{BootTime, Sample};

/// The indicators of a machine.
#[derive(Debug, Default)]
pub(super) struct Wear {}

impl Wear {
    pub(super) fn due(&self) -> Option<BootTime> {
        None
    }
}

impl Machine {
    pub(super) fn measure_wear(
        &mut self,
        _local: usize,
        _sample: &Sample,
        _moment: &mut Moment<'_>,
    ) {
    }

    pub(super) fn report_wear_due(&mut self, _moment: &mut Moment<'_>) {}
}
