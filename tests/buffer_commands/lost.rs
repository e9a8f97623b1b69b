//! Parts of a store that are not there at all: `verify` says what is missing and for whom, as the gateway's next start would,
//! and `repair` has it counted.

use super::{buffer, generations, no_copies, options, payload, store};
use millgate::buffer::{Answered, OpenOptions, ParkedState, Parking, Store, ToPark};
use millgate::model::{DropReason, ParkClass, Position, Stamp, UplinkId};
use std::path::Path;
use std::time::Duration;

const EVENTS: u64 = 40;
const MES: UplinkId = UplinkId(0);
const SCADA: UplinkId = UplinkId(1);

/// The number that the name of a generation begins with.
fn first(generation: &Path) -> u64 {
    let name = generation.file_name().unwrap().to_str().unwrap();
    name.split_once('.').unwrap().1.parse().unwrap()
}

/// Says it, repairs it, and finds the store good; then the gateway's own start has nothing more to count.
fn told_and_repaired(path: &Path, words: &[&str], dropped: [u64; 2], epoch: u32) {
    buffer("verify", path, &[]).says(65, words);
    let said = buffer("verify", path, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let lost = serde_json::json!({ "mes": dropped[0], "scada": dropped[1] });
    assert_eq!((&json["lost"], &json["good"]), (&lost, &false.into()));
    buffer("repair", path, &["--dry-run"]).says(0, &["To be done", "Nothing was done"]);
    buffer("verify", path, &[]).says(65, words);
    buffer("repair", path, &["--yes"]).says(0, &["done: "]);
    buffer("verify", path, &[]).says(0, &["good: "]);
    let (store, restored) = Store::open(&options(path)).unwrap();
    let found = [MES, SCADA].map(|uplink| store.account(uplink).dropped(DropReason::Damaged));
    assert_eq!((found, restored.next.epoch), (dropped, epoch));
    assert_eq!(store.new_epoch(), None, "that was the repair's");
    no_copies(path);
}

#[test]
fn a_store_without_any_part_is_not_good_when_the_side_file_knows_better() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    for generation in generations(home.path()) {
        std::fs::remove_dir_all(generation).unwrap();
    }
    buffer("status", home.path(), &[]).says(65, &["no part of", "buffer verify"]);
    let words = [
        "40 events are missing: 1.1 to 1.40\n  the store is empty although events were stored before.",
        "`mes` does not get 35 events, `scada` does not get 40 events.",
        "The next start begins a new epoch",
        "NOT GOOD, see above: 0 events in 0 generations",
    ];
    told_and_repaired(home.path(), &words, [35, 40], 2);
}

#[test]
fn an_oldest_part_that_is_gone_is_missed_by_those_who_had_not_settled_it() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    let lost = first(&found[1]) - 1;
    std::fs::remove_dir_all(&found[0]).unwrap();
    let words = [
        &format!(
            "{lost} events are missing: 1.1 to 1.{lost}\n  its part of the store is not there"
        ),
        &format!(
            "`mes` does not get {} events, `scada` does not get {lost} events.",
            lost - 5
        ),
        "NOT GOOD",
    ];
    told_and_repaired(home.path(), &words.map(|it: &str| it), [lost - 5, lost], 1);
}

#[test]
fn the_last_part_of_an_earlier_epoch_that_is_gone_is_missed() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 0);
    // As on another box: a new epoch begins, and the old one ends where it did.
    for box_id in ["one box", "another box"] {
        let options = OpenOptions {
            machine_id: Some(box_id.into()),
            ..options(home.path())
        };
        drop(Store::open(&options).unwrap());
    }
    let found = generations(home.path());
    let of_first: Vec<_> = found
        .iter()
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("0000000001.")
        })
        .collect();
    let gone = of_first.last().unwrap();
    assert!(of_first.len() > 2 && found.len() > of_first.len());
    let (from, before) = (first(gone), first(of_first[of_first.len() - 2]));
    let count = EVENTS + 1 - from;
    std::fs::remove_dir_all(gone).unwrap();
    let range = if count == 1 {
        format!("1.{EVENTS}: ")
    } else {
        format!("1.{from} to 1.{EVENTS}: ")
    };
    let of = EVENTS + 1 - before;
    let lost = format!("of {of} cannot be read");
    buffer("verify", home.path(), &[]).says(
        65,
        &[
            &range,
            &lost,
            "`scada` does not get",
            "reports them as dropped",
            "NOT GOOD",
        ],
    );
    // Whole parts are not set aside for it.
    let s = if count == 1 { "" } else { "s" };
    buffer("repair", home.path(), &["--dry-run"]).says(
        0,
        &[&format!("- count {count} event{s} of "), "Nothing was done"],
    );
    for generation in &of_first[..of_first.len() - 1] {
        std::fs::remove_dir_all(generation).unwrap();
    }
    let words = [
        "40 events are missing: 1.1 to 1.40\n  its part of the store is not there",
        "`mes` does not get 40 events, `scada` does not get 40 events.",
    ];
    told_and_repaired(home.path(), &words, [EVENTS, EVENTS], 2);
}

#[test]
fn parked_events_whose_files_are_gone_or_damaged_are_told() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 0);
    let (mut opened, _) = Store::open(&options(home.path())).unwrap();
    for seq in [3, 7, 12, 20] {
        let after = Position {
            epoch: 1,
            seq: seq - 1,
        };
        let record = opened.read(after, 1, 1).unwrap().remove(0);
        assert_eq!(record.payload, payload(record.position));
        let to_park = ToPark {
            record,
            class: ParkClass::Business,
            state: ParkedState::Rejected,
            attempts: 1,
            since_first: Duration::ZERO,
            answered: Answered::default(),
            wait: Duration::ZERO,
        };
        let parked = opened.park(MES, to_park, Stamp::default()).unwrap();
        assert_eq!(parked, Parking::Done);
    }
    opened.commit_progress().unwrap();
    drop(opened);
    buffer("verify", home.path(), &[]).says(0, &["good: "]);
    let file = |seq| {
        let position = Position { epoch: 1, seq };
        home.path().join("parked/mes").join(position.to_string())
    };
    std::fs::remove_file(file(7)).unwrap();
    let gone = "parked events of `mes`: 1 have no file any more";
    buffer("verify", home.path(), &[]).says(65, &[gone, "NOT GOOD"]);
    // What a killed start leaves hides nothing.
    let creating = home.path().join("store/creating");
    std::fs::create_dir(&creating).unwrap();
    buffer("verify", home.path(), &[]).says(65, &[gone, "NOT GOOD"]);
    std::fs::remove_dir(creating).unwrap();
    let mut bytes = std::fs::read(file(12)).unwrap();
    bytes[40] ^= 8;
    std::fs::write(file(12), bytes).unwrap();
    let words = [
        "parked events of `mes`: 2 are lost (1 of the files cannot be read)",
        "  1.12: ",
        "NOT GOOD",
    ];
    told_and_repaired(home.path(), &words, [2, 0], 1);
    let (opened, _) = Store::open(&options(home.path())).unwrap();
    assert_eq!(opened.account(MES).parked, 2);
    assert!(
        home.path()
            .join("parked/mes")
            .join(format!("damaged-{}", Position { epoch: 1, seq: 12 }))
            .exists()
    );
}
