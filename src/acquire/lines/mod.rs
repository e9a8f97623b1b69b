//! Lines and telegrams: scanners, gauges, scales and cameras, on a serial port or a TCP connection.

pub(super) mod driver;
pub mod fields;
pub mod framing;
mod number;
pub(super) mod wire;
