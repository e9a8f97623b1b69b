//! Modbus over every wire against servers that misbehave in every way the protocol allows, and against one that others wrote.

pub(crate) mod cell;
pub(crate) mod evil;
mod faults;
mod learnt;
mod others;
pub(crate) mod peer;
mod rtu;
mod serial;
mod values;
