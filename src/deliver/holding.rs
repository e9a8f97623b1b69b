//! Where a rejected event holds the later ones of its partition key (`on_reject: hold`): which keys are held. The parked events
//! say so, and they are in the buffer's hands: it is asked at the start, and whenever they are asked for.

use super::task::Drain;
use super::uplink::Terms;
use std::collections::HashSet;

/// The held keys of one uplink, as far as the buffer's last word does not say.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Whether the buffer has spoken in this run.
    known: bool,
    /// Keys of events that were parked since it was asked last: its answer may not know them.
    since_asked: HashSet<String>,
}

impl Holding {
    /// An event of that key is parked.
    pub(super) fn holds(&mut self, key: &str) {
        self.since_asked.insert(key.to_owned());
    }

    /// The buffer is asked; events of these keys are still on their way to it.
    pub(super) fn asks(&mut self, on_the_way: impl Iterator<Item = String>) {
        self.since_asked = on_the_way.collect();
    }

    /// The buffer says which keys have parked events. Returns all that are held.
    pub(super) fn hears(&mut self, keys: Vec<String>) -> HashSet<String> {
        self.known = true;
        let since = self.since_asked.iter().cloned();
        keys.into_iter().chain(since).collect()
    }
}

impl Drain {
    /// Whether live events may be sent as far as held keys are concerned.
    pub(super) fn keys_are_known(&self) -> bool {
        self.holding.as_ref().is_none_or(|holding| holding.known)
    }

    /// Where a key may be held, one event of it is under way at a time: the verdict on it comes before the next one goes.
    pub(super) fn strict(&self, terms: Terms) -> Terms {
        match self.holding {
            None => terms,
            Some(_) => Terms {
                one_per_key: true,
                batch: 1,
                ..terms
            },
        }
    }

    /// The event with that key is about to be parked: nothing behind it goes.
    pub(super) fn hold_key(&mut self, key: &str) {
        if let Some(holding) = &mut self.holding {
            holding.holds(key);
            self.window.hold_key(key);
        }
    }

    /// The buffer's word on the keys with parked events.
    pub(super) fn take_keys(&mut self, keys: Vec<String>) {
        if let Some(holding) = &mut self.holding {
            let held = holding.hears(keys);
            self.window.hold_only(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_parked_while_the_buffer_is_asked_stays_held() {
        let mut holding = Holding::default();
        let key = |key: &str| key.to_owned();
        holding.holds("a");
        holding.asks([key("b")].into_iter());
        holding.holds("c");
        let mut held: Vec<String> = holding.hears(vec![key("d")]).into_iter().collect();
        held.sort_unstable();
        assert_eq!(held, ["b", "c", "d"]);
        holding.asks(std::iter::empty());
        assert!(holding.known && holding.hears(Vec::new()).is_empty());
    }
}
