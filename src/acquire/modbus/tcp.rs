//! One Modbus TCP connection: asks one request at a time through the library, and says exactly what went wrong.
//!
//! Called by `wire`. The library compares unit and function; `guard` has checked the header and thrown away the answer to a
//! request that was given up; the number of registers or bits is compared here, because the library's typed read functions
//! compare it by `debug_assert` only (a panic in debug builds, a wrong answer in release), which is why `call` is used and
//! not those. After an error that is neither an exception nor a time-out the connection must not be used again.

use super::answer::Answer;
use super::guard::Guard;
use super::plan::Request;
use super::wire::{NoAnswer, silent, what, wrong};
use crate::acquire::driver::link_error;
use crate::model::LinkError;
use crate::settings::Table;
use std::fmt::Debug;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::{Slave, SlaveContext};
use tokio_modbus::{Error, ProtocolError, Request as Ask, Response};

/// An open connection.
pub(super) struct TcpWire {
    context: Context,
}

impl TcpWire {
    /// Speaks Modbus over a stream that is open.
    pub(super) fn over<S>(stream: S) -> TcpWire
    where
        S: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static,
    {
        let context = tcp::attach(Guard::new(stream));
        TcpWire { context }
    }

    /// Asks one request of one unit; the answer has exactly as many registers or bits as were asked for.
    pub(super) async fn ask(
        &mut self,
        unit: u8,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        self.context.set_slave(Slave(unit));
        #[expect(
            clippy::disallowed_methods,
            reason = "`call` could send anything; `read_only` makes read requests only"
        )]
        let asked = self.context.call(read_only(request));
        match timeout(limit, asked).await {
            Err(_) => Err(NoAnswer::Silent(silent(&what(unit, request), limit))),
            Ok(Err(error)) => Err(NoAnswer::Broken(broken(&what(unit, request), &error))),
            Ok(Ok(Err(exception))) => Err(NoAnswer::Exception(exception.into())),
            Ok(Ok(Ok(response))) => complete(request, response).ok_or_else(|| {
                let how = "another number of values than was asked for";
                NoAnswer::Broken(wrong(&what(unit, request), how))
            }),
        }
    }
}

/// The request on the wire: one of the four read functions, never another.
fn read_only(request: &Request) -> Ask<'static> {
    match request.table {
        Table::Coils => Ask::ReadCoils(request.start, request.count),
        Table::DiscreteInputs => Ask::ReadDiscreteInputs(request.start, request.count),
        Table::HoldingRegisters => Ask::ReadHoldingRegisters(request.start, request.count),
        Table::InputRegisters => Ask::ReadInputRegisters(request.start, request.count),
    }
}

/// The values, if they are as many as were asked for. Bits come in whole bytes.
fn complete(request: &Request, response: Response) -> Option<Answer> {
    let count = usize::from(request.count);
    match response {
        Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => {
            (words.len() == count).then_some(Answer::Words(words))
        }
        Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits) => {
            let whole_bytes = bits.len() == count.next_multiple_of(8);
            bits.truncate(count);
            whole_bytes.then_some(Answer::Bits(bits))
        }
        _ => None,
    }
}

fn broken(what: &str, error: &Error) -> LinkError {
    match error {
        Error::Protocol(ProtocolError::HeaderMismatch { message, .. }) => wrong(
            what,
            &format!("the answer belongs to another request: {message}"),
        ),
        Error::Protocol(ProtocolError::FunctionCodeMismatch { .. }) => {
            wrong(what, "the answer is of another function")
        }
        Error::Transport(error) => match error.kind() {
            // The codec ran out of bytes inside a whole frame; a closed connection is another kind (see `guard`).
            io::ErrorKind::UnexpectedEof => wrong(what, "the answer is too short"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                wrong(what, &error.to_string())
            }
            _ => link_error("closed", format!("{what}: {error}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    const LIMIT: Duration = Duration::from_millis(500);

    fn request(table: Table, count: u16) -> Request {
        Request {
            table,
            start: 100,
            count,
            fields: Vec::new(),
        }
    }

    /// What comes of an answer made of these bytes, in virtual time; the other side stays open and silent after them.
    fn answered(request: &Request, bytes: &[u8]) -> Result<Answer, NoAnswer> {
        answered_within(LIMIT, request, bytes)
    }

    fn answered_within(
        limit: Duration,
        request: &Request,
        bytes: &[u8],
    ) -> Result<Answer, NoAnswer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(8_192);
            theirs.write_all(bytes).await.unwrap();
            let mut wire = TcpWire::over(ours);
            wire.ask(1, request, limit).await
        })
    }

    fn code(request: &Request, bytes: &[u8]) -> &'static str {
        match answered(request, bytes) {
            Ok(_) => "answer",
            Err(NoAnswer::Exception(_)) => "exception",
            Err(NoAnswer::Silent(error) | NoAnswer::Broken(error)) => error.code,
        }
    }

    /// A right answer to the first request of a connection: transaction 0, unit 1.
    fn frame(function: u8, values: &[u8]) -> Vec<u8> {
        let bytes = u8::try_from(values.len()).unwrap();
        let mut frame = vec![0, 0, 0, 0, 0, bytes + 3, 1, function, bytes];
        frame.extend(values);
        frame
    }

    #[test]
    fn an_answer_has_exactly_what_was_asked_for() {
        let words = request(Table::HoldingRegisters, 2);
        let read = answered(&words, &frame(3, &[0, 7, 1, 0])).unwrap();
        assert_eq!(read, Answer::Words(vec![7, 256]));
        assert_eq!(code(&words, &frame(3, &[0, 7])), "protocol");
        assert_eq!(code(&words, &frame(3, &[0; 6])), "protocol");
        assert_eq!(code(&words, &frame(4, &[0; 4])), "protocol");
        let bits = request(Table::Coils, 9);
        let read = answered(&bits, &frame(1, &[0b101, 0b11])).unwrap();
        let expected = [true, false, true, false, false, false, false, false, true];
        assert_eq!(read, Answer::Bits(expected.to_vec()));
        assert_eq!(code(&bits, &frame(1, &[0b101])), "protocol");
        assert_eq!(code(&bits, &frame(1, &[0; 3])), "protocol");
    }

    #[test]
    fn an_exception_keeps_its_code_and_silence_is_a_time_out() {
        let words = request(Table::InputRegisters, 2);
        let said = answered(&words, &[0, 0, 0, 0, 0, 3, 1, 0x84, 0x99]);
        assert!(matches!(said, Err(NoAnswer::Exception(0x99))), "{said:?}");
        assert_eq!(code(&words, &[]), "timeout");
        assert_eq!(code(&words, &frame(4, &[0, 7, 1, 0])[..12]), "timeout");
    }

    #[test]
    fn a_frame_that_has_begun_is_not_waited_for_longer_than_a_second() {
        let words = request(Table::InputRegisters, 2);
        let long = Duration::from_secs(20);
        let begun = answered_within(long, &words, &frame(4, &[0, 7, 1, 0])[..12]);
        assert!(
            matches!(&begun, Err(NoAnswer::Broken(error)) if error.detail.contains("not whole 1 s")),
            "{begun:?}"
        );
        let silent = answered_within(long, &words, &[]);
        assert!(matches!(silent, Err(NoAnswer::Silent(_))), "{silent:?}");
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let tables = [
            (Table::Coils, 2_000),
            (Table::DiscreteInputs, 2_000),
            (Table::HoldingRegisters, 125),
            (Table::InputRegisters, 125),
        ];
        (prop::sample::select(tables.to_vec()), any::<u16>())
            .prop_map(|((table, most), count)| request(table, count % most + 1))
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(request in any_request(), bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300)) {
            code(&request, &bytes);
        }

        #[test]
        fn a_damaged_answer_is_never_taken_for_one_of_another_size(
            count in 1u16..=125,
            place in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let request = request(Table::HoldingRegisters, count);
            let mut bytes = frame(3, &vec![0xA5; usize::from(count) * 2]);
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(answer) = answered(&request, &bytes) {
                prop_assert!(matches!(answer, Answer::Words(words) if words.len() == usize::from(count)));
            }
        }
    }
}
