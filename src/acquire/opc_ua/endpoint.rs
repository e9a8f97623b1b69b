//! Where an OPC UA server is, and which of the ways in that it offers is the one of the settings.
//!
//! Pure. Used by `session` at each connect.

use crate::acquire::driver::link_error;
use crate::model::LinkError;
use crate::settings::shape::{Security, SecurityMode, SecurityPolicy};
use opcua::crypto::SecurityPolicy as Policy;
use opcua::types::{EndpointDescription, MessageSecurityMode, UAString};

/// Port when the endpoint names none (OPC 10000-6, 7.4.1 and IANA).
const USUAL_PORT: u16 = 4840;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Name or address, without brackets.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// The endpoint as the settings have it.
    pub(super) url: String,
    /// `host:port`, for logs.
    pub(super) name: String,
}

impl Address {
    /// Takes `opc.tcp://host:port/path` apart.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn of(url: &str) -> Result<Address, LinkError> {
        let taken = url.strip_prefix("opc.tcp://").and_then(|rest| {
            let authority = rest.split(['/', '?']).next()?;
            let (host, port) = match authority.strip_prefix('[') {
                Some(six) => six.split_once(']')?,
                None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
            };
            let port = match port.strip_prefix(':') {
                Some(digits) => digits.parse().ok()?,
                None => USUAL_PORT,
            };
            (!host.is_empty()).then_some((host, port))
        });
        let (host, port) = taken.ok_or_else(|| {
            link_error(
                "protocol",
                format!("`{url}` is no endpoint: write `opc.tcp://HOST:4840`"),
            )
        })?;
        let shown = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        Ok(Address {
            host: host.to_owned(),
            port,
            url: url.to_owned(),
            name: format!("{shown}:{port}"),
        })
    }

    /// The way in without any security, to ask which others there are.
    pub(super) fn unsecured(&self) -> EndpointDescription {
        EndpointDescription {
            endpoint_url: self.url.as_str().into(),
            security_mode: MessageSecurityMode::None,
            security_policy_uri: Policy::None.to_uri().into(),
            ..EndpointDescription::default()
        }
    }

    /// The one of `offered` that is secured as the settings want it, reached at the address of the settings: servers like
    /// to name one that is known only where they stand.
    ///
    /// # Errors
    /// `denied`, with what the server offers instead.
    pub(super) fn chosen(
        &self,
        offered: Vec<EndpointDescription>,
        security: Security,
    ) -> Result<EndpointDescription, LinkError> {
        let (policy, mode) = (policy(security.policy), mode(security.mode));
        let fits = |one: &&EndpointDescription| {
            one.security_policy_uri.as_ref() == policy.to_uri()
                && one.security_mode == mode
                && is_binary(&one.transport_profile_uri)
        };
        let Some(found) = offered.iter().find(fits) else {
            let detail = format!(
                "{}: the server does not offer {} with {mode}, only {}",
                self.name,
                policy.to_str(),
                shown(&offered)
            );
            return Err(link_error("denied", detail));
        };
        let mut chosen = found.clone();
        chosen.endpoint_url = self.url.as_str().into();
        Ok(chosen)
    }
}

/// Not the one over HTTPS. Old servers leave it out.
fn is_binary(profile: &UAString) -> bool {
    profile.is_empty() || profile.as_ref().ends_with("/uatcp-uasc-uabinary")
}

/// The ways in that a server offers, in words.
fn shown(offered: &[EndpointDescription]) -> String {
    let mut words: Vec<String> = offered
        .iter()
        .map(|one| {
            let policy = Policy::from_uri(one.security_policy_uri.as_ref());
            format!("{} with {}", policy.to_str(), one.security_mode)
        })
        .collect();
    words.sort();
    words.dedup();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}

/// The library's word for a policy.
pub(super) fn policy(policy: SecurityPolicy) -> Policy {
    match policy {
        SecurityPolicy::None => Policy::None,
        SecurityPolicy::Basic256Sha256 => Policy::Basic256Sha256,
        SecurityPolicy::Aes128Sha256RsaOaep => Policy::Aes128Sha256RsaOaep,
        SecurityPolicy::Aes256Sha256RsaPss => Policy::Aes256Sha256RsaPss,
    }
}

/// The library's word for a mode.
pub(super) fn mode(mode: SecurityMode) -> MessageSecurityMode {
    match mode {
        SecurityMode::None => MessageSecurityMode::None,
        SecurityMode::Sign => MessageSecurityMode::Sign,
        SecurityMode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, u16, &str)>) {
        let found = Address::of(url).ok();
        let found = found
            .as_ref()
            .map(|a| (a.host.as_str(), a.port, a.name.as_str()));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn an_endpoint_is_taken_apart() {
        check("opc.tcp://plc", Some(("plc", 4840, "plc:4840")));
        check(
            "opc.tcp://10.0.0.5:48010/press",
            Some(("10.0.0.5", 48010, "10.0.0.5:48010")),
        );
        check(
            "opc.tcp://[fd00::5]:4841",
            Some(("fd00::5", 4841, "[fd00::5]:4841")),
        );
        for wrong in [
            "http://plc",
            "opc.tcp://",
            "opc.tcp://:4840",
            "opc.tcp://plc:x",
            "opc.tcp://[::1",
        ] {
            check(wrong, None);
        }
    }

    fn offer(policy: Policy, mode: MessageSecurityMode) -> EndpointDescription {
        EndpointDescription {
            endpoint_url: "opc.tcp://known-only-there:4840".into(),
            security_policy_uri: policy.to_uri().into(),
            security_mode: mode,
            ..EndpointDescription::default()
        }
    }

    #[test]
    fn the_way_in_is_the_one_of_the_settings_at_their_address() {
        let address = Address::of("opc.tcp://plc:4840").unwrap();
        let offered = vec![
            offer(Policy::None, MessageSecurityMode::None),
            offer(Policy::Basic256Sha256, MessageSecurityMode::Sign),
            offer(Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt),
        ];
        let chosen = address.chosen(offered, Security::default()).unwrap();
        assert_eq!(chosen.security_mode, MessageSecurityMode::SignAndEncrypt);
        assert_eq!(chosen.endpoint_url.as_ref(), "opc.tcp://plc:4840");
    }

    #[test]
    fn a_way_in_that_is_not_there_names_those_that_are() {
        let address = Address::of("opc.tcp://plc:4840").unwrap();
        let offered = vec![
            offer(Policy::None, MessageSecurityMode::None),
            offer(Policy::Basic256Sha256, MessageSecurityMode::Sign),
        ];
        let error = address.chosen(offered, Security::default()).unwrap_err();
        assert_eq!(
            error.detail,
            "plc:4840: the server does not offer Basic256Sha256 with SignAndEncrypt, only Basic256Sha256 with Sign, None with None"
        );
    }
}
