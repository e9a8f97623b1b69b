//! `opc_ua:`: a server, how it is trusted, and who we are to it.

use super::{Secret, User, defaults};
use crate::settings::units::Period;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An OPC UA server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpcUa {
    /// `opc.tcp://host:port/path`
    pub endpoint: String,
    /// How messages are signed and encrypted: Basic256Sha256 and SignAndEncrypt when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Allows `policy: None`, and `mode: None`: anyone on the way may read and change the values.
    #[serde(default)]
    pub insecure: bool,
    /// Name and password; without it and without `certificate` the session is anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The user proves to be one by a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<UserCertificate>,
    /// Prefixes of node ids and the URI of each: an index would move with a firmware update.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub namespaces: IndexMap<String, String>,
    /// Whether the server tells changes, or is asked.
    #[serde(default)]
    pub read: Reading,
    /// How often the server sends what changed.
    #[serde(default = "defaults::publishing_interval")]
    pub publishing_interval: Period,
    /// Longest wait for one answer.
    #[serde(default = "defaults::opc_ua_timeout")]
    pub timeout: Period,
}

/// How messages are protected (OPC 10000-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Algorithms.
    #[serde(default)]
    pub policy: SecurityPolicy,
    /// What is done with them.
    #[serde(default)]
    pub mode: SecurityMode,
}

/// Algorithms (OPC 10000-7, 6.6). Older ones are broken and not spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecurityPolicy {
    /// None at all: needs `insecure: true`.
    None,
    /// Basic256Sha256.
    #[default]
    Basic256Sha256,
    /// Aes128-Sha256-RsaOaep.
    #[serde(rename = "Aes128_Sha256_RsaOaep")]
    Aes128Sha256RsaOaep,
    /// Aes256-Sha256-RsaPss.
    #[serde(rename = "Aes256_Sha256_RsaPss")]
    Aes256Sha256RsaPss,
}

/// What is done with the algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecurityMode {
    /// Nothing: needs `insecure: true`.
    None,
    /// Nobody can change a message.
    Sign,
    /// Nobody can read it, either.
    #[default]
    SignAndEncrypt,
}

/// A user who is one by a certificate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCertificate {
    /// The certificate, DER or PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: Secret,
}

/// Whether the server tells changes, or is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The server tells changes.
    #[default]
    Subscribe,
    /// The server is asked: for servers without subscriptions.
    Poll,
}
