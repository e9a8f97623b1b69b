//! Modbus over TCP: which requests, what lies in the answers, and the driver that asks. Reads only, by construction.

pub mod answer;
mod guard;
pub mod plan;
pub mod registers;
pub(super) mod schedule;
pub(super) mod tcp;
mod wire;
