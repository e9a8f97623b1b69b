//! The wire to Modbus units, whatever it is: opens it, asks one request at a time, and says exactly what went wrong.
//!
//! Called by the driver in `bus`, and by `millgate probe` and `browse`. Only the four read functions can be asked for. Every
//! wait has a limit over the whole answer. The two ways to speak are `tcp` and `rtu`.

use super::answer::Answer;
use super::plan::Request;
use super::rtu::{Line, RtuWire};
use super::tcp::TcpWire;
use crate::acquire::driver::link_error;
use crate::acquire::serial;
use crate::acquire::tcp::connect;
use crate::model::LinkError;
use crate::settings::{ModbusWire, Table};
use std::fmt;
use std::time::Duration;

/// Why there is no answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The device says no, by this code. The wire is fine.
    Exception(u8),
    /// Nothing, or nothing usable, came. The next request may be asked: a late answer is not taken for its answer.
    Silent(LinkError),
    /// The wire must be opened anew.
    Broken(LinkError),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Exception(code) => write!(f, "exception {code}, {}", exception_name(*code)),
            NoAnswer::Silent(error) | NoAnswer::Broken(error) => write!(f, "{error}"),
        }
    }
}

/// What a code means (Application Protocol 1.1b3, 7).
#[must_use]
pub fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "the device does not know this function",
        2 => "no such address in the device",
        3 => "more values than the device gives at once, or a value it cannot give",
        4 => "the device failed",
        5 => "the device needs more time",
        6 => "the device is busy",
        8 => "the memory of the device is damaged",
        0x0A => "the gateway has no path to the unit",
        0x0B => "the unit behind the gateway does not answer",
        _ => "the device refuses",
    }
}

/// An open wire.
pub struct Wire(Kind);

enum Kind {
    Tcp(TcpWire),
    Rtu(RtuWire),
}

impl Wire {
    /// Opens it, once; a connection within 3 s.
    ///
    /// # Errors
    /// Why it cannot be used, with what to check.
    pub async fn open(wire: &ModbusWire) -> Result<Wire, LinkError> {
        Ok(Wire(match wire {
            ModbusWire::Tcp { host, port } => {
                let check = "is Modbus TCP switched on there?";
                Kind::Tcp(TcpWire::over(connect(host, *port, check).await?))
            }
            ModbusWire::RtuOverTcp { host, port } => {
                let check = "is the converter set to pass RTU frames as they are?";
                let stream = connect(host, *port, check).await?;
                Kind::Rtu(RtuWire::over(stream, Line::behind_converter()))
            }
            ModbusWire::Rtu(port) => Kind::Rtu(RtuWire::over(serial::open(port)?, Line::of(port))),
        }))
    }

    /// Asks one request of one unit and waits at most so long for the answer, which has exactly as many registers or bits
    /// as were asked for. On a serial port the time that request and answer take on the wire is added.
    ///
    /// Not cancel-safe: dropped before it is ready, the wire must be opened anew.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn ask(
        &mut self,
        unit: u8,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        match &mut self.0 {
            Kind::Tcp(wire) => wire.ask(unit, request, limit).await,
            Kind::Rtu(wire) => wire.ask(unit, request, limit).await,
        }
    }
}

#[cfg(test)]
impl Wire {
    /// Modbus TCP over a stream of a test.
    pub(super) fn tcp_over(stream: tokio::io::DuplexStream) -> Wire {
        Wire(Kind::Tcp(TcpWire::over(stream)))
    }

    /// RTU over a stream of a test.
    pub(super) fn rtu_over(stream: tokio::io::DuplexStream, line: Line) -> Wire {
        Wire(Kind::Rtu(RtuWire::over(stream, line)))
    }
}

impl Wire {
    /// Each answer says which request it is to. Where it does not, a late one may look like that of the next request.
    pub(super) fn numbers_answers(&self) -> bool {
        matches!(self.0, Kind::Tcp(_))
    }

    /// What a request takes of the wire beyond its time-out: bytes, and the silence after a failure.
    pub(super) fn overhead(&self, request: &Request) -> Duration {
        match &self.0 {
            Kind::Tcp(_) => Duration::ZERO,
            Kind::Rtu(wire) => wire.overhead(request),
        }
    }
}

/// The name of a wire in logs: `10.0.0.5:502`, `/dev/ttyS1`.
#[must_use]
pub fn name(wire: &ModbusWire) -> String {
    match wire {
        ModbusWire::Tcp { host, port } | ModbusWire::RtuOverTcp { host, port } => {
            format!("{host}:{port}")
        }
        ModbusWire::Rtu(port) => port.path.display().to_string(),
    }
}

/// `unit 7, holding registers 100 to 124 (zero-based)`
pub(super) fn what(unit: u8, request: &Request) -> String {
    let table = match request.table {
        Table::Coils => "coils",
        Table::DiscreteInputs => "discrete inputs",
        Table::HoldingRegisters => "holding registers",
        Table::InputRegisters => "input registers",
    };
    let last = u32::from(request.start) + u32::from(request.count.max(1)) - 1;
    format!(
        "unit {unit}, {table} {} to {last} (zero-based)",
        request.start
    )
}

pub(super) fn silent(what: &str, limit: Duration) -> LinkError {
    let limit_ms = limit.as_millis();
    link_error(
        "timeout",
        format!(
            "{what}: no whole answer within {limit_ms} ms; check the unit number and `timeout`"
        ),
    )
}

pub(super) fn wrong(what: &str, how: &str) -> LinkError {
    link_error("protocol", format!("{what}: {how}"))
}
