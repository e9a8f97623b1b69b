//! Answers that blame the destination now and then while it takes the others: one bad server of many behind a balancer.

use super::tests::{Case, Log, play, terms};
use super::*;
use crate::deliver::uplink::{Doubt, Trouble, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);
const EVENTS: u64 = 6_000;
const MACHINES: u64 = 8;
/// One answer of so many is not good.
const ONE_OF: u8 = 20;

/// A verdict and its name.
type Named = (&'static str, fn() -> Verdict);

fn trouble() -> Trouble {
    Trouble::new("scripted")
}

fn http(batch: usize) -> Terms {
    Terms {
        one_per_key: true,
        verdict_within: None,
        batch,
        ..terms()
    }
}

fn mqtt() -> Terms {
    Terms {
        in_flight: 64,
        ..terms()
    }
}

fn case(terms: Terms) -> Case {
    Case {
        machines: MACHINES,
        terms,
        ..Case::of(EVENTS, 2 * HOUR)
    }
}

/// Answers with that verdict now and then, at some hundred events a second in all.
fn now_and_then(
    seed: u64,
    terms: Terms,
    verdict: fn() -> Verdict,
) -> impl FnMut(usize, u64) -> Vec<(Duration, Verdict)> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(seed);
    let slower = u64::try_from(terms.in_flight * terms.batch / 8).expect("few");
    move |_, _| {
        let verdict = if random.u8(0..ONE_OF) == 0 {
            verdict()
        } else {
            Verdict::Accepted
        };
        let takes = slower * random.u64(5..30);
        vec![(Duration::from_millis(takes), verdict)]
    }
}

/// First deliveries of a machine keep their order.
fn in_order(log: &Log) {
    let mut newest = BTreeMap::new();
    let mut known = std::collections::BTreeSet::new();
    for (seq, _) in &log.sent {
        if known.insert(*seq) {
            let before = newest.insert(seq % MACHINES, *seq);
            assert!(before.is_none_or(|before| before < *seq), "{seq} too early");
        }
    }
}

/// How long it takes until all are delivered.
async fn takes(terms: Terms, seed: u64, verdict: fn() -> Verdict) -> Duration {
    let (log, settled) = play(case(terms), now_and_then(seed, terms, verdict)).await;
    assert_eq!(
        (settled, log.delivered, &log.parked),
        (EVENTS, EVENTS, &vec![])
    );
    // Now and then the one that tries the way is answered so, too.
    assert!(log.destination.pauses <= EVENTS / u64::from(ONE_OF) / 10);
    in_order(&log);
    let last = log.sent.iter().map(|(_, at)| *at).max();
    last.expect("sent").duration_since(log.connects[0])
}

#[tokio::test(start_paused = true)]
async fn a_few_answers_that_may_blame_the_destination_cost_no_more_than_ones_that_blame_the_event()
{
    let doubted: [Named; 2] = [
        ("503", || Verdict::InDoubt(Doubt::Event, trouble())),
        ("429, 0x97", || Verdict::InDoubt(Doubt::Way, trouble())),
    ];
    for seed in 1..=3 {
        for (name, terms) in [("HTTP", http(1)), ("batches", http(20)), ("MQTT", mqtt())] {
            let own = takes(terms, seed, || Verdict::Unanswered(trouble())).await;
            for (answer, verdict) in doubted {
                let took = takes(terms, seed, verdict).await;
                println!("seed {seed}, {name}, {answer}: {took:?}, with 500 {own:?}");
                assert!(took.mul_f64(0.8) <= own);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_sporadic_answers_parks_nothing_and_is_left_alone() {
    for seed in 1..=3 {
        let terms = http(1);
        let begin = Instant::now();
        let (from, until) = (begin + SECOND * 2, begin + HOUR);
        let bad = || Verdict::InDoubt(Doubt::Event, trouble());
        let mut before = now_and_then(seed, terms, bad);
        let (log, settled) = play(case(terms), move |attempt, seq| {
            if Instant::now() < from || Instant::now() >= until {
                before(attempt, seq)
            } else {
                vec![(Duration::from_millis(10), bad())]
            }
        })
        .await;
        assert_eq!(
            (settled, log.delivered, &log.parked),
            (EVENTS, EVENTS, &vec![])
        );
        in_order(&log);
        let within = |from: Instant, until: Instant| {
            let here = |at: &&Instant| **at >= from && **at < until;
            log.requests.iter().filter(here).count()
        };
        let first = within(from, from + SECOND);
        let minute = within(from + SECOND, from + SECOND * 61);
        let late = within(from + SECOND * 1_800, from + SECOND * 1_860);
        println!(
            "seed {seed}, {first} requests in the first second of the outage, {minute} in the first minute, {late} in one of its middle"
        );
        // What is under way, and the same once more on its own account. One that failed on its own account before
        // tries by itself, twice in half a minute in the end.
        assert!(first <= 2 * terms.in_flight + 8);
        assert!(minute <= 90 && late <= 40);
    }
}
