//! Modbus TCP against servers that misbehave in every way the protocol allows, and against one that others wrote.

mod cell;
mod evil;
mod faults;
mod others;
mod peer;
mod serial;
mod values;
