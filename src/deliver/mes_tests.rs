//! The task where the word of the MES counts (`acknowledge: mes`), and with a rate limit, in virtual time.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WINDOW: usize = 64;

fn mes(events: u64, within: Duration) -> Case {
    Case {
        terms: Terms {
            in_flight: WINDOW,
            ..terms()
        },
        patience: Some(Patience {
            first: 30 * SECOND,
            longest: 600 * SECOND,
        }),
        ..Case::of(events, within)
    }
}

/// The broker's word after 10 ms, and that of the MES after 50 ms.
fn answered(verdict: Verdict) -> Vec<(Duration, Verdict)> {
    vec![
        (Duration::from_millis(10), Verdict::Taken),
        (Duration::from_millis(50), verdict),
    ]
}

fn only_taken() -> Vec<(Duration, Verdict)> {
    vec![(Duration::from_millis(10), Verdict::Taken)]
}

fn copies_of(log: &Log, seq: u64) -> usize {
    log.sent.iter().filter(|(one, _)| *one == seq).count()
}

#[tokio::test(start_paused = true)]
async fn the_word_of_the_mes_settles_and_that_of_the_broker_does_not() {
    let (log, settled) = play(mes(500, MINUTE), |_, _| answered(Verdict::Accepted)).await;
    assert_eq!((settled, log.delivered, log.sent.len()), (500, 500, 500));
    assert_eq!(log.destination.pauses, 0);
    let (log, settled) = play(mes(500, 20 * SECOND), |_, _| only_taken()).await;
    assert_eq!((settled, log.delivered, log.sent.len()), (0, 0, WINDOW));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_ahead_of_the_brokers_word_or_twice_counts_once() {
    let (log, settled) = play(mes(300, MINUTE), |_, _| {
        vec![
            (Duration::from_millis(5), Verdict::Accepted),
            (Duration::from_millis(10), Verdict::Taken),
            (Duration::from_millis(15), Verdict::Accepted),
        ]
    })
    .await;
    assert_eq!((settled, log.delivered, log.sent.len()), (300, 300, 300));
}

#[tokio::test(start_paused = true)]
async fn a_mes_that_is_down_for_a_day_finds_a_window_and_a_few_copies_in_its_broker() {
    // Also where the connection flaps all the time.
    for lives in [1_000 * DAY, 41 * SECOND, 7 * SECOND] {
        let case = Case {
            lives,
            ..mes(5_000, DAY)
        };
        let (log, settled) = play(case, |_, _| only_taken()).await;
        assert_eq!((settled, log.delivered), (0, 0));
        // 64 once, and one every 10 minutes when the wait is grown: 144 a day.
        let sent = log.sent.len();
        assert!(
            (WINDOW + 140..=WINDOW + 160).contains(&sent),
            "{sent} copies"
        );
        let knocks: Vec<u64> = log.sent[WINDOW..].iter().map(|(seq, _)| *seq).collect();
        assert_eq!(knocks[..4], [1, 1, 1, 1], "the oldest one knocks");
        assert_eq!(log.destination.pauses, 1);
        let reason = log.destination.paused.expect("it is paused");
        assert!(reason.contains("the MES said nothing for 30 s"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_did_not_take_is_sent_again_at_once_and_what_it_took_is_not() {
    // The broker answers each other one, and the connection breaks after 5 s.
    let case = Case {
        lives: 5 * SECOND,
        ..mes(40, 25 * SECOND)
    };
    let (log, _) = play(case, |attempt, seq| {
        let taken = seq % 2 == 0 || attempt > 40;
        if taken { only_taken() } else { Vec::new() }
    })
    .await;
    let copies = |seq| copies_of(&log, seq);
    assert!((1..=40).all(|seq| copies(seq) == if seq % 2 == 0 { 1 } else { 2 }));
    let second = log.sent[40].1.duration_since(log.connects[1]);
    assert_eq!(second, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn when_the_mes_speaks_again_all_goes_on_with_at_most_a_window_of_repeats() {
    let begin = TokioInstant::now();
    let (log, settled) = play(mes(2_000, 3 * HOUR), move |_, _| {
        if begin.elapsed() < HOUR {
            only_taken()
        } else {
            answered(Verdict::Accepted)
        }
    })
    .await;
    assert_eq!((settled, log.delivered), (2_000, 2_000));
    let repeats = log.sent.len() - 2_000;
    assert!(repeats <= WINDOW + 12, "{repeats} repeats");
    assert_eq!((log.destination.pauses, log.destination.paused), (1, None));
}

#[tokio::test(start_paused = true)]
async fn an_event_of_which_the_mes_never_speaks_delays_no_other_and_is_suspect_in_the_end() {
    const POISON: u64 = 50;
    // In steady traffic, where thousands soon wait for it to be settled, and where hardly anything happens.
    for (events, every, class, most) in [
        (8_000, SECOND / 10, ParkClass::Held, 8),
        (400, 5 * MINUTE, ParkClass::Suspect, 90),
    ] {
        let case = Case {
            every,
            ..mes(events, 2 * DAY)
        };
        let (log, settled) = play(case, |_, seq| match seq {
            POISON => only_taken(),
            _ => answered(Verdict::Accepted),
        })
        .await;
        assert_eq!(log.parked, [(POISON, class)]);
        assert_eq!((settled, log.delivered), (events, events - 1));
        let begin = log.sent[0].1;
        let mut slowest = Duration::ZERO;
        for (seq, at) in log.sent.iter().filter(|(seq, _)| *seq != POISON) {
            let came = begin + every * u32::try_from(seq - 1).unwrap();
            slowest = slowest.max(at.duration_since(came));
        }
        assert!(slowest <= SECOND, "{slowest:?}");
        let copies = copies_of(&log, POISON);
        assert!((4..=most).contains(&copies), "{copies} copies");
        assert_eq!(
            log.sent.len() - copies,
            usize::try_from(events).unwrap() - 1
        );
    }
}

/// The broker's word that nobody has subscribed to the topic.
fn nobody() -> Vec<(Duration, Verdict)> {
    let verdict = Verdict::InDoubt(Doubt::Way, Trouble::new("0x10"));
    vec![(Duration::from_millis(10), verdict)]
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nobody_reads_delays_no_other_and_an_outage_of_all_parks_nothing() {
    let case = Case {
        every: SECOND,
        ..mes(900, 2 * HOUR)
    };
    let (log, settled) = play(case, |_, seq| match seq {
        50 => nobody(),
        _ => answered(Verdict::Accepted),
    })
    .await;
    assert_eq!((settled, log.delivered), (49, 899));
    assert_eq!(log.parked, []);
    let begin = log.sent[0].1;
    for (seq, at) in log.sent.iter().filter(|(seq, _)| *seq != 50) {
        let came = begin + SECOND * u32::try_from(seq - 1).unwrap();
        assert!(at.duration_since(came) <= SECOND, "{seq}");
    }

    let begin = TokioInstant::now();
    let (log, settled) = play(mes(900, 2 * HOUR), move |_, _| {
        if begin.elapsed() < HOUR {
            nobody()
        } else {
            answered(Verdict::Accepted)
        }
    })
    .await;
    assert_eq!((settled, log.delivered), (900, 900));
    assert_eq!((log.parked, log.destination.pauses), (Vec::new(), 1));
    assert!(log.sent.len() - 900 <= 600, "{} attempts", log.sent.len());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_mes_wants_later_waits_and_others_pass() {
    let mut asked = Vec::new();
    let begin = TokioInstant::now();
    let (log, settled) = play(mes(100, HOUR), move |_, seq| {
        if seq != 7 {
            return answered(Verdict::Accepted);
        }
        asked.push(begin.elapsed());
        answered(match asked.len() {
            1 => Verdict::Refused(Trouble {
                at_least: Some(5 * MINUTE),
                ..Trouble::new("later")
            }),
            _ => Verdict::Accepted,
        })
    })
    .await;
    assert_eq!((settled, log.delivered, log.sent.len()), (100, 100, 101));
    let (last, at) = log.sent.last().expect("sent");
    let waited = at.duration_since(log.sent[6].1);
    assert!(
        *last == 7 && waited >= 5 * MINUTE && waited <= 5 * MINUTE + 2 * SECOND,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mes_that_wants_everything_later_is_asked_with_one_event_at_a_time() {
    let begin = TokioInstant::now();
    let (log, settled) = play(mes(3_000, 2 * HOUR), move |_, _| {
        answered(if begin.elapsed() < HOUR {
            Verdict::Refused(Trouble::new("the database is down"))
        } else {
            Verdict::Accepted
        })
    })
    .await;
    assert_eq!((settled, log.delivered), (3_000, 3_000));
    // A window, and an hour with an attempt every 15 s on average.
    let repeats = log.sent.len() - 3_000;
    assert!(repeats <= 600, "{repeats} repeats");
    assert_eq!((log.destination.pauses, log.destination.paused), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_for_first_sendings_and_repeats_together() {
    let case = Case {
        per_second: Some(200.0 / 60.0),
        ..Case::of(1_000, HOUR)
    };
    // Each event is refused once.
    let mut known = std::collections::HashSet::new();
    let (log, settled) = play(case, move |_, seq| {
        let verdict = if known.insert(seq) {
            Verdict::Refused(Trouble::new("not yet"))
        } else {
            Verdict::Accepted
        };
        vec![(Duration::ZERO, verdict)]
    })
    .await;
    assert_eq!((settled, log.sent.len()), (1_000, 2_000));
    let times: Vec<TokioInstant> = log.sent.iter().map(|(_, at)| *at).collect();
    for (nth, from) in times.iter().enumerate() {
        let within = times[nth..]
            .iter()
            .take_while(|at| at.duration_since(*from) < MINUTE);
        assert!(within.count() <= 203);
    }
    let all = times[1_999].duration_since(times[0]);
    assert!(all >= 590 * SECOND && all <= 650 * SECOND, "{all:?}");
    assert_eq!(log.destination.pauses, 0, "a limit of our own is no pause");
    assert!(log.asked < 20_000, "{} turns", log.asked);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_gateways_do_not_come_back_together() {
    let mut attempts: Vec<Duration> = Vec::new();
    for seed in 0..1_000 {
        let mut gate = Gate::new(Timing::default().backoff(seed));
        // All lose their broker at once, and it is back a minute later.
        let mut at = Duration::ZERO;
        while at < MINUTE {
            at += gate.lost();
        }
        attempts.push(at);
    }
    attempts.sort_unstable();
    let in_a_second = |from: &Duration| {
        let later = attempts.iter().filter(|at| *at >= from);
        later.take_while(|at| **at < *from + SECOND).count()
    };
    let most = attempts.iter().map(in_a_second).max().expect("some");
    assert!(most <= 120, "{most} connections in one second");
}
