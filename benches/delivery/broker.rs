//! mosquitto on loopback, somebody who subscribes to all that comes, and a link on which everything takes its time.

use super::{Failure, Live};
use rumqttc::{Event, Packet, QoS};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PROGRAMS: [&str; 3] = [
    "/usr/sbin/mosquitto",
    "/usr/local/sbin/mosquitto",
    "/usr/bin/mosquitto",
];
/// One way of the slow link: half its round trip.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(20);
/// Chunks of the slow link that are under way in one direction, at most.
const CHUNKS: usize = 4_096;
/// The longest that mosquitto may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// mosquitto, killed when its value ends.
pub(crate) struct Broker {
    process: Child,
    pub(crate) port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Broker {
    /// Starts one with its settings in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Broker, Failure> {
        let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
        let program = program
            .ok_or("mosquitto is not installed (package mosquitto): nothing was measured")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let settings = folder.join("mosquitto.conf");
        std::fs::write(
            &settings,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
            ),
        )?;
        let process = Command::new(program)
            .arg("-c")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let broker = Broker { process, port };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err("mosquitto does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(broker)
    }
}

/// Subscribed to everything, and noting the live events. QoS 0, so that the broker may drop what is too much.
///
/// A filter that matches nothing but tells the broker that somebody is there would not do: MQTT 5 looks for matching
/// subscribers. So it takes all events, at the cost of the broker, for both competitors alike.
pub(crate) struct Subscriber(tokio::task::JoinHandle<()>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscriber {
    /// Returns when the subscription stands.
    pub(crate) async fn start(port: u16, live: &Live) -> Result<Subscriber, Failure> {
        let mut options = rumqttc::MqttOptions::new("subscriber", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = rumqttc::AsyncClient::new(options, 4);
        client.subscribe("#", QoS::AtMostOnce).await?;
        while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
        let live = live.clone();
        Ok(Subscriber(tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event {
                    live.arrived(&publish.payload);
                }
            }
            drop(client);
        })))
    }
}

/// A link on which everything takes its time, and nothing is lost or held up by what goes before it.
pub(crate) struct SlowLink {
    pub(crate) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SlowLink {
    pub(crate) async fn start(to: u16) -> Result<SlowLink, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else {
                    continue;
                };
                // Nagle's delay would come on top of ours.
                if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
                    continue;
                }
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                tokio::spawn(delay(from_near, to_far));
                tokio::spawn(delay(from_far, to_near));
            }
        });
        Ok(SlowLink { port, task })
    }
}

/// Passes on what comes, each chunk after its time. Ends when either side does.
async fn delay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (chunks, mut due) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(CHUNKS);
    let writing = tokio::spawn(async move {
        while let Some((at, chunk)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let chunk = buffer.iter().take(read).copied().collect();
        let at = tokio::time::Instant::now() + ONE_WAY;
        if chunks.send((at, chunk)).await.is_err() {
            break;
        }
    }
    drop(chunks);
    drop(writing.await);
}
