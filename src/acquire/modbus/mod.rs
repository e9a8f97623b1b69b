//! Modbus over every wire: which requests, what lies in the answers, and the driver that asks. Reads only, by construction.
//!
//! `bus` is the driver and `turn` its order; `wire` is what it asks over (`tcp` with its `guard`, `rtu` with its `framing`),
//! `unit` whom, `plan` and `blocks` what, `learnt` and `notebook` what it remembers of that; `answer` and `registers` are what
//! comes of it.

pub mod answer;
mod blocks;
pub(super) mod bus;
pub mod framing;
mod guard;
pub mod learnt;
mod notebook;
pub mod plan;
pub mod registers;
mod rtu;
mod tcp;
mod turn;
mod unit;
pub mod wire;
