//! The wire between the gateway and a machine, with a listener on it: every request is read, and one that could change
//! anything at the machine never arrives and fails the test.
//!
//! One for Modbus TCP, for RTU frames (over TCP or on a serial port) and for OPC UA. Every test with a counterpart goes
//! through it. What is encrypted cannot be read here: there the servers count what they were asked.

mod modbus;
mod opc_ua;
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_serial::{SerialPort, SerialStream};

/// Bytes that are carried at once.
const READ: usize = 4_096;

/// What is spoken on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    ModbusTcp,
    ModbusRtu,
    OpcUa,
}

/// What one request is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It reads; by this name it is counted.
    Reads(String),
    /// It could change something, or is nothing that is allowed; why.
    Forbidden(String),
}

/// One direction of one connection, cut into requests.
enum Judge {
    ModbusTcp(modbus::Tcp),
    ModbusRtu(modbus::Rtu),
    OpcUa(opc_ua::Chunks),
}

impl Judge {
    fn new(spoken: Spoken) -> Judge {
        match spoken {
            Spoken::ModbusTcp => Judge::ModbusTcp(modbus::Tcp::default()),
            Spoken::ModbusRtu => Judge::ModbusRtu(modbus::Rtu::default()),
            Spoken::OpcUa => Judge::OpcUa(opc_ua::Chunks::default()),
        }
    }

    /// The requests that these bytes complete.
    fn take(&mut self, bytes: &[u8]) -> Vec<Verdict> {
        match self {
            Judge::ModbusTcp(frames) => frames.take(bytes),
            Judge::ModbusRtu(frames) => frames.take(bytes),
            Judge::OpcUa(chunks) => chunks.take(bytes),
        }
    }
}

/// A wire with a listener. Its end is the verdict: it fails the test when anything forbidden was asked, or nothing at all.
pub(crate) struct Recorder {
    /// Where the gateway connects, on 127.0.0.1; 0 for a serial port.
    pub(crate) port: u16,
    /// The serial port that the gateway opens; empty for a connection.
    pub(crate) path: PathBuf,
    /// The serial port that the machine opens.
    pub(crate) machine: PathBuf,
    log: Log,
    carrying: JoinHandle<()>,
    /// Held open, so that the ends of the line never see a hang-up.
    _held: Vec<File>,
}

impl Recorder {
    /// Listens on a port that the kernel chooses, and carries what comes to a machine on 127.0.0.1.
    pub(crate) async fn to_port(machine: u16, spoken: Spoken) -> Recorder {
        Recorder::before(machine, spoken)
    }

    /// The same for who is not waiting for anything; within a runtime.
    pub(crate) fn before(machine: u16, spoken: Spoken) -> Recorder {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let machine = SocketAddr::from(([127, 0, 0, 1], machine));
        let log = Log::default();
        let shared = log.clone();
        let carrying = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let log = shared.clone();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(machine).await {
                        drop((near.set_nodelay(true), far.set_nodelay(true)));
                        carry(near, far, Judge::new(spoken), &log, READ).await;
                    }
                });
            }
        });
        Recorder {
            port,
            path: PathBuf::new(),
            machine: PathBuf::new(),
            log,
            carrying,
            _held: Vec::new(),
        }
    }

    /// A serial line: the machine opens one end, the gateway the other, and both stay there when either is closed.
    pub(crate) fn serial() -> Recorder {
        Recorder::serial_in_pieces(READ)
    }

    /// The same, whose answers arrive in pieces of at most so many bytes.
    pub(crate) fn serial_in_pieces(piece: usize) -> Recorder {
        let (far, held_far, machine) = pair();
        let (near, held_near, path) = pair();
        let log = Log::default();
        let shared = log.clone();
        let carrying = tokio::spawn(async move {
            carry(near, far, Judge::new(Spoken::ModbusRtu), &shared, piece).await;
        });
        Recorder {
            port: 0,
            path,
            machine,
            log,
            carrying,
            _held: vec![held_far, held_near],
        }
    }

    /// Requests so far, by name.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        self.log.0.lock().unwrap().reads.clone()
    }

    /// What was asked that is forbidden; after this the verdict is the caller's.
    fn take_forbidden(&self) -> Vec<String> {
        std::mem::take(&mut self.log.0.lock().unwrap().forbidden)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.carrying.abort();
        if std::thread::panicking() {
            return;
        }
        let seen = self.log.0.lock().unwrap();
        assert!(
            seen.forbidden.is_empty(),
            "Millgate only reads, but it asked: {:?}",
            seen.forbidden
        );
        assert!(
            !seen.reads.is_empty(),
            "nothing was asked through the recorder: it proves nothing"
        );
    }
}

/// A pair of pseudo terminals: one end, and the path of the other, which is held open, but not locked.
fn pair() -> (SerialStream, File, PathBuf) {
    let (near, mut other) = SerialStream::pair().unwrap();
    other.set_exclusive(false).unwrap();
    let path = PathBuf::from(other.name().unwrap());
    let held = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(&path);
    (near, held.unwrap(), path)
}

/// What was asked over all connections of a recorder.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    reads: BTreeMap<String, u64>,
    forbidden: Vec<String>,
}

impl Log {
    /// Notes them; false when one is forbidden.
    fn note(&self, verdicts: Vec<Verdict>) -> bool {
        let mut seen = self.0.lock().unwrap();
        let mut fine = true;
        for verdict in verdicts {
            match verdict {
                Verdict::Reads(name) => *seen.reads.entry(name).or_default() += 1,
                Verdict::Forbidden(why) => {
                    seen.forbidden.push(why);
                    fine = false;
                }
            }
        }
        fine
    }
}

/// Carries both directions until one end closes, an error, or a forbidden request. Answers arrive in pieces.
async fn carry<S>(near: S, far: S, mut judge: Judge, log: &Log, piece: usize)
where
    S: AsyncRead + AsyncWrite,
{
    let (mut near_reads, mut near_writes) = tokio::io::split(near);
    let (mut far_reads, mut far_writes) = tokio::io::split(far);
    let asking = async {
        let mut bytes = [0; READ];
        while let Ok(count @ 1..) = near_reads.read(&mut bytes).await {
            if !log.note(judge.take(&bytes[..count])) {
                return;
            }
            if far_writes.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let answering = async {
        let mut bytes = [0; READ];
        while let Ok(count @ 1..) = far_reads.read(&mut bytes).await {
            for part in bytes[..count].chunks(piece) {
                if near_writes.write_all(part).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = answering => {}
    }
}
