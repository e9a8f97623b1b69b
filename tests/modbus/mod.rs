//! Modbus over every wire against servers that misbehave in every way the protocol allows, and against one that others wrote.

mod cell;
mod evil;
mod faults;
mod learnt;
mod line;
mod peer;
mod rtu;
mod values;
