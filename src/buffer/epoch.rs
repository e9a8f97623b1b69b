//! Whether numbering goes on or a new epoch begins: whenever the store cannot prove where the old one ended. Pure.

use super::generation::{predecessor, successor};
use super::head::Machine;
pub use crate::model::EpochReason as Why;
use crate::model::Position;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What an open found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Next position and machine of the newest generation that opened.
    pub(super) head: Option<(Position, Option<Machine>)>,
    /// A newer generation than that one did not open.
    pub(super) head_quarantined: bool,
    /// The greatest epoch that any directory names; 0 without any.
    pub(super) greatest_epoch: u32,
    /// The furthest position that the progress file, or a file of a parked event, knows. Where the newest generation and that
    /// file lost their ends together, no evidence is left: numbering goes on, and the events behind go uncounted.
    pub(super) progress: Option<Position>,
    /// The box that this is; `None` where it has no id.
    pub(super) machine: Option<Machine>,
}

/// How numbering goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// In the same epoch, with this position.
    GoesOn(Position),
    /// From 1, in this epoch.
    BeginsAnew(u32, Why),
}

/// Decides from what was found.
pub(super) fn decide(found: &Found) -> Numbering {
    let known = found
        .greatest_epoch
        .max(found.head.map_or(0, |(next, _)| next.epoch))
        .max(found.progress.map_or(0, |position| position.epoch));
    let anew = |why| Numbering::BeginsAnew(known.saturating_add(1), why);
    let Some((next, machine)) = found.head else {
        return match known {
            0 => anew(Why::Created),
            _ if found.head_quarantined => anew(Why::HeadDamaged),
            _ => anew(Why::StoreMissing),
        };
    };
    if found.head_quarantined {
        anew(Why::HeadDamaged)
    } else if found.progress > Some(predecessor(next)) || known > next.epoch {
        anew(Why::TailLost)
    } else if matches!((machine, found.machine), (Some(old), Some(new)) if old != new) {
        anew(Why::OtherMachine)
    } else {
        Numbering::GoesOn(next)
    }
}

/// The first position of an epoch.
pub(super) fn first_of(epoch: u32) -> Position {
    successor(Position { epoch, seq: 0 })
}

/// The last position of a complete generation, as far as what begins behind it and the `ends` of earlier epochs tell: a
/// damaged name may claim to lie far ahead.
pub(super) fn end_of(
    first: Position,
    starts: &BTreeSet<Position>,
    ends: &BTreeMap<u32, u64>,
) -> Option<Position> {
    let behind = starts.range((Bound::Excluded(first), Bound::Unbounded));
    let mut behind = behind.take_while(|start| start.epoch == first.epoch);
    let before_next = behind.next().map(|start| predecessor(*start));
    let end = ends
        .get(&first.epoch)
        .map(|seq| Position { seq: *seq, ..first });
    before_next.into_iter().chain(end).min()
}

/// The kernel's machine id as it is stored.
pub(super) fn machine(id: &str) -> Option<Machine> {
    let id = id.trim();
    if id.is_empty() {
        return None;
    }
    let mut machine = Machine::default();
    for (to, from) in machine
        .iter_mut()
        .zip(Sha256::digest(format!("millgate {id}")))
    {
        *to = from;
    }
    Some(machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_epoch_begins_whenever_the_old_end_cannot_be_proved() {
        let at = |epoch, seq| Position { epoch, seq };
        let (here, there) = (machine("a"), machine("b"));
        let whole = Found {
            head: Some((at(2, 10), here)),
            head_quarantined: false,
            greatest_epoch: 2,
            progress: Some(at(2, 9)),
            machine: here,
        };
        let anew = Numbering::BeginsAnew;
        let goes_on = Numbering::GoesOn(at(2, 10));
        let cases = [
            ("nothing at all", Found::default(), anew(1, Why::Created)),
            ("a whole store", whole, goes_on),
            (
                "progress behind, as after a power cut",
                Found {
                    progress: Some(at(2, 3)),
                    ..whole
                },
                goes_on,
            ),
            (
                "no progress file",
                Found {
                    progress: None,
                    ..whole
                },
                goes_on,
            ),
            (
                "progress ahead",
                Found {
                    progress: Some(at(2, 10)),
                    ..whole
                },
                anew(3, Why::TailLost),
            ),
            (
                "progress of a later epoch",
                Found {
                    progress: Some(at(4, 0)),
                    ..whole
                },
                anew(5, Why::TailLost),
            ),
            (
                "a directory of a later epoch",
                Found {
                    greatest_epoch: 3,
                    ..whole
                },
                anew(4, Why::TailLost),
            ),
            (
                "a damaged head",
                Found {
                    head_quarantined: true,
                    ..whole
                },
                anew(3, Why::HeadDamaged),
            ),
            (
                "only a damaged head",
                Found {
                    head: None,
                    head_quarantined: true,
                    ..whole
                },
                anew(3, Why::HeadDamaged),
            ),
            (
                "only the progress file",
                Found {
                    head: None,
                    greatest_epoch: 0,
                    ..whole
                },
                anew(3, Why::StoreMissing),
            ),
            (
                "another box",
                Found {
                    machine: there,
                    ..whole
                },
                anew(3, Why::OtherMachine),
            ),
            (
                "a box without an id",
                Found {
                    machine: None,
                    ..whole
                },
                goes_on,
            ),
            (
                "a store from a box without an id",
                Found {
                    head: Some((at(2, 10), None)),
                    ..whole
                },
                goes_on,
            ),
        ];
        for (name, found, expected) in cases {
            assert_eq!(decide(&found), expected, "{name}");
        }
    }

    #[test]
    fn a_machine_id_is_stored_as_a_hash_and_an_empty_one_is_none() {
        assert_eq!(machine(" \n"), None);
        assert_eq!(machine("abc\n"), machine("abc"));
        assert_ne!(machine("abc"), machine("abd"));
    }
}
