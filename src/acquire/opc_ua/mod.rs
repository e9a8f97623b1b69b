//! OPC UA: sessions, subscriptions and values of servers; who is trusted, and who we are to a server. Reads only.
//!
//! From below: `guard`, `wire` and `services` speak, `session` opens, `names`, `types`, `structure`, `value`, `quality` and
//! `state` understand, `items`, `subscribe` and `poll` are what is read, `driver` joins them for the link.

mod endpoint;
mod guard;
mod identity;
mod limits;
mod names;
mod quality;
mod services;
mod session;
mod structure;
pub mod trust;
mod value;
mod wire;
