//! OPC UA against servers that misbehave in every way the protocol allows, and against certificates of every kind.

mod certificates;
mod faults;
mod frame;
mod meddler;
mod odd;
mod server;
