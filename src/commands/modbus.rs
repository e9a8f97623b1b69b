//! A Modbus wire as `probe` and `browse` use it: one question at a time, opened anew after it broke, refusals in words.

use super::range;
use crate::acquire::modbus::answer::Answer;
use crate::acquire::modbus::plan::Request;
use crate::acquire::modbus::wire::{NoAnswer, Wire, exception_name};
use crate::model::LinkError;
use crate::settings::{ModbusWire, Table};
use std::time::Duration;

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// Exactly as many values as were asked for.
    Answer(Answer),
    /// The device refuses, by this code.
    Exception(u8),
    /// No usable answer.
    Silent(LinkError),
}

/// A wire that is opened when it is needed.
pub(super) struct Bus {
    wire: ModbusWire,
    open: Option<Wire>,
    timeout: Duration,
}

impl Bus {
    /// Opens nothing yet. `timeout` is the longest wait for one answer.
    pub(super) fn new(wire: ModbusWire, timeout: Duration) -> Bus {
        Bus {
            wire,
            open: None,
            timeout,
        }
    }

    /// Reads so many places of a unit's table, at most as many as one request may have.
    ///
    /// # Errors
    /// Why the wire cannot be opened.
    pub(super) async fn read(
        &mut self,
        unit: u8,
        table: Table,
        start: u16,
        count: u16,
    ) -> Result<Said, LinkError> {
        let mut wire = match self.open.take() {
            Some(wire) => wire,
            None => Wire::open(&self.wire).await?,
        };
        let request = Request {
            table,
            start,
            count,
            fields: Vec::new(),
        };
        let asked = wire.ask(unit, &request, self.timeout).await;
        let (said, usable) = match asked {
            Ok(answer) => (Said::Answer(answer), true),
            Err(NoAnswer::Exception(code)) => (Said::Exception(code), true),
            Err(NoAnswer::Silent(error)) => (Said::Silent(error), true),
            Err(NoAnswer::Broken(error)) => (Said::Silent(error), false),
        };
        self.open = usable.then_some(wire);
        Ok(said)
    }
}

/// A refusal in words, with what to try instead.
pub(super) fn refusal(code: u8, table: Table) -> String {
    let name = exception_name(code);
    let other = match table {
        Table::HoldingRegisters => "--input",
        Table::InputRegisters => "--holding",
        Table::Coils => "--discrete",
        Table::DiscreteInputs => "--coil",
    };
    let hint = match code {
        1 => format!("; it has no {} at all: try {other}", range::words(table)),
        2 | 3 => format!(
            "; addresses are zero-based here: 40100 of a manual is 99; `millgate browse` finds what there is, {other} is the other table"
        ),
        0x0A | 0x0B => "; check the unit number and its wiring".to_owned(),
        _ => String::new(),
    };
    format!("exception {code}, {name}{hint}")
}
