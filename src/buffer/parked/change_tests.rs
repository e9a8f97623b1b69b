//! What people do to parked events, with a gateway and without one, and cut off at each step.

use super::super::inspect::ShutStore;
use super::super::testing::{copy_tree, options, render, turn};
use super::super::{Account, OpenOptions};
use super::*;
use crate::model::BootTime;
use crate::model::UtcTime;
use std::path::{Path, PathBuf};

const MES: UplinkId = UplinkId(0);

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

fn second(seconds: i64) -> Stamp {
    Stamp {
        boot: BootTime(seconds * 1_000_000_000),
        utc: UtcTime(seconds * 1_000_000_000),
    }
}

/// An open store with so many events, all of them refused and parked.
fn refused(options: &OpenOptions, events: u64) -> Store {
    let mut store = Store::open(options).unwrap().0;
    let turns = [turn(at(1), events)];
    store.commit(&turns, second(1), &render).unwrap();
    for seq in 1..=events {
        let record = store.read(at(seq - 1), 1, 1).unwrap().remove(0);
        let event = ToPark {
            record,
            class: ParkClass::Business,
            state: ParkedState::Rejected,
            attempts: 1,
            since_first: Duration::ZERO,
            answered: Answered {
                code: Some("order-closed".into()),
                status: Some(422),
                detail: "WO-1 was closed".into(),
                said: None,
            },
            wait: Duration::ZERO,
        };
        assert_eq!(store.park(MES, event, second(1)).unwrap(), Parking::Done);
    }
    store.commit_progress().unwrap();
    store
}

fn change(action: ParkedAction, seqs: &[u64]) -> ParkedChange {
    ParkedChange {
        action,
        user: "operator".into(),
        comment: "order written off".into(),
        positions: seqs.iter().copied().map(at).collect(),
        of: seqs.len() as u64,
    }
}

fn file(home: &Path, seq: u64) -> PathBuf {
    home.join("parked/mes").join(at(seq).to_string())
}

/// The sequences on the list, in its order.
fn listed(home: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(home.join("parked/mes/discarded.jsonl"));
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["user"], "operator");
        assert_eq!(line["reason"], "order written off");
        assert_eq!(
            (&line["code"], &line["status"]),
            (&"order-closed".into(), &422.into())
        );
        let sequence = line["sequence"].as_str().unwrap();
        super::super::listing::parse(sequence).unwrap().seq
    };
    text.unwrap_or_default().lines().map(line).collect()
}

/// Opens the store; each event stands in the account once.
fn opened(options: &OpenOptions) -> (Store, Account) {
    let store = Store::open(options).unwrap().0;
    let account = store.account(MES);
    assert_eq!(account.offered, account.gone(), "{account:?}");
    assert_eq!(account.parked, store.parked_positions(MES).len() as u64);
    (store, account)
}

#[test]
fn what_was_refused_is_tried_when_somebody_asks_also_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes"]);
    let mut store = refused(&options, 4);
    assert_eq!(
        store.due_parked(MES, second(900)).unwrap(),
        DueParked::Never
    );
    drop(store);
    let (mut store, _) = opened(&options);
    assert_eq!(
        store.due_parked(MES, second(900)).unwrap(),
        DueParked::Never
    );
    let done = store
        .change_parked(MES, &change(ParkedAction::Retry, &[3, 9]), second(2))
        .unwrap();
    let expected = Changed {
        changed: 1,
        gone: 1,
        ..Changed::default()
    };
    assert_eq!(done, Ok(expected));
    for _ in 0..2 {
        let DueParked::Event(parked) = store.due_parked(MES, second(3)).unwrap() else {
            panic!("it is due");
        };
        assert_eq!((parked.record.position, parked.attempts), (at(3), 1));
        assert_eq!(parked.audit[0].action, "retry");
        drop(store);
        store = opened(&options).0;
    }
    // Refused anew, it waits anew.
    let answered = Answered::default();
    let rejected = Some(ParkClass::Business);
    let again = Retried::Again {
        answered,
        rejected,
        wait: Duration::ZERO,
    };
    store.retried(MES, at(3), again, second(4)).unwrap();
    assert_eq!(
        store.due_parked(MES, second(900)).unwrap(),
        DueParked::Never
    );
}

#[test]
fn a_discard_is_on_the_account_and_on_the_list_and_nowhere_else() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes"]);
    let mut store = refused(&options, 5);
    let done = store
        .change_parked(MES, &change(ParkedAction::Discard, &[2, 4, 7]), second(2))
        .unwrap();
    let expected = Changed {
        changed: 2,
        gone: 1,
        ..Changed::default()
    };
    assert_eq!(done, Ok(expected));
    assert!(!file(home.path(), 2).exists() && !file(home.path(), 4).exists());
    assert_eq!(listed(home.path()), [2, 4]);
    assert_eq!(store.parked_groups(MES)[0].count, 3);
    drop(store);
    let (_, account) = opened(&options);
    assert_eq!((account.parked, account.discarded), (3, 2));
}

#[test]
fn a_discard_that_is_cut_off_at_any_step_is_finished_once_by_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let options_of = |home: &Path| options(home, &["mes"]);
    drop(refused(&options_of(home.path()), 3));
    let shut = ShutStore::find(home.path()).unwrap();
    let held = shut.lock().unwrap().unwrap();
    let discard = change(ParkedAction::Discard, &[2, 3]);
    let done = shut
        .change_parked(&held, "mes", &discard, UtcTime(5))
        .unwrap();
    assert_eq!(done.changed, 2);
    let again = shut
        .change_parked(&held, "mes", &discard, UtcTime(6))
        .unwrap();
    assert_eq!(again.changed, 2, "said again, it changes nothing");
    let retry = change(ParkedAction::Retry, &[2]);
    let late = shut
        .change_parked(&held, "mes", &retry, UtcTime(7))
        .unwrap();
    assert_eq!((late.changed, late.gone), (0, 1));
    drop(held);
    let parked = shut.read_parked("mes", at(2)).unwrap().unwrap().unwrap();
    assert_eq!(
        (parked.state, parked.audit.len()),
        (ParkedState::Discarded, 1)
    );
    assert!(listed(home.path()).is_empty());
    let before = tempfile::tempdir().unwrap();
    copy_tree(home.path(), before.path());

    let (store, account) = opened(&options_of(home.path()));
    assert_eq!((account.parked, account.discarded), (1, 2));
    assert_eq!(listed(home.path()), [2, 3]);
    drop(store);

    // The list was written and the account not: the one line of a whole list, the second one torn.
    let list = |home: &Path| home.join("parked/mes/discarded.jsonl");
    let text = std::fs::read_to_string(list(home.path())).unwrap();
    let end = text.find('\n').unwrap() + 20;
    for cut in [text.len(), end] {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(before.path(), copy.path());
        std::fs::write(list(copy.path()), &text[..cut]).unwrap();
        let (store, account) = opened(&options_of(copy.path()));
        assert_eq!((account.parked, account.discarded), (1, 2), "{cut}");
        drop(store);
        let lines = std::fs::read_to_string(list(copy.path())).unwrap();
        let whole = lines.lines().filter(|line| line.ends_with('}')).count();
        assert_eq!(whole, 2, "{lines}");
        assert_eq!(opened(&options_of(copy.path())).1.discarded, 2);
    }

    // The account was written, and the file came back: as if it had never been removed.
    std::fs::copy(file(before.path(), 2), file(home.path(), 2)).unwrap();
    let (store, account) = opened(&options_of(home.path()));
    assert_eq!(account.discarded + account.parked, account.offered);
    assert!(!file(home.path(), 2).exists());
    drop(store);
    assert_eq!(
        listed(home.path()).iter().filter(|seq| **seq == 2).count(),
        1
    );
}

#[test]
fn the_list_is_bounded_and_its_last_half_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes"]);
    let mut store = refused(&options, 2);
    let list = home.path().join("parked/mes/discarded.jsonl");
    std::fs::write(&list, vec![b'\n'; (8 << 20) - 10]).unwrap();
    for seq in [1, 2] {
        let discard = change(ParkedAction::Discard, &[seq]);
        store
            .change_parked(MES, &discard, second(2))
            .unwrap()
            .unwrap();
    }
    let before = home.path().join("parked/mes/discarded.1.jsonl");
    assert_eq!(std::fs::metadata(before).unwrap().len(), (8 << 20) - 10);
    assert_eq!(listed(home.path()), [1, 2]);
}

#[test]
fn damaged_and_foreign_files_are_left_alone_and_counted() {
    let home = tempfile::tempdir().unwrap();
    let options = options(home.path(), &["mes"]);
    let mut store = refused(&options, 3);
    std::fs::write(file(home.path(), 1), b"nonsense").unwrap();
    let newer = super::super::seal::seal(99, b"whatever");
    std::fs::write(file(home.path(), 2), newer).unwrap();
    let done = store
        .change_parked(MES, &change(ParkedAction::Retry, &[1, 2, 3]), second(2))
        .unwrap()
        .unwrap();
    assert_eq!((done.changed, done.unreadable), (1, 2));
}
