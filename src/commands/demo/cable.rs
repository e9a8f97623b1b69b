//! A network cable that can be pulled: passes on what goes over it, until somebody pulls it, and again when it is back.
//!
//! Between the gateway and the sensor of the hydraulics, so that the demo can show a device that is lost and regained.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Most connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 8;

/// One end of a cable, with a listener on loopback.
#[derive(Debug)]
pub(super) struct Cable {
    listener: TcpListener,
    to: SocketAddr,
    plugged: watch::Receiver<bool>,
}

/// The hand at the plug.
#[derive(Debug)]
pub(super) struct Plug(watch::Sender<bool>);

impl Plug {
    /// Plugs it in or pulls it; doing it again changes nothing.
    pub(super) fn set(&self, plugged: bool) {
        self.0
            .send_if_modified(|now| std::mem::replace(now, plugged) != plugged);
    }
}

impl Cable {
    /// A cable to `to`, plugged in, whose other end listens on a free port.
    ///
    /// # Errors
    /// When the system has no port to give.
    pub(super) async fn bind(to: SocketAddr) -> io::Result<(Cable, Plug)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (hand, plugged) = watch::channel(true);
        let cable = Cable {
            listener,
            to,
            plugged,
        };
        Ok((cable, Plug(hand)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not know.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Passes on until it is dropped. While it is pulled, connections end and new ones are closed at once.
    ///
    /// # Errors
    /// When no connection can be taken any more.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                taken = self.listener.accept() => {
                    let (gateway, _) = taken?;
                    let plugged = *self.plugged.borrow();
                    if plugged && connections.len() < MAX_CONNECTIONS {
                        connections.spawn(pass_on(gateway, self.to));
                    }
                }
                changed = self.plugged.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    if !*self.plugged.borrow() {
                        connections.abort_all();
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Whatever ends a connection, the gateway notices it by itself.
async fn pass_on(mut gateway: TcpStream, to: SocketAddr) {
    if let Ok(mut device) = TcpStream::connect(to).await
        && let Err(error) = copy_bidirectional(&mut gateway, &mut device).await
    {
        tracing::debug!(%error, "a connection of the demo ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_pulled_cable_ends_what_went_over_it_and_takes_nothing_new() {
        let device = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (cable, plug) = Cable::bind(device.local_addr().unwrap()).await.unwrap();
        let address = cable.address().unwrap();
        let cable = tokio::spawn(cable.run());
        let mut gateway = TcpStream::connect(address).await.unwrap();
        gateway.write_all(b"?").await.unwrap();
        let (mut other, _) = device.accept().await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), b'?');

        plug.set(false);
        let ended = gateway.read(&mut [0]).await;
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");
        let mut again = TcpStream::connect(address).await.unwrap();
        let ended = again.read(&mut [0]).await;
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");

        plug.set(true);
        let mut back = TcpStream::connect(address).await.unwrap();
        back.write_all(b"!").await.unwrap();
        let (mut other, _) = device.accept().await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), b'!');
        cable.abort();
    }
}
