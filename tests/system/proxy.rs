//! The network between the gateway and one destination. It can be cut: connections die, new ones die at once.
//!
//! The outage is made here and not by killing the destination, so that what listens behind it misses nothing.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy on loopback; its port stays the same through outages.
pub(super) struct Proxy {
    pub(super) port: u16,
    open: watch::Sender<bool>,
}

impl Proxy {
    pub(super) async fn start(to_port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, is_open) = watch::channel(true);
        let to = SocketAddr::from(([127, 0, 0, 1], to_port));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(is_open.clone(), near, to));
            }
        });
        Proxy { port, open }
    }

    /// Cuts the network; returns when no connection is left.
    pub(super) async fn cut(&self) {
        self.open.send_replace(false);
        // Each connection watches; so does the listener, for ever.
        while self.open.receiver_count() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Mends the network.
    pub(super) fn mend(&self) {
        self.open.send_replace(true);
    }
}

/// Carries one connection until either end closes it or the network is cut. Its watch ends last: then it is closed.
async fn carry(mut is_open: watch::Receiver<bool>, mut near: TcpStream, to: SocketAddr) {
    if !*is_open.borrow_and_update() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(to).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = is_open.wait_for(|open| !open) => {}
    }
}
