//! The wire of a device that sends lines: a serial port or a TCP connection, opened and read alike. Called by the driver.

use crate::acquire::driver::link_error;
use crate::acquire::{serial, tcp};
use crate::model::LinkError;
use crate::settings::shape::Parity;
use crate::settings::{LinesWire, SerialPort};
use futures_util::FutureExt;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Bytes taken in one read.
pub(super) const READ_BYTES: usize = 1_024;
/// Most bytes that are thrown away before a request: a device that sends more never stops.
const MAX_STALE_BYTES: usize = 65_536;

/// What both kinds of wire are.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open wire and its name for messages.
pub(super) struct Wire {
    name: String,
    /// What a closed connection means on this kind of wire.
    closed: &'static str,
    stream: Box<dyn Stream>,
}

/// The name of a wire in logs: `/dev/ttyS1`, `10.20.7.5:2001`.
pub(in crate::acquire) fn name(wire: &LinesWire) -> String {
    match wire {
        LinesWire::Serial(port) => port.path.display().to_string(),
        LinesWire::Tcp { host, port } => format!("{host}:{port}"),
    }
}

/// How long so many bytes take on it. Nothing on TCP.
pub(super) fn duration(wire: &LinesWire, bytes: usize) -> Duration {
    match wire {
        LinesWire::Serial(port) => {
            let bits = bits_per_character(port) * u32::try_from(bytes).unwrap_or(u32::MAX / 12);
            Duration::from_secs_f64(f64::from(bits) / f64::from(port.baud.max(1)))
        }
        LinesWire::Tcp { .. } => Duration::ZERO,
    }
}

fn bits_per_character(port: &SerialPort) -> u32 {
    let parity = u32::from(port.parity != Parity::None);
    1 + u32::from(port.data_bits) + parity + u32::from(port.stop_bits)
}

impl Wire {
    /// Opens it, once.
    pub(super) async fn open(wire: &LinesWire) -> Result<Wire, LinkError> {
        let (stream, closed): (Box<dyn Stream>, _) = match wire {
            LinesWire::Serial(port) => (
                Box::new(serial::open(port)?),
                "the port is gone; was the adapter pulled?",
            ),
            LinesWire::Tcp { host, port } => (
                Box::new(tcp::connect(host, *port, "does the device listen there?").await?),
                "the device closed the connection; does it take one at a time, and has somebody else got it?",
            ),
        };
        Ok(Wire {
            name: name(wire),
            closed,
            stream,
        })
    }

    /// Speaks over a stream that is open.
    #[cfg(test)]
    pub(super) fn over(stream: impl Stream + 'static) -> Wire {
        Wire {
            name: "test".into(),
            closed: "closed",
            stream: Box::new(stream),
        }
    }

    /// Waits for bytes: at least one. Cancel-safe.
    pub(super) async fn read(&mut self, into: &mut [u8; READ_BYTES]) -> Result<usize, LinkError> {
        match self.stream.read(into).await {
            Ok(0) => Err(self.broken(self.closed)),
            Ok(count) => Ok(count),
            // A pty or an adapter whose other end is gone.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Err(self.broken(self.closed)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Throws away what has come and was not read, without waiting for more. Says how many bytes that were.
    ///
    /// # Errors
    /// The wire is gone, or never silent.
    pub(super) async fn drain(&mut self) -> Result<usize, LinkError> {
        // What has come is known once the runtime has asked the kernel.
        tokio::task::yield_now().await;
        let mut thrown = 0;
        let mut bytes = [0; READ_BYTES];
        while let Some(read) = self.read(&mut bytes).now_or_never() {
            thrown += read?;
            if thrown > MAX_STALE_BYTES {
                let how = "it sends without end; a device that speaks unasked needs no `poll`";
                return Err(link_error("protocol", format!("{}: {how}", self.name)));
            }
        }
        Ok(thrown)
    }

    /// Sends a request. It is not waited for until it is on the wire: the answer says that.
    pub(super) async fn send(&mut self, request: &[u8], limit: Duration) -> Result<(), LinkError> {
        match timeout(limit, self.stream.write_all(request)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(link_error(
                "timeout",
                format!(
                    "{}: the request does not go out; check the wiring",
                    self.name
                ),
            )),
        }
    }

    fn failed(&self, error: &io::Error) -> LinkError {
        self.broken(&error.to_string())
    }

    fn broken(&self, how: &str) -> LinkError {
        link_error("closed", format!("{}: {how}", self.name))
    }
}
