//! OPC UA against asyncua: values of every kind, every way to be secured, and what breaks.

mod breaks;
pub(crate) mod peer;
mod press;
mod proxy;
mod security;
mod values;
