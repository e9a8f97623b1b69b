//! Health -> people: what systemd is told about the gateway, and the socket on which commands ask it. Reads what the stages
//! publish in [`crate::health`] and changes nothing by itself; the gateway may run without it.

mod beating;
pub mod control;
mod notify;
mod pulses;
mod systemd;

pub use beating::beating;
pub use notify::{Phases, run, waits};
pub use pulses::Pulses;
pub use systemd::Systemd;
