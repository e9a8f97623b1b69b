use super::*;

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

#[test]
fn names_tell_what_is_missing() {
    type Case = (
        &'static str,
        Position,
        &'static [(u32, u64)],
        &'static [(u32, u64)],
        (u32, u64),
        &'static [(u32, u64)],
        &'static [(u32, u64, u64)],
    );
    let cases: &[Case] = &[
        (
            "nothing",
            at(1, 0),
            &[(1, 1), (1, 11)],
            &[],
            (1, 21),
            &[],
            &[],
        ),
        ("only a head", at(1, 7), &[], &[], (1, 8), &[], &[]),
        (
            "the oldest",
            at(1, 3),
            &[(1, 11)],
            &[],
            (1, 21),
            &[],
            &[(1, 4, 10)],
        ),
        (
            "settled long ago",
            at(1, 15),
            &[(1, 11)],
            &[],
            (1, 21),
            &[],
            &[],
        ),
        (
            "one set aside",
            at(1, 0),
            &[(1, 1), (1, 21)],
            &[(1, 11)],
            (1, 31),
            &[],
            &[(1, 11, 20)],
        ),
        (
            "settled half of it",
            at(1, 14),
            &[(1, 21)],
            &[(1, 11)],
            (1, 31),
            &[],
            &[(1, 15, 20)],
        ),
        (
            "the end of an epoch",
            at(1, 0),
            &[(1, 1)],
            &[(1, 11)],
            (2, 1),
            &[(1, 17)],
            &[(1, 11, 17)],
        ),
        (
            "a whole epoch",
            at(1, 5),
            &[],
            &[],
            (3, 1),
            &[(1, 9), (2, 4)],
            &[(1, 6, 9), (2, 1, 4)],
        ),
        (
            "an end that nobody knows",
            at(1, 5),
            &[],
            &[(1, 1)],
            (2, 1),
            &[],
            &[],
        ),
        (
            "a damaged name",
            at(1, 0),
            &[(1, 1)],
            &[(2, 21)],
            (3, 1),
            &[(1, 30)],
            &[],
        ),
        (
            "an empty epoch",
            at(1, 4),
            &[(1, 1)],
            &[],
            (2, 1),
            &[(1, 4)],
            &[],
        ),
        ("the smallest", at(0, 0), &[(1, 1)], &[], (1, 2), &[], &[]),
    ];
    let positions =
        |pairs: &[(u32, u64)]| pairs.iter().map(|(epoch, seq)| at(*epoch, *seq)).collect();
    for (name, after, whole, damaged, head, ends, expected) in cases {
        let listing = Listing {
            whole: positions(whole),
            damaged: positions(damaged),
            ..Listing::default()
        };
        let ends = ends.iter().copied().collect();
        let found = gaps(*after, &listing, at(head.0, head.1), &ends);
        let one = |(epoch, from, to): &(u32, u64, u64)| (at(*epoch, *from), at(*epoch, *to));
        let expected: Vec<(Position, Position)> = expected.iter().map(one).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_came_behind_the_state_that_is_left_was_offered_too() {
    let loss = |from, to| Loss {
        from,
        to,
        reason: String::new(),
    };
    let mut head = Head::at(at(1, 11));
    let mut progress = Progress::at(at(1, 4));
    progress.account.offered = 10;
    progress.account.delivered = 4;
    head.uplinks.insert("mes".into(), progress);
    for (losses, offered, ends) in [
        (vec![], 10, vec![(1, 10)]),
        (vec![loss(at(1, 11), at(1, 10))], 10, vec![(1, 10)]),
        (vec![loss(at(1, 11), at(1, 15))], 15, vec![(1, 15)]),
        (
            vec![loss(at(1, 21), at(1, 25)), loss(at(1, 11), at(1, 20))],
            25,
            vec![(1, 25)],
        ),
        (vec![loss(at(2, 1), at(2, 6))], 16, vec![(1, 10), (2, 6)]),
    ] {
        let new = into_new_epoch(head.clone(), Why::HeadDamaged, &losses);
        assert_eq!(new.uplinks["mes"].account.offered, offered, "{losses:?}");
        let found: Vec<(u32, u64)> = new.ends.into_iter().collect();
        assert_eq!(found, ends, "{losses:?}");
        assert_eq!(new.lost, losses);
        assert_eq!(new.new_epoch, Some(Why::HeadDamaged));
    }
}
