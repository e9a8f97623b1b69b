//! Reads a whole store, generation by generation, each from a copy: what `verify` tells and `repair` works from.
//!
//! What the next start would make of it comes from the rules of the start itself (`buffer::inspect::Outlook`); what cannot be
//! read in the older generations is found here, as the gateway finds it when it comes to it.

use super::super::Failure;
use super::bar::Bar;
use super::interrupt::Interrupt;
use super::newest::Newest;
use super::site::{Gateway, Reading, Site, deaf, failure};
use super::words;
use crate::buffer::inspect::{
    BEHIND, Misses, Name, Outlook, ParkedHarm, Seen, ShutStore, Trouble, Walked,
};
use crate::model::{EpochReason, Position};
use std::ops::ControlFlow;

/// Losses that are told one by one, of each generation; the rest is counted.
const MAX_LOSSES: usize = 20;
/// Records between two looks at the clock, the signals and the terminal.
const STEP: u64 = 512;

/// What was found in a store.
pub(super) struct Survey {
    /// By position.
    pub(super) parts: Vec<Part>,
    /// Directories that a crash left, and the next start tidies up.
    pub(super) half_made: Vec<String>,
    /// What is wrong with the side file.
    pub(super) side: Option<&'static str>,
    /// Why the next start would begin a new epoch, if it would.
    pub(super) new_epoch: Option<EpochReason>,
    /// Events that no generation has, though they were stored.
    pub(super) missing: Vec<Loss>,
    /// Uplinks whose parked events are not all there.
    pub(super) parked: Vec<ParkedHarm>,
    /// How many events each uplink misses by all of it.
    pub(super) missed: Misses,
    /// A whole head says who had settled what.
    pub(super) has_head: bool,
}

/// One generation.
pub(super) struct Part {
    pub(super) name: Name,
    /// A start would write to it, or sets it aside before it does.
    pub(super) is_newest: bool,
    /// Its last position, as far as anybody knows.
    end: Option<Position>,
    /// The last one that it ever had, as it says itself.
    own_end: Option<Position>,
    /// Its `conf` is torn; renewed by the next open.
    pub(super) conf_is_damaged: bool,
    /// Whole records.
    pub(super) records: u64,
    /// What cannot be read, the first ones.
    pub(super) losses: Vec<Loss>,
    /// Records that cannot be read, all of them.
    pub(super) lost: u64,
    pub(super) state: State,
    /// Some of those beyond `losses` are missed.
    misses_more: bool,
    /// Those beyond `losses`, until they are counted: at most every second record of a generation.
    untold: Vec<(Position, Position)>,
}

/// Records that are gone, of one epoch.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) reason: String,
    /// Who had not settled how many of them.
    pub(super) misses: Misses,
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
        let runs = match site.gateway(store)? {
            Gateway::Runs(_) => true,
            Gateway::Away(_) => false,
            Gateway::Deaf => return Err(deaf(&site.path)),
        };
        let newest = Newest::find(site, store)?;
        let mut outlook = store.outlook(&newest.scene(runs)).map_err(failure)?;
        let mut parts = Vec::new();
        let mut waiting = vec![0; outlook.uplinks()];
        let mut bar = Bar::new(store, &newest.names);
        for name in &newest.names {
            let mut work = Work {
                part: Part::new(*name, &newest, &outlook),
                newest: &newest,
                outlook: &mut outlook,
                waiting: &mut waiting,
                interrupt: &mut interrupt,
                bar: &mut bar,
            };
            work.look(site, store)?;
            parts.push(work.part);
            bar.next();
        }
        bar.shown.clear();
        Ok(Survey::of(parts, newest, outlook, &waiting))
    }

    fn of(mut parts: Vec<Part>, newest: Newest, mut outlook: Outlook, waiting: &[u64]) -> Survey {
        if newest.head.is_some() {
            outlook.count_evicted(waiting);
        }
        // Those that open first: of the others all was there, unless a part behind it is gone, too.
        let is_broken = |part: &&mut Part| matches!(part.state, State::Broken(_));
        let (broken, opened): (Vec<_>, Vec<_>) = parts.iter_mut().partition(is_broken);
        let losses = opened.into_iter().chain(broken);
        let losses = losses.filter_map(Part::last_loss);
        let mut read: Vec<&mut Misses> = losses.map(|loss| &mut loss.misses).collect();
        outlook.take_back_evicted(waiting, &mut read);
        // What is left to count is in rewritten ones; the first one has it all.
        for part in parts.iter_mut().filter(|part| part.is_uncounted()) {
            let misses = outlook.lose_rewritten(waiting);
            for loss in &mut part.losses {
                loss.misses.clone_from(&misses);
            }
        }
        let generations = newest.names.len();
        let side = newest.beside.trouble(generations, newest.head.as_ref());
        let (mut survey, losses) = (
            Survey {
                parts,
                half_made: newest.half_made,
                side,
                new_epoch: outlook.new_epoch.filter(|_| !newest.foreign),
                missing: Vec::new(),
                missed: outlook.missed(),
                has_head: newest.head.is_some(),
                parked: outlook.parked,
            },
            outlook.losses,
        );
        for (loss, misses) in losses.into_iter().filter(|_| !newest.foreign) {
            let loss = Loss {
                from: loss.from,
                to: loss.to,
                reason: loss.reason,
                misses,
            };
            let mut parts = survey.parts.iter_mut();
            match parts.find(|part| part.is_set_aside_for(&loss)) {
                Some(part) => part.lose(loss),
                None => survey.missing.push(loss),
            }
        }
        survey
    }

    /// Nothing is wrong.
    pub(super) fn is_good(&self) -> bool {
        let part = |part: &Part| {
            let settled = part.state == State::Partly && !part.misses_events();
            let good = matches!(part.state, State::Whole | State::SetAside | State::Gone);
            (good || settled) && !part.conf_is_damaged
        };
        let beside = self.side.is_none() && self.parked.is_empty();
        let store = self.new_epoch.is_none() && self.missing.is_empty();
        beside && store && self.parts.iter().all(part)
    }

    /// Generations that this release must leave alone.
    pub(super) fn foreign(&self) -> Option<(&Part, &str)> {
        self.parts.iter().find_map(|part| match &part.state {
            State::Foreign(why) => Some((part, why.as_str())),
            _ => None,
        })
    }
}

/// Where a generation ends, as a start knows it.
fn end_of(name: Name, newest: &Newest, outlook: &Outlook) -> Option<Position> {
    match &newest.head {
        // Below a new epoch it is one of the older ones.
        Some(head) if head.name == name && outlook.new_epoch.is_none() => Some(before(head.next())),
        _ => outlook.end_of(name.first),
    }
}

impl Part {
    fn new(name: Name, newest: &Newest, outlook: &Outlook) -> Part {
        let head = newest.head.as_ref().map(|head| head.name.first);
        Part {
            name,
            is_newest: !name.damaged && head.is_none_or(|head| name.first >= head),
            end: end_of(name, newest, outlook),
            own_end: None,
            conf_is_damaged: false,
            records: 0,
            losses: Vec::new(),
            lost: 0,
            state: State::Whole,
            misses_more: false,
            untold: Vec::new(),
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
        } else {
            self.untold.push((loss.from, loss.to));
        }
    }

    /// Of what it lacks, what it had is told apart from what came behind its own end.
    fn end_by(&mut self, own_end: Option<Position>) {
        self.own_end = own_end;
        let end = self.end;
        let last = self.losses.last_mut();
        if let (Some(own), Some(last)) = (own_end, last.filter(|loss| Some(loss.to) == end))
            && (last.from <= own && own < last.to)
        {
            let seq = own.seq + 1;
            let behind = Loss {
                from: Position { seq, ..own },
                reason: BEHIND.into(),
                ..last.clone()
            };
            last.to = own;
            self.losses.push(behind);
        }
    }

    /// A start sets it aside with this loss.
    fn is_set_aside_for(&self, loss: &Loss) -> bool {
        self.is_newest && matches!(self.state, State::Broken(_)) && self.name.first == loss.from
    }

    /// What it lacks between its own end and the next one: what came behind it is gone with its directory, and may have been
    /// rewritten. Of one that does not open nobody knows its own end.
    fn last_loss(&mut self) -> Option<&mut Loss> {
        let (end, own_end) = (self.end, self.own_end);
        let is_behind = |loss: &Loss| own_end.is_none_or(|own| own < loss.from);
        let last = self.losses.last_mut();
        last.filter(|loss| Some(loss.to) == end && is_behind(loss))
    }

    /// Some of its records cannot be read, and somebody has not settled them, or nobody knows who has.
    pub(super) fn misses_events(&self) -> bool {
        let misses = |loss: &Loss| {
            let mut misses = loss.misses.iter();
            loss.misses.is_empty() || misses.any(|(_, count)| *count > 0)
        };
        self.state == State::Partly && (self.misses_more || self.losses.iter().any(misses))
    }

    /// It was rewritten, and cannot be read.
    fn is_uncounted(&self) -> bool {
        self.name.lean && !self.is_newest && matches!(self.state, State::Broken(_))
    }
}

/// One generation being read.
struct Work<'a> {
    part: Part,
    newest: &'a Newest,
    outlook: &'a mut Outlook,
    /// What each uplink waits for in what was read.
    waiting: &'a mut Vec<u64>,
    interrupt: &'a mut Interrupt,
    bar: &'a mut Bar,
}

impl Work<'_> {
    fn look(&mut self, site: &Site, store: &ShutStore) -> Result<(), Failure> {
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
            Some(Ok(reading)) => self.read(store, &reading)?,
        }
        if let Some(why) = self.newest.why_broken(name)
            && !matches!(self.part.state, State::Foreign(_) | State::Gone)
        {
            // What it costs, the start says.
            self.broken(why.to_owned());
        }
        self.count();
        Ok(())
    }

    fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Foreign(_) | Trouble::OtherRelease(_) => {
                self.part.state = State::Foreign(trouble.to_string());
            }
            Trouble::Damaged(reason) | Trouble::Io(reason) => self.broken(reason),
        }
    }

    /// Everything in it is lost to a gateway.
    fn broken(&mut self, reason: String) {
        let part = &mut self.part;
        part.losses.clear();
        part.untold.clear();
        part.lost = 0;
        part.state = State::Broken(reason.clone());
        if !part.is_newest {
            let first = part.name.first;
            part.lose(Loss {
                from: first,
                to: part.end.filter(|end| *end >= first).unwrap_or(first),
                reason,
                misses: Misses::new(),
            });
        }
    }

    /// Counts what is lost, for whom.
    fn count(&mut self) {
        if self.part.is_uncounted() {
            return;
        }
        for loss in &mut self.part.losses {
            if loss.misses.is_empty() {
                loss.misses = self.outlook.lose(loss.from, loss.to);
            }
        }
        for (from, to) in std::mem::take(&mut self.part.untold) {
            let misses = self.outlook.lose(from, to);
            self.part.misses_more |= misses.iter().any(|(_, count)| *count > 0);
        }
    }

    fn read(&mut self, store: &ShutStore, reading: &Reading) -> Result<(), Failure> {
        let walked = self.walk(reading)?;
        if matches!(self.part.state, State::Foreign(_)) {
            return Ok(());
        }
        if let Err(trouble @ (Trouble::OtherRelease(_) | Trouble::Foreign(_))) =
            store.head(self.part.name, &reading.opened)
        {
            self.trouble(trouble);
            return Ok(());
        }
        let Some(walked) = walked else { return Ok(()) };
        let reason = self.part.losses.first().map(|loss| loss.reason.clone());
        if walked.pages_lost {
            self.broken(reason.unwrap_or_default());
            return Ok(());
        }
        match reading.opened.emptied(self.part.name, self.part.end) {
            Ok(Some(reason)) if !self.part.is_newest => {
                self.broken(reason.to_owned());
                return Ok(());
            }
            Err(trouble) => {
                self.trouble(trouble);
                return Ok(());
            }
            Ok(_) => {}
        }
        self.part.end_by(reading.opened.own_end());
        let part = &mut self.part;
        // Told already as what is missing behind the newest state.
        let is_told = |loss: &&mut Loss| self.outlook.tells(loss.from, loss.to);
        if let Some(loss) = part.last_loss().filter(is_told) {
            let count = loss.count();
            part.lost -= count;
            part.losses.pop();
        }
        if self.part.lost > 0 {
            self.part.state = State::Partly;
        }
        self.count();
        let last = self.part.end.unwrap_or(walked.end);
        self.outlook.note_evicted(self.part.name, &reading.opened);
        let there = self.outlook.waiting(&reading.opened, last);
        for (sum, there) in self.waiting.iter_mut().zip(there) {
            *sum += there;
        }
        Ok(())
    }

    /// Reads every record; nothing where that ended in trouble.
    fn walk(&mut self, reading: &Reading) -> Result<Option<Walked>, Failure> {
        let start = before(self.part.name.first);
        let mut interrupted = false;
        let end = self.part.end;
        let (part, interrupt, bar) = (&mut self.part, &mut *self.interrupt, &mut *self.bar);
        let mut each = |seen| {
            match seen {
                Seen::Record(_) => part.records += 1,
                Seen::Lost { from, to, reason } => part.lose(Loss {
                    from,
                    to,
                    reason,
                    misses: Misses::new(),
                }),
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
        Ok(walked.map_err(|trouble| self.trouble(trouble)).ok())
    }
}

/// The position before this one.
pub(in crate::commands) fn before(at: Position) -> Position {
    Position {
        seq: at.seq.saturating_sub(1),
        ..at
    }
}
