//! Gauges beside the line: each value becomes a `quality.result`. Pure.

use super::{Machine, Moment};

/// The gauges of a machine.
#[derive(Debug, Default)]
pub(super) struct Gauges {}

impl Machine {
    pub(super) fn step_measurements(&mut self, _moment: &mut Moment<'_>) {}
}
