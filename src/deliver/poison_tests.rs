//! One event that the destination never takes, in a stream of others: how long the others wait for it, in virtual time.

use super::tests::{Case, play, terms};
use super::*;
use crate::deliver::uplink::{Trouble, Verdict};
use crate::model::ParkClass;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The poison.
const POISON: u64 = 50;
/// Events come one by one, for an hour; the machines of the tests take turns.
const EVERY: Duration = Duration::from_secs(1);
const EVENTS: u64 = 3_600;
const MACHINES: u64 = 3;
/// The longest that another event may wait.
const LONGEST: Duration = Duration::from_secs(1);
/// The longest that a machine waits whose order the protocol does not keep, until its event is put aside as suspect: twenty
/// attempts with at most 30 s between them.
const SUSPECT: Duration = Duration::from_secs(20 * 30);

/// The longest wait of an event of another machine, and of one of the same, from its commit to its delivery; at the end all
/// but the poison are delivered.
async fn waits(
    terms: Terms,
    verdict: impl Fn() -> Option<Verdict> + Send + 'static,
) -> [Duration; 2] {
    let mut case = Case::of(EVENTS, Duration::from_secs(4 * 3_600));
    (case.every, case.terms) = (EVERY, terms);
    let (log, settled) = play(case, move |_, seq| {
        let verdict = match seq {
            POISON => verdict(),
            _ => Some(Verdict::Accepted),
        };
        Vec::from_iter(verdict.map(|one| (Duration::ZERO, one)))
    })
    .await;
    println!("settled {settled}, parked {:?}", log.parked);
    let sent: BTreeMap<u64, Instant> = log.sent.iter().copied().collect();
    assert_eq!((settled, sent.len() as u64), (EVENTS, EVENTS));
    let machine = |seq: u64| seq % MACHINES;
    let mut shown = log.connects[0];
    let mut longest = [Duration::ZERO; 2];
    for seq in 1..=EVENTS {
        if seq != POISON {
            let same = usize::from(machine(seq) == machine(POISON));
            longest[same] = longest[same].max(sent[&seq].duration_since(shown));
        }
        shown += EVERY;
    }
    println!(
        "others {:?}, of the same machine {:?}",
        longest[0], longest[1]
    );
    longest
}

fn one_per_key() -> Terms {
    Terms {
        one_per_key: true,
        verdict_within: None,
        ..terms()
    }
}

fn trouble() -> Trouble {
    Trouble::new("scripted")
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_rejected_delays_nobody() {
    for terms in [terms(), one_per_key()] {
        let rejected = || Some(Verdict::Rejected(ParkClass::Schema, trouble()));
        let longest = waits(terms, rejected).await;
        assert!(longest.iter().all(|wait| *wait <= LONGEST), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_always_fails_delays_no_other_machine() {
    let verdicts: [fn() -> Option<Verdict>; 3] = [
        || Some(Verdict::Refused(trouble())),
        || Some(Verdict::Unanswered(trouble())),
        || Some(Verdict::Conflict(trouble())),
    ];
    for verdict in verdicts {
        let longest = waits(one_per_key(), verdict).await;
        assert!(
            longest[0] <= LONGEST && longest[1] <= SUSPECT,
            "{longest:?}"
        );
        // Where the protocol keeps the order itself, nobody waits.
        let longest = waits(terms(), verdict).await;
        assert!(longest.iter().all(|wait| *wait <= LONGEST), "{longest:?}");
    }
}

/// An acknowledgement that never comes is taken for a dead connection: the others wait for
/// the reconnect.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_acknowledged_delays_nobody_for_long() {
    let longest = waits(terms(), || None).await;
    assert!(longest.iter().all(|wait| *wait <= LONGEST), "{longest:?}");
}
