//! One secure channel over one TCP connection: requests go out, answers come in, whoever waits polls both.
//!
//! Used by `session` and everything above it. It is the library's channel without the library's session on top: that one
//! retries, rebuilds and drops on its own. Here nothing happens unless somebody waits, and any break is final. What the
//! library makes of hostile bytes may be a panic; it ends the connection, not the gateway.

use super::endpoint::Address;
use super::guard::Guarded;
use super::limits;
use super::reason::Reason;
use crate::acquire::driver::link_error;
use crate::model::LinkError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use opcua::client::SessionRetryPolicy;
use opcua::client::transport::{
    AsyncSecureChannel, Connector, RequestRecv, SecureChannelEventLoop, SecureChannelState,
    StreamConnection, StreamConnector, StreamTransport, TransportConfiguration,
    TransportPollResult,
};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::{CertificateStore, SecurityPolicy};
use opcua::sync::RwLock;
use opcua::types::{
    ContextOwned, DateTime, DecodingOptions, EndpointDescription, Error, NodeId, RequestHeader,
    StatusCode,
};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

type Reader = Guarded<OwnedReadHalf>;
type Transport = StreamTransport<Reader, OwnedWriteHalf>;

/// An answer that is still to come. It comes only while somebody polls the wire.
pub(super) type Answering = BoxFuture<'static, Result<ResponseMessage, Error>>;

/// Why there is no usable answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The server answered, and said no.
    Refused(StatusCode),
    /// The connection cannot be used any more.
    Broken(LinkError),
}

impl Trouble {
    /// As a reason to give up the connection, `what` being what was asked.
    pub(super) fn into_link_error(self, what: &str) -> LinkError {
        match self {
            Trouble::Refused(status) => {
                link_error("protocol", format!("the server refuses {what}: {status}"))
            }
            Trouble::Broken(error) => error,
        }
    }
}

/// An open secure channel.
pub(super) struct Wire {
    channel: Arc<AsyncSecureChannel>,
    events: SecureChannelEventLoop<Transport>,
    state: Arc<SecureChannelState>,
    reason: Reason,
    token: NodeId,
    timeout: Duration,
    name: String,
}

impl Wire {
    /// Connects and opens the channel that `endpoint` describes. `timeout` is for each answer from then on.
    ///
    /// # Errors
    /// Nobody is there, or what is there does not agree on the channel.
    pub(super) async fn open(
        address: &Address,
        endpoint: EndpointDescription,
        store: CertificateStore,
        timeout: Duration,
    ) -> Result<Wire, LinkError> {
        let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
        let dial = Dial {
            stream: Mutex::new(Some(connect(address).await?)),
            state: Mutex::new(None),
            url: address.url.clone(),
            reason: Reason::default(),
            signature: policy.symmetric_signature_size(),
        };
        let channel = AsyncSecureChannel::new(
            Arc::new(RwLock::new(store)),
            endpoint.into(),
            SessionRetryPolicy::never(),
            false,
            Arc::default(),
            limits::transport(),
            limits::CHANNEL_LIFETIME_MS,
            Arc::new(RwLock::new(limits::context())),
        );
        let opening = AssertUnwindSafe(channel.connect_no_retry(&dial)).catch_unwind();
        let events = match tokio::time::timeout(timeout, opening).await {
            Ok(Ok(Ok(events))) => events,
            Ok(Ok(Err(error))) => return Err(not_opened(address, &error, &dial.reason)),
            Ok(Err(_panic)) => return Err(nonsense(&address.name)),
            Err(_elapsed) => {
                return Err(silent(&address.name, "opening a secure channel", timeout));
            }
        };
        let state = dial
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let state = state.ok_or_else(|| nonsense(&address.name))?;
        Ok(Wire {
            channel: Arc::new(channel),
            events,
            state,
            reason: dial.reason,
            token: NodeId::null(),
            timeout,
            name: address.name.clone(),
        })
    }

    /// Keeps the connection going until it ends; says why it did. Cancel-safe.
    pub(super) async fn closed(&mut self) -> LinkError {
        loop {
            match AssertUnwindSafe(self.events.poll()).catch_unwind().await {
                Ok(TransportPollResult::Closed(status)) => {
                    let ended = || format!("the connection has ended ({status})");
                    let why = self.reason.words().unwrap_or_else(ended);
                    return link_error("closed", format!("{}: {why}", self.name));
                }
                Ok(_) => {}
                Err(_panic) => return nonsense(&self.name),
            }
        }
    }

    /// Asks and waits for the answer, within the time limit of the device.
    ///
    /// # Errors
    /// [`Trouble`]. A time-out breaks the connection.
    pub(super) async fn ask(
        &mut self,
        request: impl Into<RequestMessage>,
    ) -> Result<ResponseMessage, Trouble> {
        let request = request.into();
        let what = request.type_name();
        let answering = self.start(request, self.timeout);
        let answer = tokio::select! {
            biased;
            answer = answering => answer,
            error = self.closed() => return Err(Trouble::Broken(error)),
        };
        self.judge(answer, what)
    }

    /// Sends a request whose answer is waited for elsewhere.
    pub(super) fn start(&self, request: RequestMessage, timeout: Duration) -> Answering {
        let channel = Arc::clone(&self.channel);
        async move { channel.send(request, timeout).await }.boxed()
    }

    /// What an answer is worth.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) fn judge(
        &self,
        answer: Result<ResponseMessage, Error>,
        what: &str,
    ) -> Result<ResponseMessage, Trouble> {
        match answer {
            Ok(answer) => {
                let status = answer.response_header().service_result;
                if status.is_bad() || matches!(answer, ResponseMessage::ServiceFault(_)) {
                    Err(Trouble::Refused(status))
                } else {
                    Ok(answer)
                }
            }
            Err(error) if error.status() == StatusCode::BadTimeout => {
                Err(Trouble::Broken(silent(&self.name, what, self.timeout)))
            }
            Err(error) => {
                // Only the code: the rest is written for those who mend the library.
                let unusable = || format!("no usable answer to {what} ({})", error.status());
                let why = self.reason.words().unwrap_or_else(unusable);
                let detail = format!("{}: {why}", self.name);
                Err(Trouble::Broken(link_error("protocol", detail)))
            }
        }
    }

    /// The head of the next request. `timeout` of zero tells the server to take its time.
    pub(super) fn header(&self, timeout: Duration) -> RequestHeader {
        RequestHeader {
            authentication_token: self.token.clone(),
            timestamp: DateTime::now(),
            request_handle: self.channel.request_handle(),
            timeout_hint: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            ..RequestHeader::default()
        }
    }

    /// The head of a request that the server must answer in the time limit of the device.
    pub(super) fn usual_header(&self) -> RequestHeader {
        self.header(self.timeout)
    }

    /// The time limit of the device.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Who the server is, for logs.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// From now on requests belong to this session.
    pub(super) fn set_token(&mut self, token: NodeId) {
        self.channel.set_auth_token(token.clone());
        self.token = token;
    }

    /// The session's token.
    pub(super) fn token(&self) -> &NodeId {
        &self.token
    }

    /// The channel itself, for the library's own requests.
    pub(super) fn channel(&self) -> Arc<AsyncSecureChannel> {
        Arc::clone(&self.channel)
    }

    /// The channel's keys and nonces.
    pub(super) fn state(&self) -> &SecureChannelState {
        &self.state
    }

    /// What is needed to decode values: limits and namespaces.
    pub(super) fn context(&self) -> &RwLock<ContextOwned> {
        self.channel.encoding_context()
    }

    /// Says goodbye and hangs up, within [`limits::CLOSING`].
    pub(super) async fn hang_up(mut self) {
        let channel = self.channel();
        let goodbye = async {
            tokio::join!(channel.close_channel(), self.closed());
        };
        let _too_slow_is_as_good = timeout(limits::CLOSING, goodbye).await;
    }
}

/// The TCP connection.
async fn connect(address: &Address) -> Result<TcpStream, LinkError> {
    let name = &address.name;
    let dialled = TcpStream::connect((address.host.as_str(), address.port));
    match timeout(limits::CONNECT, dialled).await {
        Ok(Ok(stream)) => {
            stream
                .set_nodelay(true)
                .map_err(|error| link_error("unreachable", format!("{name}: {error}")))?;
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(link_error(
            "refused",
            format!(
                "{name}: nothing listens there; is the OPC UA server running, and the port right?"
            ),
        )),
        Ok(Err(error)) => Err(link_error(
            "unreachable",
            format!("{name}: {error}; check address and cable"),
        )),
        Err(_elapsed) => Err(link_error(
            "timeout",
            format!(
                "{name}: no connection within {} s; check address, cable and firewall",
                limits::CONNECT.as_secs()
            ),
        )),
    }
}

fn not_opened(address: &Address, error: &Error, reason: &Reason) -> LinkError {
    let name = &address.name;
    let status = error.status();
    match status {
        StatusCode::BadSecurityChecksFailed
        | StatusCode::BadCertificateUntrusted
        | StatusCode::BadCertificateInvalid
        | StatusCode::BadCertificateUseNotAllowed
        | StatusCode::BadCertificateUriInvalid => link_error(
            "denied",
            format!(
                "{name}: the server does not trust the gateway's certificate ({status}): trust it on the server"
            ),
        ),
        _ => {
            let unusable = || match status {
                StatusCode::BadConnectionClosed | StatusCode::BadCommunicationError => {
                    "it closed the connection; is this the port of an OPC UA server?".to_owned()
                }
                _ => status.to_string(),
            };
            let why = reason.words().unwrap_or_else(unusable);
            link_error("protocol", format!("{name}: no secure channel: {why}"))
        }
    }
}

fn silent(name: &str, what: &str, waited: Duration) -> LinkError {
    link_error(
        "timeout",
        format!(
            "{name}: no answer to {what} within {} ms",
            waited.as_millis()
        ),
    )
}

fn nonsense(name: &str) -> LinkError {
    link_error("protocol", format!("{name}: what came is no OPC UA"))
}

/// Hands the library a connection that is there already, and keeps the state that the library makes for it.
struct Dial {
    stream: Mutex<Option<TcpStream>>,
    state: Mutex<Option<Arc<SecureChannelState>>>,
    url: String,
    reason: Reason,
    signature: usize,
}

impl Connector for Dial {
    type Transport = Transport;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        outgoing: RequestRecv,
        config: TransportConfiguration,
    ) -> Result<Transport, Error> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&channel));
        let taken = Mutex::new(
            self.stream
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let signature = self.signature;
        let guarding = Arc::clone(&channel);
        let reason = self.reason.clone();
        let connector = StreamConnector::new(
            move |url: String, options: DecodingOptions| {
                let stream = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
                let (guarding, reason) = (Arc::clone(&guarding), reason.clone());
                let guarded = |reader| Guarded::new(reader, signature, guarding, reason);
                std::future::ready(framed(stream, url, options, guarded))
            },
            self.url.clone(),
        );
        connector.connect(channel, outgoing, config).await
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.url.as_str())
    }
}

fn framed(
    stream: Option<TcpStream>,
    url: String,
    options: DecodingOptions,
    guarded: impl FnOnce(OwnedReadHalf) -> Reader,
) -> Result<StreamConnection<Reader, OwnedWriteHalf>, Error> {
    let stream =
        stream.ok_or_else(|| Error::new(StatusCode::BadConnectionClosed, "connected once only"))?;
    let (reader, writer) = stream.into_split();
    let reader = FramedRead::new(guarded(reader), TcpCodec::new(options));
    Ok(StreamConnection::new(reader, writer, url))
}
