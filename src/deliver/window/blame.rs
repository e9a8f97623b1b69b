//! Whose fault it is that an event is not taken: that of the destination, or its own. A pure rule over what was taken since.
//!
//! An answer that may mean both ([`Doubt`](super::super::uplink::Doubt)) is the event's own as soon as another event was
//! taken that was sent no earlier than the attempt before. The same holds for the next events of its machine and kind.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// Most machines, kinds and lanes that are known to be in trouble; past that all is forgotten and learnt anew. 1,024 lanes
/// of 40 bytes are 120 KB with their machines and kinds.
const MAX_SCOPES: usize = 3 * 1_024;

/// Events that go the same way: topics and URLs are made of the partition key and the kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) key: String,
    pub(super) kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Key(String),
    Kind(String),
    Lane(Lane),
}

/// What is known of one destination.
#[derive(Debug, Default)]
pub(super) struct Blame {
    /// When the newest of the events was sent that were taken.
    taken: Option<Instant>,
    /// Where events failed, and none was taken since: when the first of them was sent.
    scopes: HashMap<Scope, Instant>,
    /// Keys of which an event failed that was sent then, the last of them, and nothing was taken that was sent since.
    blamed_keys: HashMap<String, Instant>,
    /// Keys and lanes that were blamed since something was taken, and since it began anew.
    tried_keys: HashSet<String>,
    tried_lanes: HashSet<Lane>,
    /// How often all of them had been blamed, and it began anew.
    anew: usize,
}

fn scopes_of(lane: &Lane) -> [Scope; 3] {
    [
        Scope::Key(lane.key.clone()),
        Scope::Kind(lane.kind.clone()),
        Scope::Lane(lane.clone()),
    ]
}

impl Blame {
    /// True while nothing is blamed: then [`Blame::takes`] needs no lane.
    pub(super) fn is_clear(&self) -> bool {
        self.scopes.is_empty() && self.blamed_keys.is_empty()
    }

    /// An event sent at `sent_at` was taken.
    pub(super) fn takes(&mut self, sent_at: Instant, lane: Option<&Lane>) {
        self.taken = self.taken.max(Some(sent_at));
        // What was under way already says nothing of a key that failed after it.
        self.blamed_keys.retain(|_, failed| *failed > sent_at);
        self.tried_keys.clear();
        self.tried_lanes.clear();
        self.anew = 0;
        if let Some(lane) = lane {
            for scope in scopes_of(lane) {
                self.scopes.remove(&scope);
            }
        }
    }

    /// An event of that lane, sent at `sent_at`, failed.
    pub(super) fn fails(&mut self, sent_at: Instant, lane: &Lane) {
        if self.scopes.len() + 3 > MAX_SCOPES {
            self.scopes.clear();
        }
        for scope in scopes_of(lane) {
            self.scopes.entry(scope).or_insert(sent_at);
        }
        self.has_sent(&lane.key, sent_at);
        self.tried_lanes.insert(lane.clone());
    }

    /// An event of that key was sent then, and the destination did not take it.
    pub(super) fn has_sent(&mut self, key: &str, sent_at: Instant) {
        match self.blamed_keys.get_mut(key) {
            Some(failed) => *failed = sent_at.max(*failed),
            None => drop(self.blamed_keys.insert(key.to_owned(), sent_at)),
        }
        if !self.tried_keys.contains(key) {
            self.tried_keys.insert(key.to_owned());
        }
    }

    /// When the last one was sent of those that were taken.
    pub(super) fn last_taken(&self) -> Option<Instant> {
        self.taken
    }

    /// Whether another event was taken that was sent no earlier.
    pub(super) fn has_taken_since(&self, sent_at: Instant) -> bool {
        self.taken.is_some_and(|taken| taken >= sent_at)
    }

    /// Whether this lane, its key or its kind is in trouble while others pass.
    pub(super) fn is_known(&self, lane: &Lane) -> bool {
        !self.scopes.is_empty()
            && scopes_of(lane).iter().any(|scope| {
                let since = self.scopes.get(scope);
                since.is_some_and(|since| self.has_taken_since(*since))
            })
    }

    /// Whether the key was blamed, and nothing was taken that was sent since.
    pub(super) fn has_blamed_key(&self, key: &str) -> bool {
        self.blamed_keys.contains_key(key)
    }

    /// Whether the key was blamed since that, and since it began anew.
    pub(super) fn has_tried_key(&self, key: &str) -> bool {
        self.tried_keys.contains(key)
    }

    /// Whether the lane was.
    pub(super) fn has_tried(&self, lane: &Lane) -> bool {
        self.tried_lanes.contains(lane)
    }

    /// All keys have been blamed, and it begins anew. Returns how often it did before; without `others` the oldest event has had
    /// no other choice, which counts once.
    pub(super) fn begins_anew(&mut self, others: bool) -> usize {
        self.tried_keys.clear();
        let before = self.anew;
        if others || before == 0 {
            self.anew = before.saturating_add(1);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lane(key: &str, kind: &str) -> Lane {
        Lane {
            key: key.into(),
            kind: kind.into(),
        }
    }

    #[test]
    fn a_lane_is_known_once_others_pass_and_until_one_of_it_does() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut blame = Blame::default();
        let bad = lane("P", "completed");
        blame.fails(later, &bad);
        assert!(!blame.is_known(&bad), "nothing else was taken");
        blame.takes(start, Some(&lane("Q", "started")));
        assert!(!blame.is_known(&bad), "not since then");
        blame.takes(later, Some(&lane("Q", "started")));
        assert!(blame.is_known(&bad));
        assert!(blame.is_known(&lane("P", "started")), "the same machine");
        assert!(blame.is_known(&lane("R", "completed")), "the same kind");
        assert!(!blame.is_known(&lane("Q", "started")));
        blame.takes(later, Some(&lane("P", "started")));
        assert!(!blame.is_known(&lane("P", "limit")));
        assert!(blame.is_known(&bad));
        blame.takes(later, Some(&bad));
        assert!(!blame.is_known(&bad) && blame.is_clear());
    }

    #[test]
    fn what_was_under_way_before_a_key_failed_does_not_clear_it() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut blame = Blame::default();
        blame.fails(later, &lane("P", "completed"));
        blame.takes(start, Some(&lane("Q", "completed")));
        assert!(blame.has_blamed_key("P"));
        blame.takes(later, Some(&lane("Q", "completed")));
        assert!(!blame.has_blamed_key("P"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let mut blame = Blame::default();
        for nth in 0..10_000 {
            blame.fails(now, &lane(&nth.to_string(), &nth.to_string()));
            assert!(blame.scopes.len() <= MAX_SCOPES);
        }
    }
}
