//! Which addresses of a table can be read: big blocks first, smaller ones where the device refuses. Pure.
//!
//! The caller asks what [`Scan::next`] names and says what came of it. An exception 2 or 3 says that something in the block
//! is not there: it is halved, down to single addresses. Behind a block in which nothing was found, the next refused ones
//! are only sampled at the tens, where register maps begin (unless the scan is `thorough`). Silence may say the same as an
//! exception but costs a time-out, so only the end of what was read is looked for.

use crate::commands::range::Range;
use std::collections::VecDeque;

/// Silent blocks in a row after which the rest of the table is left alone.
const SILENT_IN_A_ROW: u32 = 3;
/// Sampled are the addresses that are multiples of this.
const TEN: u32 = 10;
/// So many are asked one by one.
const FEW: u16 = 7;

/// A question: so many addresses from the first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) first: u16,
    pub(super) count: u16,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Values, one for each address.
    Values(Vec<u16>),
    /// Something in it is not there.
    Refused,
    /// Nothing came.
    Silent,
    /// The table does not exist at all.
    NoSuchTable,
}

/// Neighbours that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) first: u16,
    pub(super) values: Vec<u16>,
}

impl Found {
    /// Its addresses.
    pub(super) fn range(&self) -> Range {
        let last = usize::from(self.first) + self.values.len().max(1) - 1;
        Range {
            first: self.first,
            last: u16::try_from(last).unwrap_or(u16::MAX),
        }
    }

    /// The address behind it.
    fn end(&self) -> usize {
        usize::from(self.first) + self.values.len()
    }
}

/// Why the rest of a table was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The device does not answer from this address on.
    Silent(u16),
    /// The device has no such table.
    NoSuchTable,
}

/// Something to ask, and what it stands for.
#[derive(Clone, Copy, Debug)]
struct Task {
    ask: Ask,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One of the blocks that the range was cut into.
    Whole,
    /// A part of one.
    Part,
    /// One address that stands for so many, itself included.
    Sample(u16),
}

/// The scan of one range of one table.
#[derive(Debug)]
pub(super) struct Scan {
    /// In the order of the addresses.
    todo: VecDeque<Task>,
    thorough: bool,
    found: Vec<Found>,
    /// Addresses found when a whole block was last refused: as many now means that it was empty.
    found_before: Option<u32>,
    places: u32,
    done: u32,
    silent_in_a_row: u32,
    given_up: Option<GivenUp>,
}

impl Scan {
    /// Nothing asked yet; blocks of at most `step` addresses.
    pub(super) fn new(range: Range, step: u16, thorough: bool) -> Scan {
        let blocks = pieces(u32::from(range.first), range.len(), u32::from(step.max(1)));
        Scan {
            todo: blocks
                .map(|ask| Task {
                    ask,
                    kind: Kind::Whole,
                })
                .collect(),
            thorough,
            found: Vec::new(),
            found_before: None,
            places: range.len(),
            done: 0,
            silent_in_a_row: 0,
            given_up: None,
        }
    }

    /// What to ask next; `None` when all is known or given up.
    pub(super) fn next(&self) -> Option<Ask> {
        let next = self.todo.front().filter(|_| self.given_up.is_none());
        next.map(|task| task.ask)
    }

    /// Takes what came of the last [`Scan::next`].
    pub(super) fn told(&mut self, told: Told) {
        let Some(task) = self.todo.pop_front() else {
            return;
        };
        if told != Told::Silent {
            self.silent_in_a_row = 0;
        }
        match told {
            Told::Values(values) => self.values(task, values),
            Told::Refused => self.refused(task),
            Told::Silent => self.silent(task),
            Told::NoSuchTable => self.given_up = Some(GivenUp::NoSuchTable),
        }
    }

    /// Addresses that are settled, and all.
    pub(super) fn progress(&self) -> (u32, u32) {
        (self.done, self.places)
    }

    /// Blocks that can be read, so far.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Why not all was asked.
    pub(super) fn given_up(&self) -> Option<GivenUp> {
        self.given_up
    }

    fn values(&mut self, Task { ask, kind }: Task, values: Vec<u16>) {
        self.done += u32::from(ask.count);
        match self.found.last_mut() {
            Some(last) if last.end() == usize::from(ask.first) => last.values.extend(values),
            _ => self.found.push(Found {
                first: ask.first,
                values,
            }),
        }
        if let Kind::Sample(stands_for) = kind {
            let rest = u32::from(stands_for) - 1;
            let behind = pieces(u32::from(ask.first) + 1, rest, rest.max(1));
            self.first_of_all(behind.map(|ask| Task {
                ask,
                kind: Kind::Part,
            }));
        }
    }

    fn refused(&mut self, Task { ask, kind }: Task) {
        match kind {
            Kind::Sample(stands_for) => self.done += u32::from(stands_for),
            Kind::Whole => {
                let found = self.found.iter().map(|block| block.range().len()).sum();
                let last_was_empty = self.found_before.replace(found) == Some(found);
                if last_was_empty && !self.thorough {
                    self.sample(ask);
                } else {
                    self.halve(ask);
                }
            }
            Kind::Part => self.halve(ask),
        }
    }

    /// Looks for the end of what was read just before it, and for nothing else.
    fn silent(&mut self, Task { ask, kind }: Task) {
        if matches!(kind, Kind::Whole) {
            self.silent_in_a_row += 1;
            if self.silent_in_a_row >= SILENT_IN_A_ROW {
                self.given_up = Some(GivenUp::Silent(ask.first));
            }
        }
        let goes_on = self.found.last().map(Found::end) == Some(usize::from(ask.first));
        match kind {
            Kind::Sample(stands_for) => self.done += u32::from(stands_for),
            Kind::Whole | Kind::Part if goes_on => self.halve(ask),
            Kind::Whole | Kind::Part => self.done += u32::from(ask.count),
        }
    }

    fn halve(&mut self, ask: Ask) {
        if ask.count <= 1 {
            self.done += u32::from(ask.count);
            return;
        }
        // Halves of few addresses are more questions than the addresses.
        let half = if ask.count <= FEW {
            1
        } else {
            ask.count.div_ceil(2)
        };
        let halves = pieces(u32::from(ask.first), u32::from(ask.count), u32::from(half));
        self.first_of_all(halves.map(|ask| Task {
            ask,
            kind: Kind::Part,
        }));
    }

    /// The first address of each ten in it.
    fn sample(&mut self, ask: Ask) {
        let mut tasks = Vec::new();
        let (mut at, end) = (
            u32::from(ask.first),
            u32::from(ask.first) + u32::from(ask.count),
        );
        while at < end {
            let next = ((at / TEN + 1) * TEN).min(end);
            let stands_for = u16::try_from(next - at).unwrap_or(1);
            tasks.extend(pieces(at, 1, 1).map(|ask| Task {
                ask,
                kind: Kind::Sample(stands_for),
            }));
            at = next;
        }
        self.first_of_all(tasks.into_iter());
    }

    fn first_of_all(&mut self, tasks: impl DoubleEndedIterator<Item = Task>) {
        tasks.rev().for_each(|task| self.todo.push_front(task));
    }
}

/// `count` addresses from `first` on, in pieces of at most `step`.
fn pieces(first: u32, count: u32, step: u32) -> impl DoubleEndedIterator<Item = Ask> {
    let starts = (0..count.div_ceil(step)).map(move |index| first + index * step);
    starts.filter_map(move |at| {
        Some(Ask {
            first: u16::try_from(at).ok()?,
            count: u16::try_from((first + count - at).min(step)).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device: what it says to a question.
    type Device<'a> = &'a dyn Fn(u32) -> bool;

    /// Scans a device that refuses, or is silent about, whatever it does not have. The blocks, and the questions asked.
    fn scanned(
        range: (u16, u16),
        thorough: bool,
        has: Device<'_>,
        no: &Told,
    ) -> (Vec<String>, u32, Scan) {
        let range = Range {
            first: range.0,
            last: range.1,
        };
        let mut scan = Scan::new(range, 100, thorough);
        let mut asked = 0;
        while let Some(ask) = scan.next() {
            asked += 1;
            assert!(asked < 200_000, "the scan does not end");
            let all = (u32::from(ask.first)..).take(usize::from(ask.count));
            let told = if all.clone().all(has) {
                Told::Values(all.map(|at| (at % 65_536) as u16).collect())
            } else {
                no.clone()
            };
            scan.told(told);
        }
        let blocks = scan
            .found()
            .iter()
            .map(|found| found.range().to_string())
            .collect();
        for found in scan.found() {
            let expected: Vec<u16> = (found.first..=found.range().last).collect();
            assert_eq!(found.values, expected, "each value stands at its address");
        }
        (blocks, asked, scan)
    }

    #[test]
    fn a_device_that_has_all_is_read_in_whole_blocks() {
        let (blocks, asked, scan) = scanned((0, 65_535), false, &|_| true, &Told::Refused);
        assert_eq!(blocks, ["0..65535"]);
        assert_eq!(asked, 656);
        assert_eq!(scan.progress(), (65_536, 65_536));
    }

    #[test]
    fn blocks_are_found_with_their_ends() {
        let has = |at| matches!(at, 3..=57 | 60 | 130..=133 | 250..=449);
        let (blocks, asked, scan) = scanned((0, 499), false, &has, &Told::Refused);
        assert_eq!(blocks, ["3..57", "60", "130..133", "250..449"]);
        assert!(asked < 420, "{asked}");
        assert_eq!(scan.progress(), (500, 500));
    }

    #[test]
    fn an_empty_stretch_is_sampled_and_what_begins_at_a_ten_is_found() {
        let has = |at| matches!(at, 0..=9 | 5_120..=5_124 | 7_203);
        let (blocks, asked, scan) = scanned((0, 9_999), false, &has, &Told::Refused);
        assert_eq!(blocks, ["0..9", "5120..5124"]);
        assert!(asked < 1_800, "{asked}");
        assert_eq!(scan.progress(), (10_000, 10_000));
        let (blocks, asked, _) = scanned((0, 9_999), true, &has, &Told::Refused);
        assert_eq!(blocks, ["0..9", "5120..5124", "7203"]);
        assert!(asked < 20_000, "{asked}");
    }

    #[test]
    fn silence_costs_few_questions() {
        let (blocks, asked, scan) = scanned((0, 9_999), false, &|at| at < 130, &Told::Silent);
        assert_eq!(blocks, ["0..129"]);
        // The end by halving, single addresses at last, and three silent blocks.
        assert!(asked <= 20, "{asked}");
        assert_eq!(scan.given_up(), Some(GivenUp::Silent(400)));
        let (blocks, asked, scan) = scanned((0, 9_999), false, &|_| false, &Told::Silent);
        assert_eq!((blocks.len(), asked), (0, 3));
        assert_eq!(scan.given_up(), Some(GivenUp::Silent(200)));
    }

    #[test]
    fn a_table_that_does_not_exist_is_asked_once() {
        let (_, asked, scan) = scanned((0, 9_999), false, &|_| false, &Told::NoSuchTable);
        assert_eq!(asked, 1);
        assert_eq!(scan.given_up(), Some(GivenUp::NoSuchTable));
    }

    #[test]
    fn a_scan_of_a_few_addresses_at_the_end_of_all() {
        let (blocks, _, scan) = scanned((65_530, 65_535), false, &|at| at > 65_532, &Told::Refused);
        assert_eq!(blocks, ["65533..65535"]);
        assert_eq!(scan.progress(), (6, 6));
    }

    proptest::proptest! {
        #[test]
        fn a_thorough_scan_finds_exactly_what_is_there(there in proptest::collection::btree_set(0u32..400, 0..60), first in 0u16..50) {
            let (_, _, scan) = scanned((first, 399), true, &|at| there.contains(&at), &Told::Refused);
            let found: Vec<u32> = scan.found().iter().flat_map(|found| found.values.iter().map(|value| u32::from(*value))).collect();
            let expected: Vec<u32> = there.into_iter().filter(|at| *at >= u32::from(first)).collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
