//! `http:` of an uplink.

use super::{Secret, Tls, User, defaults};
use crate::settings::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where each event is posted: `http://` or `https://`.
    pub url: String,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<User>,
    /// Certificates, for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Longest wait for one answer.
    #[serde(default = "defaults::http_timeout")]
    pub timeout: Period,
}
