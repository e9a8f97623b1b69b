//! Parked events beside the list: put aside, tried again, taken, discarded.

use super::super::StoreError;
use super::super::parked::{Answered, DueParked, ParkedState, Parking, Retried, ToPark};
use super::super::progress::Left;
use super::expected::at;
use super::steps::payload;
use super::trial::Trial;
use super::uplink::Now;
use crate::model::ParkClass;
use std::time::Duration;

fn answered() -> Answered {
    Answered {
        code: Some("order-closed".into()),
        status: Some(422),
        detail: "no".into(),
        said: None,
    }
}

impl Trial {
    /// One of the first events that an uplink has not settled is put aside.
    pub(super) fn park(&mut self) -> Result<(), StoreError> {
        let (id, name) = self.any_uplink();
        let Some(place) = self.any_event(&name, Now::Stored) else {
            return Ok(());
        };
        let store = self.store.as_mut().unwrap();
        let record = store.read_for(id, at(place), 1, 0)?.remove(0);
        assert_eq!(record.position, at(place + 1));
        let to_park = ToPark {
            record,
            class: ParkClass::Business,
            state: ParkedState::Rejected,
            attempts: 1,
            since_first: Duration::ZERO,
            answered: answered(),
            wait: Duration::from_secs(10),
        };
        let uplink = self.expected.uplinks.get_mut(&name).unwrap();
        uplink.half_parked.insert(place);
        let parked = store.park(id, to_park, self.now);
        // It may be parked although what comes behind that failed.
        if store.progress(id).account.parked > uplink.now.account.parked {
            uplink.park(place);
        }
        match parked? {
            Parking::Done => assert_eq!(uplink.now.events[place], Now::Parked),
            Parking::NoRoom => assert!(uplink.half_parked.remove(&place)),
            Parking::Full => panic!("so many are not here"),
        }
        self.place.settled();
        Ok(())
    }

    /// A parked event is tried again, in vain: whichever is due, or any.
    pub(super) fn try_again(&mut self) -> Result<(), StoreError> {
        let (id, name) = self.any_uplink();
        let store = self.store.as_mut().unwrap();
        let later = self.now.plus(Duration::from_secs(60));
        let DueParked::Event(parked) = store.due_parked(id, later)? else {
            return Ok(());
        };
        let position = parked.record.position;
        let place = usize::try_from(position.seq - 1).unwrap();
        let written = self.expected.events[place];
        assert_eq!(parked.record.payload, payload(written.tries, position));
        let uplink = &self.expected.uplinks[&name];
        assert_eq!(uplink.now.events[place], Now::Parked);
        let again = Retried::Again {
            answered: answered(),
            rejected: Some(ParkClass::Business),
            wait: Duration::from_secs(10),
        };
        store.retried(id, position, again, self.now)
    }

    /// A parked event is taken after all, or somebody discards it.
    pub(super) fn leave(&mut self) -> Result<(), StoreError> {
        let (id, name) = self.any_uplink();
        let Some(place) = self.any_event(&name, Now::Parked) else {
            return Ok(());
        };
        let store = self.store.as_mut().unwrap();
        let position = at(place + 1);
        let left = match self.random.bool() {
            true => Left::Delivered,
            false => Left::Discarded,
        };
        let done = match left {
            Left::Delivered => store.retried(id, position, Retried::Delivered, self.now),
            Left::Discarded => store.take_off(id, position, left),
        };
        let uplink = self.expected.uplinks.get_mut(&name).unwrap();
        // It has left although what comes behind that failed.
        if store.progress(id).account.parked < uplink.now.account.parked {
            uplink.leave(place, left);
        }
        done?;
        assert_eq!(uplink.now.events[place], Now::Settled);
        self.place.settled();
        Ok(())
    }
}
