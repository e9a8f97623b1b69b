//! Opens a TCP connection for one link. Called by the drivers that speak over one; says plainly why there is none.
//!
//! The kernel asks a silent peer whether it is still there, so that a pulled cable ends the connection in about 10 s even
//! where nobody sends: a scanner is silent for hours.

use super::driver::link_error;
use crate::model::LinkError;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection, name lookup included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence after which the kernel asks for the first time.
const ASKED_AFTER: Duration = Duration::from_secs(4);
/// How long it waits for an answer before it asks again.
const ASKED_EVERY: Duration = Duration::from_secs(2);
/// How often it asks in vain before the connection is closed: 10 s after the last sign of life.
const ASKED_TIMES: u32 = 3;
/// How long what was sent may stay unconfirmed.
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// Connects to `host` (a name or an address) within 3 s. `refused` is what to check where the host is there and says no.
///
/// # Errors
/// Why there is no connection: `refused`, `timeout`, `unreachable`.
pub(super) async fn connect(host: &str, port: u16, refused: &str) -> Result<TcpStream, LinkError> {
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    let ready = stream.and_then(|stream| {
        stream.set_nodelay(true)?;
        notice_a_pulled_cable(&stream)?;
        Ok(stream)
    });
    ready.map_err(|error| no_connection(host, port, &error, refused))
}

fn notice_a_pulled_cable(stream: &TcpStream) -> io::Result<()> {
    let asked = TcpKeepalive::new()
        .with_time(ASKED_AFTER)
        .with_interval(ASKED_EVERY)
        .with_retries(ASKED_TIMES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&asked)?;
    socket.set_tcp_user_timeout(Some(UNCONFIRMED))
}

fn no_connection(host: &str, port: u16, error: &io::Error, refused: &str) -> LinkError {
    let (code, check) = match error.kind() {
        io::ErrorKind::ConnectionRefused => ("refused", refused),
        io::ErrorKind::TimedOut => ("timeout", "check the address, the cable and the firewall"),
        _ => ("unreachable", "check the name or address and the network"),
    };
    let cause = match code {
        "timeout" => "no connection in time".into(),
        _ => error.to_string(),
    };
    link_error(code, format!("{host}:{port}: {cause}; {check}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_silent_peer_is_asked_whether_it_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = connect("127.0.0.1", port, "").await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        let asked =
            socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
        assert_eq!(socket.tcp_keepalive_time().unwrap() + asked, UNCONFIRMED);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNCONFIRMED));
        drop((stream, listener));
        let error = connect("127.0.0.1", port, "is it on?").await.unwrap_err();
        assert_eq!(error.code, "refused");
        assert!(error.detail.ends_with("is it on?"), "{error}");
    }
}
