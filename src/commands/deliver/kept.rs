//! Which events can be sent again: what the store still holds, the uplink wants, and has delivered.

use super::super::Failure;
use super::super::buffer::bar::Bar;
use super::super::buffer::export::Bound;
use super::super::buffer::interrupt::Interrupt;
use super::super::buffer::site::{Site, failure};
use super::super::buffer::survey::before;
use crate::buffer::Record;
use crate::buffer::inspect::{Name, Seen, ShutHead, ShutStore};
use crate::model::Position;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Events that are read at a time: with 60 KiB each, 15 MiB.
const PART: usize = 256;

/// Whoever takes the events in parts, and shows on the bar how far it is.
type Each<'a, E> = dyn FnMut(Vec<Record>, &mut Bar) -> Result<(), E> + 'a;

/// What is asked for.
pub(super) struct Wish<'a> {
    /// The name of the uplink.
    pub(super) uplink: &'a str,
    pub(super) from: Bound,
    pub(super) to: Bound,
    /// Whether the uplink wants events of this name.
    pub(super) wants: &'a dyn Fn(&str) -> bool,
    /// Whether those go, too, of which it is not known any more that nobody discarded them.
    pub(super) unsure: bool,
}

/// What was found beside the events that can be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// In the range, and not delivered yet: they come by themselves.
    pub(super) waiting: u64,
    /// Parked, or discarded: they were never taken.
    pub(super) parked: u64,
    /// Perhaps discarded: so old that the list of discards does not reach back to them.
    pub(super) unsure: u64,
    /// Records that cannot be read.
    pub(super) unreadable: u64,
}

/// The store, and what is known of the uplink in it.
pub(super) struct Kept<'a> {
    site: &'a Site,
    store: &'a ShutStore,
    head: ShutHead,
    /// Never taken by the destination.
    never: BTreeSet<Position>,
    /// Events up to that time may have been discarded without standing in `never`; `None` where it has all.
    pub(super) list_from_ns: Option<i64>,
    names: Vec<Name>,
    pub(super) left: Left,
}

impl<'a> Kept<'a> {
    /// Looks at a store; `None` where it knows nothing of the uplink.
    pub(super) fn of(
        site: &'a Site,
        store: &'a ShutStore,
        uplink: &str,
    ) -> Result<Option<Kept<'a>>, Failure> {
        // First: what is parked later is settled later, too, and not in the head that is read now.
        let mut never: BTreeSet<Position> = store
            .parked_positions(uplink)
            .map_err(failure)?
            .into_iter()
            .collect();
        let (names, _) = store.names().map_err(failure)?;
        let names: Vec<Name> = names.into_iter().filter(|name| !name.damaged).collect();
        let mut head = None;
        for name in names.iter().rev() {
            let Some(Ok(reading)) = site.open(store, *name)? else {
                continue;
            };
            if let Ok(found) = store.head(*name, &reading.opened) {
                head = Some(found);
                break;
            }
        }
        let known = |head: &ShutHead| head.waits_for(uplink, Position::default()).is_some();
        let Some(head) = head.filter(known) else {
            return Ok(None);
        };
        // Again: what was parked in between.
        never.extend(store.parked_positions(uplink).map_err(failure)?);
        let listed = store.discarded_positions(uplink).map_err(failure)?;
        // The list rotates, and no older discard stands in it than its first line. All younger ones do.
        let list_from_ns = match head.discarded(uplink) <= listed.len() as u64 {
            true => None,
            false => Some(
                store
                    .discards_listed_since(uplink)
                    .map_err(failure)?
                    .map_or(i64::MAX, |since| since.0),
            ),
        };
        never.extend(listed);
        Ok(Some(Kept {
            site,
            store,
            head,
            never,
            list_from_ns,
            names,
            left: Left::default(),
        }))
    }

    /// Hands over the events in parts, in their order, until `each` fails.
    pub(super) fn each<E: From<Failure>>(
        &mut self,
        wish: &Wish<'_>,
        each: &mut Each<'_, E>,
    ) -> Result<(), E> {
        let mut bar = Bar::new(self.store, &self.names);
        let mut interrupt = Interrupt::listen()?;
        let names = self.names.clone();
        let mut ended = Ok(());
        for (at, name) in names.iter().enumerate() {
            let follower = names.get(at + 1..).unwrap_or_default();
            let follower = follower.iter().find(|next| next.first > name.first);
            let end = follower
                .filter(|next| next.first.epoch == name.first.epoch)
                .map(|next| before(next.first));
            if !wish.may_be_in(*name, end) {
                bar.next();
                continue;
            }
            if interrupt.came() {
                ended = Err(Interrupt::failure().into());
                break;
            }
            ended = self.generation(wish, *name, end, &mut bar, each);
            if ended.is_err() {
                break;
            }
            bar.next();
        }
        bar.shown.clear();
        ended
    }

    fn generation<E: From<Failure>>(
        &mut self,
        wish: &Wish<'_>,
        name: Name,
        end: Option<Position>,
        bar: &mut Bar,
        each: &mut Each<'_, E>,
    ) -> Result<(), E> {
        bar.show(0);
        let reading = match self.site.open(self.store, name)? {
            // Given up meanwhile.
            None => return Ok(()),
            Some(Ok(reading)) => reading,
            Some(Err(_)) => {
                self.left.unreadable += 1;
                return Ok(());
            }
        };
        let mut after = before(name.first);
        loop {
            let (mut part, mut next) = (Vec::new(), None);
            let mut look = |seen| match seen {
                Seen::Record(record) => {
                    if wish.is_past(record.position) {
                        return ControlFlow::Break(());
                    }
                    let at = record.position;
                    if self.take(wish, &record) {
                        part.push(record);
                    }
                    if part.len() >= PART {
                        next = Some(at);
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                }
                Seen::Lost { .. } | Seen::OtherRelease(..) => {
                    self.left.unreadable += 1;
                    ControlFlow::Continue(())
                }
            };
            if reading.opened.walk(after, end, &mut look).is_err() {
                self.left.unreadable += 1;
            }
            if !part.is_empty() {
                each(part, bar)?;
            }
            match next {
                Some(at) => after = at,
                None => return Ok(()),
            }
        }
    }

    fn take(&mut self, wish: &Wish<'_>, record: &Record) -> bool {
        let at = record.position;
        if !wish.has(at, record.envelope.time_ns) || !(wish.wants)(&record.envelope.kind) {
            return false;
        }
        if self.head.waits_for(wish.uplink, at) != Some(false) {
            self.left.waiting += 1;
            return false;
        }
        if self.never.contains(&at) {
            self.left.parked += 1;
            return false;
        }
        let happened = record.envelope.time_ns;
        if !wish.unsure && self.list_from_ns.is_some_and(|from| happened <= from) {
            self.left.unsure += 1;
            return false;
        }
        true
    }
}

impl Wish<'_> {
    fn may_be_in(&self, name: Name, end: Option<Position>) -> bool {
        let too_late = matches!(self.to, Bound::Number(to) if name.first > to);
        let too_early = matches!((self.from, end), (Bound::Number(from), Some(end)) if end < from);
        !too_late && !too_early
    }

    fn is_past(&self, at: Position) -> bool {
        matches!(self.to, Bound::Number(to) if at > to)
    }

    fn has(&self, at: Position, time_ns: i64) -> bool {
        let from = match self.from {
            Bound::Number(from) => at >= from,
            Bound::TimeNs(from) => time_ns >= from,
        };
        let to = match self.to {
            Bound::Number(to) => at <= to,
            Bound::TimeNs(to) => time_ns <= to,
        };
        from && to
    }
}
