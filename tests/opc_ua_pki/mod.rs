//! Who is trusted over OPC UA: the certificate zoo, the folder, and the commands as a person types them.

mod commands;
mod folder;
mod verdicts;
pub(crate) mod zoo;
