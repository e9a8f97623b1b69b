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
                let value = std::iter::repeat_with(|| random.u8(..)).take(super::super::MAX_VALUE);
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
    let other = sled::Config::new().path(home.path()).segment_size(1 << 20);
    drop(other.open().unwrap());
    let before = std::fs::read(home.path().join("db")).unwrap();
    let error = Sled::open(home.path(), Purpose::Write).unwrap_err();
    assert!(matches!(&error, EngineError::Foreign { found, .. } if found.contains("1048576")));
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
