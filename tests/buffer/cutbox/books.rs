//! What a judged store says of one uplink, against the model: nothing settled comes back, nothing else is settled, every
//! event that waits can be read, parked ones have their files, and each stands once in the account.

use super::LOST;
use super::plan::{Uplink, passes, payload};
use super::store::{fate, left, uplink};
use millgate::buffer::{Account, Fate, Left, Store};
use millgate::model::{DropReason, Position, UplinkId};
use std::collections::BTreeSet;

/// Events that an uplink lost because the store was too small.
pub(super) fn given_up(store: &Store, uplink: UplinkId) -> u64 {
    let account = store.account(uplink);
    account.dropped(DropReason::Evicted) + account.dropped(DropReason::Full)
}

/// Reads what an uplink has not settled and checks it; the error says what is wrong. Gaps are none of a store that `evicts`.
pub(super) fn read(store: &mut Store, index: usize, evicts: bool) -> Result<BTreeSet<u64>, String> {
    let (last, progress) = (store.last(), store.progress(uplink(index)));
    let (mut at, mut found) = (progress.cursor(), BTreeSet::new());
    loop {
        let records = store
            .read_for(uplink(index), at, 100, 1 << 20)
            .map_err(|error| format!("{LOST}: reading after {at} failed: {error}"))?;
        if records.is_empty() {
            break;
        }
        for record in records {
            at = record.position;
            if record.payload != payload(at.seq) {
                return Err(format!("{LOST}: {at} has another payload"));
            }
            if progress.is_settled(at) || !found.insert(at.seq) {
                return Err(format!("{at} comes again"));
            }
        }
    }
    let waits = |seq: &u64| !progress.is_settled(Position { seq: *seq, ..last });
    let mut waiting = (progress.cursor().seq + 1..=last.seq).filter(waits);
    match waiting.find(|seq| !evicts && !found.contains(seq)) {
        Some(seq) => Err(format!("{LOST}: {seq} is not there, of {last}")),
        None => Ok(found),
    }
}

/// No less is settled than was durable and no more than was ever said, and each event stands once in the account.
pub(super) fn check(
    store: &mut Store,
    index: usize,
    durable: &Uplink,
    offered: &Uplink,
    evicts: bool,
) -> Result<(), String> {
    let waiting = read(store, index, evicts)?;
    let (last, progress) = (store.last(), store.progress(uplink(index)));
    let files = store.parked_positions(uplink(index));
    let files: BTreeSet<u64> = files.iter().map(|it| it.seq).collect();
    parked(store, index, (durable, offered), &files, evicts)?;
    let mut account = Account {
        offered: last.seq - offered.from + offered.adopted,
        parked: files.len() as u64,
        ..Account::default()
    };
    let (mut greatest_lasting_gone, mut gone) = (0, 0);
    for seq in 1..=last.seq {
        let is_settled = progress.is_settled(Position { seq, ..last });
        if durable.settled.contains(seq) && waiting.contains(&seq) {
            return Err(format!("uplink {index} has {seq} again"));
        }
        let said = is_settled && offered.settled.contains(seq);
        if !said && !waiting.contains(&seq) {
            if !evicts {
                return Err(format!("{LOST}: uplink {index} never settled {seq}"));
            }
            gone += 1;
            if !passes(seq) {
                greatest_lasting_gone = seq;
            }
            continue;
        }
        if files.contains(&seq) || waiting.contains(&seq) {
            continue;
        }
        if offered.left.contains(&seq) {
            match left(seq) {
                Left::Delivered => account.delivered += 1,
                Left::Discarded => account.discarded += 1,
            }
        } else if seq > offered.from {
            match fate(seq) {
                Fate::Delivered => account.delivered += 1,
                Fate::Filtered => account.filtered += 1,
            }
        }
    }
    if evicts {
        let lasting = waiting.iter().find(|seq| !passes(**seq));
        if lasting.is_some_and(|seq| *seq < greatest_lasting_gone) {
            return Err(format!(
                "{LOST}: uplink {index} has not {greatest_lasting_gone}, but {lasting:?}, which is older"
            ));
        }
        let numbers = (last.seq - offered.from, gone, waiting.len() as u64);
        return conserved(store, index, &account, numbers);
    }
    match progress.account {
        found if found == account => Ok(()),
        found => Err(format!("uplink {index} counts {found:?}, not {account:?}")),
    }
}

/// What is parked is what was, less what left it; each file can be read.
fn parked(
    store: &mut Store,
    index: usize,
    (durable, offered): (&Uplink, &Uplink),
    files: &BTreeSet<u64>,
    evicts: bool,
) -> Result<(), String> {
    let epoch = store.last().epoch;
    for seq in files {
        let position = Position { epoch, seq: *seq };
        let parked = store.parked(uplink(index), position);
        let whole = parked.map(|it| it.is_some_and(|it| it.record.payload == payload(*seq)));
        if !whole.unwrap_or(false) {
            return Err(format!(
                "{LOST}: the parked {seq} of uplink {index} is not as it was"
            ));
        }
        if durable.left.contains(seq)
            || !offered.parked.contains(seq) && !offered.left.contains(seq)
        {
            return Err(format!("uplink {index} has {seq} parked, and it was not"));
        }
    }
    let stays = durable.parked.difference(&offered.left);
    match stays.into_iter().find(|seq| !files.contains(seq)) {
        // One that was evicted before was never parked; if its file were lost, that would be in the account.
        Some(seq) if !evicts => Err(format!(
            "{LOST}: uplink {index} has {seq} no more, once parked"
        )),
        _ => Ok(()),
    }
}

/// Of a store that gives events up: what the model calls settled may have been given up before.
fn conserved(
    store: &Store,
    index: usize,
    most: &Account,
    (least, gone, waiting): (u64, u64, u64),
) -> Result<(), String> {
    let found = store.account(uplink(index));
    let given_up = given_up(store, uplink(index));
    let dropped: u64 = found.dropped.iter().sum();
    // What was to be parked and had been given up has no file that an uplink could begin with again.
    let right = (least..=most.offered).contains(&found.offered)
        && found.parked == most.parked
        && found.delivered <= most.delivered
        && found.filtered <= most.filtered
        && found.discarded <= most.discarded
        && dropped == given_up
        && given_up >= gone
        && found.offered == found.gone() + waiting;
    match right {
        true => Ok(()),
        false => Err(format!(
            "{LOST}: uplink {index} counts {found:?}; {waiting} wait, {gone} are gone, at most {most:?}"
        )),
    }
}
