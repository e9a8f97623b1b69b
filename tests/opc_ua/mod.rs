//! OPC UA against asyncua and node-opcua: values of every kind, every way to be secured, and what breaks.

mod breaks;
mod node;
pub(crate) mod peer;
mod press;
mod proxy;
mod security;
mod times;
mod values;
