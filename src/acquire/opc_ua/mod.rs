//! OPC UA: sessions, subscriptions and values of servers; who is trusted, and who we are to a server. Reads only.
//!
//! From below: `guard`, `wire` and `services` speak, `session` opens, `names`, `types`, `structure`, `value`, `quality` and
//! `state` understand, `items`, `subscribe` and `poll` are what is read, `driver` joins them for the link.

mod client;
mod driver;
mod endpoint;
mod guard;
mod identity;
mod items;
mod limits;
mod live;
mod names;
mod prepare;
mod quality;
mod reason;
mod services;
mod session;
pub mod skim;
mod state;
mod structure;
mod subscribe;
pub mod trust;
mod types;
mod value;
mod wire;

pub use client::{Child, Children, Class, Client, Look, Reach};
pub(super) use driver::OpcUaServer;
#[doc(hidden)]
pub use limits::context;
