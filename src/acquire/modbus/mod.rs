//! Modbus over every wire: which requests, what lies in the answers, and the driver that asks. Reads only, by construction.
//!
//! `bus` is the driver, `wire` what it asks over (`tcp` with its `guard`, `rtu` with its `framing`), `plan` what it asks,
//! `answer` and `registers` what comes of it.

pub mod answer;
pub(super) mod bus;
pub mod framing;
mod guard;
pub mod plan;
pub mod registers;
mod rtu;
mod tcp;
pub mod wire;
