//! Who the gateway is to a server: nobody, a name with a password, or a certificate.
//!
//! Called by `session` at each connect: passwords and keys are read anew then, so that they can be changed without a
//! restart. A password leaves in clear only where the settings say `insecure`.

use crate::acquire::driver::link_error;
use crate::model::LinkError;
use crate::settings::{OpcUa, OpcUaUser};
use opcua::client::IdentityToken;
use opcua::crypto::{PrivateKey, SecurityPolicy as Policy, X509};
use opcua::types::{EndpointDescription, MessageSecurityMode, UserTokenPolicy, UserTokenType};
use std::io::Read;
use std::path::Path;

/// Longest certificate file: a PEM of 8 KiB DER.
const MAX_CERTIFICATE_FILE: u64 = 16 << 10;

/// The proof of who we are, and the endpoint with the one way of proving it that is used.
///
/// # Errors
/// `denied`: the server takes no such proof, or ours cannot be read.
pub(super) fn identity(
    settings: &OpcUa,
    mut endpoint: EndpointDescription,
) -> Result<(IdentityToken, EndpointDescription), LinkError> {
    let (kind, word) = match &settings.user {
        OpcUaUser::Anonymous => (UserTokenType::Anonymous, "an anonymous session"),
        OpcUaUser::Password(_) => (UserTokenType::UserName, "a user name"),
        OpcUaUser::Certificate(_) => (UserTokenType::Certificate, "a user's certificate"),
    };
    let offered = endpoint.user_identity_tokens.take().unwrap_or_default();
    let way = way(offered, kind, &endpoint).ok_or_else(|| {
        let fix = match settings.user {
            OpcUaUser::Anonymous => "write `user:` with a name and password that it knows",
            _ => "ask who runs the server which users it takes there",
        };
        link_error(
            "denied",
            format!(
                "{}: the server does not take {word} here: {fix}",
                settings.endpoint
            ),
        )
    })?;
    endpoint.user_identity_tokens = Some(vec![way]);
    let token = match &settings.user {
        OpcUaUser::Anonymous => IdentityToken::Anonymous,
        OpcUaUser::Password(user) => {
            let password = user
                .password
                .read()
                .map_err(|error| unreadable(&error.to_string()))?;
            IdentityToken::new_user_name(user.name.as_str(), password.expose())
        }
        OpcUaUser::Certificate(user) => {
            let key = user
                .key
                .read()
                .map_err(|error| unreadable(&error.to_string()))?;
            let key = PrivateKey::from_pem(key.expose().as_bytes()).map_err(|_| {
                unreadable("the key of the user's certificate is no RSA key in PEM")
            })?;
            IdentityToken::new_x509(certificate(&user.cert)?, key)
        }
    };
    Ok((token, endpoint))
}

/// The best of the ways in which the server takes this kind of proof. One that sends a password in clear is used only
/// inside an encrypted channel, or where the settings allow no security at all.
fn way(
    offered: Vec<UserTokenPolicy>,
    kind: UserTokenType,
    endpoint: &EndpointDescription,
) -> Option<UserTokenPolicy> {
    let of_channel = Policy::from_uri(endpoint.security_policy_uri.as_ref());
    let protection = |one: &UserTokenPolicy| {
        if one.security_policy_uri.is_empty() {
            of_channel
        } else {
            Policy::from_uri(one.security_policy_uri.as_ref())
        }
    };
    let usable = |one: &UserTokenPolicy| match protection(one) {
        Policy::None => {
            kind != UserTokenType::UserName || endpoint.security_mode != MessageSecurityMode::Sign
        }
        Policy::Basic256Sha256 | Policy::Aes128Sha256RsaOaep | Policy::Aes256Sha256RsaPss => true,
        _ => false,
    };
    offered
        .into_iter()
        .filter(|one| one.token_type == kind && usable(one))
        .max_by_key(|one| match protection(one) {
            Policy::None => 0,
            _ if one.security_policy_uri.is_empty() => 2,
            _ => 1,
        })
}

/// The user's certificate, DER or PEM.
fn certificate(path: &Path) -> Result<X509, LinkError> {
    let shown = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATE_FILE).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&format!("the user's certificate {shown}: {error}")))?;
    X509::from_pem(&bytes)
        .or_else(|_| X509::from_der(&bytes))
        .map_err(|_| unreadable(&format!("{shown} is no certificate, DER or PEM")))
}

fn unreadable(what: &str) -> LinkError {
    link_error("denied", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(id: &str, kind: UserTokenType, policy: Option<Policy>) -> UserTokenPolicy {
        UserTokenPolicy {
            policy_id: id.into(),
            token_type: kind,
            security_policy_uri: policy
                .map_or_else(Default::default, |policy| policy.to_uri().into()),
            ..UserTokenPolicy::default()
        }
    }

    fn check(
        channel: Policy,
        mode: MessageSecurityMode,
        offered: &[(&str, Option<Policy>)],
        chosen: Option<&str>,
    ) {
        let endpoint = EndpointDescription {
            security_policy_uri: channel.to_uri().into(),
            security_mode: mode,
            ..EndpointDescription::default()
        };
        let user = UserTokenType::UserName;
        let mut all = vec![policy("nobody", UserTokenType::Anonymous, None)];
        all.extend(offered.iter().map(|(id, how)| policy(id, user, *how)));
        let found = way(all, user, &endpoint);
        assert_eq!(found.as_ref().map(|one| one.policy_id.as_ref()), chosen);
    }

    #[test]
    fn a_password_travels_encrypted_where_that_is_possible() {
        use MessageSecurityMode::{None as Nothing, Sign, SignAndEncrypt};
        let (none, basic) = (Some(Policy::None), Some(Policy::Basic256Sha256));
        check(
            Policy::None,
            Nothing,
            &[("clear", none), ("hidden", basic)],
            Some("hidden"),
        );
        check(Policy::Basic256Sha256, Sign, &[("clear", none)], None);
        check(
            Policy::Basic256Sha256,
            Sign,
            &[("clear", none), ("as channel", None)],
            Some("as channel"),
        );
        check(
            Policy::Basic256Sha256,
            SignAndEncrypt,
            &[("clear", none)],
            Some("clear"),
        );
        check(
            Policy::Basic256Sha256,
            SignAndEncrypt,
            &[("old", Some(Policy::Basic128Rsa15))],
            None,
        );
        check(
            Policy::None,
            Nothing,
            &[("as channel", None)],
            Some("as channel"),
        );
    }
}
