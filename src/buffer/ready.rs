//! What the store does for the next commit when nobody waits for it: room in the head, and a small head after a backlog.
//! `impl Store` for the task.

use super::error::StoreError;
use super::store::Store;

/// Room that is made between commits: most need less, and find it there.
const USUAL_COMMIT: u64 = 64 << 10;
/// The state of a head with the progress of many uplinks.
const HEAD_BYTES: u64 = 64 << 10;
/// A head that took part in a backlog goes when all is settled, if it is fuller than this part of a generation: a drained
/// store is small. One that was never behind stays until it is full.
const WORTH_LEAVING: u64 = 4;
/// An engine may keep each state of the head that was ever written: a head goes at so many times the bytes of a generation,
/// in halves, also while a long backlog is delivered and nothing new comes.
const OVERGROWN_HALVES: u64 = 3;

impl Store {
    /// Takes room for the next commit, and leaves a head that is larger than it need be. That there is no room is said by the
    /// commit that needs it.
    pub fn prepare(&mut self) {
        if self.abandoned {
            return;
        }
        let done = self.slim().and_then(|()| self.take_room(USUAL_COMMIT));
        if let Err(error) = done {
            tracing::debug!(%error, "nothing is made ready for the next commit");
        }
    }

    /// Takes room in the head for so many bytes of records and checkpoint, before any of them is written.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was written, and the store stays usable. After any other the head is closed, see
    /// [`Store::renew`].
    pub(super) fn take_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        let taken = self.newest.prepare(bytes.saturating_add(HEAD_BYTES));
        taken.map_err(StoreError::from).inspect_err(|error| {
            if !matches!(error, StoreError::Full(_)) {
                self.abandon();
            }
        })
    }

    /// Leaves a head that is larger than what is in it that anybody needs. All progress in memory is durable then.
    fn slim(&mut self) -> Result<(), StoreError> {
        if self.older.len() > 0 {
            self.behind = true;
        }
        let last = self.last();
        let settled = self.uplinks.iter().all(|(_, it)| it.cursor() >= last);
        let drained = settled && self.older.len() == 0 && std::mem::take(&mut self.behind);
        let written = self.head.written_bytes;
        let overgrown = self.generation_bytes.saturating_mul(OVERGROWN_HALVES) / 2;
        // Its states, too: each that was written while the backlog was delivered lies in it.
        let put = self.newest.put_bytes();
        let leaves = drained && written.max(put) >= self.generation_bytes / WORTH_LEAVING
            || put >= overgrown;
        if !leaves || written < self.rotate_from {
            return Ok(());
        }
        if self.head.next > self.newest.first() {
            self.rotate()?;
        } else {
            // Its successor takes its name.
            self.abandon();
            self.renew()?;
        }
        self.clear_away();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::Disk;
    use super::super::disk::Files;
    use super::super::testing::{done, fast_home, options, render, turn};
    use super::*;
    use crate::model::{CheckpointEntry, Stamp, Turn, UplinkId};

    const MES: UplinkId = UplinkId(0);

    fn events(store: &mut Store, count: u64) {
        let turn = turn(store.head.next, count);
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        store.prepare();
    }

    /// The state of the head alone is written, as when progress is made.
    fn state(store: &mut Store) {
        let entry = CheckpointEntry {
            key: "slot".into(),
            value: Some(vec![7; 1_000]),
        };
        let turn = Turn {
            events: vec![],
            checkpoint: vec![entry],
        };
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        store.prepare();
    }

    #[test]
    fn a_head_that_took_part_in_a_backlog_goes_when_all_is_delivered() {
        let home = fast_home();
        let (mut store, _) = Store::open(&options(home.path(), &["mes"])).unwrap();
        let small = Files.used(&store.root).unwrap();
        while store.older.len() < 3 || store.head.written_bytes < 10_000 {
            events(&mut store, 3);
        }
        let first = store.newest.first();
        let last = store.last();
        done(&mut store, MES, last).unwrap();
        store.commit_progress().unwrap();
        store.prepare();
        assert_eq!(store.older.len(), 0);
        assert!(store.newest.first() > first, "the head stays");
        assert!(Files.used(&store.root).unwrap() <= small + (64 << 10));
        // It was not behind since: what is delivered at once is no reason to rotate.
        let first = store.newest.first();
        for _ in 0..5 {
            events(&mut store, 1);
            let last = store.last();
            done(&mut store, MES, last).unwrap();
            store.commit_progress().unwrap();
            store.prepare();
        }
        assert_eq!(store.newest.first(), first);
    }

    #[test]
    fn a_head_that_is_full_of_states_goes_with_the_backlog() {
        let home = fast_home();
        let (mut store, _) = Store::open(&options(home.path(), &["mes"])).unwrap();
        let small = store.generation_bytes / WORTH_LEAVING;
        while store.older.len() < 2 || store.head.written_bytes >= small {
            events(&mut store, 1);
        }
        let first = store.newest.first();
        while store.newest.put_bytes() < store.generation_bytes / 2 {
            state(&mut store);
        }
        assert_eq!(store.newest.first(), first);
        let last = store.last();
        done(&mut store, MES, last).unwrap();
        store.commit_progress().unwrap();
        store.prepare();
        assert_eq!(store.older.len(), 0);
        assert!(store.newest.first() > first, "the head stays");
    }

    #[test]
    fn states_alone_do_not_make_a_head_grow_without_end() {
        let home = fast_home();
        let options = options(home.path(), &["mes"]);
        let (mut store, restored) = Store::open(&options).unwrap();
        let mut most = 0;
        for _ in 0..200 {
            state(&mut store);
            most = most.max(store.newest.put_bytes());
        }
        assert!(most < 2 * options.generation_bytes, "{most}");
        assert!(store.newest.put_bytes() < most, "it was never left");
        assert_eq!(store.head.next, restored.next);
        events(&mut store, 2);
        for _ in 0..200 {
            state(&mut store);
        }
        let next = store.head.next;
        drop(store);
        let (store, restored) = Store::open(&options).unwrap();
        assert_eq!((restored.next, store.new_epoch()), (next, None));
        assert_eq!(restored.checkpoint.len(), 1);
        assert_eq!(store.account(MES).stored(), 2);
    }
}
