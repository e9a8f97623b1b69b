use super::*;
use crate::model::{Position, Stamp, UtcTime};

#[derive(Clone)]
enum Step {
    /// The buffer dropped so many for that reason, for that uplink, from that position on.
    Drop(DropReason, Option<&'static str>, u64, u64),
    /// The store is so full, in hundredths.
    Fill(u64),
    Refuse(&'static str),
    Accept,
    Look,
}
use Step::{Accept, Drop, Fill, Look, Refuse};

fn notice(reason: DropReason, uplink: Option<&str>, from: u64, count: u64) -> DropNotice {
    let at = |seq| Position { epoch: 1, seq };
    DropNotice {
        reason,
        uplink: uplink.map(str::to_owned),
        count,
        from: at(from),
        to: at(from + count - 1),
        detail: None,
    }
}

/// Plays steps at their seconds; gives the second of each alert.
fn alerts(steps: &[(u64, Step)]) -> Vec<(u64, DeliveryAlert)> {
    let health = Arc::new(BufferHealth::default());
    health.quota.set(100);
    let mut storage = Storage::new(Arc::clone(&health));
    let mut alerts = Vec::new();
    for (second, step) in steps {
        let now = Stamp::default().plus(Duration::from_secs(*second));
        match step {
            Drop(reason, uplink, from, count) => {
                health.drops.add(notice(*reason, *uplink, *from, *count));
            }
            Fill(hundredths) => health.used.set(*hundredths),
            Refuse(why) => health.refusing.begin(now, why),
            Accept => health.refusing.end(now),
            Look => {}
        }
        let told = storage.look(now.boot);
        alerts.extend(told.into_iter().map(|alert| (*second, alert)));
    }
    alerts
}

/// Seconds, words and counts.
fn brief(alerts: &[(u64, DeliveryAlert)]) -> Vec<(u64, &'static str, u64)> {
    let one = |(second, alert): &(u64, DeliveryAlert)| (*second, alert.kind.word(), alert.count);
    alerts.iter().map(one).collect()
}

#[test]
fn drops_are_told_at_once_and_then_once_a_minute_each_with_all_that_came_meanwhile() {
    let full = DropReason::Full;
    let mut steps: Vec<(u64, Step)> = (0..150)
        .map(|second| (second, Drop(full, Some("mes"), 1 + 2 * second, 2)))
        .collect();
    steps.push((400, Look));
    let told = alerts(&steps);
    let expected = [
        (0, "dropped", 2),
        (60, "dropped", 120),
        (120, "dropped", 120),
        (400, "dropped", 58),
    ];
    assert_eq!(brief(&told), expected);
    let ranges: Vec<(u64, u64)> = told
        .iter()
        .filter_map(|(_, alert)| alert.dropped.as_ref())
        .map(|dropped| (dropped.from.seq, dropped.to.seq))
        .collect();
    assert_eq!(ranges, [(1, 2), (3, 122), (123, 242), (243, 300)]);
    assert!(told.iter().all(|(_, alert)| {
        alert.destination.as_deref() == Some("mes")
            && alert
                .detail
                .as_deref()
                .is_some_and(|detail| detail.contains("buffer.max_size"))
    }));
}

#[test]
fn each_reason_and_each_uplink_has_its_own_minute() {
    let steps = [
        (0, Drop(DropReason::Full, Some("mes"), 1, 1)),
        (1, Drop(DropReason::Full, Some("scada"), 1, 1)),
        (2, Drop(DropReason::Damaged, None, 5, 3)),
        (3, Drop(DropReason::Full, Some("mes"), 2, 1)),
        (59, Look),
        (60, Look),
    ];
    let expected = [
        (0, "dropped", 1),
        (1, "dropped", 1),
        (2, "dropped", 3),
        (60, "dropped", 1),
    ];
    assert_eq!(brief(&alerts(&steps)), expected);
}

#[test]
fn every_reason_says_what_to_check() {
    for reason in DropReason::ALL {
        let told = alerts(&[(0, Drop(reason, None, 1, 1))]);
        let detail = told[0].1.detail.clone().unwrap();
        assert!(detail.len() > 20, "{reason:?}: {detail}");
        assert!(detail.len() < 400, "{reason:?}: {detail}");
    }
}

#[test]
fn the_fill_level_is_told_at_80_and_95_percent_and_when_it_is_over() {
    type Case = (
        &'static str,
        Vec<(u64, Step)>,
        Vec<(u64, &'static str, u64)>,
    );
    let cases: Vec<Case> = vec![
        ("not yet", vec![(0, Fill(79)), (100, Fill(20))], vec![]),
        (
            "up and down",
            vec![
                (0, Fill(80)),
                (100, Fill(94)),
                (200, Fill(95)),
                (300, Fill(71)),
                (400, Fill(69)),
            ],
            vec![
                (0, "buffer_high", 0),
                (200, "buffer_high", 0),
                (400, "buffer_ok", 0),
            ],
        ),
        (
            "around a mark",
            (0..600)
                .map(|second| (second, Fill(79 + second % 2)))
                .collect(),
            vec![(1, "buffer_high", 0)],
        ),
        (
            "around the upper one",
            (0..600)
                .map(|second| (second, Fill(94 + second % 2)))
                .collect(),
            vec![(0, "buffer_high", 0), (61, "buffer_high", 0)],
        ),
        (
            "past both within a minute",
            vec![(0, Fill(81)), (30, Fill(96)), (59, Look), (60, Look)],
            vec![(0, "buffer_high", 0), (60, "buffer_high", 0)],
        ),
        (
            "what came and went within a minute is not told",
            vec![(0, Fill(81)), (30, Fill(96)), (50, Fill(82)), (90, Look)],
            vec![(0, "buffer_high", 0)],
        ),
        (
            "up to the brim, eased, and up again",
            vec![
                (0, Fill(99)),
                (100, Fill(84)),
                (200, Fill(96)),
                (300, Fill(10)),
            ],
            vec![
                (0, "buffer_high", 0),
                (200, "buffer_high", 0),
                (300, "buffer_ok", 0),
            ],
        ),
    ];
    for (name, steps, expected) in cases {
        let told = alerts(&steps);
        assert_eq!(brief(&told), expected, "{name}");
        assert!(
            told.iter()
                .all(|(_, alert)| alert.buffer_used_fraction.is_some())
        );
    }
}

#[test]
fn a_store_that_fills_up_says_for_whom() {
    let health = Arc::new(BufferHealth::default());
    health.quota.set(100);
    health.used.set(90);
    health.backlogs.set(vec![
        crate::health::Backlog {
            uplink: "mes".into(),
            stored: 3,
            ..Default::default()
        },
        crate::health::Backlog {
            uplink: "scada".into(),
            stored: 77,
            ..Default::default()
        },
    ]);
    let told = Storage::new(health).look(BootTime(0));
    let detail = told[0].detail.clone().unwrap();
    assert!(detail.starts_with("77 events wait for scada"), "{detail}");
}

#[test]
fn a_stretch_without_acceptance_is_told_when_it_is_over() {
    let steps = [
        (0, Refuse("the disk is full: make room")),
        (40, Look),
        (84, Accept),
        (90, Refuse("the disk is full: make room")),
        (100, Accept),
        (110, Refuse("no more names")),
        (140, Accept),
        (144, Look),
    ];
    let told = alerts(&steps);
    assert_eq!(
        brief(&told),
        [(84, "buffer_refused", 1), (144, "buffer_refused", 2)]
    );
    let detail = told[0].1.detail.clone().unwrap();
    assert_eq!(
        detail,
        "the machines were not read for 84 s: the disk is full: make room"
    );
    assert_eq!(told[1].1.oldest, Some(UtcTime(90_000_000_000)));
    assert_eq!(
        told[1].1.detail.clone().unwrap(),
        "the machines were not read for 40 s in 2 stretches: no more names"
    );
}

#[test]
fn a_new_epoch_is_an_alarm_but_in_a_new_store() {
    assert_eq!(new_epoch(EpochReason::Created), None);
    for reason in [
        EpochReason::StoreMissing,
        EpochReason::HeadDamaged,
        EpochReason::TailLost,
        EpochReason::OtherMachine,
    ] {
        let alert = new_epoch(reason).unwrap();
        assert_eq!(alert.kind.word(), "new_epoch");
        assert!(alert.detail.unwrap().starts_with(reason.words()));
    }
}
