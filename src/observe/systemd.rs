//! The socket of the service manager (sd_notify(3)), and what it asks of a service with a watchdog.
//!
//! Our own ten lines instead of the crate's `notify`, because that reads the environment at each call, which a test cannot
//! set, and does not know abstract sockets, which containers use.

use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, when there is one.
#[derive(Debug, Default)]
pub struct Systemd {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Systemd {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. Started by hand, it is nobody.
    ///
    /// # Errors
    /// The socket that the environment names does not exist or refuses us.
    pub fn from_environment() -> io::Result<Systemd> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(path) => Systemd::at(&path, sd_notify::watchdog_enabled()),
            None => Ok(Systemd::default()),
        }
    }

    /// The manager behind the socket `path`, `@name` for an abstract one. With a `watchdog`, it wants to be fed inside that
    /// time.
    ///
    /// # Errors
    /// The socket does not exist or refuses us.
    pub fn at(path: &OsStr, watchdog: Option<Duration>) -> io::Result<Systemd> {
        let address = match path.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A manager that does not read must not hold up the gateway.
        socket.set_nonblocking(true)?;
        Ok(Systemd {
            socket: Some(socket),
            watchdog,
        })
    }

    /// The time inside which the watchdog must be fed.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tells the manager; a manager that cannot be told is logged, and tried again with the next news.
    pub fn tell(&self, news: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let message: Vec<String> = news.iter().map(ToString::to_string).collect();
        if let Err(error) = socket.send(message.join("\n").as_bytes()) {
            tracing::warn!(%error, "the service manager could not be told: {}", message.join(" "));
        }
    }
}
