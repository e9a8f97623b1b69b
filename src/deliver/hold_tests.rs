//! The task where a rejected event holds the later ones of its partition key, in virtual time.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
/// The event that is rejected, of the second machine.
const REJECTED: u64 = 10;

fn hold(events: u64, within: Duration, retried_after: Duration) -> Case {
    Case {
        hold: Some(retried_after),
        ..Case::of(events, within)
    }
}

fn of_its_key(log: &Log) -> Vec<u64> {
    let sent = log.sent.iter().map(|(seq, _)| *seq);
    sent.filter(|seq| seq % 3 == REJECTED % 3).collect()
}

fn accepted() -> Vec<(Duration, Verdict)> {
    vec![(Duration::from_millis(1), Verdict::Accepted)]
}

fn rejected() -> Vec<(Duration, Verdict)> {
    let verdict = Verdict::Rejected(ParkClass::Business, Trouble::new("the order is closed"));
    vec![(Duration::from_millis(1), verdict)]
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_holds_its_machine_and_no_other() {
    // With few events the held ones wait in the window, with many in files.
    for events in [300, 9_000] {
        let (log, settled) = play(hold(events, HOUR, 2 * HOUR), |_, seq| {
            if seq == REJECTED {
                rejected()
            } else {
                accepted()
            }
        })
        .await;
        assert_eq!(of_its_key(&log), [1, 4, 7, REJECTED], "and no later one");
        assert_eq!(
            log.delivered,
            events / 3 * 2 + 3,
            "all of the other machines"
        );
        assert_eq!(log.parked[0], (REJECTED, ParkClass::Business));
        let held = log.parked.iter().skip(1);
        assert!(held.clone().all(|(_, class)| *class == ParkClass::Held));
        assert_eq!(log.parked.len() > 1, events > 4_096);
        assert!(settled < events);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_held_goes_out_in_order_when_the_rejected_one_is_taken() {
    for events in [300, 9_000] {
        let mut attempts = 0;
        let (log, settled) = play(hold(events, 3 * HOUR, HOUR), move |_, seq| {
            attempts += usize::from(seq == REJECTED);
            if seq == REJECTED && attempts == 1 {
                rejected()
            } else {
                accepted()
            }
        })
        .await;
        let machine: Vec<u64> = (1..=events).filter(|seq| seq % 3 == REJECTED % 3).collect();
        let mut expected = machine.clone();
        expected.insert(3, REJECTED);
        assert_eq!(
            of_its_key(&log),
            expected,
            "in order, and only the rejected one twice"
        );
        assert_eq!((settled, log.delivered), (events, events));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_held_over_a_restart() {
    let case = Case {
        parked_before: &[7],
        ..hold(60, HOUR / 2, HOUR)
    };
    // The cursor has not passed event 7 in this mock: it is sent as a live one of a held key, which is what must not be.
    let (log, _) = play(case, |_, _| accepted()).await;
    assert_eq!(of_its_key(&log), [] as [u64; 0]);
    assert_eq!(log.delivered, 40);
}

#[tokio::test(start_paused = true)]
async fn one_event_of_a_machine_is_under_way_at_a_time() {
    let (log, settled) = play(hold(30, HOUR, HOUR), |_, _| accepted()).await;
    assert_eq!(settled, 30);
    let times: Vec<TokioInstant> = log.sent.iter().map(|(_, at)| *at).collect();
    for three in times.chunks(3) {
        assert!(
            three.iter().all(|at| *at == three[0]),
            "the three machines side by side"
        );
    }
    assert!(times[29].duration_since(times[0]) >= Duration::from_millis(9));
}
