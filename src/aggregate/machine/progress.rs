//! How open operations go: every `progress_every`, and where the shift changes. Pure.

use super::{Machine, Moment};
use crate::model::BootTime;

impl Machine {
    pub(super) fn progress_due(&self) -> Option<BootTime> {
        None
    }

    pub(super) fn report_progress_due(&mut self, _moment: &mut Moment<'_>) {}

    /// The shift changed: open operations with `progress_every` tell the window so far.
    pub(super) fn progress_shift_changed(&mut self, _moment: &mut Moment<'_>) {}
}
