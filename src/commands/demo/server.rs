//! The press on the network: a Modbus TCP server on loopback that reads registers and refuses everything else.
//!
//! The press's time runs while it is read, so that no stroke is made that nobody could see begin.

use super::attended::Attended;
use super::press::{Press, Tally};
use std::future::Ready;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response};

/// Most registers in one answer (Modbus Application Protocol 1.1b3, 6.3).
const MAX_REGISTERS: u16 = 125;
/// Most connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 16;

/// A press that runs while it is read, shared by its server and the demo.
#[derive(Clone, Debug)]
pub struct SharedPress(Arc<Mutex<Running>>);

#[derive(Debug)]
struct Running {
    press: Press,
    time: Attended,
}

impl SharedPress {
    /// A press whose time begins with the first request.
    #[must_use]
    pub fn new(press: Press) -> SharedPress {
        SharedPress(Arc::new(Mutex::new(Running {
            press,
            time: Attended::default(),
        })))
    }

    /// True when somebody has read it: its time runs.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.lock().time.has_begun()
    }

    /// What it did up to now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().now().tally()
    }

    /// True while a stroke runs.
    #[must_use]
    pub fn in_stroke(&self) -> bool {
        self.lock().now().in_stroke()
    }

    /// The part that lies in the press for the next stroke.
    #[must_use]
    pub fn next_part(&self) -> Option<u64> {
        self.lock().now().next_part()
    }

    /// The number of the fault that it stands for, from 1, once somebody has found the cause.
    #[must_use]
    pub fn cause_found(&self) -> Option<u64> {
        self.lock().now().cause_found()
    }

    /// Lets the stroke that runs come to its end, and begins no other.
    pub fn finish(&self) {
        self.lock().now().finish();
    }

    fn read(&self, request: &Request<'_>) -> Result<Response, ExceptionCode> {
        let mut running = self.lock();
        running.time.look();
        answer(running.now(), request)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // A press is whole after each of its steps: a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn now(&mut self) -> &mut Press {
        self.press.advance(self.time.now());
        &mut self.press
    }
}

/// Registers for a read; exception 1 for any other function, 2 for addresses that do not exist, 3 for a bad quantity.
fn answer(press: &Press, request: &Request<'_>) -> Result<Response, ExceptionCode> {
    match *request {
        Request::ReadHoldingRegisters(first, quantity) => {
            registers(first, quantity, |address| press.holding(address))
                .map(Response::ReadHoldingRegisters)
        }
        Request::ReadInputRegisters(first, quantity) => {
            registers(first, quantity, |address| press.input(address))
                .map(Response::ReadInputRegisters)
        }
        _ => Err(ExceptionCode::IllegalFunction),
    }
}

fn registers(
    first: u16,
    quantity: u16,
    read: impl Fn(u16) -> Option<u16>,
) -> Result<Vec<u16>, ExceptionCode> {
    if quantity == 0 || quantity > MAX_REGISTERS {
        return Err(ExceptionCode::IllegalDataValue);
    }
    (0..quantity)
        .map(|step| first.checked_add(step).and_then(&read))
        .collect::<Option<Vec<u16>>>()
        .ok_or(ExceptionCode::IllegalDataAddress)
}

/// One connection to the press.
struct Connection {
    press: SharedPress,
    /// Given back when the connection ends.
    _place: OwnedSemaphorePermit,
}

impl Service for Connection {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        std::future::ready(self.press.read(&request))
    }
}

/// A press that listens.
#[derive(Debug)]
pub struct PressServer {
    listener: TcpListener,
    address: SocketAddr,
    press: SharedPress,
}

impl PressServer {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When the system has no port to give.
    pub async fn bind(press: SharedPress) -> io::Result<PressServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(PressServer {
            address: listener.local_addr()?,
            listener,
            press,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped; connections end with it.
    ///
    /// # Errors
    /// When listening fails.
    pub async fn run(self) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connect = |stream: TcpStream, _| {
            let place = Arc::clone(&places).try_acquire_owned().ok();
            let press = self.press.clone();
            async move {
                stream.set_nodelay(true)?;
                let service = place.map(|place| Connection {
                    press,
                    _place: place,
                });
                Ok(service.map(|service| (service, stream)))
            }
        };
        Server::new(self.listener)
            .serve(&connect, |error| {
                tracing::debug!(%error, "a connection to the press ended");
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Sends one request for unit 1 and returns the answer behind the header.
    async fn ask(stream: &mut TcpStream, pdu: &[u8]) -> Vec<u8> {
        let length = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
        let mut frame = vec![0, 9, 0, 0, length[0], length[1], 1];
        frame.extend_from_slice(pdu);
        stream.write_all(&frame).await.unwrap();
        let mut header = [0; 7];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(&header[..4], &[0, 9, 0, 0], "transaction and protocol");
        let mut answer = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    }

    async fn serving(press: Press) -> (SharedPress, SocketAddr, tokio::task::JoinHandle<()>) {
        let shared = SharedPress::new(press);
        let server = PressServer::bind(shared.clone()).await.unwrap();
        let address = server.address();
        let task = tokio::spawn(async move { drop(server.run().await) });
        (shared, address, task)
    }

    #[tokio::test]
    async fn the_press_is_read_and_never_written() {
        let (_, address, task) = serving(Press::new(1)).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let status = ask(&mut stream, &[3, 0, 100, 0, 2]).await;
        assert_eq!(status, [3, 4, 0, 0x20, 0, 0]);
        let pressure = ask(&mut stream, &[4, 0, 200, 0, 2]).await;
        assert_eq!(
            pressure,
            [4, 4, 0, 0, 0x40, 0x80],
            "4.0 bar, low word first"
        );

        let refused: [(&[u8], u8); 6] = [
            (&[6, 0, 100, 0, 1], 1),
            (&[5, 0, 0, 0xFF, 0], 1),
            (&[16, 0, 100, 0, 1, 2, 0, 1], 1),
            (&[1, 0, 0, 0, 1], 1),
            (&[3, 0x01, 0x3F, 0, 2], 2),
            (&[3, 0, 0, 0, 126], 3),
        ];
        for (request, exception) in refused {
            let answer = ask(&mut stream, request).await;
            assert_eq!(answer, [request[0] | 0x80, exception], "{request:?}");
        }
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_press_waits_for_its_first_reader() {
        let press = SharedPress::new(Press::new(3));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(press.tally(), Tally::default());
        assert!(!press.is_read());
        let read = press.read(&Request::ReadHoldingRegisters(100, 1));
        assert_eq!(read, Ok(Response::ReadHoldingRegisters(vec![0x20])));
        assert!(press.is_read());
        let watched_for = async |seconds: u32| {
            for _ in 0..seconds * 10 {
                tokio::time::advance(Duration::from_millis(100)).await;
                assert!(press.read(&Request::ReadHoldingRegisters(100, 1)).is_ok());
            }
        };
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(press.tally().begun, 0, "nobody looked");
        watched_for(2).await;
        assert_eq!(press.tally().begun, 1);
        assert!(press.in_stroke());
        press.finish();
        watched_for(60).await;
        assert_eq!(press.tally().begun, 1);
        assert!(!press.in_stroke());
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_harms_no_other() {
        let (_, address, task) = serving(Press::new(1)).await;
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            ask(&mut stream, &[3, 0, 100, 0, 1]).await;
            held.push(stream);
        }
        let mut extra = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        assert_eq!(extra.read(&mut byte).await.unwrap_or(0), 0);
        ask(&mut held[0], &[3, 0, 100, 0, 1]).await;
        task.abort();
    }
}
