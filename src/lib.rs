//! Millgate tells a MES what really happened at the machine.
//!
//! The map, in the order of the flow: [`acquire`] reads machines into samples, [`aggregate`] turns samples into events,
//! [`buffer`] keeps them on disk, [`deliver`] brings each to the MES, [`observe`] tells people and systemd how it goes.
//! [`gateway`] joins them; [`commands`] are what a person types. Below them: [`settings`], [`format`], [`health`],
//! [`clock`], [`backoff`], and at the bottom [`model`]. See `ARCHITECTURE.md`.

pub mod acquire;
pub mod aggregate;
pub mod buffer;
pub mod deliver;
pub mod observe;

pub mod commands;
pub mod gateway;

pub mod backoff;
pub mod clock;
pub mod format;
pub mod health;
pub mod model;
pub mod settings;
