//! What a repair says is what it does, and a store is good after it; what it cannot mend is said with the place.

use super::broken::zero;
use super::{buffer, generations, no_copies, options, store};
use millgate::buffer::Store;
use millgate::model::{DropReason, UplinkId};
use std::fs;
use std::path::Path;

const EVENTS: u64 = 40;

/// How many events each uplink lost by damage, as a start finds it.
fn dropped(path: &Path) -> [u64; 2] {
    let store = Store::open(&options(path)).unwrap().0;
    [UplinkId(0), UplinkId(1)].map(|uplink| {
        let account = store.account(uplink);
        assert_eq!(account.offered, account.gone() + account.stored());
        account.dropped(DropReason::Damaged)
    })
}

/// The number that the name of a generation begins with.
fn first(generation: &Path) -> u64 {
    let name = generation.file_name().unwrap().to_str().unwrap();
    name.split_once('.').unwrap().1.parse().unwrap()
}

#[test]
fn events_that_cannot_be_read_are_counted_once_and_the_store_is_good_then() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    let lost = first(&found[3]) - first(&found[2]);
    fs::remove_dir_all(&found[2]).unwrap();
    let words = format!("`scada` does not get {lost} events");
    buffer("verify", home.path(), &[]).says(65, &[&words, "millgate buffer repair", "NOT GOOD"]);
    let done = format!("done: count {lost} events of ");
    buffer("repair", home.path(), &["--yes"]).says(0, &[&done]);
    buffer("verify", home.path(), &[]).says(0, &["nothing is to be done", "good: "]);
    buffer("repair", home.path(), &["--yes"]).says(0, &["Nothing to repair."]);
    assert_eq!(dropped(home.path()), [lost, lost]);
    no_copies(home.path());
}

#[test]
fn every_torn_conf_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    for generation in &found {
        zero(&generation.join("conf"));
    }
    let said = buffer("repair", home.path(), &["--yes"]);
    assert_eq!(
        said.out.matches("done: make the `conf`").count(),
        found.len()
    );
    buffer("verify", home.path(), &[]).says(0, &["good: 40 events"]);
    assert_eq!(dropped(home.path()), [0, 0]);
}

#[test]
fn a_newest_part_that_is_gone_is_told_by_every_command() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let newest = generations(home.path()).pop().unwrap();
    let first = first(&newest);
    fs::remove_dir_all(&newest).unwrap();
    buffer("status", home.path(), &[]).says(
        0,
        &["Next number 2.1 (epoch.event): the next start begins a new epoch"],
    );
    let lost = EVENTS + 1 - first;
    let said = buffer("export", home.path(), &[]);
    let left_out = format!(
        "{} events written, 1.1 to 1.{}; {lost} could",
        first - 1,
        first - 1
    );
    said.says(65, &["left out: ", &left_out]);
    // Of what is asked for nothing is missing.
    buffer("export", home.path(), &["--to", "1.20"]).says(0, &["20 events written"]);
    assert_eq!(dropped(home.path()), [lost, lost]);
    buffer("export", home.path(), &[]).says(0, &[]);
}

/// No state can be read any more, and no side file tells who the uplinks were: nothing is deleted for that, and what may not
/// have been delivered is counted.
#[test]
fn a_store_without_any_state_keeps_all_that_was_in_it_for_people() {
    for repairs in [false, true] {
        let home = tempfile::tempdir().unwrap();
        store(home.path(), 150, 5);
        let found = generations(home.path());
        assert!(found.len() > 9, "{}", found.len());
        for generation in &found {
            zero(&generation.join("db"));
        }
        fs::remove_file(home.path().join("store/progress")).unwrap();
        if repairs {
            let said = buffer("repair", home.path(), &["--yes"]);
            said.says(0, &["a new epoch has begun", "nobody can say"]);
        } else {
            // Of the newest nobody knows how many were in it.
            let lost = first(found.last().unwrap()) - 1;
            assert_eq!(dropped(home.path()), [lost, lost]);
        }
        for generation in &found {
            let name = generation.file_name().unwrap().to_str().unwrap();
            let aside = generation.with_file_name(format!("damaged-{name}"));
            assert!(aside.exists(), "{}", aside.display());
        }
        buffer("verify", home.path(), &[]).says(0, &["good: "]);
    }
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named_or_set_aside() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    let lost = first(&found[2]) - first(&found[1]);
    fs::remove_dir_all(&found[1]).unwrap();
    fs::write(&found[1], "of somebody").unwrap();
    buffer("verify", home.path(), &[]).says(65, &["it is a file where a directory belongs"]);
    buffer("repair", home.path(), &["--yes"]).says(0, &["set aside: "]);
    buffer("verify", home.path(), &[]).says(0, &["good: "]);
    assert_eq!(dropped(home.path()), [lost, lost]);
    no_copies(home.path());

    let parked = home.path().join("parked");
    fs::create_dir_all(&parked).unwrap();
    fs::write(parked.join("mes"), "of somebody").unwrap();
    let words = format!(
        "{} is a file where a directory belongs: move",
        parked.join("mes").display()
    );
    buffer("verify", home.path(), &[]).says(74, &[&words]);
    let error = Store::open(&options(home.path())).unwrap_err().to_string();
    assert!(error.starts_with(&words), "{error}");
    fs::remove_file(parked.join("mes")).unwrap();

    let side = home.path().join("store/progress");
    fs::remove_file(&side).unwrap();
    fs::create_dir(&side).unwrap();
    let words = format!(
        "{} is a directory where a file belongs: move",
        side.display()
    );
    for what in ["verify", "repair", "status"] {
        buffer(what, home.path(), &[]).says(74, &[&words]);
    }
    let error = Store::open(&options(home.path())).unwrap_err().to_string();
    assert!(error.starts_with(&words), "{error}");
    fs::remove_dir(&side).unwrap();
    assert_eq!(dropped(home.path()), [lost, lost]);
}

/// What cannot be read has the place of a parked event; it is set aside and costs that event alone.
#[test]
fn a_directory_in_the_place_of_a_parked_event_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let folder = home.path().join("parked/mes");
    let name = "0000000001.00000000000000000003";
    fs::create_dir_all(folder.join(name).join("of somebody")).unwrap();
    for round in 0..2 {
        buffer("verify", home.path(), &[]).says(65, &["parked events of `mes`"]);
        assert_eq!(dropped(home.path()), [0, 0], "it was never parked");
        let aside = folder.join(format!("damaged-{name}"));
        assert!(aside.is_dir() && !folder.join(name).exists());
        buffer("verify", home.path(), &[]).says(0, &["good: "]);
        // Once more, in the place of what is set aside.
        if round == 0 {
            fs::create_dir(folder.join(name)).unwrap();
        }
    }
}
