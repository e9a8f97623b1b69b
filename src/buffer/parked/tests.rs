//! Parked events of a store on a real directory: over restarts, with files lost and bent, of uplinks that went and came.

use super::super::testing::{copy_tree, options, render, turn};
use super::super::{Account, OpenOptions, Progress};
use super::*;
use crate::model::BootTime;
use crate::settings::shape::StartAt;

const MES: UplinkId = UplinkId(0);

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

/// So many seconds after the start.
fn second(seconds: i64) -> Stamp {
    Stamp {
        boot: BootTime(seconds * 1_000_000_000),
        utc: crate::model::UtcTime(seconds * 1_000_000_000),
    }
}

fn append(store: &mut Store, count: u64) {
    let next = Position {
        seq: store.last().seq + 1,
        ..store.last()
    };
    let turns = [turn(next, count)];
    store.commit(&turns, second(1), &render).unwrap();
}

fn open(options: &OpenOptions) -> Store {
    Store::open(options).unwrap().0
}

fn answered(code: &str) -> Answered {
    Answered {
        code: Some(code.into()),
        status: Some(422),
        detail: "no".into(),
        said: None,
    }
}

fn to_park(store: &mut Store, position: Position, code: &str) -> ToPark {
    let before = Position {
        seq: position.seq - 1,
        ..position
    };
    let record = store.read(before, 1, 1).unwrap().remove(0);
    assert_eq!(record.position, position);
    ToPark {
        record,
        class: ParkClass::Business,
        state: ParkedState::Retrying,
        attempts: 1,
        since_first: Duration::from_secs(1),
        answered: answered(code),
        wait: Duration::from_secs(10),
    }
}

fn park(store: &mut Store, seq: u64, code: &str) -> Parking {
    let event = to_park(store, at(seq), code);
    store.park(MES, event, second(1)).unwrap()
}

fn again(code: &str) -> Retried {
    Retried::Again {
        answered: answered(code),
        rejected: None,
        wait: Duration::from_secs(60),
    }
}

/// What waits for an uplink, as it reads it.
fn waiting(store: &mut Store, uplink: UplinkId) -> Vec<u64> {
    let mut after = store.cursor(uplink);
    let mut waiting = Vec::new();
    loop {
        let records = store.read_for(uplink, after, 9, 1 << 20).unwrap();
        let Some(last) = records.last() else {
            return waiting;
        };
        after = last.position;
        waiting.extend(records.iter().map(|record| record.position.seq));
    }
}

/// Each event stands in the account once.
fn check(store: &mut Store) -> Account {
    for uplink in store.uplink_ids() {
        let account = store.account(uplink);
        let gone = account.delivered + account.filtered + account.parked + account.discarded;
        let dropped: u64 = account.dropped.iter().sum();
        let waits = waiting(store, uplink).len() as u64;
        assert_eq!(account.offered, gone + dropped + waits, "{account:?}");
        assert_eq!(account.stored(), waits);
        let parked = store.parked_positions(uplink).len() as u64;
        assert_eq!(account.parked, parked, "{account:?}");
    }
    store.account(MES)
}

#[test]
fn a_parked_event_is_out_of_the_way_until_it_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes", "scada"]);
    let mut store = open(&options);
    append(&mut store, 5);
    assert_eq!(park(&mut store, 2, "order-closed"), Parking::Done);
    assert_eq!(park(&mut store, 2, "order-closed"), Parking::Done);
    assert_eq!(waiting(&mut store, MES), [1, 3, 4, 5]);
    assert_eq!(check(&mut store).parked, 1);
    let groups = store.parked_groups(MES);
    assert_eq!((groups.len(), groups[0].count), (1, 1));

    // Not before its time, and then with all that is known of it.
    let wait = store.due_parked(MES, second(5)).unwrap();
    assert_eq!(wait, DueParked::After(Duration::from_secs(6)));
    let DueParked::Event(parked) = store.due_parked(MES, second(11)).unwrap() else {
        panic!("it is due");
    };
    assert_eq!(parked.record.payload, super::super::testing::payload(at(2)));
    assert_eq!((parked.attempts, parked.state), (1, ParkedState::Retrying));
    assert_eq!(parked.first_attempt.utc, second(0).utc);
    store
        .retried(MES, at(2), again("order-locked"), second(12))
        .unwrap();
    let wait = store.due_parked(MES, second(13)).unwrap();
    assert_eq!(wait, DueParked::After(Duration::from_secs(59)));
    drop(store);

    // A new start tries it soon, and has not forgotten anything.
    let mut store = open(&options);
    check(&mut store);
    let DueParked::Event(parked) = store.due_parked(MES, second(1)).unwrap() else {
        panic!("it is due");
    };
    assert_eq!((parked.attempts, parked.answers.len()), (2, 2));
    assert_eq!(parked.last_code(), Some("order-locked"));
    store
        .retried(MES, at(2), Retried::Delivered, second(2))
        .unwrap();
    store
        .retried(MES, at(2), Retried::Delivered, second(2))
        .unwrap();
    let account = check(&mut store);
    assert_eq!((account.parked, account.delivered), (0, 1));
    let file = home.path().join("parked/mes").join(at(2).to_string());
    assert!(file.exists(), "not before the progress is durable");
    store.commit_progress().unwrap();
    assert!(!file.exists());
    assert_eq!(store.due_parked(MES, second(99)).unwrap(), DueParked::Never);
}

#[test]
fn attempts_are_counted_while_their_file_rests() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&options(home.path(), &["mes"]));
    append(&mut store, 1);
    park(&mut store, 1, "a");
    let path = home.path().join("parked/mes").join(at(1).to_string());
    let mut written = 0;
    let mut before = std::fs::read(&path).unwrap();
    for nth in 1..=100 {
        store
            .retried(MES, at(1), again("a"), second(nth * 600))
            .unwrap();
        let now = std::fs::read(&path).unwrap();
        written += u32::from(now != before);
        before = now;
    }
    assert_eq!(store.parked(MES, at(1)).unwrap().unwrap().attempts, 101);
    // The first ones, and then one in six hours.
    assert!((4..=7).contains(&written), "{written}");
    store
        .retried(MES, at(1), again("b"), second(60_001))
        .unwrap();
    assert_ne!(std::fs::read(&path).unwrap(), before, "news are written");
}

#[test]
fn an_uplink_that_was_away_finds_its_parked_events_again() {
    let home = tempfile::tempdir().unwrap();
    let both = options(home.path(), &["mes", "scada"]);
    let mut store = open(&both);
    append(&mut store, 4);
    for seq in [1, 3] {
        park(&mut store, seq, "a");
    }
    check(&mut store);
    drop(store);
    let mut store = open(&options(home.path(), &["scada"]));
    assert_eq!(store.account(UplinkId(0)).offered, 4);
    append(&mut store, 1);
    drop(store);
    for start_at in [StartAt::Newest, StartAt::Oldest] {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(home.path(), copy.path());
        let mut back = options(copy.path(), &["mes", "scada"]);
        back.uplinks[0].1 = start_at;
        for _ in 0..2 {
            let mut store = open(&back);
            let account = check(&mut store);
            let expected = match start_at {
                StartAt::Newest => (2, 2, 0),
                StartAt::Oldest => (5, 2, 3),
            };
            let found = (account.offered, account.parked, account.stored());
            assert_eq!(found, expected, "{start_at:?}");
        }
    }
}

#[test]
fn a_file_that_is_bent_or_gone_is_counted_once_and_told() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes"]);
    let mut store = open(&options);
    append(&mut store, 6);
    for seq in 1..=4 {
        park(&mut store, seq, "a");
    }
    store.commit_progress().unwrap();
    let file = |seq: u64| home.path().join("parked/mes").join(at(seq).to_string());
    let bend = |seq: u64| {
        let mut bytes = std::fs::read(file(seq)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 8;
        std::fs::write(file(seq), bytes).unwrap();
    };
    // While it runs: one is bent, another is there under a wrong name.
    bend(1);
    std::fs::copy(file(3), file(2)).unwrap();
    let DueParked::Event(parked) = store.due_parked(MES, second(100)).unwrap() else {
        panic!("the third is due");
    };
    assert_eq!(parked.record.position, at(3));
    assert_eq!(check(&mut store).dropped(DropReason::Damaged), 2);
    store.commit_progress().unwrap();
    drop(store);
    // While it does not: one is bent, one is gone, one is of a newer release.
    bend(3);
    std::fs::remove_file(file(4)).unwrap();
    let newer = super::super::seal::seal(99, b"whatever");
    std::fs::write(file(5), newer).unwrap();
    for _ in 0..3 {
        let mut store = open(&options);
        let account = check(&mut store);
        assert_eq!(account.dropped(DropReason::Damaged), 4);
        assert_eq!((account.parked, account.stored()), (1, 1));
        assert!(file(5).exists() && !file(3).exists());
        assert_eq!(store.due_parked(MES, second(9)).unwrap(), DueParked::Never);
        assert_eq!(store.head.untold.len(), 1, "told as one");
        assert_eq!(store.head.untold[0].count, 4);
    }
}

#[test]
fn a_file_that_outlives_the_kill_after_its_discard_counts_once() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes"]);
    let mut store = open(&options);
    append(&mut store, 3);
    for seq in 1..=3 {
        park(&mut store, seq, "a");
    }
    let file = home.path().join("parked/mes").join(at(1).to_string());
    let before = std::fs::read(&file).unwrap();
    let change = ParkedChange {
        action: ParkedAction::Discard,
        user: "shift lead".into(),
        comment: "twice".into(),
        positions: vec![at(1), at(2)],
        of: 2,
    };
    let done = store.change_parked(MES, &change, second(2)).unwrap();
    assert_eq!(done.unwrap().changed, 2);
    // No commit came after the one that says so, and the directory forgot that the file is gone.
    drop(store);
    assert!(!file.exists());
    std::fs::write(&file, before).unwrap();
    for _ in 0..2 {
        let account = check(&mut open(&options));
        assert_eq!((account.parked, account.discarded), (1, 2));
    }
    assert!(!file.exists());
}

#[test]
fn past_the_limit_nothing_is_parked() {
    let home = super::super::testing::fast_home();
    let mut store = open(&options(home.path(), &["mes"]));
    append(&mut store, 2);
    let event = to_park(&mut store, at(1), "a");
    let parked = event.clone().into_parked(Moment::default());
    let index = &mut store.parked.indices[0];
    for seq in 10..10 + MAX_PARKED as u64 {
        let mut other = parked.clone();
        other.record.position = at(seq);
        index.put(&other, 0, 0);
    }
    assert_eq!(store.park(MES, event, second(1)).unwrap(), Parking::Full);
    assert_eq!(waiting(&mut store, MES), [1, 2]);
    store.parked.indices[0].remove(at(10));
    assert_eq!(park(&mut store, 1, "a"), Parking::Done);
    assert_eq!(park(&mut store, 2, "a"), Parking::Full);
}

#[test]
fn the_note_of_what_leaves_stands_with_the_account() {
    let mut progress = Progress::at(at(0));
    progress.account.offered = 2;
    progress.park(at(1));
    progress.park(at(2));
    progress.leave(at(2), Left::Discarded);
    assert_eq!(progress.cursor(), at(2), "nothing is held back");
    let bytes = postcard::to_stdvec(&progress).unwrap();
    let mut read: Progress = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(read, progress);
    assert_eq!(read.leaving(), [at(2)]);
    read.swept();
    assert!(read.leaving().is_empty());
    let account = read.account;
    assert_eq!((account.parked, account.discarded), (1, 1));
}
