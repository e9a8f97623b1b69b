//! A session with a server: found, trusted, opened, logged in, and closed again.
//!
//! Called by the driver and by the commands, once for each connection. What a server must not make us do is refused here:
//! a certificate that nobody trusted, a signature that is not its own.

use super::endpoint::{Address, mode, policy};
use super::identity::identity;
use super::limits;
use super::services;
use super::trust::{Own, Trust};
use super::wire::{Trouble, Wire};
use crate::acquire::driver::link_error;
use crate::clock::Clock;
use crate::model::LinkError;
use crate::settings::OpcUa;
use crate::settings::shape::SecurityPolicy;
use opcua::client::UARequest;
use opcua::client::services::ActivateSession;
use opcua::core::ResponseMessage;
use opcua::crypto::{CertificateStore, SecurityPolicy as Policy, X509, X509Data, random};
use opcua::types::{
    ApplicationDescription, ApplicationType, ByteString, CreateSessionRequest, EndpointDescription,
    MessageSecurityMode, StatusCode,
};
use std::path::Path;

/// Bytes of randomness that a server signs to prove who it is (OPC 10000-4, 5.7.2: at least 32).
const NONCE: usize = 32;
/// Who we are to a server where no certificate says it.
const APPLICATION_URI: &str = "urn:millgate";

/// Opens a session with the server of a device.
///
/// # Errors
/// Why there is none, with what to do.
pub(super) async fn open(settings: &OpcUa, pki: &Path, clock: &Clock) -> Result<Wire, LinkError> {
    let address = Address::of(&settings.endpoint)?;
    let nobody = CertificateStore::new(pki);
    let mut wire = Wire::open(&address, address.unsecured(), nobody, settings.timeout).await?;
    let offered = services::get_endpoints(&mut wire, &address.url).await;
    let offered = offered.map_err(|trouble| trouble.into_link_error("to say how it is reached"))?;
    let endpoint = address.chosen(offered, settings.security)?;
    let own = if settings.security.policy == SecurityPolicy::None {
        None
    } else {
        wire.hang_up().await;
        let own = trusted(&address, &endpoint, pki, clock)?;
        wire = secured(&address, &endpoint, &own, pki, settings).await?;
        Some(own)
    };
    match log_in(&mut wire, endpoint, own.as_ref(), settings).await {
        Ok(()) => Ok(wire),
        // A session that was created and not let in takes one of the server's few places.
        Err(error) if !wire.token().is_null() => {
            close(wire).await;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Ends a session, as far as the server still listens.
pub(super) async fn close(mut wire: Wire) {
    let closing = services::close_session(&mut wire);
    if let Ok(Ok(())) = tokio::time::timeout(limits::CLOSING, closing).await {
        wire.hang_up().await;
    }
}

/// Sees that the server is one that was trusted, and that we have a certificate to show.
fn trusted(
    address: &Address,
    endpoint: &EndpointDescription,
    pki: &Path,
    clock: &Clock,
) -> Result<Own, LinkError> {
    let now = clock.now().utc.0.div_euclid(1_000_000_000);
    let own = Own::load(pki)?;
    own.check_dates(now)?;
    let uri = endpoint.server.application_uri.as_ref();
    let sent = endpoint.server_certificate.as_ref();
    Trust::open(pki).verify(sent, &address.host, uri, now)?;
    Ok(own)
}

/// Opens the channel that the endpoint describes. The trust list has decided already; the library's store only reads our
/// certificate and key.
async fn secured(
    address: &Address,
    endpoint: &EndpointDescription,
    own: &Own,
    pki: &Path,
    settings: &OpcUa,
) -> Result<Wire, LinkError> {
    let inside = |path: &Path| path.strip_prefix(pki).unwrap_or(path).to_owned();
    let (certificate, key) = (inside(own.certificate_path()), inside(own.key_path()));
    let nothing_new = None::<X509Data>;
    let (store, ..) = CertificateStore::new_with_x509_data(
        pki,
        false,
        Some(&certificate),
        Some(&key),
        nothing_new,
    );
    let mut channel = endpoint.clone();
    channel.server_certificate =
        ByteString::from(leaf(endpoint.server_certificate.as_ref()).to_vec());
    channel.security_mode = mode(settings.security.mode);
    channel.security_policy_uri = policy(settings.security.policy).to_uri().into();
    Wire::open(address, channel, store, settings.timeout).await
}

/// The first certificate of a chain: DER says how long it is.
fn leaf(chain: &[u8]) -> &[u8] {
    let length = match chain {
        [0x30, 0x82, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => chain.len(),
    };
    chain.get(..length).unwrap_or(chain)
}

/// Creates the session and activates it as the user of the settings.
async fn log_in(
    wire: &mut Wire,
    endpoint: EndpointDescription,
    own: Option<&Own>,
    settings: &OpcUa,
) -> Result<(), LinkError> {
    let (token, endpoint) = identity(settings, endpoint)?;
    create(wire, &endpoint, own).await?;
    let mut activate = ActivateSession::new_manual(
        endpoint,
        0,
        settings.timeout,
        wire.token().clone(),
        wire.channel().request_handle(),
    )
    .identity_token(token);
    if let Some(own) = own {
        let key = CertificateStore::read_pkey(own.key_path())
            .map_err(|error| link_error("denied", error))?;
        activate = activate.private_key(key);
    }
    let channel = wire.channel();
    tokio::select! {
        biased;
        activated = activate.send(&channel) => match activated {
            Ok(_) => Ok(()),
            Err(error) => Err(not_let_in(wire.name(), error.status())),
        },
        error = wire.closed() => Err(error),
    }
}

fn not_let_in(name: &str, status: StatusCode) -> LinkError {
    match status {
        StatusCode::BadUserAccessDenied
        | StatusCode::BadIdentityTokenRejected
        | StatusCode::BadIdentityTokenInvalid
        | StatusCode::BadUserSignatureInvalid => link_error(
            "denied",
            format!(
                "{name}: the server does not let this user in ({status}): check name and password"
            ),
        ),
        _ => link_error(
            "protocol",
            format!("{name}: the server does not start the session: {status}"),
        ),
    }
}

/// Creates the session, and sees that the server is who its certificate says.
async fn create(
    wire: &mut Wire,
    endpoint: &EndpointDescription,
    own: Option<&Own>,
) -> Result<(), LinkError> {
    let nonce = random::byte_string(NONCE);
    let certificate = own.map(|own| own.certificate().der().to_vec());
    let request = CreateSessionRequest {
        request_header: wire.usual_header(),
        client_description: ApplicationDescription {
            application_uri: own.map_or(APPLICATION_URI, Own::application_uri).into(),
            application_name: "Millgate".into(),
            application_type: ApplicationType::Client,
            ..ApplicationDescription::default()
        },
        endpoint_url: endpoint.endpoint_url.clone(),
        session_name: "Millgate".into(),
        client_nonce: nonce.clone(),
        client_certificate: certificate
            .clone()
            .map(ByteString::from)
            .unwrap_or_default(),
        requested_session_timeout: limits::SESSION_TIMEOUT_MS,
        max_response_message_size: u32::try_from(limits::MAX_MESSAGE).unwrap_or(u32::MAX),
        ..CreateSessionRequest::default()
    };
    let answer = match wire.ask(request).await {
        Ok(ResponseMessage::CreateSession(answer)) => answer,
        Ok(other) => return Err(services::unexpected(&other).into_link_error("a session")),
        Err(Trouble::Refused(StatusCode::BadTooManySessions)) => {
            let kept_s = limits::SESSION_TIMEOUT_MS / 1_000.0;
            let detail = format!(
                "{}: the server has no free session; one of ours that broke off it keeps for up to {kept_s} s. If that does not help, close another client",
                wire.name()
            );
            return Err(link_error("denied", detail));
        }
        Err(trouble) => return Err(trouble.into_link_error("a session")),
    };
    if let Some(certificate) = certificate {
        let same = answer.server_certificate == endpoint.server_certificate;
        let policy = Policy::from_uri(endpoint.security_policy_uri.as_ref());
        let signed = same
            && X509::from_der(leaf(answer.server_certificate.as_ref())).is_ok_and(|server| {
                X509::from_der(&certificate).is_ok_and(|own| {
                    let signature = &answer.server_signature;
                    let nonce = nonce.as_ref();
                    opcua::crypto::verify_signature_data(signature, policy, &server, &own, nonce)
                        .is_ok()
                })
            });
        if !signed {
            let detail = "the server does not have the key of the certificate that it shows: something is between";
            return Err(link_error(
                "untrusted",
                format!("{}: {detail}", wire.name()),
            ));
        }
    }
    let keep = || -> Result<(), opcua::types::Error> {
        let mut channel = wire.state().secure_channel().write();
        channel.set_remote_nonce_from_byte_string(&answer.server_nonce)?;
        if endpoint.security_mode == MessageSecurityMode::None {
            channel.set_remote_cert_from_byte_string(&answer.server_certificate)?;
        }
        Ok(())
    };
    keep().map_err(|error| link_error("protocol", format!("{}: {error}", wire.name())))?;
    wire.set_token(answer.authentication_token.clone());
    Ok(())
}
