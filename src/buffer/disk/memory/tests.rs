//! The disk in memory keeps what it promises, loses everything else sooner or later, and fails as planned.

use super::*;
use std::collections::BTreeSet;

const SEEDS: std::ops::Range<u64> = 0..400;

fn disk() -> Memory {
    let disk = Memory::new(1);
    disk.create_dirs(Path::new("/store")).unwrap();
    disk
}

fn file(disk: &Memory, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(&Path::new("/store").join(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn content(disk: &Memory, name: &str) -> Option<Vec<u8>> {
    disk.read(&Path::new("/store").join(name), 1 << 20).unwrap()
}

/// What the names and bytes are after many power cuts of this moment.
fn outcomes<T: Ord>(disk: &Memory, look: impl Fn(&Memory) -> T) -> BTreeSet<T> {
    SEEDS.map(|seed| look(&disk.crash(seed))).collect()
}

fn names(disk: &Memory) -> String {
    disk.names(Path::new("/store")).unwrap().join(" ")
}

fn set<const N: usize>(expected: [&str; N]) -> BTreeSet<String> {
    expected.map(str::to_owned).into()
}

#[test]
fn what_is_synced_stays_and_what_is_not_may_be_any_mix_of_sectors() {
    let disk = disk();
    let one = file(&disk, "a", &[1; 1024]);
    one.sync().unwrap();
    disk.sync_dir(Path::new("/store")).unwrap();
    one.write_all_at(&[2; 700], 400).unwrap();
    one.write_all_at(&[3; 100], 0).unwrap();
    let found = outcomes(&disk, |disk| {
        let bytes = content(disk, "a").unwrap();
        assert!(bytes.len() == 1024 || bytes.len() == 1100);
        assert_eq!(bytes[100..400], [1; 300]);
        let third = bytes.get(1024).copied();
        (bytes[0], bytes[500], bytes[600], third)
    });
    let mut firsts = BTreeSet::new();
    for (first, end_of_first, second, third) in found {
        // A sector is as it was after one of its writes.
        assert!([(1, 1), (1, 2), (3, 2)].contains(&(first, end_of_first)));
        assert!(second == 1 || second == 2);
        assert!(matches!(third, None | Some(0 | 2)));
        firsts.insert((first, second));
    }
    assert_eq!(firsts.len(), 4, "the sectors go their own ways");
    one.sync().unwrap();
    assert_eq!(outcomes(&disk, |disk| content(disk, "a")).len(), 1);
}

#[test]
fn names_last_behind_a_sync_of_their_directory_alone() {
    let disk = disk();
    file(&disk, "a", b"1").sync().unwrap();
    assert_eq!(outcomes(&disk, names), set(["", "a"]));
    disk.sync_dir(Path::new("/store")).unwrap();
    assert_eq!(outcomes(&disk, names), set(["a"]));
    disk.rename(Path::new("/store/a"), Path::new("/store/b"))
        .unwrap();
    file(&disk, "c", b"").sync().unwrap();
    assert_eq!(outcomes(&disk, names), set(["a", "a c", "b", "b c"]));
    disk.remove_file(Path::new("/store/b")).unwrap();
    assert!(outcomes(&disk, names).contains("c"));
    disk.sync_dir(Path::new("/store")).unwrap();
    assert_eq!(outcomes(&disk, names), set(["c"]));
    disk.create_dirs(Path::new("/store/d/e")).unwrap();
    let nested = disk.open(Path::new("/store/d/e/f")).unwrap();
    nested.sync().unwrap();
    disk.sync_dir(Path::new("/store/d/e")).unwrap();
    disk.remove_tree(Path::new("/store/d")).unwrap();
    let left = outcomes(&disk, |disk| {
        let inside = |path: &str| disk.names(Path::new(path)).unwrap_or_default().join(" ");
        format!(
            "{} {} {}",
            names(disk),
            inside("/store/d"),
            inside("/store/d/e")
        )
    });
    assert_eq!(left, set(["c  ", "c d  ", "c d e ", "c d e f"]));
}

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let disk = disk();
    let kept = file(&disk, "a", b"new");
    let lock = disk.lock(Path::new("/store/lock")).unwrap().unwrap();
    assert!(disk.lock(Path::new("/store/lock")).unwrap().is_none());
    let next = disk.kill();
    assert_eq!(content(&next, "a").unwrap(), b"new");
    assert!(next.lock(Path::new("/store/lock")).unwrap().is_some());
    assert!(outcomes(&next, names).contains(""));
    kept.write_all_at(b"old", 0).unwrap();
    assert_eq!(content(&next, "a").unwrap(), b"new", "another computer now");
    drop(lock);
    assert!(disk.lock(Path::new("/store/lock")).unwrap().is_some());
}

#[test]
fn a_failed_sync_is_a_trap() {
    let disk = disk();
    let file = file(&disk, "a", &[7; 600]);
    disk.sync_dir(Path::new("/store")).unwrap();
    disk.plan(Plan {
        broken: vec![disk.calls() + 1],
        ..Plan::default()
    });
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(content(&disk, "a").unwrap(), [7; 600], "the page cache");
    let left = outcomes(&disk, |disk| content(disk, "a").unwrap());
    assert_eq!(left.len(), 1, "it is settled what the disk has");
    let lossy = (0..50).any(|seed| {
        let disk = Memory::new(seed);
        let file = disk.open(Path::new("/a")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.write_all_at(&[7; 600], 0).unwrap();
        disk.plan(Plan {
            broken: vec![disk.calls() + 1],
            ..Plan::default()
        });
        assert!(file.sync().is_err());
        file.sync().unwrap();
        disk.crash(0).read(Path::new("/a"), 600).unwrap().unwrap() != [7; 600]
    });
    assert!(lossy);
}

#[test]
fn a_full_disk_takes_what_fits_and_room_comes_back() {
    let disk = disk();
    let one = file(&disk, "a", &[1; 100]);
    disk.plan(Plan {
        bytes: Some(150),
        names: Some(4),
        ..Plan::default()
    });
    one.write_all_at(&[2; 100], 0).unwrap();
    let error = one.write_all_at(&[3; 100], 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(one.length().unwrap(), 150);
    assert_eq!(disk.space(Path::new("/")).unwrap().free, 0);
    assert!(disk.reserve(Path::new("/store/b"), 10).is_err());
    let error = disk.open(Path::new("/store/c")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "names are full");
    disk.remove_file(Path::new("/store/a")).unwrap();
    disk.reserve(Path::new("/store/b"), 150).unwrap();
    assert_eq!(disk.used(Path::new("/store")).unwrap(), 150);
}

#[test]
fn nothing_happens_from_the_cut_on() {
    let disk = disk();
    let file = file(&disk, "a", b"1");
    disk.plan(Plan {
        cut: Some(disk.calls() + 2),
        ..Plan::default()
    });
    file.write_all_at(b"2", 0).unwrap();
    assert!(file.write_all_at(b"3", 0).is_err());
    assert!(file.length().is_err() && disk.names(Path::new("/store")).is_err());
    assert!(disk.sync_dir(Path::new("/store")).is_err());
    assert_eq!(content(&disk.kill(), "a").unwrap(), b"2");
}
