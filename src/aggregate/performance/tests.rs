//! One state at each instant, whatever is learnt late, set back or switched off; each piece in one interval of each kind.

use super::*;
use crate::model::UtcTime;
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const RUN: Key = (State::Running, Mode::Production);
const STOP: Key = (State::Stopped, Mode::Production);

fn ms(at: i64) -> BootTime {
    BootTime(at * MS)
}

fn stamp(at: i64) -> Stamp {
    Stamp {
        boot: ms(at),
        utc: UtcTime(at * MS),
    }
}

fn pieces(total: u64) -> Made {
    Made {
        counts: IntervalCounts {
            total,
            ..IntervalCounts::default()
        },
        share: Some(IdealShare {
            product: Some("BRACKET".to_owned()),
            cycle_s: Some(34.0),
            pieces: total,
        }),
        unknown: false,
    }
}

/// Durations in ms, by state.
fn spent(interval: &Interval) -> Vec<(State, i64)> {
    let one = |(state, _, ns): &(State, Mode, i64)| (*state, ns / MS);
    interval.spent.iter().map(one).collect()
}

fn running_period() -> Timesheet {
    let mut sheet = Timesheet::new(ms(0));
    sheet.begin(Interval::begin(IntervalKind::Period, stamp(0)));
    sheet.follow(ms(100), RUN, ms(100));
    sheet
}

#[test]
fn a_stop_that_is_known_later_than_the_end_belongs_to_where_it_began() {
    let mut sheet = running_period();
    sheet.seal(IntervalKind::Period, stamp(1_000));
    sheet.begin(Interval::begin(IntervalKind::Period, stamp(1_000)));
    // It left at 800; whether that was a stop is known at 1,400.
    assert_eq!(sheet.close(ms(800)), None);
    sheet.follow(ms(800), STOP, ms(1_400));
    let closed = sheet.close(BootTime(i64::MAX)).unwrap();
    let expected = [
        (State::Unknown, 100),
        (State::Running, 700),
        (State::Stopped, 200),
    ];
    assert_eq!(spent(&closed), expected);
    sheet.seal(IntervalKind::Period, stamp(2_000));
    let next = sheet.close(BootTime(i64::MAX)).unwrap();
    assert_eq!(spent(&next), [(State::Stopped, 1_000)]);
}

#[test]
fn what_is_closed_is_never_corrected() {
    let mut sheet = running_period();
    sheet.seal(IntervalKind::Period, stamp(1_000));
    sheet.begin(Interval::begin(IntervalKind::Period, stamp(1_000)));
    sheet.close(ms(1_000)).unwrap();
    sheet.follow(ms(800), STOP, ms(1_400));
    sheet.seal(IntervalKind::Period, stamp(2_000));
    let next = sheet.close(ms(2_000)).unwrap();
    assert_eq!(spent(&next), [(State::Stopped, 1_000)]);
}

#[test]
fn the_time_when_the_gateway_was_off_is_unknown() {
    let mut sheet = running_period();
    let remarks = BTreeSet::from([Remark::PowerLoss]);
    // Off from 500 to 700, on a boot clock that began anew; read again at 750.
    sheet = sheet.resumed(Back {
        now: ms(20),
        alive: ms(500),
        shift_ns: -680 * MS,
        remarks: remarks.clone(),
    });
    sheet.look(ms(70), RUN);
    sheet.seal(
        IntervalKind::Period,
        Stamp {
            boot: ms(320),
            utc: UtcTime(1_000 * MS),
        },
    );
    let closed = sheet.close(ms(320)).unwrap();
    assert_eq!(
        spent(&closed),
        [(State::Unknown, 350), (State::Running, 650)]
    );
    assert_eq!(closed.duration_s(), Some(1.0));
    assert_eq!(closed.remarks, remarks);
}

#[test]
fn a_departure_before_the_power_cut_counts_up_to_it_and_after_it() {
    let mut sheet = running_period();
    sheet = sheet.resumed(Back {
        now: ms(700),
        alive: ms(500),
        shift_ns: 0,
        remarks: BTreeSet::from([Remark::Restarted]),
    });
    sheet.look(ms(750), RUN);
    sheet.follow(ms(450), STOP, ms(800));
    sheet.seal(IntervalKind::Period, stamp(1_000));
    let closed = sheet.close(ms(1_000)).unwrap();
    let expected = [
        (State::Unknown, 350),
        (State::Running, 350),
        (State::Stopped, 300),
    ];
    assert_eq!(spent(&closed), expected);
}

#[test]
fn how_long_it_was_is_not_known_across_a_reboot_without_a_clock() {
    let sheet = running_period();
    let mut sheet = sheet.resumed(Back {
        now: ms(0),
        alive: ms(500),
        shift_ns: -500 * MS,
        remarks: BTreeSet::from([Remark::PowerLoss, Remark::ClockUnsynchronised]),
    });
    sheet.seal(IntervalKind::Period, stamp(100));
    assert_eq!(sheet.close(ms(100)).unwrap().duration_s(), None);
}

#[test]
fn microseconds_sum_to_the_interval() {
    let mut sheet = Timesheet::new(BootTime(0));
    sheet.begin(Interval::begin(IntervalKind::Period, stamp(0)));
    for (i, key) in [RUN, STOP, (State::Idle, Mode::Setup)].iter().enumerate() {
        let at = BootTime(i as i64 * 333_333_333 + 1);
        sheet.follow(at, *key, at);
    }
    sheet.seal(IntervalKind::Period, stamp(1_000));
    let closed = sheet.close(ms(1_000)).unwrap();
    let micros = closed
        .durations()
        .into_iter()
        .map(|(.., s)| (s * 1e6).round() as i64);
    assert_eq!(micros.sum::<i64>(), 1_000_000);
    assert_eq!(closed.duration_s(), Some(1.0));
}

#[test]
fn a_piece_that_comes_too_late_counts_in_the_next_and_none_counts_twice() {
    let mut sheet = running_period();
    sheet.count(ms(999), &pieces(1));
    sheet.seal(IntervalKind::Period, stamp(1_000));
    sheet.begin(Interval::begin(IntervalKind::Period, stamp(1_000)));
    sheet.count(ms(999), &pieces(2));
    sheet.count(ms(1_000), &pieces(4));
    assert_eq!(sheet.close(ms(1_000)).unwrap().counts.total, 3);
    sheet.count(ms(999), &pieces(8));
    sheet.seal(IntervalKind::Period, stamp(2_000));
    let next = sheet.close(ms(2_000)).unwrap();
    assert_eq!((next.counts.total, next.shares.len()), (12, 1));
}

#[test]
fn products_beyond_the_limit_are_told_together() {
    let mut sheet = running_period();
    for product in 0..40 {
        let mut made = pieces(1);
        made.share.as_mut().unwrap().product = Some(product.to_string());
        sheet.count(ms(200), &made);
    }
    let open = sheet.open(IntervalKind::Period).unwrap();
    assert_eq!(open.shares.len(), MAX_SHARES);
    let rest = open.shares.last().unwrap();
    assert_eq!((rest.product.clone(), rest.pieces), (None, 25));
    assert_eq!(open.counts.total, 40);
}

#[test]
fn intervals_that_wait_too_long_are_closed_with_what_is_known() {
    let mut sheet = running_period();
    for end in 1..=70 {
        sheet.seal(IntervalKind::Period, stamp(end * 1_000));
        sheet.begin(Interval::begin(IntervalKind::Period, stamp(end * 1_000)));
        while sheet.close(ms(0)).is_some() {}
    }
    assert!(sheet.intervals.len() <= MAX_WAITING + 1);
}

/// What happens to a machine, and how many milliseconds later.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Leaves,
    ComesBack,
    Settles(Key),
    IsSeen,
    Makes(u64),
    PeriodEnds,
    ShiftEnds,
    IsSet(i64),
    IsOff(i64, i64),
    Tells,
}

fn history() -> impl Strategy<Value = Vec<(i64, Happens)>> {
    let key = prop_oneof![
        Just(RUN),
        Just(STOP),
        Just((State::Faulted, Mode::Production)),
        Just((State::Idle, Mode::Setup)),
    ];
    let happens = prop_oneof![
        Just(Happens::Leaves),
        Just(Happens::ComesBack),
        key.prop_map(Happens::Settles),
        Just(Happens::IsSeen),
        (1_u64..4).prop_map(Happens::Makes),
        Just(Happens::PeriodEnds),
        Just(Happens::ShiftEnds),
        (-900_i64..900).prop_map(Happens::IsSet),
        (0_i64..90, -500_i64..500).prop_map(|(off, shift)| Happens::IsOff(off, shift)),
        Just(Happens::Tells),
    ];
    prop::collection::vec((0_i64..40, happens), 1..120)
}

/// A timesheet beside a list of what held in each millisecond.
struct Model {
    sheet: Timesheet,
    /// Milliseconds since the beginning; the boot clock shows `offset` more, the wall `wall` more.
    now: i64,
    offset: i64,
    wall: i64,
    truth: Vec<(Key, bool)>,
    current: Option<Key>,
    blind: bool,
    left: Option<i64>,
    closed_until: i64,
    made: [u64; 2],
    closed: Vec<Interval>,
}

const KINDS: [IntervalKind; 2] = [IntervalKind::Period, IntervalKind::Shift];

impl Model {
    fn new() -> Model {
        let mut sheet = Timesheet::new(ms(0));
        for kind in KINDS {
            sheet.begin(Interval::begin(kind, stamp(0)));
        }
        Model {
            sheet,
            now: 0,
            offset: 0,
            wall: 0,
            truth: Vec::new(),
            current: None,
            blind: true,
            left: None,
            closed_until: 0,
            made: [0; 2],
            closed: Vec::new(),
        }
    }

    fn boot(&self, at: i64) -> BootTime {
        ms(at + self.offset)
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            boot: self.boot(self.now),
            utc: UtcTime((self.now + self.wall) * MS),
        }
    }

    fn pass(&mut self, by: i64, blind: bool) {
        let key = self.current.filter(|_| !blind).unwrap_or(BLIND);
        let fill = (0..by).map(|_| (key, blind));
        self.truth.extend(fill);
        self.now += by;
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Leaves if !self.blind => self.left = self.left.or(Some(self.now)),
            Happens::ComesBack if !self.blind => self.left = None,
            Happens::Settles(key) => self.settle(key),
            Happens::IsSeen => {
                if let Some(key) = self.current {
                    self.sheet.look(self.boot(self.now), key);
                    self.blind = false;
                }
            }
            Happens::Makes(pieces) => self.make(pieces),
            Happens::PeriodEnds => self.end(&KINDS[..1]),
            Happens::ShiftEnds => self.end(&KINDS),
            Happens::IsSet(by) => {
                self.wall += by;
                self.sheet.stepped();
            }
            Happens::IsOff(off, shift) => self.off(off, shift),
            Happens::Tells => self.tell(),
            Happens::Leaves | Happens::ComesBack => {}
        }
    }

    fn settle(&mut self, key: Key) {
        let since = self.left.take().unwrap_or(self.now);
        let (since_boot, now_boot) = (self.boot(since), self.boot(self.now));
        self.sheet.follow(since_boot, key, now_boot);
        let changed = since.max(self.closed_until);
        for (at, (held, blind)) in self.truth.iter_mut().enumerate() {
            if at as i64 >= changed && !*blind {
                *held = key;
            }
        }
        self.closed_until = changed;
        self.current = Some(key);
        self.blind = false;
    }

    fn make(&mut self, pieces: u64) {
        let made = Made {
            counts: IntervalCounts {
                total: pieces,
                ..IntervalCounts::default()
            },
            ..Made::default()
        };
        // Also what is learnt late: operations end at their edge.
        let at = self.boot(self.now - 15);
        self.sheet.count(at, &made);
        for sum in &mut self.made {
            *sum += pieces;
        }
    }

    fn end(&mut self, kinds: &[IntervalKind]) {
        let at = self.stamp();
        for kind in kinds {
            self.sheet.seal(*kind, at);
            self.sheet.begin(Interval::begin(*kind, at));
        }
    }

    /// The gateway is off: what it knows goes through the checkpoint, on a boot clock that may have begun anew.
    fn off(&mut self, off: i64, shift: i64) {
        let alive = self.boot(self.now);
        self.pass(off, true);
        self.offset += shift;
        let bytes = postcard::to_stdvec(&self.sheet).unwrap();
        let sheet: Timesheet = postcard::from_bytes(&bytes).unwrap();
        self.sheet = sheet.resumed(Back {
            now: self.boot(self.now),
            alive,
            shift_ns: shift * MS,
            remarks: BTreeSet::from([Remark::PowerLoss]),
        });
        self.blind = true;
        self.left = None;
    }

    fn tell(&mut self) {
        let known = self.left.map_or(BootTime(i64::MAX), |left| self.boot(left));
        while let Some(mut closed) = self.sheet.close(known) {
            let to = closed.to.unwrap();
            // Back to milliseconds since the beginning.
            for boot in [&mut closed.from.boot, &mut closed.to.as_mut().unwrap().boot] {
                boot.0 -= self.offset * MS;
            }
            self.closed_until = self.closed_until.max(to.boot.0 / MS - self.offset);
            self.closed.push(closed);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (kind, made) in KINDS.into_iter().zip(self.made) {
            let of_kind: Vec<&Interval> = self.closed.iter().filter(|i| i.kind == kind).collect();
            let mut end = 0;
            let mut counted = 0;
            for interval in of_kind {
                let (from, to) = (interval.from.boot.0, interval.to.unwrap().boot.0);
                prop_assert_eq!(from, end, "consecutive intervals touch");
                end = to;
                counted += interval.counts.total;
                let sum: i64 = interval.spent.iter().map(|(.., ns)| ns).sum();
                prop_assert_eq!(sum, to - from, "durations sum to the interval");
                let range = usize::try_from(from / MS).unwrap()..usize::try_from(to / MS).unwrap();
                for (state, mode, ns) in &interval.spent {
                    let held = self.truth[range.clone()].iter();
                    let held = held.filter(|(key, _)| *key == (*state, *mode)).count();
                    prop_assert_eq!(*ns, held as i64 * MS, "{:?} in {:?}", state, range);
                }
            }
            let open = self.sheet.intervals.iter().filter(|i| i.kind == kind);
            counted += open.map(|i| i.counts.total).sum::<u64>();
            prop_assert_eq!(counted, made, "each piece is in exactly one");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn time_and_pieces_are_conserved(history in history()) {
        let mut model = Model::new();
        for (later, what) in history {
            model.pass(later, model.blind);
            model.happen(what);
        }
        model.end(&KINDS);
        model.left = None;
        model.tell();
        model.check()?;
    }
}
