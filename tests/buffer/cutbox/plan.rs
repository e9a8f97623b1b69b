//! What the workload does, step by step, as a seed decides it, and what a store must say after each step. Pure: whoever
//! verifies a cut plays the same steps in memory.

use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Uplinks of the workload: one keeps up, one falls behind.
pub(super) const UPLINKS: usize = 2;
/// Events that the slow uplink may be behind, some two generations.
const MAX_BEHIND: u64 = 90;
/// Events of one commit.
pub(super) const MAX_BATCH: u64 = 10;
const KEYS: u8 = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Opens the store, after closing it.
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

/// What a store must say after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// The last event.
    pub(super) last: u64,
    /// What each uplink settled.
    pub(super) settled: [Settled; UPLINKS],
    /// The part of it that must outlive a power cut.
    pub(super) durable: [Settled; UPLINKS],
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

/// The steps of a seed.
pub(super) struct Plan {
    random: Rng,
    model: Model,
    begun: bool,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Plan {
        Plan {
            random: Rng::with_seed(seed),
            model: Model::default(),
            begun: false,
        }
    }

    /// The next step. The model is then what it is when the step is done.
    pub(super) fn step(&mut self) -> Step {
        let step = if self.begun {
            self.choose()
        } else {
            self.begun = true;
            Step::Open
        };
        if matches!(
            step,
            Step::Open | Step::Commit { .. } | Step::CommitProgress
        ) {
            self.model.durable = self.model.settled.clone();
        }
        step
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    fn choose(&mut self) -> Step {
        match self.random.u8(0..100) {
            0..2 => Step::Open,
            2..6 => Step::CommitProgress,
            6..10 => Step::Read,
            10..14 => Step::WriteBack,
            14..45 => self.settle(),
            _ => self.commit(),
        }
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
        let uplink = self.random.usize(..UPLINKS);
        let last = self.model.last;
        let settled = &mut self.model.settled[uplink];
        let from = match uplink {
            0 => settled.up_to,
            _ => settled.up_to.max(last.saturating_sub(MAX_BEHIND)),
        };
        let up_to = match self.random.u8(0..4) {
            0 => last,
            _ => self.random.u64(from..=last),
        };
        let beyond = if self.random.bool() {
            let chosen = (up_to + 1..=last).filter(|_| self.random.u8(0..4) == 0);
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
fn a_seed_decides_each_step_and_both_uplinks_come_forward() {
    let (mut one, mut other) = (Plan::new(7), Plan::new(7));
    assert_eq!(one.step(), Step::Open);
    other.step();
    for _ in 0..2_000 {
        assert_eq!(one.step(), other.step());
        let model = one.model();
        assert_eq!(model, other.model());
        for uplink in 0..UPLINKS {
            let (durable, settled) = (&model.durable[uplink], &model.settled[uplink]);
            assert!((1..=model.last).all(|seq| settled.contains(seq) || !durable.contains(seq)));
            assert!(!settled.contains(model.last + 1));
        }
    }
    let model = one.model();
    assert!(model.durable.iter().all(|durable| durable.up_to > 1_000));
    assert!(!model.checkpoint().is_empty());
}
