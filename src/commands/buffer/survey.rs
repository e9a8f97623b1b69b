//! Reads a whole store, generation by generation, each from a copy: what `verify` tells and `repair` works from.

use super::super::Failure;
use super::super::terminal::Progress;
use super::interrupt::Interrupt;
use super::site::{Reading, Site, failure};
use super::words;
use crate::buffer::disk::{Disk, Files};
use crate::buffer::inspect::{Name, Seen, ShutHead, ShutStore, Trouble};
use crate::model::Position;
use std::ops::ControlFlow;

/// Losses that are told one by one, of each generation; the rest is counted.
const MAX_LOSSES: usize = 20;
/// Records between two looks at the clock, the signals and the terminal.
const STEP: u64 = 512;

/// What was found in a store.
pub(super) struct Survey {
    /// By position.
    pub(super) parts: Vec<Part>,
    /// The newest head state that is whole: who had settled what.
    pub(super) head: Option<ShutHead>,
    /// Directories that a crash left, and the next start removes.
    pub(super) half_made: Vec<String>,
    /// What is wrong with the side file.
    pub(super) side: Option<&'static str>,
    /// Events of which the side file knows and the store does not.
    pub(super) tail: Option<Loss>,
}

/// One generation.
pub(super) struct Part {
    pub(super) name: Name,
    /// Nothing was written after it.
    pub(super) is_newest: bool,
    /// Its `conf` is torn; renewed by the next open.
    pub(super) conf_is_damaged: bool,
    /// Whole records.
    pub(super) records: u64,
    /// What cannot be read, the first ones.
    pub(super) losses: Vec<Loss>,
    /// Records that cannot be read, all of them.
    pub(super) lost: u64,
    pub(super) state: State,
}

/// Records that are gone, of one epoch.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) reason: String,
}

impl Loss {
    pub(super) fn count(&self) -> u64 {
        (self.to.seq + 1).saturating_sub(self.from.seq)
    }
}

/// How a generation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every record can be read.
    Whole,
    /// Some records cannot; a gateway passes over them.
    Partly,
    /// A gateway sets it aside as soon as it comes to it.
    Broken(String),
    /// It was set aside earlier.
    SetAside,
    /// Another release or program wrote it: not to be touched.
    Foreign(String),
    /// Delivered and removed while it was its turn.
    Gone,
}

impl Survey {
    /// Reads everything.
    ///
    /// # Errors
    /// When the store cannot be looked at, or Ctrl-C came.
    pub(super) fn take(site: &Site, store: &ShutStore) -> Result<Survey, Failure> {
        let mut interrupt = Interrupt::listen()?;
        // Before the head is copied, which then knows at least as much.
        let furthest = store.furthest().map_err(failure)?;
        let side = store.side().map_err(failure)?.err();
        let (names, half_made) = store.names().map_err(failure)?;
        let mut bar = Bar::new(store, &names);
        let mut survey = Survey {
            parts: Vec::new(),
            head: None,
            half_made,
            side: side.filter(|_| !names.is_empty()),
            tail: None,
        };
        for (at, name) in names.iter().enumerate() {
            let rest = names.get(at + 1..).unwrap_or_default();
            let follower = rest.iter().find(|next| next.first > name.first);
            let is_newest = !rest.iter().any(|next| !next.damaged);
            let end = follower
                .filter(|next| next.first.epoch == name.first.epoch)
                .map(|next| before(next.first));
            let mut work = Work {
                part: Part::new(*name, is_newest && !name.damaged),
                end,
                furthest,
                interrupt: &mut interrupt,
                bar: &mut bar,
            };
            work.look(site, store, &mut survey.head)?;
            survey.parts.push(work.part);
            bar.next();
        }
        bar.shown.clear();
        survey.tail = survey.lost_tail(furthest);
        Ok(survey)
    }

    fn lost_tail(&self, furthest: Option<Position>) -> Option<Loss> {
        let head = self.head.as_ref()?;
        let newest = self.parts.iter().rev().find(|part| part.is_newest)?;
        let to = furthest.filter(|to| *to >= head.next() && to.epoch == head.next().epoch)?;
        // Where the newest does not open, that is what is missing.
        matches!(newest.state, State::Whole | State::Partly).then(|| Loss {
            from: head.next(),
            to,
            reason: "events were stored after the newest one that is here".into(),
        })
    }

    /// Nothing is wrong.
    pub(super) fn is_good(&self) -> bool {
        let part = |part: &Part| {
            let good = matches!(part.state, State::Whole | State::SetAside | State::Gone);
            good && !part.conf_is_damaged
        };
        self.side.is_none() && self.tail.is_none() && self.parts.iter().all(part)
    }

    /// Generations that this release must leave alone.
    pub(super) fn foreign(&self) -> Option<(&Part, &str)> {
        self.parts.iter().find_map(|part| match &part.state {
            State::Foreign(why) => Some((part, why.as_str())),
            _ => None,
        })
    }

    /// Who has not got how many of these; nothing where nobody knows.
    pub(super) fn unsettled(&self, loss: &Loss) -> Vec<(String, u64)> {
        let head = self.head.as_ref();
        head.map_or_else(Vec::new, |head| head.unsettled(loss.from, loss.to))
    }
}

impl Part {
    fn new(name: Name, is_newest: bool) -> Part {
        Part {
            name,
            is_newest,
            conf_is_damaged: false,
            records: 0,
            losses: Vec::new(),
            lost: 0,
            state: State::Whole,
        }
    }

    fn lose(&mut self, loss: Loss) {
        self.lost += loss.count();
        if let Some(last) = self.losses.last_mut()
            && last.reason == loss.reason
            && last.to.epoch == loss.from.epoch
            && last.to.seq.checked_add(1) == Some(loss.from.seq)
        {
            last.to = loss.to;
        } else if self.losses.len() < MAX_LOSSES {
            self.losses.push(loss);
        }
    }

    /// Everything in it is lost to a gateway.
    fn broken(&mut self, reason: String, end: Option<Position>) {
        let first = self.name.first;
        self.losses.clear();
        self.lost = 0;
        self.lose(Loss {
            from: first,
            to: end.filter(|end| *end >= first).unwrap_or(first),
            reason: reason.clone(),
        });
        self.state = State::Broken(reason);
    }
}

/// One generation being read.
struct Work<'a> {
    part: Part,
    /// Its last position, by the generation after it.
    end: Option<Position>,
    furthest: Option<Position>,
    interrupt: &'a mut Interrupt,
    bar: &'a mut Bar,
}

impl Work<'_> {
    fn look(
        &mut self,
        site: &Site,
        store: &ShutStore,
        head: &mut Option<ShutHead>,
    ) -> Result<(), Failure> {
        let name = self.part.name;
        if name.damaged {
            self.part.state = State::SetAside;
            return Ok(());
        }
        if self.interrupt.came() {
            self.bar.shown.clear();
            return Err(Interrupt::failure());
        }
        self.bar.show(0);
        self.part.conf_is_damaged = store.conf_is_damaged(name).unwrap_or(false);
        match site.open(store, name)? {
            None => self.part.state = State::Gone,
            Some(Err(trouble)) => self.trouble(trouble),
            Some(Ok(reading)) => self.read(store, &reading, head)?,
        }
        Ok(())
    }

    fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Foreign(_) | Trouble::OtherRelease(_) => {
                self.part.state = State::Foreign(trouble.to_string());
            }
            Trouble::Damaged(reason) | Trouble::Io(reason) => self.part.broken(reason, self.last()),
        }
    }

    /// How far it went, as far as others know.
    fn last(&self) -> Option<Position> {
        let first = self.part.name.first;
        let known = self
            .furthest
            .filter(|it| it.epoch == first.epoch && self.part.is_newest);
        self.end.or(known)
    }

    fn read(
        &mut self,
        store: &ShutStore,
        reading: &Reading,
        head: &mut Option<ShutHead>,
    ) -> Result<(), Failure> {
        let name = self.part.name;
        let own = store.head(name, &reading.opened);
        let end = match (&own, self.end) {
            (Ok(own), None) => Some(before(own.next())),
            (_, end) => end,
        };
        let pages_lost = self.walk(reading, end)?;
        if matches!(self.part.state, State::Foreign(_)) {
            return Ok(());
        }
        match own {
            Ok(own) => *head = Some(own),
            // Only the newest one's is in use.
            Err(trouble) if self.part.is_newest => {
                self.trouble(trouble);
                return Ok(());
            }
            Err(trouble @ (Trouble::OtherRelease(_) | Trouble::Foreign(_))) => {
                self.trouble(trouble);
                return Ok(());
            }
            Err(_) => {}
        }
        let reason = self.part.losses.first().map(|loss| loss.reason.clone());
        if pages_lost || self.part.records == 0 && self.part.lost > 0 {
            self.part.broken(reason.unwrap_or_default(), end);
        } else if self.part.lost > 0 {
            self.part.state = State::Partly;
        }
        Ok(())
    }

    /// Whether whole pages are lost.
    fn walk(&mut self, reading: &Reading, end: Option<Position>) -> Result<bool, Failure> {
        let start = before(self.part.name.first);
        let mut interrupted = false;
        let (part, interrupt, bar) = (&mut self.part, &mut *self.interrupt, &mut *self.bar);
        let mut each = |seen| {
            match seen {
                Seen::Record(_) => part.records += 1,
                Seen::Lost { from, to, reason } => part.lose(Loss { from, to, reason }),
                Seen::OtherRelease(at, version) => {
                    let trouble = Trouble::OtherRelease(version);
                    part.state = State::Foreign(format!("record {}: {trouble}", words::place(at)));
                    return ControlFlow::Break(());
                }
            }
            if part.records % STEP == 0 {
                bar.show(part.records);
                interrupted = interrupt.came();
            }
            match interrupted {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let walked = reading.opened.walk(start, end, &mut each);
        if interrupted {
            self.bar.shown.clear();
            return Err(Interrupt::failure());
        }
        match walked {
            Ok(walked) => Ok(walked.pages_lost),
            Err(trouble) => {
                self.trouble(trouble);
                Ok(false)
            }
        }
    }
}

/// The position before this one.
pub(in crate::commands) fn before(at: Position) -> Position {
    Position {
        seq: at.seq.saturating_sub(1),
        ..at
    }
}

/// How far it has come, by the bytes of the generations.
pub(in crate::commands) struct Bar {
    pub(in crate::commands) shown: Progress,
    sizes: Vec<u64>,
    at: usize,
}

impl Bar {
    pub(in crate::commands) fn new(store: &ShutStore, names: &[Name]) -> Bar {
        let size = |name: &Name| {
            Files
                .used(&store.root().join(name.to_string()))
                .unwrap_or(0)
        };
        Bar {
            shown: Progress::new(),
            sizes: names.iter().map(size).collect(),
            at: 0,
        }
    }

    /// So many records of the present generation are read.
    pub(in crate::commands) fn show(&mut self, records: u64) {
        let all: u64 = self.sizes.iter().sum();
        let done: u64 = self.sizes.iter().take(self.at).sum();
        let thousandths =
            |part: u64| u32::try_from(part.saturating_mul(1_000) / all.max(1)).unwrap_or(1_000);
        let words = format!(
            "generation {} of {}: {}",
            self.at + 1,
            self.sizes.len(),
            words::events(records)
        );
        self.shown.show_bar(thousandths(done), 1_000, &words);
    }

    /// The present generation is done.
    pub(in crate::commands) fn next(&mut self) {
        self.at += 1;
    }
}
