//! Progress against a plain set of positions and a count per reason, with verdicts in whatever order.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const EPOCHS: u32 = 2;
/// Events of each epoch.
const EVENTS: u64 = 40;

/// What progress is, without runs.
#[derive(Clone, Debug, Default)]
struct Plain {
    cursor: Position,
    above: BTreeSet<Position>,
    account: Account,
    leaving: Vec<Position>,
}

impl Plain {
    fn is_settled(&self, position: Position) -> bool {
        position <= self.cursor || self.above.contains(&position)
    }

    /// True when it was not settled.
    fn mark(&mut self, position: Position) -> bool {
        let news = !self.is_settled(position) && self.above.insert(position);
        self.rise();
        news
    }

    fn skip(&mut self, up_to: Position) {
        self.cursor = self.cursor.max(up_to);
        self.rise();
    }

    fn rise(&mut self) {
        let next = |cursor: Position| Position {
            seq: cursor.seq + 1,
            ..cursor
        };
        while self.above.contains(&next(self.cursor)) {
            self.cursor = next(self.cursor);
        }
        self.above.retain(|position| *position > self.cursor);
    }

    fn pass(&mut self, from: Position, to: Position) -> u64 {
        let all = (from.seq..=to.seq).map(|seq| Position { seq, ..from });
        all.filter(|position| self.mark(*position)).count() as u64
    }
}

/// What may happen to a progress.
#[derive(Clone, Debug)]
enum Step {
    Settle(Position, Vec<(Position, bool)>),
    Mark(Position),
    Park(Position),
    Leave(Position, bool),
    Lose(u64),
    Adopt(u64),
    Drop(Position, u64, DropReason),
    Pass(Position, u64),
    SkipTo(Position),
    CountDropped(u64),
    Swept,
}

fn position() -> impl Strategy<Value = Position> {
    (1..=EPOCHS, 1..=EVENTS).prop_map(|(epoch, seq)| Position { epoch, seq })
}

fn step() -> impl Strategy<Value = Step> {
    let fates = proptest::collection::vec((position(), any::<bool>()), 0..30);
    let up_to = prop_oneof![3 => Just(Position::default()), 1 => position()];
    let reason = proptest::sample::select(DropReason::ALL.to_vec());
    prop_oneof![
        6 => (up_to, fates).prop_map(|(up_to, fates)| Step::Settle(up_to, fates)),
        2 => position().prop_map(Step::Mark),
        4 => position().prop_map(Step::Park),
        2 => (position(), any::<bool>()).prop_map(|(at, taken)| Step::Leave(at, taken)),
        1 => (0u64..3).prop_map(Step::Lose),
        1 => (0u64..3).prop_map(Step::Adopt),
        2 => (position(), 0u64..20, reason).prop_map(|(at, more, why)| Step::Drop(at, more, why)),
        1 => (position(), 0u64..20).prop_map(|(at, more)| Step::Pass(at, more)),
        1 => position().prop_map(Step::SkipTo),
        1 => (0u64..3).prop_map(Step::CountDropped),
        1 => Just(Step::Swept),
    ]
}

fn later(position: Position, more: u64) -> Position {
    Position {
        seq: position.seq + more,
        ..position
    }
}

/// Does the same to both.
fn take(step: Step, progress: &mut Progress, plain: &mut Plain) {
    match step {
        Step::Settle(up_to, fates) => {
            let mut news = up_to > plain.cursor;
            for (position, delivered) in &fates {
                if plain.mark(*position) {
                    news = true;
                    plain.account.delivered += u64::from(*delivered);
                    plain.account.filtered += u64::from(!*delivered);
                }
            }
            // Verdicts alone may have brought the cursor as far.
            news |= up_to > plain.cursor;
            plain.skip(up_to);
            let fate = |delivered: bool| match delivered {
                true => Fate::Delivered,
                false => Fate::Filtered,
            };
            let fates = fates.into_iter().map(|(at, taken)| (at, fate(taken)));
            let settled = Settled {
                up_to,
                fates: fates.collect(),
            };
            assert_eq!(progress.settle(&settled), news);
        }
        Step::Mark(at) => assert_eq!(progress.mark(at), plain.mark(at)),
        Step::Park(at) => {
            progress.park(at);
            plain.account.parked += u64::from(plain.mark(at));
        }
        Step::Leave(at, taken) => {
            if plain.account.parked > 0 {
                let left = if taken {
                    Left::Delivered
                } else {
                    Left::Discarded
                };
                progress.leave(at, left);
                plain.account.parked -= 1;
                plain.account.delivered += u64::from(taken);
                plain.account.discarded += u64::from(!taken);
                plain.leaving.push(at);
            }
        }
        Step::Lose(count) => {
            progress.lose_parked(count);
            let lost = count.min(plain.account.parked);
            plain.account.parked -= lost;
            plain.account.dropped[DropReason::Damaged.index()] += lost;
        }
        Step::Adopt(count) => {
            progress.adopt_parked(count);
            plain.account.offered += count;
            plain.account.parked += count;
        }
        Step::Drop(from, more, reason) => {
            let count = plain.pass(from, later(from, more));
            plain.account.dropped[reason.index()] += count;
            assert_eq!(progress.drop_range(from, later(from, more), reason), count);
        }
        Step::Pass(from, more) => {
            let to = later(from, more);
            assert_eq!(progress.pass(from, to), plain.pass(from, to));
        }
        Step::SkipTo(at) => {
            progress.skip_to(at);
            plain.skip(at);
        }
        Step::CountDropped(count) => {
            progress.count_dropped(DropReason::Evicted, count);
            plain.account.dropped[DropReason::Evicted.index()] += count;
        }
        Step::Swept => {
            progress.swept();
            plain.leaving.clear();
        }
    }
}

fn compare(progress: &Progress, plain: &Plain) -> Result<(), TestCaseError> {
    prop_assert_eq!(progress.cursor(), plain.cursor);
    prop_assert_eq!(progress.above(), plain.above.len() as u64);
    let furthest = plain.above.last().copied().unwrap_or(plain.cursor);
    prop_assert_eq!(progress.furthest(), furthest);
    prop_assert_eq!(progress.account, plain.account);
    prop_assert_eq!(progress.leaving(), &plain.leaving[..]);
    for epoch in 0..=EPOCHS + 1 {
        for seq in 0..=EVENTS + 25 {
            let at = Position { epoch, seq };
            prop_assert_eq!(progress.is_settled(at), plain.is_settled(at), "{}", at);
        }
    }
    let bytes = postcard::to_stdvec(progress).unwrap();
    prop_assert_eq!(&postcard::from_bytes::<Progress>(&bytes).unwrap(), progress);
    Ok(())
}

proptest! {
    #[test]
    fn it_says_what_a_set_says(
        begin in prop_oneof![Just(Position::default()), position()],
        steps in proptest::collection::vec(step(), 0..25),
        asked in (1..=EPOCHS, 1..=EVENTS, 0u64..30),
    ) {
        let offered = u64::from(EPOCHS) * EVENTS;
        let mut progress = Progress::at(begin);
        progress.account.offered = offered;
        let mut plain = Plain { cursor: begin, ..Plain::default() };
        plain.account.offered = offered;
        for step in steps {
            take(step, &mut progress, &mut plain);
            compare(&progress, &plain)?;
        }
        let from = Position { epoch: asked.0, seq: asked.1 };
        let to = later(from, asked.2);
        let waiting = (from.seq..=to.seq).filter(|seq| !plain.is_settled(Position { seq: *seq, ..from }));
        prop_assert_eq!(progress.unsettled(from, to), waiting.count() as u64);
    }

    /// Each event stands in the account once, whatever is said of it again and in which order.
    #[test]
    fn each_event_stands_in_the_account_once(
        verdicts in proptest::collection::vec((1..=EVENTS, 0usize..4), 0..200),
        end in 0..=EVENTS,
    ) {
        let at = |seq| Position { epoch: 1, seq };
        let mut progress = Progress::at(at(0));
        progress.account.offered = EVENTS;
        let mut gone = BTreeSet::new();
        for (seq, verdict) in verdicts {
            let settled = |fate| Settled { up_to: Position::default(), fates: vec![(at(seq), fate)] };
            match verdict {
                0 => drop(progress.settle(&settled(Fate::Delivered))),
                1 => drop(progress.settle(&settled(Fate::Filtered))),
                2 => progress.park(at(seq)),
                _ => drop(progress.drop_range(at(seq), at(seq), DropReason::Damaged)),
            }
            gone.insert(seq);
            prop_assert_eq!(progress.account.gone(), gone.len() as u64);
            prop_assert_eq!(progress.account.stored(), EVENTS - gone.len() as u64);
        }
        progress.settle(&Settled::delivered(progress.cursor(), at(end)));
        gone.extend(1..=end);
        prop_assert_eq!(progress.account.gone(), gone.len() as u64);
    }

    /// As many verdicts as an uplink may hold above its cursor, in any order, come back from the disk as they were.
    #[test]
    fn a_full_bitmap_comes_back_as_it_was(seed in any::<u64>(), holes in 1u64..64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let at = |seq| Position { epoch: u32::MAX, seq: u64::MAX / 2 + seq };
        let mut progress = Progress::at(at(0));
        let missing: BTreeSet<u64> = std::iter::once(1)
            .chain(std::iter::repeat_with(|| random.u64(2..=MAX_ABOVE)).take(holes as usize))
            .collect();
        let mut all: Vec<u64> = (1..=MAX_ABOVE + missing.len() as u64).collect();
        all.retain(|seq| !missing.contains(seq));
        random.shuffle(&mut all);
        for seq in &all {
            prop_assert!(progress.mark(at(*seq)));
        }
        prop_assert_eq!(progress.above(), MAX_ABOVE);
        prop_assert_eq!(progress.cursor(), at(0));
        for seq in 1..=MAX_ABOVE {
            prop_assert_eq!(progress.is_settled(at(seq)), !missing.contains(&seq));
        }
        let bytes = postcard::to_stdvec(&progress).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Progress>(&bytes).unwrap(), &progress);
        for seq in missing {
            progress.mark(at(seq));
        }
        prop_assert_eq!((progress.above(), progress.cursor()), (0, progress.furthest()));
    }

    #[test]
    fn whatever_bytes_are_read_make_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(mut progress) = postcard::from_bytes::<Progress>(&bytes) {
            let settled = Settled { up_to: Position { epoch: 1, seq: 5 }, fates: vec![] };
            progress.settle(&settled);
        }
    }
}
