//! `millgate buffer export`: the stored events as they were rendered, one line each, in their order.

use super::super::{Exit, Failure, terminal};
use super::bar::Bar;
use super::interrupt::Interrupt;
use super::newest::Newest;
use super::site::{Site, Which, failure};
use super::survey::before;
use super::words;
use crate::buffer::Record;
use crate::buffer::inspect::{Name, Seen, ShutHead, ShutStore, Trouble};
use crate::model::Position;
use anyhow::{Context, anyhow};
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Records between two looks at the signals and the terminal.
const STEP: u64 = 512;
/// Losses that are told one by one.
const MAX_TOLD: u64 = 20;

/// Write the events that are stored, as JSON Lines of the original CloudEvents.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,
    /// The first one: a number such as 1.42 or a `sequence`, or a time (UTC) such as 2026-11-23T06:00:00Z.
    #[arg(long, value_name = "NUMBER|TIME", value_parser = bound)]
    from: Option<Bound>,
    /// The last one, in the same way; it is written, too.
    #[arg(long, value_name = "NUMBER|TIME", value_parser = bound)]
    to: Option<Bound>,
    /// Only what waits for this uplink.
    #[arg(long, value_name = "NAME")]
    uplink: Option<String>,
    /// Also what can be read of generations that were damaged and set aside.
    #[arg(long)]
    damaged: bool,
    /// Write to this file, which must not be there yet; else to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// One end of a range; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Bound {
    Number(Position),
    TimeNs(i64),
}

/// Reads a number or a time.
pub(in crate::commands) fn bound(text: &str) -> Result<Bound, String> {
    if let Some(position) = words::position(text) {
        return Ok(Bound::Number(position));
    }
    // A date with a time of day is read as a date, too, and what the clock says would be passed over.
    let is_date = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-');
    let day = is_date.then(|| text.parse::<jiff::civil::Date>().ok());
    let day = day
        .flatten()
        .and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let time = match day {
        Some(day) => Some(day.timestamp()),
        None => text.parse::<Timestamp>().ok(),
    };
    let ns = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    ns.map(Bound::TimeNs).ok_or_else(|| {
        "neither a number such as 1.42 nor a time such as 2026-11-23T06:00:00Z".into()
    })
}

/// What was written and what not.
#[derive(Debug, Default)]
struct Sum {
    written: u64,
    first: Option<Position>,
    last: Option<Position>,
    skipped: u64,
    told: u64,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.which.site()?;
        let store = site.store()?;
        let head = self.head(&site, &store)?;
        let mut out = open(self.out.as_deref())?;
        let (names, _) = store.names().map_err(failure)?;
        let names: Vec<Name> = names
            .into_iter()
            .filter(|name| self.damaged || !name.damaged)
            .collect();
        let mut work = Work {
            export: &self,
            head,
            interrupt: Interrupt::listen()?,
            bar: Bar::new(&store, &names),
            sum: Sum::default(),
        };
        let mut ended = Ok(());
        for (at, name) in names.iter().enumerate() {
            let follower = names
                .iter()
                .skip(at + 1)
                .find(|next| next.first > name.first);
            let end = follower
                .filter(|next| next.first.epoch == name.first.epoch)
                .map(|next| before(next.first));
            if self.may_have(*name, end) {
                ended = work.generation(&site, &store, *name, end, out.as_mut());
            }
            if ended.is_err() {
                break;
            }
            work.bar.next();
        }
        if ended.is_ok() {
            ended = work.missing(&site, &store);
        }
        work.bar.shown.clear();
        let flushed = out.flush();
        let sum = work.sum;
        match ended {
            // Whoever reads has enough.
            Err(Ended::Reader) => return Ok(()),
            Err(Ended::Failed(failure)) => {
                self.tell(&sum)?;
                return Err(failure);
            }
            Ok(()) => flushed.map_err(|error| unwritable(self.out.as_deref(), error))?,
        }
        self.tell(&sum)?;
        if sum.skipped > 0 {
            return Err(Failure::told(Exit::Data));
        }
        Ok(())
    }

    /// Who had settled what, where that matters.
    fn head(&self, site: &Site, store: &ShutStore) -> Result<Option<ShutHead>, Failure> {
        let Some(uplink) = &self.uplink else {
            return Ok(None);
        };
        let (names, _) = store.names().map_err(failure)?;
        for name in names.iter().rev().filter(|name| !name.damaged) {
            let Some(Ok(reading)) = site.open(store, *name)? else {
                continue;
            };
            let Ok(head) = store.head(*name, &reading.opened) else {
                continue;
            };
            if head.waits_for(uplink, Position::default()).is_some() {
                return Ok(Some(head));
            }
            let known: Vec<&str> = head.uplinks().collect();
            let error = anyhow!(
                "the store knows no uplink `{uplink}`; it knows {}",
                match known.as_slice() {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                }
            );
            return Err(Failure::new(Exit::Usage, error));
        }
        let error = anyhow!(
            "what waits for `{uplink}` cannot be said: no head of the store can be read; leave `--uplink` out"
        );
        Err(Failure::new(Exit::Data, error))
    }

    fn may_have(&self, name: Name, end: Option<Position>) -> bool {
        let too_late = matches!(self.to, Some(Bound::Number(to)) if name.first > to);
        let too_early =
            matches!((self.from, end), (Some(Bound::Number(from)), Some(end)) if end < from);
        !too_late && !too_early
    }

    /// Whether an event is asked for; of one that cannot be read only the number is known.
    fn wants(&self, at: Position, time_ns: Option<i64>) -> bool {
        let from = match self.from {
            Some(Bound::Number(from)) => at >= from,
            Some(Bound::TimeNs(from)) => time_ns.is_none_or(|time| time >= from),
            None => true,
        };
        let to = match self.to {
            Some(Bound::Number(to)) => at <= to,
            Some(Bound::TimeNs(to)) => time_ns.is_none_or(|time| time <= to),
            None => true,
        };
        from && to
    }

    fn tell(&self, sum: &Sum) -> Result<(), Failure> {
        let mut text = words::events(sum.written);
        text += " written";
        if let (Some(first), Some(last)) = (sum.first, sum.last) {
            text += &format!(", {}", words::range(first, last));
        }
        if let Some(out) = &self.out {
            text += &format!(" to {}", out.display());
        }
        if sum.skipped > 0 {
            text += &format!("; {} could not be read", words::number(sum.skipped));
        }
        terminal::print_error(&format!("{text}\n"))
    }
}

/// Why an export ended early.
enum Ended {
    /// Nobody reads on.
    Reader,
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}

struct Work<'a> {
    export: &'a Export,
    head: Option<ShutHead>,
    interrupt: Interrupt,
    bar: Bar,
    sum: Sum,
}

impl Work<'_> {
    fn generation(
        &mut self,
        site: &Site,
        store: &ShutStore,
        name: Name,
        end: Option<Position>,
        out: &mut dyn Write,
    ) -> Result<(), Ended> {
        if self.interrupt.came() {
            return Err(Interrupt::failure().into());
        }
        self.bar.show(self.sum.written);
        let reading = match site.open(store, name)? {
            // Delivered and removed meanwhile.
            None => return Ok(()),
            Some(Ok(reading)) => reading,
            Some(Err(trouble)) => return self.skip_all(name, end, &trouble),
        };
        let end = match (end, store.head(name, &reading.opened)) {
            (None, Ok(head)) => Some(before(head.next())),
            (end, _) => end,
        };
        let start = match self.export.from {
            Some(Bound::Number(from)) if from > name.first => before(from),
            _ => before(name.first),
        };
        let mut ended = Ok(true);
        let mut each = |seen| {
            ended = self.seen(seen, out);
            match ended {
                Ok(true) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        };
        let walked = reading.opened.walk(start, end, &mut each);
        ended?;
        if let Err(trouble) = walked {
            return self.skip_all(name, end, &trouble);
        }
        Ok(())
    }

    /// What no generation has any more; a gateway that runs has counted it at its start.
    fn missing(&mut self, site: &Site, store: &ShutStore) -> Result<(), Ended> {
        if site.running()?.is_some() {
            return Ok(());
        }
        let newest = Newest::find(site, store)?;
        if newest.foreign {
            return Ok(());
        }
        let outlook = store.outlook(&newest.scene(false)).map_err(failure)?;
        let is_there = |first| newest.names.iter().any(|name| name.first == first);
        let losses = outlook.losses.iter().map(|(loss, _)| loss);
        // What is broken was read as far as it goes.
        for loss in losses.filter(|loss| !is_there(loss.from)) {
            self.skip(loss.from, loss.to, &loss.reason)?;
        }
        Ok(())
    }

    /// False when nothing that follows is asked for.
    fn seen(&mut self, seen: Seen, out: &mut dyn Write) -> Result<bool, Ended> {
        match seen {
            Seen::Record(record) => {
                if matches!(self.export.to, Some(Bound::Number(to)) if record.position > to) {
                    return Ok(false);
                }
                self.record(&record, out)?;
            }
            Seen::Lost { from, to, reason } => self.skip(from, to, &reason)?,
            Seen::OtherRelease(at, version) => {
                self.skip(at, at, &Trouble::OtherRelease(version).to_string())?;
            }
        }
        Ok(true)
    }

    fn record(&mut self, record: &Record, out: &mut dyn Write) -> Result<(), Ended> {
        let at = record.position;
        let waits = match (&self.head, &self.export.uplink) {
            (Some(head), Some(uplink)) => head.waits_for(uplink, at) == Some(true),
            _ => true,
        };
        if waits && self.export.wants(at, Some(record.envelope.time_ns)) {
            let written = out
                .write_all(&record.payload)
                .and_then(|()| out.write_all(b"\n"));
            match written {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(Ended::Reader),
                result => result.map_err(|error| unwritable(self.export.out.as_deref(), error))?,
            }
            self.sum.written += 1;
            self.sum.first.get_or_insert(at);
            self.sum.last = Some(at);
        }
        if at.seq.is_multiple_of(STEP) {
            self.bar.show(self.sum.written);
            if self.interrupt.came() {
                return Err(Interrupt::failure().into());
            }
        }
        Ok(())
    }

    fn skip_all(
        &mut self,
        name: Name,
        end: Option<Position>,
        trouble: &Trouble,
    ) -> Result<(), Ended> {
        let end = end.filter(|end| *end >= name.first).unwrap_or(name.first);
        self.skip(name.first, end, &format!("{name}: {trouble}"))
    }

    /// Says what is left out because it cannot be read.
    fn skip(&mut self, mut from: Position, mut to: Position, reason: &str) -> Result<(), Ended> {
        if let Some(Bound::Number(bound)) = self.export.from {
            from = from.max(bound);
        }
        if let Some(Bound::Number(bound)) = self.export.to {
            to = to.min(bound);
        }
        if from > to || from.epoch != to.epoch {
            return Ok(());
        }
        let waits = match (&self.head, &self.export.uplink) {
            (Some(head), Some(uplink)) => head
                .unsettled(from, to)
                .iter()
                .find(|(name, _)| name == uplink)
                .map_or(0, |(_, count)| *count),
            _ => to.seq + 1 - from.seq,
        };
        if waits == 0 {
            return Ok(());
        }
        self.sum.skipped += waits;
        self.sum.told += 1;
        self.bar.shown.clear();
        if self.sum.told <= MAX_TOLD {
            let range = words::range(from, to);
            terminal::print_error(&format!("left out: {range}: {reason}\n"))?;
        } else if self.sum.told == MAX_TOLD + 1 {
            terminal::print_error(
                "more is left out; `millgate buffer verify` has the whole list\n",
            )?;
        }
        Ok(())
    }
}

/// Where it is written to. A file is for its owner alone, and never one that is there.
pub(in crate::commands) fn open(out: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = out else {
        return Ok(Box::new(BufWriter::new(io::stdout().lock())));
    };
    let opened = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match opened {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::new(
            Exit::Usage,
            anyhow!("{} is there already: choose another name", path.display()),
        )),
        Err(error) => Err(unwritable(out, error)),
    }
}

/// Nothing can be written there.
pub(in crate::commands) fn unwritable(out: Option<&Path>, error: io::Error) -> Failure {
    let what = out.map_or("the output".into(), |out| out.display().to_string());
    let context = format!("{what} cannot be written");
    let told: Result<(), _> = Err(error).context(context);
    Failure {
        exit: Exit::Io,
        error: told.err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_range_are_numbers_or_times() {
        let number = Bound::Number(Position { epoch: 1, seq: 42 });
        let day = 86_400_000_000_000;
        for (text, found) in [
            ("1.42", number),
            ("0000000001.00000000000000000042", number),
            ("1970-01-02T00:00:00Z", Bound::TimeNs(day)),
            ("1970-01-02T01:00:00+01:00", Bound::TimeNs(day)),
            (
                "1970-01-02T00:00:01.5+00:00",
                Bound::TimeNs(day + 1_500_000_000),
            ),
            ("1970-01-02", Bound::TimeNs(day)),
        ] {
            assert_eq!(bound(text), Ok(found), "{text}");
        }
        for wrong in [
            "",
            "yesterday",
            "42",
            "1970-01-02T00:00:00",
            "9999999-01-01",
        ] {
            assert!(bound(wrong).is_err(), "{wrong}");
        }
    }
}
