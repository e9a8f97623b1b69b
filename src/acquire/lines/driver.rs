//! The driver for lines and telegrams: one device on its own wire, which speaks when it wants to or answers a request.
//!
//! Called by `link`. Each line is an instant of its own. Who speaks unasked says at first that the connection is there, and
//! nothing more until a line comes. Who is asked gets one request at a time; what came before it is no answer to it.

use super::fields::{Fields, Part, Refusal};
use super::framing::{Framer, HALF_LINE};
use super::wire::{self, READ_BYTES, Wire};
use crate::acquire::driver::{Driver, Failure, Heard, Reading, Said, later, link_error};
use crate::acquire::quiet::Quiet;
use crate::acquire::schedule::Grid;
use crate::clock::Clock;
use crate::health::DeviceHealth;
use crate::model::{BadReason, DeviceId, LinkError, Stamp};
use crate::settings::{Device, Lines, LinesPoll, LinesWire, Tag};
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// Reads after which the link is let look around, well within the runtime's own patience.
const READS_IN_A_ROW: u32 = 16;
/// An answer is whole so long after its first byte, beside the time that it takes on a serial line.
const WHOLE_ANSWER: Duration = Duration::from_secs(1);
/// A connection that holds so long is one: converters accept a second one, and close it at once.
const SETTLED: Duration = Duration::from_secs(1);
/// Most characters of a refused line in the log.
const SHOWN_CHARACTERS: usize = 60;

/// A device that sends lines.
pub(in crate::acquire) struct LinesDevice {
    id: DeviceId,
    name: String,
    place: LinesWire,
    wire: Option<Wire>,
    framer: Framer,
    fields: Fields,
    way: Way,
    clock: Clock,
    /// Of its last line: the next one is later, even on a clock that stands.
    last: Stamp,
    health: Arc<DeviceHealth>,
    quiet: Quiet,
    /// Reads so far.
    reads: u32,
}

/// What makes it speak.
enum Way {
    /// Itself.
    Unasked {
        /// When it is to be said that the connection is there.
        news: Option<Instant>,
    },
    /// A request.
    Asked(Asking),
}

/// How it is asked.
struct Asking {
    settings: LinesPoll,
    grid: Grid,
    whole_within: Duration,
    /// The request as a line: an adapter that hears itself hands it over before the answer.
    echo: Option<Vec<u8>>,
    rests_until: Option<Instant>,
}

impl LinesDevice {
    /// A device that is not connected yet.
    pub(in crate::acquire) fn new<'a>(
        device: &Device,
        settings: &Lines,
        tags: impl IntoIterator<Item = &'a Tag>,
        clock: Clock,
        health: Arc<DeviceHealth>,
    ) -> LinesDevice {
        let longest_line = wire::duration(&settings.wire, settings.max_length);
        let now = Instant::now();
        let way = match &settings.poll {
            None => Way::Unasked { news: None },
            Some(poll) => Way::Asked(Asking {
                settings: poll.clone(),
                grid: Grid::new(now, poll.every),
                whole_within: WHOLE_ANSWER + longest_line,
                echo: as_line(settings, &poll.request),
                rests_until: None,
            }),
        };
        LinesDevice {
            id: device.id,
            name: device.name.clone(),
            place: settings.wire.clone(),
            wire: None,
            framer: Framer::new(
                settings.framing.clone(),
                settings.max_length,
                HALF_LINE + longest_line,
            ),
            fields: Fields::new(settings, tags),
            way,
            clock,
            last: Stamp::default(),
            health,
            quiet: Quiet::new(now),
            reads: 0,
        }
    }

    /// Starts on a wire that is open.
    fn begin(&mut self, wire: Wire) {
        let now = Instant::now();
        self.wire = Some(wire);
        self.framer.forget();
        match &mut self.way {
            Way::Unasked { news } => {
                let settles = matches!(self.place, LinesWire::Tcp { .. });
                *news = Some(if settles { now + SETTLED } else { now });
            }
            Way::Asked(asking) => asking.grid.resume(now),
        }
    }

    /// Waits for the next line, or until there is to say that the connection is there.
    async fn listen(&mut self) -> Result<Heard, LinkError> {
        loop {
            while let Some(line) = self.framer.take() {
                match self.fields.read(&line) {
                    Ok(parts) => {
                        self.look(&line, &parts);
                        return Ok(self.heard(parts));
                    }
                    Err(refusal) => self.refuse(&line, refusal),
                }
            }
            let news = match &self.way {
                Way::Unasked { news } => *news,
                Way::Asked(_) => None,
            };
            if news.is_some_and(|at| at <= Instant::now()) {
                return Ok(self.heard(Vec::new()));
            }
            self.receive(news).await?;
        }
    }

    /// Asks once, when it is time, and waits for the answer.
    async fn ask(&mut self) -> Result<Heard, LinkError> {
        let Some((poll, whole_within, echo)) = self.turn().await else {
            return std::future::pending().await;
        };
        self.forget_what_came().await?;
        let wire = self.wire.as_mut().ok_or_else(not_connected)?;
        wire.send(&poll.request, poll.timeout).await?;
        let longest = Instant::now() + poll.timeout;
        let mut line = self.answer(longest, whole_within).await?;
        if line.is_some() && line == echo {
            // The request itself, or an answer that looks like it: so it is when nothing else comes.
            line = self.answer(longest, whole_within).await?.or(line);
        }
        Ok(match line {
            Some(line) => self.answered(&line),
            None => self.missed(&poll),
        })
    }

    /// The next whole line, if one comes in time.
    async fn answer(
        &mut self,
        longest: Instant,
        whole_within: Duration,
    ) -> Result<Option<Vec<u8>>, LinkError> {
        loop {
            if let Some(line) = self.framer.take() {
                return Ok(Some(line));
            }
            let whole = self.framer.begun().map(|begun| begun + whole_within);
            let limit = whole.map_or(longest, |whole| whole.min(longest));
            if Instant::now() >= limit {
                return Ok(None);
            }
            self.receive(Some(limit)).await?;
        }
    }

    /// Waits until it may be asked again.
    async fn turn(&mut self) -> Option<(LinesPoll, Duration, Option<Vec<u8>>)> {
        let Way::Asked(asking) = &mut self.way else {
            return None;
        };
        let due = asking.grid.due();
        sleep_until(asking.rests_until.map_or(due, |until| until.max(due))).await;
        if asking.rests_until.take().is_some() {
            asking.grid.resume(Instant::now());
        }
        let poll = asking.settings.clone();
        Some((poll, asking.whole_within, asking.echo.clone()))
    }

    /// What came before the request is no answer to it.
    async fn forget_what_came(&mut self) -> Result<(), LinkError> {
        let wire = self.wire.as_mut().ok_or_else(not_connected)?;
        let on_the_way = wire.drain().await?;
        if self.framer.forget() > 0 || on_the_way > 0 {
            self.health.stale_answers.add(1);
        }
        Ok(())
    }

    /// Reads once, at most until then or until a pause ends a telegram.
    async fn receive(&mut self, until: Option<Instant>) -> Result<(), LinkError> {
        let wire = self.wire.as_mut().ok_or_else(not_connected)?;
        let pause = self.framer.deadline();
        let wake = [until, pause].into_iter().flatten().min();
        let mut bytes = [0; READ_BYTES];
        select! {
            biased;
            read = wire.read(&mut bytes) => {
                let count = read?;
                self.framer.feed(bytes.get(..count).unwrap_or_default(), Instant::now());
            }
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                self.framer.tick(Instant::now());
            }
        }
        self.reads = self.reads.wrapping_add(1);
        if self.reads.is_multiple_of(READS_IN_A_ROW) {
            // A peer that never stops talking must not keep the link from hearing the wish to stop.
            tokio::task::yield_now().await;
        }
        self.drop_lines();
        Ok(())
    }

    /// Counts and tells what was too long to be a line.
    fn drop_lines(&mut self) {
        let dropped = self.framer.dropped();
        if dropped == 0 {
            return;
        }
        self.health.dropped_lines.add(dropped);
        if let Some(swallowed) = self.quiet.may_speak(Instant::now()) {
            warn!(device = %self.name, dropped, swallowed, "thrown away: longer than `max_length`, or half a line; check `end` and `baud`");
        }
    }

    /// The answer came. One that is none of those that should come leaves the tags without a value.
    fn answered(&mut self, line: &[u8]) -> Heard {
        self.end_cycle();
        self.health.answers.add(1);
        match self.fields.read(line) {
            Ok(parts) => {
                self.look(line, &parts);
                self.heard(parts)
            }
            Err(refusal) => {
                self.refuse(line, refusal);
                self.heard(self.fields.all_bad(BadReason::Malformed))
            }
        }
    }

    /// No whole answer in time. It is left alone at least until a late one must have come.
    fn missed(&mut self, poll: &LinesPoll) -> Heard {
        self.end_cycle();
        self.health.failures.add(1);
        if let Way::Asked(asking) = &mut self.way {
            asking.rests_until = Some(Instant::now() + poll.timeout);
        }
        let limit_ms = poll.timeout.as_millis();
        let error = link_error(
            "timeout",
            format!(
                "{}: no whole answer to `poll` within {limit_ms} ms; check the request, the wiring and `timeout`",
                wire::name(&self.place)
            ),
        );
        let heard = self.heard(Vec::new());
        Heard {
            content: Said::Silent(error),
            ..heard
        }
    }

    fn end_cycle(&mut self) {
        if let Way::Asked(asking) = &mut self.way {
            self.health.overruns.add(asking.grid.done(Instant::now()));
        }
    }

    /// A line is complete now, and the connection is there.
    fn heard(&mut self, parts: Vec<Part>) -> Heard {
        if let Way::Unasked { news } = &mut self.way {
            *news = None;
        }
        self.last = later(self.clock.now(), self.last);
        let stamp = self.last;
        let reading = |(tag, raw): Part| Reading {
            tag,
            stamp,
            source: None,
            raw,
            uncertain: false,
        };
        Heard {
            device: self.id,
            stamp,
            content: Said::Readings(parts.into_iter().map(reading).collect()),
        }
    }

    /// Says what cannot be read in a line: the sample says only that it cannot.
    fn look(&mut self, line: &[u8], parts: &[Part]) {
        let is_bad = |(_, value): &Part| value == &Err(BadReason::Malformed);
        if parts.iter().any(is_bad) {
            let why = self.fields.flaw(line).map_or_else(
                || "a value in it is none of its type".to_owned(),
                |flaw| format!("no GS1 element string: {flaw}"),
            );
            self.complain(line, &format!("line not understood: {why}"));
        }
    }

    fn refuse(&mut self, line: &[u8], refusal: Refusal) {
        self.health.refused_lines.add(1);
        self.complain(line, &format!("line refused: {}", refusal.words()));
    }

    /// To the log, with the line, unless much was said lately.
    fn complain(&mut self, line: &[u8], what: &str) {
        if let Some(swallowed) = self.quiet.may_speak(Instant::now()) {
            let swallowed = (swallowed > 0).then_some(swallowed);
            let line = shown(line);
            warn!(device = %self.name, %line, swallowed, "{what}");
        }
    }
}

impl Driver for LinesDevice {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.wire = None;
        let wire = Wire::open(&self.place).await?;
        self.begin(wire);
        Ok(())
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        let heard = match self.way {
            Way::Unasked { .. } => self.listen().await,
            Way::Asked(_) => self.ask().await,
        };
        heard.map_err(|error| {
            self.wire = None;
            Failure {
                device: None,
                error,
            }
        })
    }

    fn rest(&mut self, device: DeviceId, until: Instant) {
        if let Way::Asked(asking) = &mut self.way
            && device == self.id
        {
            let until = asking.rests_until.map_or(until, |rest| rest.max(until));
            asking.rests_until = Some(until);
        }
    }
}

fn not_connected() -> LinkError {
    link_error("closed", "not connected")
}

/// A request as the line that it would be, if it is one.
fn as_line(settings: &Lines, request: &[u8]) -> Option<Vec<u8>> {
    let now = Instant::now();
    let mut framer = Framer::new(settings.framing.clone(), settings.max_length, HALF_LINE);
    framer.feed(request, now);
    framer.tick(now + HALF_LINE);
    framer.take()
}

/// A line for the log: escaped, and cut.
fn shown(line: &[u8]) -> String {
    let text = line.escape_ascii().to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((cut, _)) => format!("{}...", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
