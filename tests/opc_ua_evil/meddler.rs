//! Stands between the gateway and a good server, and does one evil thing at one stage, until it is healed.

use super::frame::{Frame, Stage};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// One way to misbehave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// Says nothing from then on, and keeps the connection.
    Silence,
    /// Keeps this one answer for itself; all others come.
    Swallow,
    /// Closes.
    Close,
    /// Closes in the middle of the answer.
    CloseInside,
    /// One byte in 40 ms.
    Drip,
    /// Another protocol.
    Http,
    /// An error message instead of the answer.
    Error,
    /// This size in the head of the chunk, with bytes behind it without end.
    Size(u32),
    /// So many chunks of 60,000 bytes before the last one.
    Chunks(usize),
    /// Chunks of the asked message without end.
    EndlessChunks,
    /// Answers to a request that nobody made, without end.
    EndlessOthers,
    /// The sequence number of the chunk goes up by this.
    Sequence(u32),
    /// Another token of the channel.
    Token,
    /// Another channel.
    OtherChannel,
    /// An answer to another request.
    OtherRequest,
    /// The right answer twice.
    Twice,
    /// A certificate that is none where no certificate belongs.
    Certificate(&'static [u8]),
    /// A security policy in the answer that nobody asked for.
    Policy(&'static str),
    /// Another message than the server's.
    Body(fn(&[u8]) -> Vec<u8>),
}

/// A listening meddler.
pub(super) struct Meddler {
    pub(super) port: u16,
    state: Arc<State>,
}

struct State {
    stage: Stage,
    deed: Deed,
    healed: AtomicBool,
    connections: AtomicUsize,
    deeds: AtomicUsize,
    /// From the evil deed to the end of its connection, the longest.
    longest: Mutex<Duration>,
}

impl Meddler {
    /// Listens on a port that the kernel chooses, before the good server on `port`.
    pub(super) async fn start(port: u16, stage: Stage, deed: Deed) -> Meddler {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State {
            stage,
            deed,
            healed: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            deeds: AtomicUsize::new(0),
            longest: Mutex::new(Duration::ZERO),
        });
        let own = listener.local_addr().unwrap().port();
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&serving);
                // A connection that ends, ends by its error.
                tokio::spawn(async move { drop(state.serve(client, port).await) });
            }
        });
        Meddler { port: own, state }
    }

    /// From now on it only passes on.
    pub(super) fn heal(&self) {
        self.state.healed.store(true, Ordering::SeqCst);
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Evil deeds so far.
    pub(super) fn deeds(&self) -> usize {
        self.state.deeds.load(Ordering::SeqCst)
    }

    /// The longest time from an evil deed to the end of its connection.
    pub(super) fn longest(&self) -> Duration {
        *self.state.longest.lock().unwrap()
    }
}

impl State {
    async fn serve(&self, client: TcpStream, port: u16) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut asked, answered) = client.into_split();
        let (answers, mut asks) = server.into_split();
        let mut since = None;
        tokio::select! {
            ended = copy(&mut asked, &mut asks) => drop(ended),
            ended = self.answer(answers, answered, &mut since) => drop(ended),
        }
        if let Some(since) = since {
            let took = Instant::now().duration_since(since);
            let mut longest = self.longest.lock().unwrap();
            *longest = took.max(*longest);
        }
        Ok(())
    }

    /// Passes on what the server says; at the stage, does the deed. Ends when a side does.
    async fn answer(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        since: &mut Option<Instant>,
    ) -> io::Result<()> {
        let mut swallowed = 0;
        while let Some(mut frame) = Frame::read(&mut from).await? {
            // Nobody must notice by the numbers that one is missing.
            frame.sequence = frame.sequence.wrapping_sub(swallowed);
            let evil = frame.stage() == Some(self.stage) && !self.healed.load(Ordering::SeqCst);
            if !evil {
                to.write_all(&frame.bytes()).await?;
                continue;
            }
            self.deeds.fetch_add(1, Ordering::SeqCst);
            since.get_or_insert_with(Instant::now);
            if matches!(self.deed, Deed::Swallow) {
                swallowed += 1;
                continue;
            }
            if !self.do_it(&frame, &mut to).await? {
                // Whatever the server still says, nobody hears it.
                let mut unheard = [0; 4_096];
                while from.read(&mut unheard).await? > 0 {}
            }
        }
        Ok(())
    }

    /// True when the conversation goes on.
    async fn do_it(&self, frame: &Frame, to: &mut OwnedWriteHalf) -> io::Result<bool> {
        let bytes = frame.bytes();
        match self.deed {
            Deed::Silence => return Ok(false),
            Deed::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
            Deed::CloseInside => {
                to.write_all(&bytes[..bytes.len() - 5]).await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Deed::Drip => {
                for byte in bytes {
                    to.write_all(&[byte]).await?;
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            }
            Deed::Http => to.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?,
            Deed::Error => to.write_all(&error()).await?,
            Deed::Size(size) => {
                let mut head = bytes[..8].to_vec();
                head[4..].copy_from_slice(&size.to_le_bytes());
                to.write_all(&head).await?;
                loop {
                    to.write_all(&[0; 4_096]).await?;
                }
            }
            Deed::Chunks(count) => {
                for n in 0..count {
                    to.write_all(&more(frame, n).bytes()).await?;
                }
                let last = frame.sequence + u32::try_from(count).unwrap();
                to.write_all(
                    &Frame {
                        sequence: last,
                        ..frame.clone()
                    }
                    .bytes(),
                )
                .await?;
            }
            Deed::EndlessChunks => {
                for n in 0.. {
                    to.write_all(&more(frame, n).bytes()).await?;
                }
            }
            Deed::EndlessOthers => {
                for n in 0.. {
                    let other = Frame {
                        request: 0x00FF_FFFF,
                        last: b'F',
                        ..more(frame, n)
                    };
                    to.write_all(&other.bytes()).await?;
                }
            }
            Deed::Twice => to.write_all(&[bytes.clone(), bytes].concat()).await?,
            _ => to.write_all(&self.changed(frame).bytes()).await?,
        }
        Ok(true)
    }

    /// The same chunk with the fault in it.
    fn changed(&self, frame: &Frame) -> Frame {
        let mut changed = frame.clone();
        match self.deed {
            Deed::Sequence(by) => changed.sequence = changed.sequence.wrapping_add(by),
            Deed::Token => changed.security[4] ^= 0x55,
            Deed::OtherChannel => changed.security[0] ^= 0x55,
            Deed::OtherRequest => changed.request ^= 0x0055_0000,
            Deed::Certificate(certificate) => {
                // Channel, then the policy, are kept.
                let policy = u32::from_le_bytes(frame.security[4..8].try_into().unwrap());
                changed
                    .security
                    .truncate(8 + usize::try_from(policy).unwrap());
                changed.security.extend(counted(certificate));
                changed.security.extend(counted(&[7; 20]));
            }
            Deed::Policy(uri) => {
                changed.security.truncate(4);
                changed.security.extend(counted(uri.as_bytes()));
                changed
                    .security
                    .extend(counted(&super::faults::good_certificate()));
                changed.security.extend(counted(&[7; 20]));
            }
            Deed::Body(change) => changed.body = change(&frame.body),
            other => unreachable!("{other:?} changes no frame"),
        }
        changed
    }
}

/// A chunk of 60,000 bytes that is not the last one, `n` behind the first.
fn more(frame: &Frame, n: usize) -> Frame {
    let by = u32::try_from(n % 1_000_000).unwrap();
    Frame {
        last: b'C',
        sequence: frame.sequence.wrapping_add(by),
        body: [frame.body.as_slice(), &[0; 60_000]].concat(),
        ..frame.clone()
    }
}

/// An error with more reason than anybody wants to read.
fn error() -> Vec<u8> {
    let frame = Frame {
        kind: *b"ERR",
        last: b'F',
        security: Vec::new(),
        sequence: 0,
        request: 0,
        body: [
            0x8000_0000_u32.to_le_bytes().to_vec(),
            counted(&[b'!'; 4_000]),
        ]
        .concat(),
    };
    frame.bytes()
}

/// Bytes with their length before them.
pub(super) fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length[..], bytes].concat()
}
