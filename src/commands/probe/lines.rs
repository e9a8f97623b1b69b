//! `millgate probe serial://...` and `tcp://...`: shows what a scanner or gauge sends, as it comes.

use super::heard::{self, Cutter};
use crate::acquire::lines::wire::{READ_BYTES, Wire};
use crate::clock::Clock;
use crate::commands::{Exit, Failure, terminal};
use crate::model::LinkError;
use crate::settings::LinesWire;
use anyhow::anyhow;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// A pause that ends what has no line end: longer than the gap between two bytes at 300 bit/s.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait until a request has gone out.
const SEND_WITHIN: Duration = Duration::from_secs(2);
/// Where nothing has come for so long, the person is told what to check.
const REMIND_AFTER: Duration = Duration::from_secs(10);

/// What is listened to.
pub(super) struct Listen {
    /// The address as it was typed.
    pub(super) url: String,
    pub(super) wire: LinesWire,
    /// Sent to make the device answer.
    pub(super) request: Option<Vec<u8>>,
    /// How often that is sent.
    pub(super) every: Duration,
    pub(super) json: bool,
}

/// Shows what comes until `end`.
///
/// # Errors
/// 69 when nothing came, or the wire broke.
pub(super) async fn listen(listen: Listen, end: impl Future<Output = ()>) -> Result<(), Failure> {
    let mut end = std::pin::pin!(end);
    let opened = tokio::select! {
        opened = Wire::open(&listen.wire) => opened,
        () = &mut end => return Ok(()),
    };
    let mut wire = opened.map_err(unavailable)?;
    if !listen.json {
        terminal::print_error(&format!("listening to {}; Ctrl-C ends it\n", listen.url))?;
    }
    let mut heard = Heard {
        cutter: Cutter::default(),
        lines: 0,
        json: listen.json,
    };
    let mut bytes = [0; READ_BYTES];
    let began = Instant::now();
    let mut next_request = listen.request.as_ref().map(|_| began);
    let mut remind_at = Some(began + REMIND_AFTER);
    loop {
        let far = Instant::now() + REMIND_AFTER;
        let limit = if heard.cutter.waits() {
            PAUSE
        } else {
            REMIND_AFTER
        };
        tokio::select! {
            () = &mut end => break,
            read = timeout(limit, wire.read(&mut bytes)) => match read {
                Ok(read) => heard.take(bytes.get(..read.map_err(unavailable)?).unwrap_or_default())?,
                Err(_) => heard.pause()?,
            },
            () = sleep_until(next_request.unwrap_or(far)), if next_request.is_some() => {
                if let Some(request) = &listen.request {
                    wire.send(request, SEND_WITHIN).await.map_err(unavailable)?;
                }
                next_request = Some(Instant::now() + listen.every);
            }
            () = sleep_until(remind_at.unwrap_or(far)), if remind_at.is_some() => {
                remind_at = None;
                if heard.lines == 0 {
                    terminal::print_error("nothing has come yet; does the device send, is the baud rate right, does it want --send?\n")?;
                }
            }
        }
    }
    heard.pause()?;
    if heard.lines == 0 {
        return Err(Failure::new(
            Exit::Unavailable,
            anyhow!("{} sent nothing", listen.url),
        ));
    }
    Ok(())
}

/// What has come so far.
struct Heard {
    cutter: Cutter,
    lines: u64,
    json: bool,
}

impl Heard {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.cutter
            .feed(bytes)
            .iter()
            .try_for_each(|line| self.show(line))
    }

    /// The device pauses: what came last is all there is.
    fn pause(&mut self) -> Result<(), Failure> {
        match self.cutter.rest() {
            Some(line) => self.show(&line),
            None => Ok(()),
        }
    }

    fn show(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.lines += 1;
        let now = i128::from(Clock::system().now().utc.0);
        let now = jiff::Timestamp::from_nanosecond(now).unwrap_or_default();
        if self.json {
            return terminal::print(&format!("{}\n", heard::report(&now.to_string(), line)));
        }
        terminal::print(&format!(
            "{}  {}\n",
            now.strftime("%H:%M:%S%.3f"),
            heard::told(line)
        ))
    }
}

fn unavailable(error: LinkError) -> Failure {
    Failure::new(Exit::Unavailable, error)
}
