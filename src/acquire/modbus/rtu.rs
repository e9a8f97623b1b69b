//! RTU over a stream: a serial port, or a TCP connection to a converter that passes the frames as they are.
//!
//! Called by `wire`. Between two frames the line is silent for 3.5 characters; after a time-out or garbage it is emptied and
//! left alone for as long as the answer that may still be under way takes. So a late answer meets no request, and noise no
//! answer. That the frames hang together (1.5 characters, 2.5.1.1) cannot be seen from here: USB adapters and the kernel
//! hand on bytes in heaps; length and checksum tell it instead. The port is given up only when it is gone or never silent.

use super::answer::Answer;
use super::framing::{Ask, Known, MAX_FRAME_BYTES, REQUEST_BYTES, Verdict};
use super::plan::Request;
use super::wire::{NoAnswer, silent, what, wrong};
use crate::acquire::driver::link_error;
use crate::model::LinkError;
use crate::settings::SerialPort;
use crate::settings::shape::Parity;
use futures_util::FutureExt;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{debug, info};

/// Longest time from the first byte of an answer to its last, beyond what the bytes take on the wire.
const MAX_FRAME: Duration = Duration::from_secs(1);
/// How long a line may go on talking after it was left alone.
const MAX_BABBLE: Duration = Duration::from_secs(2);
/// How long USB adapters and converters keep bytes back before they hand them on.
const ADAPTER_LATENCY: Duration = Duration::from_millis(20);
/// Above this speed the silence between frames no longer shrinks (2.5.1.1).
const FAST_BAUD: u32 = 19_200;
/// The silence between frames at such speeds.
const FAST_SILENCE: Duration = Duration::from_micros(1_750);
/// What the line behind a converter is taken for: nobody tells its speed.
const SUPPOSED_BAUD: u32 = 9_600;
/// Bits of a character where nobody tells.
const USUAL_BITS: u32 = 11;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 256;

/// How long things take on a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Of one character.
    character: Duration,
    /// Between two frames; nothing behind a converter, which keeps it itself.
    silence: Duration,
    /// Whether the speed is known, and with it how long request and answer take.
    known: bool,
}

impl Line {
    /// A serial port.
    #[must_use]
    pub(super) fn of(port: &SerialPort) -> Line {
        let parity = u32::from(port.parity != Parity::None);
        let bits = 1 + u32::from(port.data_bits) + parity + u32::from(port.stop_bits);
        let character = Duration::from_secs(bits.into()) / port.baud.max(1);
        let silence = if port.baud > FAST_BAUD {
            FAST_SILENCE
        } else {
            character * 7 / 2
        };
        Line {
            character,
            silence,
            known: true,
        }
    }

    /// A line whose speed only the converter knows.
    #[must_use]
    pub(super) fn behind_converter() -> Line {
        Line {
            character: Duration::from_secs(USUAL_BITS.into()) / SUPPOSED_BAUD,
            silence: Duration::ZERO,
            known: false,
        }
    }

    /// How long so many bytes take.
    fn time_of(self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.character.saturating_mul(bytes)
    }

    /// How long request and answer take, where that is known.
    fn exchange(self, ask: Ask) -> Duration {
        if self.known {
            self.time_of(REQUEST_BYTES + ask.answer_bytes()) + self.silence
        } else {
            Duration::ZERO
        }
    }
}

/// What carries the bytes.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open RTU wire.
pub(super) struct RtuWire {
    stream: Box<dyn Stream>,
    line: Line,
    known: Known,
    /// When the last byte came, or was waited for in vain.
    heard: Instant,
    /// After a failure: so long the line must be silent before the next request.
    unsettled: Option<Duration>,
    /// What came since the last request.
    bytes: Vec<u8>,
}

impl RtuWire {
    /// Speaks RTU over a stream that is open.
    pub(super) fn over<S>(stream: S, line: Line) -> RtuWire
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        RtuWire {
            stream: Box::new(stream),
            line,
            known: Known::default(),
            heard: Instant::now(),
            unsettled: None,
            bytes: Vec::with_capacity(2 * MAX_FRAME_BYTES + PIECE_BYTES),
        }
    }

    /// Asks one request of one unit.
    pub(super) async fn ask(
        &mut self,
        unit: u8,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let ask = Ask::new(unit, request);
        self.settle(unit, request).await?;
        let sent = timeout(limit, self.stream.write_all(&ask.frame())).await;
        match sent {
            Ok(written) => written.map_err(|error| gone(&what(unit, request), &error))?,
            Err(_) => return Err(NoAnswer::Broken(unsent(&what(unit, request)))),
        }
        let deadline = Instant::now() + self.line.exchange(ask) + limit;
        match self.hear(ask, deadline).await {
            Ok(Verdict::Answer(answer)) => {
                self.known.abandoned = None;
                Ok(answer)
            }
            Ok(Verdict::Exception(code)) => {
                self.known.abandoned = None;
                Err(NoAnswer::Exception(code))
            }
            Ok(Verdict::Garbage(why)) => {
                self.abandon(ask);
                Err(NoAnswer::Silent(wrong(&what(unit, request), why)))
            }
            Ok(Verdict::Wait) => {
                self.abandon(ask);
                Err(NoAnswer::Silent(silent(&what(unit, request), limit)))
            }
            Err(error) => Err(gone(&what(unit, request), &error)),
        }
    }

    /// Reads until the bytes are something, or the time is over (`Wait`).
    async fn hear(&mut self, ask: Ask, limit: Instant) -> io::Result<Verdict> {
        self.bytes.clear();
        let mut deadline = limit;
        loop {
            let Ok(read) = timeout_at(deadline, self.read()).await else {
                return Ok(Verdict::Wait);
            };
            read?;
            let judged = ask.judge(&self.bytes, self.known);
            if judged.verdict != Verdict::Wait {
                return Ok(judged.verdict);
            }
            if judged.echoed && !self.known.echoes {
                self.known.echoes = true;
                info!("the adapter hears what it sends: the echo of each request is skipped");
            }
            if judged.echoed && self.bytes.len() == REQUEST_BYTES {
                deadline = limit;
            } else {
                let frame = MAX_FRAME + self.line.time_of(ask.answer_bytes());
                deadline = deadline.min(self.heard + frame);
            }
        }
    }

    /// Reads what is there, or waits for it.
    async fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; PIECE_BYTES];
        let count = self.stream.read(&mut piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes
            .extend_from_slice(piece.get(..count).unwrap_or_default());
        self.heard = Instant::now();
        Ok(())
    }

    /// The answer to this request may still come.
    fn abandon(&mut self, ask: Ask) {
        self.known.abandoned = Some(ask);
        self.heard = Instant::now();
        let answer = self.line.time_of(ask.answer_bytes());
        self.unsettled = Some(answer + self.line.silence + ADAPTER_LATENCY);
    }

    /// Waits until the line has been silent as long as it must before a request. What comes meanwhile is nobody's.
    async fn settle(&mut self, unit: u8, request: &Request) -> Result<(), NoAnswer> {
        let fail = |error: io::Error| gone(&what(unit, request), &error);
        let mut stray = 0;
        self.bytes.clear();
        while let Some(read) = self.read().now_or_never() {
            read.map_err(fail)?;
            stray += self.bytes.len();
            self.bytes.clear();
            if stray > 2 * MAX_FRAME_BYTES {
                break;
            }
        }
        if stray > 0 {
            debug!(stray, "bytes that nobody asked for");
            let pause = self.line.silence + ADAPTER_LATENCY;
            self.unsettled = Some(self.unsettled.unwrap_or_default().max(pause));
        }
        let Some(quiet) = self.unsettled else {
            let silent = self.heard + self.line.silence;
            if silent > Instant::now() {
                sleep_until(silent).await;
            }
            return Ok(());
        };
        self.fall_silent(quiet, unit, request).await
    }

    /// Empties the line until nothing has come for `quiet`.
    async fn fall_silent(
        &mut self,
        quiet: Duration,
        unit: u8,
        request: &Request,
    ) -> Result<(), NoAnswer> {
        let since = Instant::now();
        let mut silent_at = self.heard + quiet;
        loop {
            match timeout_at(silent_at, self.read()).await {
                Err(_) => break,
                Ok(read) => read.map_err(|error| gone(&what(unit, request), &error))?,
            }
            self.bytes.clear();
            if since.elapsed() > MAX_BABBLE + quiet {
                return Err(NoAnswer::Broken(babble(&what(unit, request))));
            }
            silent_at = self.heard + quiet;
        }
        self.unsettled = None;
        Ok(())
    }
}

/// The port or the connection is gone.
fn gone(what: &str, error: &io::Error) -> NoAnswer {
    let detail = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the other side is gone; was the adapter pulled or the connection closed?".to_owned()
        }
        _ => error.to_string(),
    };
    NoAnswer::Broken(link_error("closed", format!("{what}: {detail}")))
}

fn unsent(what: &str) -> LinkError {
    link_error(
        "closed",
        format!("{what}: the request could not be sent in time; check the adapter"),
    )
}

fn babble(what: &str) -> LinkError {
    wrong(
        what,
        "the line never falls silent; check the wiring, baud and parity, and whether a second master is on it",
    )
}

#[cfg(test)]
mod tests;
