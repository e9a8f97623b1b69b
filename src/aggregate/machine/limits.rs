//! Limits on raw values of open operations, told at once. Pure.

use super::{Machine, Moment};
use crate::model::{BootTime, Sample};

impl Machine {
    /// A sample of a tag that may have limits.
    pub(super) fn measure_limits(
        &mut self,
        _local: usize,
        _sample: &Sample,
        _moment: &mut Moment<'_>,
    ) {
    }

    pub(super) fn limits_due(&self) -> Option<BootTime> {
        None
    }

    pub(super) fn limits_expire(&mut self, _moment: &mut Moment<'_>) {}
}
