//! Events that the destination never takes, in a stream of others: how long the others wait for them, in virtual time. And
//! destinations that are away, which must not be mistaken for that.

use super::tests::{Case, Log, play, terms};
use super::*;
use crate::deliver::uplink::{Doubt, Trouble, Verdict};
use crate::model::ParkClass;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Events come one by one, for a quarter of an hour; the machines of the tests take turns.
const EVERY: Duration = Duration::from_secs(1);
const EVENTS: u64 = 900;
const HOUR: Duration = Duration::from_secs(3_600);
/// Until an answer comes.
const ANSWER: Duration = Duration::from_millis(5);
/// The longest that an event of another machine may wait.
const LONGEST: Duration = Duration::from_secs(1);
/// The longest that one of the same machine may wait for a single poison, where its answer may blame the destination: the first
/// event of a machine is tried again ahead of the one behind it, so that an outage does not turn them round. Waits of at most
/// 1 s and 2 s.
const SAME: Duration = Duration::from_secs(3);

fn trouble() -> Trouble {
    Trouble::new("scripted")
}

/// A verdict and its name.
type Named = (&'static str, fn() -> Verdict);

/// What a destination may say to an event that it does not take.
const ANSWERS: [Named; 6] = [
    ("rejected", || {
        Verdict::Rejected(ParkClass::Schema, trouble())
    }),
    ("refused (402, retry)", || Verdict::Refused(trouble())),
    ("no verdict (500)", || Verdict::Unanswered(trouble())),
    ("conflict (409)", || Verdict::Conflict(trouble())),
    ("in doubt, event (502)", || {
        Verdict::InDoubt(Doubt::Event, trouble())
    }),
    ("in doubt, way (404, 0x10)", || {
        Verdict::InDoubt(Doubt::Way, trouble())
    }),
];

fn mqtt() -> Terms {
    Terms {
        in_flight: 64,
        ..terms()
    }
}

fn http(batch: usize) -> Terms {
    Terms {
        one_per_key: true,
        verdict_within: None,
        batch,
        ..terms()
    }
}

/// One event per second, or, where the terms have batches, all of them at once.
fn case(terms: Terms, machines: u64) -> Case {
    Case {
        every: if terms.batch > 1 {
            Duration::ZERO
        } else {
            EVERY
        },
        terms,
        machines,
        ..Case::of(EVENTS, 2 * HOUR)
    }
}

fn answered(verdict: Verdict) -> Vec<(Duration, Verdict)> {
    vec![(ANSWER, verdict)]
}

/// The longest wait of an event of another machine, and of one of the same, from its commit to its delivery; all but the
/// poisons are delivered, in order of first delivery.
async fn waits(
    case: Case,
    poisons: &'static [u64],
    verdict: fn() -> Verdict,
) -> (Log, [Duration; 2]) {
    let (log, _) = play(case, move |_, seq| {
        answered(if poisons.contains(&seq) {
            verdict()
        } else {
            Verdict::Accepted
        })
    })
    .await;
    let delivered = EVENTS - poisons.len() as u64;
    assert_eq!(log.delivered, delivered);
    in_order(&log, case.machines);
    let mut shown = log.connects[0];
    let last: BTreeMap<u64, Instant> = log.sent.iter().copied().collect();
    let mut longest = [Duration::ZERO; 2];
    for seq in 1..=EVENTS {
        if !poisons.contains(&seq) {
            let of = |poison: &u64| poison % case.machines == seq % case.machines;
            let same = usize::from(poisons.iter().any(of));
            longest[same] = longest[same].max(last[&seq].duration_since(shown));
        }
        shown += case.every;
    }
    (log, longest)
}

/// First deliveries of a machine keep their order.
fn in_order(log: &Log, machines: u64) {
    let mut newest = BTreeMap::new();
    let mut known = std::collections::BTreeSet::new();
    for (seq, _) in &log.sent {
        if known.insert(*seq) {
            let before = newest.insert(seq % machines, *seq);
            assert!(before.is_none_or(|before| before < *seq), "{seq} too early");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_poison_delays_no_other_machine_and_its_own_for_seconds_at_most() {
    for (name, verdict) in ANSWERS {
        for terms in [mqtt(), http(1), http(100)] {
            for machines in [3, 1] {
                let (log, [others, same]) = waits(case(terms, machines), &[50], verdict).await;
                let attempts = log.sent.iter().filter(|(seq, _)| *seq == 50).count();
                println!(
                    "{name}, one per key {}, batch {}, {machines} machines: others {others:?}, same {same:?}, {attempts} attempts, parked {:?}",
                    terms.one_per_key, terms.batch, log.parked
                );
                assert!(others <= LONGEST && same <= SAME);
                let class = match verdict() {
                    Verdict::Rejected(class, _) => Some(class),
                    Verdict::Conflict(_) => Some(ParkClass::Business),
                    // Only its way, or there are no others any more.
                    _ if name.contains("way") || terms.batch > 1 => None,
                    _ => Some(ParkClass::Suspect),
                };
                let parked: Vec<ParkClass> = log.parked.iter().map(|(_, class)| *class).collect();
                assert_eq!(parked, Vec::from_iter(class));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_poisons_at_once_delay_the_others_for_seconds() {
    const SPREAD: &[u64] = &[50, 57, 64, 83, 99];
    const IN_A_ROW: &[u64] = &[50, 51, 52, 53, 54];
    for (name, verdict) in ANSWERS {
        for terms in [mqtt(), http(1), http(100)] {
            for machines in [7, 1] {
                for poisons in [SPREAD, IN_A_ROW] {
                    let (_, [others, same]) = waits(case(terms, machines), poisons, verdict).await;
                    println!(
                        "{name}, one per key {}, batch {}, {machines} machines, {poisons:?}: others {others:?}, same {same:?}",
                        terms.one_per_key, terms.batch
                    );
                    assert!(others <= 2 * LONGEST);
                }
            }
        }
    }
}

/// In doubt, with a wait that is asked for.
fn later(doubt: Doubt, seconds: u64) -> Verdict {
    let trouble = Trouble {
        at_least: Some(Duration::from_secs(seconds)),
        ..trouble()
    };
    Verdict::InDoubt(doubt, trouble)
}

fn attempts_with(log: &Log, seq: u64) -> Vec<Instant> {
    let sent = log.sent.iter().filter(|(one, _)| *one == seq);
    sent.map(|(_, at)| *at).collect()
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_asked_for_one_event_is_kept_by_it_and_by_no_other() {
    const ASKED: Duration = Duration::from_secs(600);
    for batch in [1, 100] {
        for machines in [3, 1] {
            let case = case(http(batch), machines);
            let asked = || later(Doubt::Event, 600);
            let (log, [others, same]) = waits(case, &[50], asked).await;
            let attempts = attempts_with(&log, 50);
            println!(
                "batch {batch}, {machines} machines: others {others:?}, same {same:?}, {} attempts",
                attempts.len()
            );
            assert!(others <= LONGEST && same <= SAME);
            // What went together with others says nothing of it.
            let alone = &attempts[usize::from(batch > 1)..];
            assert!(alone.len() > 3);
            for pair in alone.windows(2) {
                assert!(pair[1].duration_since(pair[0]) >= ASKED);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_not_let_in_or_asked_to_wait_delays_no_other_one() {
    let of_it: &'static [u64] = Vec::from_iter((3..=EVENTS).step_by(3)).leak();
    let not_let_in = || Verdict::InDoubt(Doubt::Way, trouble());
    for (name, verdict) in [
        ("401", not_let_in as fn() -> Verdict),
        ("429", || later(Doubt::Way, 600)),
        ("429, shortly", || later(Doubt::Way, 2)),
    ] {
        for terms in [http(1), http(100)] {
            let (log, [others, _]) = waits(case(terms, 3), of_it, verdict).await;
            println!(
                "{name}, batch {}: others {others:?}, {} requests",
                terms.batch,
                log.requests.len()
            );
            // In batches all of them are there at the beginning, and go one by one until it is clear which to leave out.
            let most = if terms.batch > 1 {
                3 * LONGEST
            } else {
                LONGEST
            };
            assert!(others <= most && log.parked.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_all_are_asked_for_is_kept() {
    for batch in [1, 100] {
        for machines in [10, 1] {
            let asked = || later(Doubt::Event, 120);
            let outage = Outage::of(case(http(batch), machines), asked).await;
            let (per_minute, requests) = (outage.per_minute(), outage.requests_within(HOUR));
            println!(
                "batch {batch}, {machines} machines: {requests} requests in the outage, {per_minute} a minute, all there {:?} after it, {} overtaken",
                outage.longest,
                overtaken(&outage.log, machines)
            );
            assert!(
                per_minute <= 2 && requests <= 8 + 3 + 31,
                "{requests} requests"
            );
            assert!(outage.longest <= Duration::from_secs(180));
            // The few that were under way when it began, and what tried since.
            assert!(overtaken(&outage.log, machines) <= 8);
        }
    }
}

/// An acknowledgement that never comes is taken for a dead connection: the others wait for
/// the reconnect.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_acknowledged_delays_nobody_for_long() {
    let (log, _) = play(case(terms(), 3), move |_, seq| match seq {
        50 => Vec::new(),
        _ => answered(Verdict::Accepted),
    })
    .await;
    let last: BTreeMap<u64, Instant> = log.sent.iter().copied().collect();
    for seq in (1..=EVENTS).filter(|seq| *seq != 50) {
        let shown = log.connects[0] + EVERY * u32::try_from(seq - 1).expect("few");
        assert!(last[&seq].duration_since(shown) <= LONGEST);
    }
}

/// A verdict on all, its name, and whether it pauses everything.
type Outcome = (&'static str, fn() -> Verdict, bool);

/// A destination that is away for an hour, and says so to each event.
struct Outage {
    longest: Duration,
    log: Log,
}

impl Outage {
    async fn of(case: Case, verdict: fn() -> Verdict) -> Outage {
        let begin = Instant::now();
        let (log, settled) = play(case, move |_, _| {
            answered(if begin.elapsed() < HOUR {
                verdict()
            } else {
                Verdict::Accepted
            })
        })
        .await;
        assert_eq!((settled, log.delivered), (case.events, case.events));
        in_order(&log, case.machines);
        assert_eq!(log.parked, [], "nothing is parked in an outage");
        let last = log.sent.iter().map(|(_, at)| *at).max().expect("sent");
        let longest = last.duration_since(begin + HOUR);
        Outage { longest, log }
    }

    fn requests_within(&self, time: Duration) -> usize {
        let end = self.log.connects[0] + time;
        self.log.requests.iter().filter(|at| **at < end).count()
    }

    /// Most requests in a minute of the outage, after its first one.
    fn per_minute(&self) -> usize {
        let begin = self.log.connects[0];
        let minutes = (1..60).map(|minute| begin + Duration::from_secs(60) * minute);
        let within = |from: Instant| {
            let until = from + Duration::from_secs(60);
            let here = |at: &&Instant| **at >= from && **at < until;
            self.log.requests.iter().filter(here).count()
        };
        minutes.map(within).max().unwrap_or_default()
    }
}

/// Events of a machine whose delivery came after that of a later one.
fn overtaken(log: &Log, machines: u64) -> usize {
    let last: BTreeMap<u64, Instant> = log.sent.iter().copied().collect();
    let early = |seq: u64| {
        let later = (seq + machines..=EVENTS).step_by(usize::try_from(machines).expect("few"));
        later.clone().any(|later| last[&later] < last[&seq])
    };
    (1..=EVENTS).filter(|seq| early(*seq)).count()
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_parks_nothing_and_is_left_alone() {
    for (name, verdict, all) in [
        ("401", || Verdict::Unavailable(trouble()), true),
        ("503", || Verdict::InDoubt(Doubt::Event, trouble()), true),
        ("0x10", || Verdict::InDoubt(Doubt::Way, trouble()), true),
        ("500", || Verdict::Unanswered(trouble()), false),
    ] as [Outcome; 4]
    {
        for terms in [mqtt(), http(1), http(100)] {
            for machines in [10, 1] {
                // A broker has no error for each event.
                if !all && !terms.one_per_key {
                    continue;
                }
                let mut case = case(terms, machines);
                case.every *= 4;
                let outage = Outage::of(case, verdict).await;
                let per_minute = outage.per_minute();
                println!(
                    "{name}, one per key {}, batch {}, {machines} machines: {per_minute} requests a minute, all there {:?} after it, {} overtaken",
                    terms.one_per_key,
                    terms.batch,
                    outage.longest,
                    overtaken(&outage.log, machines)
                );
                // The gate tries every 15 s on average; without it, each machine does with two events.
                let most = if all {
                    20
                } else {
                    20 * usize::try_from(machines).expect("few")
                };
                assert!(per_minute <= most, "{per_minute} requests a minute");
                assert!(outage.longest <= Duration::from_secs(60));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_every_other_attempt_loses_and_parks_nothing() {
    for seed in 0..4 {
        println!("seed {seed}");
        for terms in [mqtt(), http(1), http(100)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let (log, settled) = play(case(terms, 3), move |_, _| {
                answered(if random.bool() {
                    Verdict::Accepted
                } else {
                    Verdict::InDoubt(Doubt::Event, trouble())
                })
            })
            .await;
            let parked = log.parked.len();
            println!("{} attempts, {parked} parked", log.sent.len());
            assert_eq!((settled, log.delivered, parked), (EVENTS, EVENTS, 0));
            in_order(&log, 3);
            assert!(log.sent.len() < 4 * usize::try_from(EVENTS).expect("few"));
        }
    }
}
