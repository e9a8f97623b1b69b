//! Which counter a MES may book, so that each piece is booked in exactly one place. Pure.
//!
//! Counters of good, rejected and rework pieces are booked each by itself. Where all pieces are counted, too, that total is
//! the sum of the three (ISO 22400-2: PQ = GQ + SQ + RQ) and not booked; the one of good and rejected pieces that nobody
//! counts is made of it, once. A total alone is booked as it is, and cycles never.

use crate::model::{CounterReport, IntervalCounts, Reference, UtcTime};
use crate::settings::shape::{Counts, PiecesFrom};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is booked, and what is made of the total.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Kinds of pieces that are booked from their own counters.
    booked: Vec<Counts>,
    rest: Option<Rest>,
}

/// The pieces of the total that no other counter counts.
#[derive(Clone, Debug)]
struct Rest {
    counts: Counts,
    name: String,
    memory: Memory,
    /// Of the reports since the last one.
    most: i64,
    ambiguous: bool,
}

/// When and for what counters are told.
#[derive(Clone, Debug)]
pub struct Told {
    /// End of their windows.
    pub to: UtcTime,
    /// The order.
    pub order: Option<Reference>,
    /// The product.
    pub product: Option<Reference>,
    /// The shift.
    pub shift: Option<String>,
    /// The operation.
    pub operation: Option<Uuid>,
}

/// What must survive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Pieces that were not told yet; negative where a rejected piece was seen before it was counted.
    owed: i64,
    /// All that were told.
    total: u64,
    /// The last report.
    since: Option<UtcTime>,
}

/// The one kind of good and rejected pieces that nobody counts, where all are counted.
#[must_use]
pub fn made_of_total(has: impl Fn(Counts) -> bool) -> Option<Counts> {
    match (has(Counts::Total), has(Counts::Good), has(Counts::Reject)) {
        (true, true, false) => Some(Counts::Reject),
        (true, false, _) => Some(Counts::Good),
        _ => None,
    }
}

/// Pieces whose kind was counted before they were: the next total is so much smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead(u64);

impl Ahead {
    /// What is left of `total` without `others`, never less than none: the sum over all times is right.
    pub fn left(&mut self, total: u64, others: u64) -> u64 {
        let others = others.saturating_add(self.0);
        self.0 = others.saturating_sub(total);
        total.saturating_sub(others)
    }

    /// What the counters of an interval leave open follows from the others: good is what was made and not bad.
    pub fn complete(&mut self, counts: &mut IntervalCounts, has: impl Fn(Counts) -> bool) {
        if !has(Counts::Total) {
            counts.total = counts.good + counts.reject + counts.rework;
        }
        match made_of_total(has) {
            Some(Counts::Reject) => {
                counts.reject = self.left(counts.total, counts.good + counts.rework);
            }
            Some(_) => counts.good = self.left(counts.total, counts.reject + counts.rework),
            None => {}
        }
    }
}

impl Books {
    /// For counters that count `kinds`, by name.
    #[must_use]
    pub fn new<'a>(
        pieces_from: PiecesFrom,
        counters: impl Iterator<Item = (&'a str, Counts)> + Clone,
    ) -> Books {
        if pieces_from != PiecesFrom::Counters {
            return Books::default();
        }
        let has = |kind| counters.clone().any(|(_, counts)| counts == kind);
        let parts = [Counts::Good, Counts::Reject, Counts::Rework];
        let mut booked: Vec<Counts> = parts.into_iter().filter(|kind| has(*kind)).collect();
        let rest = match made_of_total(has) {
            Some(_) if booked.is_empty() => {
                booked.push(Counts::Total);
                None
            }
            rest => rest,
        };
        let taken = |name: &str| counters.clone().any(|(taken, _)| taken == name);
        let rest = rest.map(|counts| Rest {
            counts,
            name: match counts.word() {
                word if taken(word) => format!("{word} of total"),
                word => word.to_owned(),
            },
            memory: Memory::default(),
            most: 0,
            ambiguous: false,
        });
        Books { booked, rest }
    }

    /// Whether counters of that kind are booked.
    #[must_use]
    pub fn book(&self, counts: Counts) -> bool {
        self.booked.contains(&counts)
    }

    /// What must survive a restart.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        Some(self.rest.as_ref()?.memory)
    }

    /// Goes on with what an earlier run knew.
    pub fn resume(&mut self, memory: Memory) {
        if let Some(rest) = &mut self.rest {
            rest.memory = memory;
        }
    }

    /// A counter of that kind is told.
    pub fn take(&mut self, counts: Counts, report: &CounterReport) {
        let Some(rest) = &mut self.rest else { return };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (delta, most) = match counts {
            Counts::Cycles => return,
            Counts::Total => {
                let most = report.delta_max.unwrap_or(report.delta);
                (signed(report.delta), signed(most))
            }
            _ => {
                let delta = signed(report.delta).saturating_neg();
                (delta, delta)
            }
        };
        let memory = &mut rest.memory;
        memory.since.get_or_insert(report.from);
        memory.owed = memory.owed.saturating_add(delta);
        rest.most = rest.most.saturating_add(most.saturating_sub(delta));
        rest.ambiguous |= report.ambiguous;
    }

    /// What is left of the total since the last report; nothing where that is less than none, which is carried over.
    pub fn rest(&mut self, told: Told) -> Option<CounterReport> {
        let rest = self.rest.as_mut()?;
        let delta = u64::try_from(rest.memory.owed)
            .ok()
            .filter(|delta| *delta > 0)?;
        let more = u64::try_from(std::mem::take(&mut rest.most)).unwrap_or(0);
        let before = rest.memory.total;
        rest.memory.total = before.saturating_add(delta);
        rest.memory.owed = 0;
        let from = rest.memory.since.replace(told.to).unwrap_or(told.to);
        let shown = |total: u64| i64::try_from(total).unwrap_or(i64::MAX);
        Some(CounterReport {
            name: rest.name.clone(),
            counts: rest.counts.word(),
            book: true,
            delta,
            delta_max: (more > 0).then(|| delta.saturating_add(more)),
            total: rest.memory.total,
            raw_from: shown(before),
            raw_to: shown(rest.memory.total),
            modulus: None,
            wraps: 0,
            resets: 0,
            ambiguous: std::mem::take(&mut rest.ambiguous),
            from,
            to: told.to,
            order: told.order,
            product: told.product,
            shift: told.shift,
            operation: told.operation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Counts::{Cycles, Good, Reject, Rework, Total};

    fn named(counts: &[Counts]) -> Vec<(&'static str, Counts)> {
        counts
            .iter()
            .map(|counts| (counts.word(), *counts))
            .collect()
    }

    fn books(counts: &[Counts]) -> Books {
        let counters = named(counts);
        Books::new(PiecesFrom::Counters, counters.iter().copied())
    }

    fn report(delta: u64) -> CounterReport {
        CounterReport {
            name: String::new(),
            counts: "",
            book: false,
            delta,
            delta_max: None,
            total: 0,
            raw_from: 0,
            raw_to: 0,
            modulus: None,
            wraps: 0,
            resets: 0,
            ambiguous: false,
            from: UtcTime(0),
            to: UtcTime(0),
            order: None,
            product: None,
            shift: None,
            operation: None,
        }
    }

    fn until(to: i64) -> Told {
        Told {
            to: UtcTime(to),
            order: None,
            product: None,
            shift: None,
            operation: None,
        }
    }

    #[test]
    fn each_piece_is_booked_in_one_place() {
        for (counters, booked, rest) in [
            (&[Cycles][..], &[][..], None),
            (&[Good], &[Good], None),
            (&[Reject], &[Reject], None),
            (
                &[Good, Reject, Rework, Cycles],
                &[Good, Reject, Rework],
                None,
            ),
            (&[Total], &[Total], None),
            (&[Total, Cycles], &[Total], None),
            (&[Total, Reject], &[Reject], Some(Good)),
            (&[Total, Rework], &[Rework], Some(Good)),
            (&[Total, Reject, Rework], &[Reject, Rework], Some(Good)),
            (&[Total, Good], &[Good], Some(Reject)),
            (&[Total, Good, Rework], &[Good, Rework], Some(Reject)),
            (&[Total, Good, Reject], &[Good, Reject], None),
        ] {
            let made = books(counters);
            assert_eq!(made.booked, booked, "{counters:?}");
            assert_eq!(made.rest.map(|rest| rest.counts), rest, "{counters:?}");
        }
        for elsewhere in [PiecesFrom::Operations, PiecesFrom::Nothing] {
            let counters = named(&[Total, Reject]);
            let made = Books::new(elsewhere, counters.iter().copied());
            assert!(made.booked.is_empty() && made.rest.is_none());
        }
    }

    #[test]
    fn a_reject_that_is_seen_before_its_piece_is_carried_over() {
        let mut made = books(&[Total, Reject]);
        let mut told = Vec::new();
        for (total, reject) in [(10, 1), (0, 2), (1, 0), (5, 0)] {
            made.take(Total, &report(total));
            made.take(Reject, &report(reject));
            let rest = made.rest(until(1));
            told.push(rest.map(|rest| (rest.delta, rest.total)));
        }
        assert_eq!(told, [Some((9, 9)), None, None, Some((4, 13))]);
        // 16 pieces, 3 of them rejected.
        let memory = made.memory().unwrap();
        let mut after = books(&[Total, Reject]);
        after.resume(memory);
        assert_eq!(after.memory(), Some(memory));
    }

    #[test]
    fn intervals_lose_no_piece_where_rejects_are_counted_first() {
        let mut ahead = Ahead::default();
        let windows = [(10, 1), (0, 2), (1, 0), (5, 0)];
        let left = windows.map(|(total, others)| ahead.left(total, others));
        assert_eq!(left, [9, 0, 0, 4]);
    }

    #[test]
    fn what_may_have_been_more_says_so() {
        let mut made = books(&[Total, Reject]);
        let unsure = CounterReport {
            delta_max: Some(30),
            ambiguous: true,
            ..report(10)
        };
        made.take(Total, &unsure);
        made.take(Reject, &report(1));
        let rest = made.rest(until(1)).unwrap();
        assert_eq!(
            (rest.delta, rest.delta_max, rest.ambiguous),
            (9, Some(29), true)
        );
        assert_eq!((rest.raw_from, rest.raw_to), (0, 9));
        made.take(Total, &report(1));
        let rest = made.rest(until(2)).unwrap();
        assert_eq!(
            (rest.delta, rest.delta_max, rest.ambiguous),
            (1, None, false)
        );
    }

    #[test]
    fn a_name_that_is_taken_is_not_used_twice() {
        let counters = [("good", Total), ("bad", Reject)];
        let mut made = Books::new(PiecesFrom::Counters, counters.into_iter());
        made.take(Total, &report(2));
        let rest = made.rest(until(1)).unwrap();
        assert_eq!(rest.name, "good of total");
    }
}
