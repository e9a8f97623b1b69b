//! A way between gateway and server that can be told to swallow what it should pass on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listening proxy; ends with the test.
pub(super) struct Proxy {
    pub(super) port: u16,
    swallows: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// Passes everything on to `server`, until told otherwise.
    pub(super) async fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            swallows: Arc::default(),
            connections: Arc::default(),
        };
        let (swallows, connections) = (proxy.swallows.clone(), proxy.connections.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = TcpStream::connect(("127.0.0.1", server)).await else {
                    continue;
                };
                tokio::spawn(pass(near, far, swallows.clone()));
            }
        });
        proxy
    }

    /// From now on whatever the server says is lost, on connections that are there.
    pub(super) fn swallow(&self, on: bool) {
        self.swallows.store(on, Ordering::SeqCst);
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(near: TcpStream, far: TcpStream, swallows: Arc<AtomicBool>) {
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let there = async move {
        drop(tokio::io::copy(&mut near_in, &mut far_out).await);
    };
    let back = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(length @ 1..) = far_in.read(&mut bytes).await {
            if !swallows.load(Ordering::SeqCst)
                && near_out.write_all(&bytes[..length]).await.is_err()
            {
                return;
            }
        }
    };
    tokio::join!(there, back);
}
