//! OPC UA: who is trusted, and who we are to a server.

pub mod trust;
