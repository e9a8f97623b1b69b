//! Health -> people: what systemd is told about the gateway. Reads what the stages publish in [`crate::health`] and changes
//! nothing; the gateway may run without it.

mod beating;
mod notify;
mod pulses;
mod systemd;

pub use beating::beating;
pub use notify::{Phases, run, waits};
pub use pulses::Pulses;
pub use systemd::Systemd;
