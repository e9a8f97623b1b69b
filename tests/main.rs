//! What crosses stages, and what is true of the whole repository. One binary, because linking is the slow part.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, and says where"
)]

mod aggregate_properties;
mod architecture;
mod boards;
mod buffer;
mod buffer_commands;
mod cases;
mod clock_steps;
mod conserved;
mod counterpart;
mod dead_letters;
mod deliver;
mod deliver_commands;
mod explain;
mod figures;
mod integrator;
mod lines;
mod modbus;
mod opc_ua;
#[cfg(feature = "demo")]
mod opc_ua_evil;
mod opc_ua_pki;
mod part_properties;
mod random;
mod readme;
mod recorder;
mod settings;
mod signals;
mod system;
mod unit_file;
