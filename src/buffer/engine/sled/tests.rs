//! The engine against a real directory.

use super::*;
use std::ops::ControlFlow;

fn entry(key: &str, value: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.as_bytes().to_vec(), Some(value.to_vec()))
}

fn keys(engine: &Sled, prefix: &str, from: &str) -> Vec<String> {
    let mut keys = Vec::new();
    engine
        .scan(prefix.as_bytes(), from.as_bytes(), &mut |key, _| {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    keys
}

#[test]
fn what_was_put_and_synced_is_there_after_an_open() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deep/generation");
    let mut engine = Sled::open(&path, Purpose::Write).unwrap();
    engine
        .put(vec![
            entry("a1", b"x"),
            entry("b1", b"y"),
            entry("b2", b"z"),
        ])
        .unwrap();
    engine
        .put(vec![(b"b1".to_vec(), None), entry("b3", b"z")])
        .unwrap();
    engine.sync().unwrap();
    drop(engine);

    let engine = Sled::open(&path, Purpose::Write).unwrap();
    assert_eq!(keys(&engine, "b", "b"), ["b2", "b3"]);
    assert_eq!(keys(&engine, "b", "b3"), ["b3"]);
    assert_eq!(engine.last(b"b").unwrap(), Some(b"b3".to_vec()));
    assert_eq!(engine.last(b"c").unwrap(), None);
}

#[test]
fn leaves_full_of_the_largest_values_never_become_blob_files() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..60 {
        let batch = (0..20)
            .map(|n| {
                let value = std::iter::repeat_with(|| random.u8(..)).take(frame::MAX_PIECE);
                (
                    format!("{round:04}{n:04}").into_bytes(),
                    Some(value.collect()),
                )
            })
            .collect();
        engine.put(batch).unwrap();
        engine.sync().unwrap();
    }
    assert!(names(&home.path().join("blobs")).unwrap().is_empty());
    drop(engine);
    let engine = Sled::open(home.path(), Purpose::Write).unwrap();
    assert_eq!(keys(&engine, "", "").len(), 1200);
}

#[test]
fn after_a_failed_sync_nothing_more_is_accepted() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    engine.put(vec![entry("a", b"x")]).unwrap();
    engine.break_barrier();
    assert!(matches!(engine.sync(), Err(EngineError::Io { .. })));
    assert!(matches!(engine.sync(), Err(EngineError::Poisoned(_))));
    assert!(matches!(
        engine.put(vec![entry("b", b"y")]),
        Err(EngineError::Poisoned(_))
    ));
}

#[test]
fn a_locked_database_is_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let engine = Sled::open(home.path(), Purpose::Write).unwrap();
    assert!(matches!(
        Sled::open(home.path(), Purpose::Write),
        Err(EngineError::Locked(_))
    ));
    drop(engine);
    Sled::open(home.path(), Purpose::Write).unwrap();
}

#[test]
fn another_segment_size_is_refused_and_nothing_is_touched() {
    let home = tempfile::tempdir().unwrap();
    let other = sled::Config::new()
        .path(home.path())
        .segment_size(512 << 10);
    drop(other.open().unwrap());
    let before = std::fs::read(home.path().join("db")).unwrap();
    let error = Sled::open(home.path(), Purpose::Write).unwrap_err();
    assert!(matches!(&error, EngineError::Foreign { found, .. } if found.contains("524288")));
    assert_eq!(std::fs::read(home.path().join("db")).unwrap(), before);
}

#[test]
fn bad_snapshots_and_half_written_ones_do_not_stop_an_open() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    engine.put(vec![entry("a", b"x")]).unwrap();
    engine.sync().unwrap();
    drop(engine);
    drop(Sled::open(home.path(), Purpose::Write).unwrap());
    for name in names(home.path()).unwrap() {
        if name.starts_with("snap.") {
            std::fs::write(home.path().join(name), b"not a snapshot at all").unwrap();
        }
    }
    std::fs::write(home.path().join("snap.FFFF.generating"), b"half").unwrap();
    let engine = Sled::open(home.path(), Purpose::Write).unwrap();
    assert_eq!(keys(&engine, "a", "a"), ["a"]);
    assert!(!home.path().join("snap.FFFF.generating").exists());
}

/// Puts what a model says, closes and opens now and then, and compares everything that can be asked.
#[test]
fn any_puts_are_found_again_as_a_map_has_them() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let home = tempfile::tempdir().unwrap();
    let mut model = std::collections::BTreeMap::<Vec<u8>, Vec<u8>>::new();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    let mut rising = 0u32;
    for _ in 0..400 {
        let mut batch = Batch::new();
        for _ in 0..random.usize(1..12) {
            let key = match random.u8(0..4) {
                0 => format!("c{}", random.u8(0..9)).into_bytes(),
                1 => b"h".to_vec(),
                _ => {
                    rising += random.u32(1..3);
                    format!("r{rising:08}").into_bytes()
                }
            };
            let most = if random.u8(0..40) == 0 { 60_000 } else { 900 };
            let length = random.usize(0..most);
            let value = (random.u8(0..9) > 0).then(|| vec![random.u8(..); length]);
            match &value {
                Some(value) => model.insert(key.clone(), value.clone()),
                None => model.remove(&key),
            };
            batch.push((key, value));
        }
        engine.put(batch).unwrap();
        engine.sync().unwrap();
        if random.u8(0..20) == 0 {
            engine.prepare(100_000).unwrap();
            drop(engine);
            engine = Sled::open(home.path(), Purpose::Write).unwrap();
        }
        for prefix in ["c", "h", "r", "r0000"] {
            let from = format!(
                "{prefix}{}",
                ["", "4", "0000", "00000300"][random.usize(0..4)]
            );
            let expected: Vec<(&Vec<u8>, &Vec<u8>)> = model
                .range(from.clone().into_bytes()..)
                .take_while(|(key, _)| key.starts_with(prefix.as_bytes()))
                .take(40)
                .collect();
            let mut found = Vec::new();
            engine
                .scan(prefix.as_bytes(), from.as_bytes(), &mut |key, value| {
                    found.push((key.to_vec(), value.to_vec()));
                    if found.len() == 40 {
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert!(
                expected
                    .into_iter()
                    .eq(found.iter().map(|(key, value)| (key, value)))
            );
            let of_prefix = |key: &&Vec<u8>| key.starts_with(prefix.as_bytes());
            let last = model.keys().rfind(of_prefix).cloned();
            assert_eq!(engine.last(prefix.as_bytes()).unwrap(), last);
        }
    }
    assert!(names(&home.path().join("blobs")).unwrap().is_empty());
}

/// sled tears a batch when it cannot read a page in the middle of it. It failed, and what is left of it is not read.
#[test]
fn a_torn_batch_is_cut_and_what_follows_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let large = || vec![7; 3 * frame::MAX_PIECE];
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    engine.put(vec![entry("a", b"x")]).unwrap();
    engine.put(vec![entry("b", &large())]).unwrap();
    engine.sync().unwrap();
    drop(engine);
    for (gone, left) in [(1u64, true), (2, true), (3, true), (4, true), (5, false)] {
        let copy = tempfile::tempdir().unwrap();
        crate::buffer::testing::copy_tree(home.path(), copy.path());
        let engine = Sled::open(copy.path(), Purpose::Write).unwrap();
        let database = engine.database.as_ref().unwrap();
        database.insert(gone.to_be_bytes(), &b""[..]).unwrap();
        database.flush().unwrap();
        drop(engine);
        let mut engine = Sled::open(copy.path(), Purpose::Write).unwrap();
        let found = if left { vec!["a"] } else { vec!["a", "b"] };
        assert_eq!(keys(&engine, "", ""), found, "{gone}");
        engine.put(vec![entry("c", b"y")]).unwrap();
        engine.sync().unwrap();
        drop(engine);
        let engine = Sled::open(copy.path(), Purpose::Write).unwrap();
        let found = [found, vec!["c"]].concat();
        assert_eq!(keys(&engine, "", ""), found, "{gone}");
    }
}

#[test]
fn an_empty_place_in_the_middle_is_damage() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    for key in ["a", "b", "c", "d"] {
        engine.put(vec![entry(key, b"x")]).unwrap();
    }
    engine.sync().unwrap();
    let database = engine.database.as_ref().unwrap();
    database.insert(1u64.to_be_bytes(), &b""[..]).unwrap();
    database.flush().unwrap();
    drop(engine);
    let opened = Sled::open(home.path(), Purpose::Write);
    assert!(
        matches!(opened, Err(EngineError::Damaged { .. })),
        "{opened:?}"
    );
}

#[test]
fn another_layout_is_refused_in_words_and_never_misread() {
    let place = 0u64.to_be_bytes();
    let cases: [(&[u8], &[u8], &str); 2] = [
        (b"r00000001", b"a record", "keys of their own"),
        (&place, &[9, 0, 0, 1, 2, 3, 4], "layout 9"),
    ];
    for (key, value, words) in cases {
        let home = tempfile::tempdir().unwrap();
        let engine = Sled::open(home.path(), Purpose::Write).unwrap();
        let database = engine.database.as_ref().unwrap();
        database.insert(key, value).unwrap();
        database.flush().unwrap();
        drop(engine);
        for purpose in [Purpose::Write, Purpose::Read] {
            let error = Sled::open(home.path(), purpose).unwrap_err();
            assert!(
                matches!(&error, EngineError::Foreign { found, .. } if found.contains(words)),
                "{error}"
            );
        }
    }
}

#[test]
fn nothing_is_put_on_a_full_disk_and_the_handle_stays_usable() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    engine.put(vec![entry("a", b"x")]).unwrap();
    engine.sync().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let real = std::mem::replace(&mut engine.barrier, full);
    let refused = engine.put(vec![entry("b", b"y")]);
    assert!(
        matches!(refused, Err(EngineError::Io { .. })),
        "{refused:?}"
    );
    engine.barrier = real;
    engine.put(vec![entry("c", b"z")]).unwrap();
    engine.sync().unwrap();
    assert_eq!(keys(&engine, "", ""), ["a", "c"]);
}
