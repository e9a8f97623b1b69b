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

/// Closes an engine and opens it once more, so that a snapshot of its pages lies beside them.
fn with_snapshot(engine: Sled, path: &Path) {
    drop(engine);
    drop(Sled::open(path, Purpose::Write).unwrap());
}

fn many(path: &Path, count: usize) {
    let mut engine = Sled::open(path, Purpose::Write).unwrap();
    for number in 0..count {
        let key = format!("r{number:04}");
        let value = format!("value {number:04} ").repeat(800);
        engine
            .put(vec![entry(&key, value.as_bytes()), entry("h", b"head")])
            .unwrap();
        engine.sync().unwrap();
    }
    with_snapshot(engine, path);
}

/// Where in the file the frame with this record lies.
fn place_of(bytes: &[u8], number: usize) -> usize {
    let value = format!("value {number:04} ").into_bytes();
    let mut windows = bytes.windows(value.len());
    windows.position(|window| window == value).unwrap()
}

#[test]
fn a_damaged_place_costs_its_page_where_it_is_read_and_all_where_it_is_written_to() {
    const COUNT: usize = 300;
    let home = tempfile::tempdir().unwrap();
    many(home.path(), COUNT);
    // In the segment to which it writes last, sled takes it for the end of all: that is for the store to notice.
    for hit in [0, 7, 100, 151] {
        let copy = tempfile::tempdir().unwrap();
        crate::buffer::testing::copy_tree(home.path(), copy.path());
        let file = copy.path().join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        let at = place_of(&bytes, hit);
        bytes[at] ^= 4;
        std::fs::write(&file, bytes).unwrap();
        let error = Sled::open(copy.path(), Purpose::Write).unwrap_err();
        assert!(matches!(error, EngineError::Damaged { .. }), "{error}");
        let engine = Sled::open(copy.path(), Purpose::Read).unwrap();
        assert!(engine.harm().is_some());
        let found = keys(&engine, "r", "r");
        let lost: Vec<usize> = (0..COUNT)
            .filter(|number| !found.contains(&format!("r{number:04}")))
            .collect();
        assert!(lost.contains(&hit) && lost.len() <= 9, "{hit}: {lost:?}");
        let (first, last) = (lost[0], lost[lost.len() - 1]);
        assert_eq!(last - first + 1, lost.len(), "they are neighbours");
        let after = format!("r{:04}", last + 1);
        let behind = keys(&engine, "r", &after);
        assert_eq!(behind.len(), COUNT - last - 1, "from behind it");
        assert_eq!(keys(&engine, "h", "h"), ["h"]);
        if last + 1 < COUNT {
            let greatest = format!("r{:04}", COUNT - 1).into_bytes();
            assert_eq!(engine.last(b"r").unwrap(), Some(greatest));
        }
    }
}

#[test]
fn a_large_batch_that_lost_a_piece_is_left_out_whole() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    let large = vec![7; 5 * frame::MAX_PIECE];
    for (key, value) in [("r1", &b"x"[..]), ("r2", &large), ("r3", b"z")] {
        engine.put(vec![entry(key, value)]).unwrap();
    }
    engine.sync().unwrap();
    drop(engine);
    for gone in 1..7u64 {
        let copy = tempfile::tempdir().unwrap();
        crate::buffer::testing::copy_tree(home.path(), copy.path());
        let engine = Sled::open(copy.path(), Purpose::Write).unwrap();
        let database = engine.database.as_ref().unwrap();
        database.remove(gone.to_be_bytes()).unwrap();
        database.flush().unwrap();
        drop(engine);
        let engine = Sled::open(copy.path(), Purpose::Read).unwrap();
        assert_eq!(keys(&engine, "r", "r"), ["r1", "r3"], "{gone}");
        assert!(engine.harm().is_some());
    }
}

#[test]
fn zeros_ahead_are_no_damage_with_and_without_a_snapshot_and_go_when_it_is_closed() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    let length = || std::fs::metadata(home.path().join("db")).unwrap().len();
    for round in 0..30 {
        let value = vec![7; 60_000];
        engine
            .put(vec![entry(&format!("r{round:02}"), &value)])
            .unwrap();
        engine.sync().unwrap();
        engine.prepare(100_000).unwrap();
        let ahead = length() - tip(engine.database.as_ref().unwrap());
        assert!(ahead >= 200_000, "{ahead}");
        if round % 7 == 0 {
            // As after a kill: the zeros are still there.
            let copy = tempfile::tempdir().unwrap();
            crate::buffer::testing::copy_tree(home.path(), copy.path());
            for _ in 0..2 {
                let mut killed = Sled::open(copy.path(), Purpose::Write).unwrap();
                assert_eq!(keys(&killed, "r", "r").len(), round + 1);
                killed.put(vec![entry("h", b"more")]).unwrap();
                killed.sync().unwrap();
                assert_eq!(keys(&killed, "h", "h"), ["h"]);
            }
            let before = length();
            drop(engine);
            assert!(length() + 200_000 <= before, "{} of {before}", length());
            engine = Sled::open(home.path(), Purpose::Write).unwrap();
        }
        assert_eq!(keys(&engine, "r", "r").len(), round + 1);
    }
}

#[test]
fn a_disk_that_fails_under_the_zeros_closes_the_handle() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Sled::open(home.path(), Purpose::Write).unwrap();
    engine.put(vec![entry("a", b"x")]).unwrap();
    engine.sync().unwrap();
    // What cannot be written to at all stands for a disk that fails.
    engine.barrier = File::open(home.path().join("db")).unwrap();
    let failed = engine.prepare(10 << 20);
    assert!(matches!(failed, Err(EngineError::Io { .. })), "{failed:?}");
    let refused = engine.put(vec![entry("b", b"y")]);
    assert!(
        matches!(refused, Err(EngineError::Poisoned(_))),
        "{refused:?}"
    );
    drop(engine);
    let engine = Sled::open(home.path(), Purpose::Write).unwrap();
    assert_eq!(keys(&engine, "", ""), ["a"]);
}
