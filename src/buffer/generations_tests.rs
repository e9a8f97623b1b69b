//! The names of generations, and what lies between them.

use super::super::disk::{Files, names};
use super::*;

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

#[test]
fn only_whole_names_are_generations() {
    assert_eq!(parse(&at(3, 42).to_string()), Some(at(3, 42)));
    for name in [
        "creating",
        "lock",
        "progress",
        "1.2",
        "0000000001.0000000000000000000x",
        "+000000001.00000000000000000001",
        "9999999999.00000000000000000001",
    ] {
        assert_eq!(parse(name), None, "{name}");
    }
}

#[test]
fn the_spans_of_an_epoch_are_counted_from_the_cursor_on() {
    let (first, last) = (at(2, 11), at(2, 20));
    for (cursor, count) in [
        (at(0, 0), 10),
        (at(1, 99), 10),
        (at(2, 0), 10),
        (at(2, 10), 10),
        (at(2, 11), 9),
        (at(2, 20), 0),
        (at(2, 30), 0),
        (at(3, 0), 0),
    ] {
        assert_eq!(span_after(cursor, first, last), count, "{cursor}");
    }
    assert_eq!(span_after(at(0, 0), at(1, 1), at(1, 0)), 0);
}

#[test]
fn half_done_directories_are_cleared_away() {
    let home = tempfile::tempdir().unwrap();
    for name in [
        "creating".to_owned(),
        format!("removing-{}", at(1, 1)),
        format!("damaged-{}", at(4, 1)),
        at(1, 8).to_string(),
    ] {
        std::fs::create_dir(home.path().join(name)).unwrap();
    }
    let listing = Listing::read(&Files, home.path()).unwrap();
    assert_eq!(listing.whole, [at(1, 8)]);
    assert_eq!(listing.damaged, [at(4, 1)]);
    assert_eq!(listing.greatest_epoch(), 4);
    assert_eq!(names(home.path()).unwrap().len(), 2);
}
