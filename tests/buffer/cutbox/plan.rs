//! What the workload does, step by step, as a seed decides it, and what a store must say after each step. Pure: whoever
//! verifies a cut plays the same steps in memory.

use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Uplinks of the workload: one keeps up, one falls behind, one comes and goes.
pub(super) const UPLINKS: usize = 3;
const FLEETING: usize = 2;
/// Events that the slow uplink may be behind, some two generations; nothing holds it where the store may evict.
const MAX_BEHIND: u64 = 90;
/// Events of one commit.
pub(super) const MAX_BATCH: u64 = 10;
const KEYS: u8 = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Opens the store, after closing it in order, with the uplinks that the model then has.
    Open,
    /// Commits this many events and the new values of these checkpoint entries; `None` removes one.
    Commit {
        events: u64,
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
    /// An uplink settles everything up to an event, and some beyond; durable with a later commit.
    Settle {
        uplink: usize,
        up_to: u64,
        /// What was not settled before.
        news: Vec<u64>,
    },
    /// An uplink puts an event aside: durable at once.
    Park { uplink: usize, seq: u64 },
    /// An event is parked no longer; durable with a later commit.
    Leave { uplink: usize, seq: u64 },
    /// Commits progress alone.
    CommitProgress,
    /// Reads what the slow uplink has not settled.
    Read,
    /// The kernel writes back what nobody asked it to.
    WriteBack,
}

/// What an uplink settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// All up to here.
    pub(super) up_to: u64,
    above: BTreeSet<u64>,
}

impl Settled {
    pub(super) fn contains(&self, seq: u64) -> bool {
        seq <= self.up_to || self.above.contains(&seq)
    }

    /// Adds all up to one, and some beyond; returns what is new.
    fn add(&mut self, up_to: u64, beyond: Vec<u64>) -> Vec<u64> {
        let below = self.up_to + 1..=up_to;
        let mut news: Vec<u64> = below.chain(beyond).collect();
        news.retain(|seq| !self.contains(*seq));
        self.up_to = self.up_to.max(up_to);
        self.above.extend(&news);
        while self.above.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
        self.above.retain(|seq| *seq > self.up_to);
        news
    }
}

/// How far an uplink has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uplink {
    /// The last event before it was added.
    pub(super) from: u64,
    /// Parked events of an earlier time, with which it began.
    pub(super) adopted: u64,
    /// What it settled, parked events included.
    pub(super) settled: Settled,
    pub(super) parked: BTreeSet<u64>,
    /// Parked once, and no longer.
    pub(super) left: BTreeSet<u64>,
}

impl Uplink {
    /// One that is new, after this event; files of an earlier time make events parked.
    fn new(from: u64, files: &BTreeSet<u64>) -> Uplink {
        let mut settled = Settled::default();
        settled.add(from, Vec::new());
        Uplink {
            from,
            adopted: files.len() as u64,
            settled,
            parked: files.clone(),
            left: BTreeSet::new(),
        }
    }
}

/// What a store must say after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// The last event.
    pub(super) last: u64,
    /// What each uplink has; those that are there.
    pub(super) uplinks: Vec<Uplink>,
    /// The part of it that must outlive a power cut.
    pub(super) durable: Vec<Uplink>,
    /// Parked events of the uplink that is away.
    away: BTreeSet<u64>,
    /// The commit that wrote each checkpoint entry.
    entries: BTreeMap<u8, u64>,
    commits: u64,
}

impl Model {
    /// All entries of the checkpoint.
    pub(super) fn checkpoint(&self) -> BTreeMap<String, Vec<u8>> {
        self.entries
            .iter()
            .map(|(key, commit)| (name(*key), value(*key, *commit)))
            .collect()
    }
}

/// Whether the store of this seed is so small that it evicts, and the slow uplink far behind.
pub(super) fn evicts(seed: u64) -> bool {
    seed % 2 == 1
}

/// The steps of a seed.
pub(super) struct Plan {
    random: Rng,
    model: Model,
    begun: bool,
    max_behind: u64,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Plan {
        Plan {
            random: Rng::with_seed(seed),
            model: Model {
                uplinks: vec![Uplink::default(); UPLINKS - 1],
                ..Model::default()
            },
            begun: false,
            max_behind: if evicts(seed) { u64::MAX } else { MAX_BEHIND },
        }
    }

    /// The next step. The model is then what it is when the step is done.
    pub(super) fn step(&mut self) -> Step {
        let step = if self.begun {
            self.choose()
        } else {
            self.begun = true;
            self.open()
        };
        if matches!(
            step,
            Step::Open | Step::Commit { .. } | Step::CommitProgress
        ) {
            self.model.durable = self.model.uplinks.clone();
        }
        step
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    fn choose(&mut self) -> Step {
        match self.random.u8(0..100) {
            0..3 => self.open(),
            3..7 => Step::CommitProgress,
            7..11 => Step::Read,
            11..15 => Step::WriteBack,
            15..38 => self.settle(),
            38..45 => self.park(),
            45..49 => self.leave(),
            _ => self.commit(),
        }
    }

    /// The fleeting uplink may come or go.
    fn open(&mut self) -> Step {
        let model = &mut self.model;
        if self.random.bool() {
            match model.uplinks.get(FLEETING).cloned() {
                Some(erp) => {
                    model.away = erp.parked;
                    model.uplinks.truncate(FLEETING);
                }
                None => model.uplinks.push(Uplink::new(model.last, &model.away)),
            }
        }
        Step::Open
    }

    /// One of the first events that an uplink has not settled.
    fn park(&mut self) -> Step {
        let uplink = self.random.usize(..self.model.uplinks.len());
        let last = self.model.last;
        let held = &self.model.uplinks[uplink].settled;
        let open = (held.up_to + 1..=last).filter(|seq| !held.contains(*seq));
        let nth = self.random.usize(..8);
        let Some(seq) = open.take(nth + 1).last() else {
            return Step::Read;
        };
        // Its file is durable before anything is said.
        for held in [&mut self.model.uplinks, &mut self.model.durable] {
            held[uplink].settled.add(0, vec![seq]);
            held[uplink].parked.insert(seq);
        }
        Step::Park { uplink, seq }
    }

    fn leave(&mut self) -> Step {
        let uplink = self.random.usize(..self.model.uplinks.len());
        let held = &mut self.model.uplinks[uplink];
        let nth = self.random.usize(..4);
        let Some(seq) = held.parked.iter().copied().take(nth + 1).last() else {
            return Step::Read;
        };
        held.parked.remove(&seq);
        held.left.insert(seq);
        Step::Leave { uplink, seq }
    }

    fn commit(&mut self) -> Step {
        self.model.commits += 1;
        let events = self.random.u64(1..=MAX_BATCH);
        self.model.last += events;
        let mut entries = Vec::new();
        for key in 0..KEYS {
            match self.random.u8(0..20) {
                0 => {
                    self.model.entries.remove(&key);
                    entries.push((name(key), None));
                }
                1..6 => {
                    self.model.entries.insert(key, self.model.commits);
                    entries.push((name(key), Some(value(key, self.model.commits))));
                }
                _ => {}
            }
        }
        Step::Commit { events, entries }
    }

    fn settle(&mut self) -> Step {
        let uplink = self.random.usize(..self.model.uplinks.len());
        let last = self.model.last;
        let settled = &mut self.model.uplinks[uplink].settled;
        let hurries = uplink != 1 || self.max_behind < u64::MAX;
        let (from, to) = match uplink {
            1 if !hurries => (settled.up_to, settled.up_to + (last - settled.up_to) / 16),
            1 => (
                settled.up_to.max(last.saturating_sub(self.max_behind)),
                last,
            ),
            _ => (settled.up_to, last),
        };
        let up_to = match self.random.u8(0..4) {
            0 => to,
            _ => self.random.u64(from..=to),
        };
        let beyond = if self.random.bool() {
            let end = last.min(up_to + 2 * MAX_BEHIND);
            let chosen = (up_to + 1..=end).filter(|_| self.random.u8(0..4) == 0);
            chosen.collect()
        } else {
            Vec::new()
        };
        let mut news = settled.add(up_to, beyond);
        self.random.shuffle(&mut news);
        Step::Settle {
            uplink,
            up_to,
            news,
        }
    }
}

/// Whether an event only passes: the first to go where the store is too small.
pub(super) fn passes(seq: u64) -> bool {
    seq.is_multiple_of(3)
}

/// Whether an event that was parked was discarded, and not delivered.
pub(super) fn is_discarded(seq: u64) -> bool {
    seq.is_multiple_of(2)
}

/// Whether the uplinks leave an event out.
pub(super) fn is_filtered(seq: u64) -> bool {
    seq.is_multiple_of(5)
}

fn name(key: u8) -> String {
    format!("PRESS-{key:02}/slot/1")
}

/// Mostly some hundred bytes; at times more than one value of the engine takes.
fn value(key: u8, commit: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(commit << 8 | u64::from(key));
    let length = match random.u8(0..20) {
        0 => random.usize(5_000..12_000),
        _ => random.usize(1..1_000),
    };
    noise(&mut random, length)
}

/// The payload of an event: mostly some 2 KB, half of which can be compressed. At times several large ones follow one
/// another: more than a leaf of the engine should hold.
pub(super) fn payload(seq: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seq);
    let length = match random.u8(0..20) {
        _ if (seq / 16) % 32 == 7 => random.usize(50_000..150_000),
        0 => random.usize(8_000..16_000),
        1 => random.usize(1..50),
        _ => random.usize(500..3_000),
    };
    let mut bytes = format!("{seq} ").repeat(length / 10).into_bytes();
    bytes.extend(noise(&mut random, length / 2));
    bytes
}

fn noise(random: &mut Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

#[test]
fn a_seed_decides_each_step_and_all_uplinks_come_forward() {
    let (mut one, mut other) = (Plan::new(8), Plan::new(8));
    assert_eq!(one.step(), other.step());
    let (mut parked, mut left, mut changes, mut there) = (0, 0, 0, 2);
    for _ in 0..2_000 {
        let step = one.step();
        assert_eq!(step, other.step());
        parked += u32::from(matches!(step, Step::Park { .. }));
        left += u32::from(matches!(step, Step::Leave { .. }));
        let model = one.model();
        assert_eq!(model, other.model());
        changes += u32::from(model.uplinks.len() != there);
        there = model.uplinks.len();
        assert_eq!(model.durable.len(), there);
        for (durable, offered) in model.durable.iter().zip(&model.uplinks) {
            let (was, is) = (&durable.settled, &offered.settled);
            assert!((1..=model.last).all(|seq| is.contains(seq) || !was.contains(seq)));
            assert!(!is.contains(model.last + 1));
            assert!(offered.parked.iter().all(|seq| is.contains(*seq)));
            assert!(offered.parked.is_disjoint(&offered.left));
        }
    }
    assert!(
        parked > 50 && left > 30 && changes > 10,
        "{parked} {left} {changes}"
    );
    let model = one.model();
    assert!(
        model
            .durable
            .iter()
            .take(2)
            .all(|it| it.settled.up_to > 1_000)
    );
    assert!(!model.checkpoint().is_empty());
}
