//! The requests of one period as the device takes them: merged as planned, apart where it refused, seldom where it is futile.
//!
//! Pure. A device that answers a merged request with exception 2 or 3 may only mind a gap, the number of values, or one of
//! them: the request is split until what is fine is read and what is not stands alone, which then rests and is bad. Where in
//! the end nothing of a request is readable, merging was not to blame (a controller that starts, a program that is not
//! loaded): it becomes one request again, forgets the lesson, and rests longer each time.

use super::learnt::Span;
use super::plan::Request;
use crate::model::BadReason;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

/// "Illegal data address" and "illegal data value": what a merged request may be refused with although its values are fine.
const MAY_BE_THE_MERGING: [u8; 2] = [2, 3];
/// What is futile is asked again after so many periods, ...
const REST_PERIODS: u32 = 60;
/// ... but not more often than this, ...
const SHORTEST_REST: Duration = Duration::from_secs(10);
/// ... nor more seldom.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// One request as it is asked.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) request: Request,
    /// The planned request that it is of.
    root: usize,
    rest: Option<Rest>,
    /// Times in a row without an answer.
    misses: u8,
}

/// Not asked for a while.
#[derive(Clone, Copy, Debug)]
struct Rest {
    reason: BadReason,
    until: Instant,
}

/// A planned request, and what became of it.
#[derive(Clone, Debug)]
struct Root {
    request: Request,
    /// Merged requests that were refused.
    refused: Vec<Span>,
    /// Something of it was read since it was split: the lesson is worth keeping.
    proven: bool,
    /// Times that nothing of it could be read.
    futile: u32,
}

/// What comes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// So many requests stand in the place of the refused one.
    Split(usize),
    /// It stands as it is.
    Stands,
}

/// The requests of one period.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    period: Duration,
    roots: Vec<Root>,
    blocks: Vec<Block>,
    changed: bool,
}

impl Blocks {
    /// The planned requests, split where the device is known to refuse them.
    pub(super) fn new(period: Duration, planned: Vec<Request>, learnt: &HashSet<Span>) -> Blocks {
        let mut made = Blocks {
            period,
            roots: Vec::with_capacity(planned.len()),
            blocks: Vec::with_capacity(planned.len()),
            changed: false,
        };
        for (root, request) in planned.into_iter().enumerate() {
            let mut refused = Vec::new();
            let mut open = vec![request.clone()];
            while let Some(next) = open.pop() {
                let span = Span::from(&next);
                match next.split().filter(|_| learnt.contains(&span)) {
                    Some(parts) => {
                        refused.push(span);
                        open.extend(parts.into_iter().rev());
                    }
                    None => made.blocks.push(Block::new(next, root)),
                }
            }
            made.roots.push(Root {
                request,
                proven: !refused.is_empty(),
                refused,
                futile: 0,
            });
        }
        made
    }

    /// The request at a place, and why it is not asked now.
    pub(super) fn at(&self, place: usize, now: Instant) -> Option<(&Request, Option<BadReason>)> {
        let block = self.blocks.get(place)?;
        let rest = block.rest.filter(|rest| rest.until > now);
        Some((&block.request, rest.map(|rest| rest.reason)))
    }

    /// The request at a place was answered with values.
    pub(super) fn answered(&mut self, place: usize) {
        let Some(block) = self.blocks.get_mut(place) else {
            return;
        };
        block.rest = None;
        block.misses = 0;
        if let Some(root) = self.roots.get_mut(block.root) {
            root.futile = 0;
            if !root.proven && !root.refused.is_empty() {
                root.proven = true;
                self.changed = true;
            }
        }
    }

    /// The request at a place was answered with an exception.
    pub(super) fn refused(&mut self, place: usize, code: u8, now: Instant) -> Refusal {
        let Some(block) = self.blocks.get_mut(place) else {
            return Refusal::Stands;
        };
        block.misses = 0;
        block.rest = None;
        if !MAY_BE_THE_MERGING.contains(&code) {
            return Refusal::Stands;
        }
        let Some(parts) = block.request.split() else {
            let until = now + rest(self.period, 0);
            let reason = BadReason::Exception(code);
            block.rest = Some(Rest { reason, until });
            return Refusal::Stands;
        };
        let root = block.root;
        let span = Span::from(&block.request);
        let count = parts.len();
        let parts = parts.into_iter().map(|part| Block::new(part, root));
        self.blocks.splice(place..=place, parts);
        if let Some(root) = self.roots.get_mut(root) {
            root.refused.push(span);
            self.changed |= root.proven;
        }
        Refusal::Split(count)
    }

    /// The request at a place had no answer. Says how often in a row. The ones behind it are next.
    pub(super) fn missed(&mut self, place: usize) -> u8 {
        let Some(block) = self.blocks.get_mut(place) else {
            return 0;
        };
        block.misses = block.misses.saturating_add(1);
        let misses = block.misses;
        let next = (place + 1) % self.blocks.len().max(1);
        self.blocks.rotate_left(next);
        misses
    }

    /// The device answers others, but never the one that was missed last: it rests too.
    pub(super) fn give_up_last(&mut self, now: Instant) {
        let until = now + rest(self.period, 0);
        if let Some(block) = self.blocks.last_mut() {
            let reason = BadReason::DeviceLost;
            block.misses = 0;
            block.rest = Some(Rest { reason, until });
        }
    }

    /// The device was silent as a whole: that says nothing of one request.
    pub(super) fn forgive(&mut self) {
        for block in &mut self.blocks {
            block.misses = 0;
        }
    }

    /// At the end of a cycle: what was split in vain becomes one request again.
    pub(super) fn rejoin(&mut self, now: Instant) {
        for (number, root) in self.roots.iter_mut().enumerate() {
            if root.refused.is_empty() {
                continue;
            }
            let mut parts = self.blocks.iter().filter(|block| block.root == number);
            let futile = |block: &Block| {
                matches!(
                    block.rest,
                    Some(Rest {
                        reason: BadReason::Exception(_),
                        ..
                    })
                )
            };
            let reason = match parts.clone().next() {
                Some(Block {
                    rest: Some(rest), ..
                }) if parts.all(futile) => rest.reason,
                _ => continue,
            };
            self.changed |= root.proven;
            root.refused.clear();
            root.proven = false;
            root.futile = root.futile.saturating_add(1);
            let until = now + rest(self.period, root.futile);
            let mut whole = Block::new(root.request.clone(), number);
            whole.rest = Some(Rest { reason, until });
            self.blocks.retain(|block| block.root != number);
            self.blocks.push(whole);
        }
    }

    /// What is worth keeping.
    pub(super) fn learnt(&self) -> impl Iterator<Item = Span> {
        let proven = self.roots.iter().filter(|root| root.proven);
        proven.flat_map(|root| root.refused.iter().copied())
    }

    /// Whether that is another since it was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Tags in all requests.
    pub(super) fn tags(&self) -> usize {
        let fields = self.blocks.iter().map(|block| block.request.fields.len());
        fields.sum()
    }
}

impl Block {
    fn new(request: Request, root: usize) -> Block {
        Block {
            request,
            root,
            rest: None,
            misses: 0,
        }
    }
}

/// How long what is futile rests; twice as long each time that nothing at all could be read.
fn rest(period: Duration, futile: u32) -> Duration {
    let once = period.saturating_mul(REST_PERIODS).max(SHORTEST_REST);
    let doubled = once.saturating_mul(1 << futile.saturating_sub(1).min(16));
    doubled.min(LONGEST_REST.max(once))
}

#[cfg(test)]
mod tests;
