//! A Modbus TCP server that can be told to misbehave in one way, and to stop misbehaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: registers that hold their own addresses.
    Nothing,
    /// This exception to everything.
    Exception(u8),
    /// Says nothing to this unit, and is right to the others.
    SilentUnit(u8),
    /// Says nothing at all.
    Silence,
    /// One byte in 40 ms.
    Drip,
    /// Closes at once.
    CloseAtOnce,
    /// Closes in the middle of the answer.
    CloseInside,
    /// An endless stream of this byte.
    Flood(u8),
    /// The right answer twice.
    Twice,
    /// The function and nothing behind it.
    ShortFrame,
    /// An exception without a code.
    ShortException,
    /// Another unit than was asked.
    WrongUnit,
    /// Another transaction.
    WrongTransaction,
    /// Another function.
    WrongFunction(u8),
    /// This number in the header instead of the length.
    Length(u16),
    /// This protocol identifier.
    Protocol(u16),
    /// A byte count that is not the number of the bytes behind it.
    ByteCount(u8),
    /// So many bytes of values, rightly counted, but not what was asked for.
    Bytes(u8),
}

/// A listening server.
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    fault: Fault,
    healed: AtomicBool,
    connections: AtomicUsize,
    other_than_reads: AtomicUsize,
}

impl Server {
    /// Listens on a port that the kernel chooses.
    pub(crate) async fn start(fault: Fault) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            fault,
            healed: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            other_than_reads: AtomicUsize::new(0),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let state = serving.clone();
                // A connection that ends, ends by its error.
                tokio::spawn(async move { drop(state.serve(stream).await) });
            }
        });
        Server { port, state }
    }

    /// From now on it answers rightly.
    pub(crate) fn heal(&self) {
        self.state.healed.store(true, Ordering::SeqCst);
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Requests so far that were not one of the four reads.
    pub(crate) fn other_than_reads(&self) -> usize {
        self.state.other_than_reads.load(Ordering::SeqCst)
    }
}

impl State {
    fn fault(&self) -> Fault {
        if self.healed.load(Ordering::SeqCst) {
            Fault::Nothing
        } else {
            self.fault
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        if self.fault() == Fault::CloseAtOnce {
            return Ok(());
        }
        let mut request = [0; 12];
        loop {
            stream.read_exact(&mut request).await?;
            if !(1..=4).contains(&request[7]) {
                self.other_than_reads.fetch_add(1, Ordering::SeqCst);
            }
            match self.fault() {
                Fault::Silence => {}
                Fault::SilentUnit(unit) if unit == request[6] => {}
                Fault::Drip => {
                    for byte in answer(&request, Fault::Nothing) {
                        stream.write_all(&[byte]).await?;
                        tokio::time::sleep(Duration::from_millis(40)).await;
                    }
                }
                Fault::CloseInside => {
                    stream
                        .write_all(&answer(&request, Fault::Nothing)[..9])
                        .await?;
                    return Ok(());
                }
                Fault::Flood(byte) => loop {
                    stream.write_all(&[byte; 4_096]).await?;
                },
                Fault::Twice => {
                    let twice = [
                        answer(&request, Fault::Nothing),
                        answer(&request, Fault::Nothing),
                    ];
                    stream.write_all(&twice.concat()).await?;
                }
                fault => stream.write_all(&answer(&request, fault)).await?,
            }
        }
    }
}

/// The frame that answers a read of holding registers, with the fault in it.
fn answer(request: &[u8; 12], fault: Fault) -> Vec<u8> {
    let address = u16::from_be_bytes([request[8], request[9]]);
    let count = u16::from_be_bytes([request[10], request[11]]);
    let values: Vec<u8> = (address..address + count)
        .flat_map(u16::to_be_bytes)
        .collect();
    let counted = |bytes: u8| [vec![request[7], bytes], vec![0; usize::from(bytes)]].concat();
    let mut pdu = vec![request[7], u8::try_from(values.len()).unwrap()];
    pdu.extend(values);
    match fault {
        Fault::Exception(code) => pdu = vec![request[7] | 0x80, code],
        Fault::ShortFrame => pdu.truncate(1),
        Fault::ShortException => pdu = vec![request[7] | 0x80],
        Fault::WrongFunction(function) => pdu[0] = function,
        Fault::ByteCount(count) => pdu[1] = count,
        Fault::Bytes(count) => pdu = counted(count),
        _ => {}
    }
    let mut frame = request[..2].to_vec();
    if fault == Fault::WrongTransaction {
        frame[1] ^= 0x55;
    }
    let protocol = if let Fault::Protocol(id) = fault {
        id
    } else {
        0
    };
    frame.extend(protocol.to_be_bytes());
    let right = u16::try_from(pdu.len() + 1).unwrap();
    let length = if let Fault::Length(length) = fault {
        length
    } else {
        right
    };
    frame.extend(length.to_be_bytes());
    frame.push(if fault == Fault::WrongUnit {
        request[6] ^ 0x0F
    } else {
        request[6]
    });
    frame.extend(pdu);
    frame
}
