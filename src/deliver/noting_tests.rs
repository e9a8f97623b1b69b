//! When the buffer is told of verdicts, in virtual time.

use super::tests::{Case, Log, play, terms};
use super::*;
use crate::deliver::uplink::Verdict;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Events of 64 machines, a request for each, eight at a time; the first one's answer takes `first`, each other's 1 to 3 ms.
async fn http(events: u64, first: Duration) -> Log {
    let case = Case {
        machines: 64,
        terms: Terms {
            one_per_key: true,
            verdict_within: None,
            ..terms()
        },
        ..Case::of(events, 10 * MINUTE)
    };
    let answer = move |_, seq| match seq {
        1 => vec![(first, Verdict::Accepted)],
        _ => vec![(Duration::from_millis(1 + seq % 3), Verdict::Accepted)],
    };
    let (log, settled) = play(case, answer).await;
    assert_eq!((settled, log.delivered), (events, events));
    log
}

#[tokio::test(start_paused = true)]
async fn verdicts_of_a_backlog_are_noted_together() {
    let log = http(1_600, Duration::from_millis(1)).await;
    let delivered = log.notes.iter().map(|(_, events)| events);
    assert_eq!(delivered.sum::<usize>(), 1_600);
    assert!(log.notes.len() <= 110, "{} notes", log.notes.len());
    // What a kill would repeat, under way or not noted, is never more than the window of MQTT.
    let most = log.notes.iter().map(|(_, events)| *events).max();
    assert!(most <= Some(64), "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_waits_for_no_slow_one_before_it_is_noted() {
    let log = http(11, 5 * MINUTE).await;
    let [early, late] = log.notes.as_slice() else {
        panic!("{:?}", log.notes);
    };
    let began = log.sent[0].1;
    assert_eq!(early.1, 10);
    let after = early.0.duration_since(began);
    assert!(after <= Duration::from_millis(15), "{after:?}");
    assert_eq!((late.1, late.0.duration_since(began)), (1, 5 * MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_with_none_behind_it_is_noted_at_once() {
    let log = http(1, Duration::from_millis(3)).await;
    let [(at, 1)] = log.notes.as_slice() else {
        panic!("{:?}", log.notes);
    };
    let answered = log.sent[0].1 + Duration::from_millis(3);
    assert_eq!(at.duration_since(answered), Duration::ZERO);
}
