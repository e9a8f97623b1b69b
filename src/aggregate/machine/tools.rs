//! The tools in use. Pure.

use super::{Machine, Moment};

/// The tool in use of each definition that names one.
#[derive(Debug, Default)]
pub(super) struct ToolsInUse {}

impl Machine {
    /// Tells tools that were changed in this instant.
    pub(super) fn step_tools(&mut self, _moment: &mut Moment<'_>) {}
}
