//! Modbus over TCP: which requests, what lies in the answers, and the driver that asks.

pub mod plan;
pub mod registers;
