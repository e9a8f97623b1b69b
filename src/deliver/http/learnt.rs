//! How many events a server takes in one request, where it takes fewer than the settings say (413): learnt once, not with each batch.

use std::sync::{Mutex, PoisonError};
use tracing::warn;

/// After so many full requests in a row one of twice the size is tried: at most one request in a hundred is sent in vain.
const GROW_AFTER: u32 = 100;

/// What one server has shown since the start.
#[derive(Debug)]
pub(super) struct Learnt {
    uplink: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Most events in one request, where it is less than the settings say.
    most: Option<usize>,
    /// So many requests of that size were taken since.
    taken: u32,
    is_told: bool,
}

impl Learnt {
    /// Nothing yet.
    pub(super) fn new(uplink: &str) -> Learnt {
        Learnt {
            uplink: uplink.to_owned(),
            state: Mutex::default(),
        }
    }

    /// How many events go together, of as many as the settings want.
    pub(super) fn most(&self, wanted: usize) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.most.map_or(wanted, |most| most.min(wanted))
    }

    /// So many were too large together. One alone that is too large says nothing of how many go together.
    pub(super) fn too_large(&self, count: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.taken = 0;
        if count <= 1 {
            state.most = None;
            return;
        }
        let half = count / 2;
        let most = state.most.map_or(half, |most| most.min(half));
        state.most = Some(most);
        if !std::mem::replace(&mut state.is_told, true) {
            warn!(uplink = %self.uplink,
                "{count} events are too large for one request there (413): fewer go together from now on; a smaller `batch` or a larger limit of the server saves the attempts");
        }
    }

    /// So many were taken together.
    pub(super) fn fits(&self, count: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(most) = state.most.filter(|most| count >= *most) else {
            return;
        };
        state.taken += 1;
        if state.taken >= GROW_AFTER {
            state.taken = 0;
            state.most = Some(most.saturating_mul(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_is_too_large_is_halved_kept_and_slowly_tried_again() {
        let learnt = Learnt::new("mes");
        assert_eq!(learnt.most(100), 100);
        learnt.too_large(100);
        learnt.too_large(100);
        assert_eq!(learnt.most(100), 50, "two of one size are one lesson");
        learnt.too_large(50);
        assert_eq!(learnt.most(100), 25);
        assert_eq!(learnt.most(10), 10);
        for nth in 0..GROW_AFTER {
            assert_eq!(learnt.most(100), 25, "{nth}");
            learnt.fits(25);
            learnt.fits(3);
        }
        assert_eq!(learnt.most(100), 50);
    }

    #[test]
    fn one_event_that_is_too_large_alone_was_the_reason() {
        let learnt = Learnt::new("mes");
        [8, 4, 2]
            .into_iter()
            .for_each(|count| learnt.too_large(count));
        assert_eq!(learnt.most(8), 1);
        learnt.too_large(1);
        assert_eq!(learnt.most(8), 8);
    }
}
