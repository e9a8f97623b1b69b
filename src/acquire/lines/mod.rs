//! Lines and telegrams: scanners, gauges, scales and cameras, on a serial port or a TCP connection.

pub mod fields;
pub mod framing;
mod number;
