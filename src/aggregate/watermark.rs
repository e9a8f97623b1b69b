//! Holds what a machine with a self-stamping device says until it can be put in order: for 500 ms, by the stamps.
//!
//! Pure: stamps come in with the batches, what is old enough goes out. `delay` drives it. Exact repeats, and what is older
//! than what went out of its tag already, are refused: they are counted and never merged. What is late and none the less the
//! newest that its tag said is what the tag is now, perhaps for ever: it holds from the first instant that is still open.

use crate::model::{Batch, BootTime, Content, DeviceId, LinkError, Sample, Stamp, TagId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long a machine waits for samples that come out of order (DESIGN, section 2).
pub(super) const WATERMARK: Duration = Duration::from_millis(500);
/// Most that all machines hold together, about 100 bytes each: ten times what the design load of 10,000 samples/s brings in
/// the time of the watermark, 5 MB at most.
const MAX_HELD: usize = 50_000;
/// Each machine may hold so many, however many machines there are: a large poll cycle.
const LEAST_HELD: usize = 2_000;

/// Why a sample is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The same tag, stamp and value came before.
    Duplicate,
    /// Younger samples went out already.
    Late,
}

/// What comes out, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Released {
    /// A device answered.
    Answered(DeviceId, Stamp),
    /// All samples of one device and stamp; a tag that comes twice has its second value behind all first ones.
    Samples(Vec<Sample>),
    /// A device is lost.
    Lost(DeviceId, Stamp, LinkError),
}

impl Released {
    /// When it happened.
    pub(super) fn at(&self) -> Option<Stamp> {
        match self {
            Released::Answered(_, stamp) | Released::Lost(_, stamp, _) => Some(*stamp),
            Released::Samples(samples) => samples.first().map(|sample| sample.stamp),
        }
    }
}

/// Before the samples of its instant (an answer) or behind them (a loss).
type NotePlace = (BootTime, bool, u64);
/// Stamp, device and tag, and how often the tag came with that stamp before.
type SamplePlace = (BootTime, DeviceId, TagId, u32);

/// What one machine holds.
#[derive(Debug)]
pub(super) struct Watermark {
    samples: BTreeMap<SamplePlace, Sample>,
    notes: BTreeMap<NotePlace, Released>,
    noted: u64,
    /// What went out last of each tag: repeats of it are none the less repeats.
    last: HashMap<TagId, Sample>,
    /// The newest that came of each tag, as it was stamped.
    newest: HashMap<TagId, Sample>,
    /// Late samples that hold from a later instant on, since somebody asked.
    moved: u64,
    /// Everything up to here went out.
    released: BootTime,
    most: usize,
}

impl Watermark {
    /// For one of `machines` machines that wait.
    pub(super) fn new(machines: usize) -> Watermark {
        Watermark {
            samples: BTreeMap::new(),
            notes: BTreeMap::new(),
            noted: 0,
            last: HashMap::new(),
            newest: HashMap::new(),
            moved: 0,
            released: BootTime(i64::MIN),
            most: (MAX_HELD / machines.max(1)).max(LEAST_HELD),
        }
    }

    /// Takes what a device said; gives the samples that are refused.
    pub(super) fn take(&mut self, batch: &Batch) -> Vec<(Sample, Refused)> {
        let mut refused = Vec::new();
        match &batch.content {
            Content::Samples(samples) => {
                let answered = Released::Answered(batch.device, batch.stamp);
                self.note(batch.stamp.boot, false, answered);
                for sample in samples {
                    if let Some(why) = self.hold(batch.device, sample) {
                        refused.push((sample.clone(), why));
                    }
                }
            }
            Content::Lost(error) => {
                let lost = Released::Lost(batch.device, batch.stamp, error.clone());
                self.note(batch.stamp.boot, true, lost);
            }
        }
        refused
    }

    fn note(&mut self, at: BootTime, behind: bool, note: Released) {
        self.noted += 1;
        let place = (at.max(self.released), behind, self.noted);
        self.notes.insert(place, note);
    }

    fn hold(&mut self, device: DeviceId, sample: &Sample) -> Option<Refused> {
        let (at, tag) = (sample.stamp.boot, sample.tag);
        let of_tag = (at, device, tag, 0)..=(at, device, tag, u32::MAX);
        let before = self.samples.range(of_tag).next_back();
        let same = |one: &Sample| is_repeat(one, sample);
        let newest = self.newest.get(&tag);
        if before.is_some_and(|(_, held)| same(held))
            || self.last.get(&tag).is_some_and(same)
            || newest.is_some_and(same)
        {
            return Some(Refused::Duplicate);
        }
        let is_newest = newest.is_none_or(|newest| newest.stamp.boot <= at);
        if at < self.released && !is_newest {
            return Some(Refused::Late);
        }
        if is_newest {
            self.newest.insert(tag, sample.clone());
        }
        self.moved += u64::from(at < self.released);
        self.insert(device, sample);
        None
    }

    /// Puts a sample in its place; one that is late, into the first instant that is still open.
    fn insert(&mut self, device: DeviceId, sample: &Sample) {
        let at = sample.stamp.boot.max(self.released);
        let of_tag = (at, device, sample.tag, 0)..=(at, device, sample.tag, u32::MAX);
        let before = self.samples.range(of_tag).next_back();
        let times = before.map_or(0, |((.., times), _)| times.saturating_add(1));
        let placed = Sample {
            stamp: sample.stamp.at(at),
            ..sample.clone()
        };
        self.samples.insert((at, device, sample.tag, times), placed);
    }

    /// How many late samples were moved since the last call.
    pub(super) fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved)
    }

    /// The next that happened up to `until`, oldest first.
    pub(super) fn next(&mut self, until: BootTime) -> Option<Released> {
        let sample = self.samples.first_key_value().map(|((at, ..), _)| *at);
        let note = self.notes.first_key_value().map(|(place, _)| *place);
        let note_first = match (sample, note) {
            (Some(sample), Some((at, behind, _))) => at < sample || at == sample && !behind,
            (None, note) => note.is_some(),
            (Some(_), None) => false,
        };
        let at = if note_first {
            note.map(|(at, ..)| at)
        } else {
            sample
        };
        if at? > until {
            return None;
        }
        self.released = self.released.max(at?);
        if note_first {
            return self.notes.pop_first().map(|(_, note)| note);
        }
        Some(Released::Samples(self.first_samples()))
    }

    /// All samples of the first stamp and device.
    fn first_samples(&mut self) -> Vec<Sample> {
        let mut taken: Vec<(u32, Sample)> = Vec::new();
        let mut of = None;
        while let Some(entry) = self.samples.first_entry() {
            let (at, device, _, times) = *entry.key();
            if *of.get_or_insert((at, device)) != (at, device) {
                break;
            }
            taken.push((times, entry.remove()));
        }
        taken.sort_by_key(|(times, _)| *times);
        let samples: Vec<Sample> = taken.into_iter().map(|(_, sample)| sample).collect();
        for sample in &samples {
            self.last.insert(sample.tag, sample.clone());
        }
        samples
    }

    /// Everything up to `until` went out: what is older is late from now on.
    pub(super) fn pass(&mut self, until: BootTime) {
        self.released = self.released.max(until);
    }

    /// Everything up to here went out.
    pub(super) fn released(&self) -> BootTime {
        self.released
    }

    /// The stamp of the oldest that is held.
    pub(super) fn oldest(&self) -> Option<BootTime> {
        let sample = self.samples.first_key_value().map(|((at, ..), _)| *at);
        let note = self.notes.first_key_value().map(|((at, ..), _)| *at);
        sample.into_iter().chain(note).min()
    }

    /// More is held than may be: the oldest must go out before its time.
    pub(super) fn overflows(&self) -> bool {
        self.samples.len() + self.notes.len() > self.most
    }
}

fn is_repeat(one: &Sample, other: &Sample) -> bool {
    one.stamp.boot == other.stamp.boot && one.value == other.value && one.quality == other.quality
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Quality, Value};

    const MS: i64 = 1_000_000;

    fn stamp(ms: i64) -> Stamp {
        Stamp {
            boot: BootTime(ms * MS),
            ..Stamp::default()
        }
    }

    /// A batch of device `device` that came at `ms`: tag, stamp in ms, value.
    fn batch(device: u32, ms: i64, samples: &[(u32, i64, i64)]) -> Batch {
        let sample = |(tag, at, value): &(u32, i64, i64)| Sample {
            tag: TagId(*tag),
            stamp: stamp(*at),
            value: Some(Value::Int(*value)),
            quality: Quality::Good,
        };
        Batch {
            device: DeviceId(device),
            stamp: stamp(ms),
            content: Content::Samples(samples.iter().map(sample).collect()),
        }
    }

    fn lost(device: u32, ms: i64) -> Batch {
        Batch {
            content: Content::Lost(LinkError {
                code: "timeout",
                detail: String::new(),
            }),
            ..batch(device, ms, &[])
        }
    }

    /// What comes out up to `ms`: `10:1=7` is tag 1 with 7 at 10 ms, `!` a loss; answers are not shown.
    fn out(watermark: &mut Watermark, ms: i64) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(released) = watermark.next(BootTime(ms * MS)) {
            let at = released.at().unwrap().boot.0 / MS;
            match released {
                Released::Answered(..) => {}
                Released::Lost(device, ..) => all.push(format!("{at}:{}!", device.0)),
                Released::Samples(samples) => {
                    let one = |sample: &Sample| match &sample.value {
                        Some(Value::Int(value)) => format!("{}={value}", sample.tag.0),
                        _ => panic!("no number"),
                    };
                    let words: Vec<String> = samples.iter().map(one).collect();
                    all.push(format!("{at}:{}", words.join(" ")));
                }
            }
        }
        watermark.pass(BootTime(ms * MS));
        all
    }

    #[test]
    fn what_comes_out_of_order_goes_out_in_order() {
        let mut watermark = Watermark::new(1);
        watermark.take(&batch(0, 100, &[(1, 100, 1), (2, 100, 1)]));
        watermark.take(&batch(1, 110, &[(9, 40, 5), (9, 105, 6)]));
        watermark.take(&lost(0, 100));
        watermark.take(&batch(0, 120, &[(1, 90, 0)]));
        assert_eq!(watermark.oldest(), Some(BootTime(40 * MS)));
        assert_eq!(out(&mut watermark, 99), ["40:9=5", "90:1=0"]);
        assert_eq!(
            out(&mut watermark, 500),
            ["100:1=1 2=1", "100:0!", "105:9=6"]
        );
        assert_eq!(watermark.oldest(), None);
    }

    #[test]
    fn devices_of_equal_stamp_have_an_instant_each_and_a_tag_twice_its_second_value_last() {
        let mut watermark = Watermark::new(1);
        watermark.take(&batch(1, 100, &[(8, 100, 1)]));
        watermark.take(&batch(0, 100, &[(1, 100, 1), (2, 100, 7), (1, 100, 0)]));
        watermark.take(&batch(1, 101, &[(9, 100, 2)]));
        assert_eq!(out(&mut watermark, 100), ["100:1=1 2=7 1=0", "100:8=1 9=2"]);
    }

    #[test]
    fn repeats_and_latecomers_are_refused() {
        let mut watermark = Watermark::new(1);
        let mut take = |ms, samples: &[(u32, i64, i64)]| {
            let refused = watermark.take(&batch(0, ms, samples));
            let why: Vec<Refused> = refused.into_iter().map(|(_, why)| why).collect();
            (why, out(&mut watermark, ms - 500))
        };
        assert_eq!(
            take(100, &[(1, 100, 1), (1, 100, 1)]).0,
            [Refused::Duplicate]
        );
        assert_eq!(
            take(200, &[(1, 100, 1), (1, 100, 2)]).0,
            [Refused::Duplicate]
        );
        assert_eq!(take(700, &[]).1, ["100:1=1 1=2"]);
        // A repeat of what went out is a repeat; what is older is late, and one of the last moment is not.
        assert_eq!(take(700, &[(1, 100, 2)]).0, [Refused::Duplicate]);
        assert_eq!(take(700, &[(1, 99, 3)]).0, [Refused::Late]);
        assert_eq!(
            take(700, &[(2, 200, 1)]),
            (vec![], vec!["200:2=1".to_owned()])
        );
    }

    #[test]
    fn a_late_value_that_is_the_newest_of_its_tag_is_not_lost() {
        let mut watermark = Watermark::new(1);
        watermark.take(&batch(0, 100, &[(1, 100, 0), (2, 100, 7)]));
        assert_eq!(out(&mut watermark, 1_000), ["100:1=0 2=7"]);
        // A server that tells changes only never says it again; two such keep their order.
        let late = batch(0, 1_500, &[(1, 600, 1), (1, 700, 2), (1, 1_200, 3)]);
        assert_eq!(watermark.take(&late), []);
        assert_eq!(watermark.take_moved(), 2);
        let why = |refused: Vec<(Sample, Refused)>| refused.first().map(|(_, why)| *why);
        // Polled again: a repeat. Older than what is known: late.
        let repeat = watermark.take(&batch(0, 1_510, &[(1, 1_200, 3)]));
        assert_eq!(why(repeat), Some(Refused::Duplicate));
        let older = watermark.take(&batch(0, 1_520, &[(1, 650, 9)]));
        assert_eq!(why(older), Some(Refused::Late));
        assert_eq!(out(&mut watermark, 2_000), ["1000:1=1 1=2", "1200:1=3"]);
        watermark.take(&batch(0, 2_400, &[(2, 1_900, 8)]));
        let repeat = watermark.take(&batch(0, 2_500, &[(2, 1_900, 8)]));
        assert_eq!(why(repeat), Some(Refused::Duplicate));
    }

    #[test]
    fn what_is_held_has_a_limit() {
        let mut watermark = Watermark::new(1_000);
        let mut ms = 0;
        while !watermark.overflows() {
            ms += 1;
            watermark.take(&batch(0, ms, &[(1, ms, ms)]));
        }
        assert!(watermark.samples.len() <= LEAST_HELD);
        let oldest = watermark.oldest().unwrap();
        while watermark.next(oldest).is_some() {}
        assert!(!watermark.overflows());
    }

    proptest::proptest! {
        #[test]
        fn everything_is_told_once_in_order_or_counted(
            input in proptest::collection::vec((0u32..3, 0i64..900, 0u32..4, 0i64..3), 1..300),
        ) {
            let mut watermark = Watermark::new(1);
            let (mut refused, mut told) = (0, Vec::new());
            for (step, (device, age, tag, value)) in (1i64..).zip(&input) {
                let ms = step * 50;
                let tag = device * 10 + tag;
                refused += watermark.take(&batch(*device, ms, &[(tag, ms - age, *value)])).len();
                while let Some(released) = watermark.next(BootTime((ms - 500) * MS)) {
                    if let Released::Samples(samples) = released {
                        told.extend(samples);
                    }
                }
                watermark.pass(BootTime((ms - 500) * MS));
            }
            while let Some(released) = watermark.next(BootTime(i64::MAX)) {
                if let Released::Samples(samples) = released {
                    told.extend(samples);
                }
            }
            proptest::prop_assert_eq!(told.len() + refused, input.len());
            proptest::prop_assert!(told.is_sorted_by_key(|sample| sample.stamp.boot));
        }
    }
}
