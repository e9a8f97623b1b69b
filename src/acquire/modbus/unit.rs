//! One unit on a wire: what is asked of it in a cycle, what it is known to refuse, and whether it answers at all.
//!
//! Called by `bus`. A cycle asks all groups that are due and stops at the first silence. One silence may be noise: the next
//! cycle is the next attempt, on its grid. Two without an answer in between, and the unit is left alone; two of one request
//! while others are answered, and that request is asked seldom.

use super::answer;
use super::blocks::{Blocks, Refusal};
use super::notebook::Notebook;
use super::plan::{Group, Limits, Request, plan};
use super::turn::Standing;
use super::wire::{NoAnswer, Wire};
use crate::acquire::driver::{Reading, later, link_error};
use crate::acquire::schedule::Grid;
use crate::clock::Clock;
use crate::health::DeviceHealth;
use crate::model::{BadReason, DeviceId, LinkError, Stamp};
use crate::settings::{Device, Modbus, Tag};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// "Gateway path unavailable" and "gateway target device failed to respond": said of a device, not by it.
const SAID_BY_A_GATEWAY: [u8; 2] = [0x0A, 0x0B];
/// Silences in a row that are no longer taken for noise.
const MISSES: u8 = 2;
/// Refused requests that are split in one cycle: each costs the others on the wire some time.
const MAX_SPLITS: usize = 16;
/// The shortest time-out that makes sense for a unit whose answers take no time.
const LEAST_TIMEOUT: Duration = Duration::from_millis(5);

/// One device and when it is asked what.
pub(super) struct Unit {
    peer: Peer,
    polls: Vec<Poll>,
    rests_until: Option<Instant>,
    /// Where answers have no number: it is not asked while one to a request that was given up may still come.
    answers_until: Option<Instant>,
    /// When it was last given its whole time-out.
    tried: Instant,
    pub(super) notebook: Notebook,
}

/// One device, as it is asked.
struct Peer {
    device: DeviceId,
    number: u8,
    timeout: Duration,
    /// Of its last answer: the next one is later, even on a clock that stands.
    last: Stamp,
    /// Its slowest answer of late.
    usual: Duration,
    /// Silences since its last answer.
    misses: u8,
    health: Arc<DeviceHealth>,
}

/// One period of a device.
struct Poll {
    grid: Grid,
    blocks: Blocks,
}

/// What one cycle brought.
pub(super) struct Cycle {
    pub(super) readings: Vec<Reading>,
    pub(super) end: End,
}

/// How a cycle or a try ended.
pub(super) enum End {
    /// All was asked.
    Done,
    /// A request had no usable answer.
    Missed(LinkError),
    /// It does not answer: it was missed more than once, or a gateway says so.
    Silent(LinkError),
    /// The wire is of no use any more.
    Broken(LinkError),
}

impl Unit {
    /// A device of the settings, its first cycle due at `origin`, with what was learnt of it below `state`.
    pub(super) fn new<'a>(
        device: &Device,
        settings: &Modbus,
        tags: impl IntoIterator<Item = &'a Tag>,
        health: Arc<DeviceHealth>,
        state: &Path,
        origin: Instant,
    ) -> Unit {
        let limits = Limits {
            max_registers: settings.max_registers,
            max_gap: settings.max_gap,
        };
        let notebook = Notebook::of(&device.name, state);
        let learnt = notebook.read();
        let poll = |group: Group| Poll {
            grid: Grid::new(origin, group.every),
            blocks: Blocks::new(group.every, group.requests, &learnt),
        };
        Unit {
            peer: Peer {
                device: device.id,
                number: settings.unit,
                timeout: settings.timeout,
                last: Stamp::default(),
                usual: settings.timeout / 16,
                misses: 0,
                health,
            },
            polls: plan(tags, limits).into_iter().map(poll).collect(),
            rests_until: None,
            answers_until: None,
            tried: origin,
            notebook,
        }
    }

    pub(super) fn device(&self) -> DeviceId {
        self.peer.device
    }

    /// Its last request was answered, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.rests_until.is_none() && self.peer.misses == 0 && !self.polls.is_empty()
    }

    /// Leaves it alone until then.
    pub(super) fn rest(&mut self, until: Instant) {
        let late = self.answers_until.unwrap_or(until);
        self.rests_until = Some(until.max(late));
    }

    /// A request was given up on this wire, or answered by what may be the answer to an earlier one.
    fn expect_late(&mut self, asked: Instant, wire: &Wire) {
        if !wire.numbers_answers() {
            self.answers_until = Some(asked + self.peer.timeout);
        }
    }

    /// After an outage: what came before now was missed by the outage.
    pub(super) fn resume(&mut self, now: Instant) {
        for poll in &mut self.polls {
            poll.grid.resume(now);
        }
    }

    /// A stamp that is later than that of its last answer.
    pub(super) fn stamp(&self, clock: &Clock) -> Stamp {
        later(clock.now(), self.peer.last)
    }

    /// What decides about its turn.
    pub(super) fn standing(&self, wire: &Wire) -> Standing {
        let shortest = self.shortest().filter(|_| self.rests_until.is_some());
        let due = self.polls.iter().map(|poll| poll.grid.due()).min();
        Standing {
            due: due.map(|due| self.answers_until.map_or(due, |late| late.max(due))),
            rests_until: self.rests_until,
            tried: self.tried,
            timeout: self.peer.timeout,
            overhead: shortest.map_or(Duration::ZERO, |request| wire.overhead(&request)),
            least: (self.peer.usual * 2).max(LEAST_TIMEOUT),
        }
    }

    /// The shortest request that shows whether it is there.
    fn shortest(&self) -> Option<Request> {
        let (request, _) = self.polls.first()?.blocks.at(0, self.tried)?;
        Some(request.shortest())
    }

    /// Asks what is due, and stops at the first silence.
    pub(super) async fn cycle(&mut self, wire: &mut Wire, clock: &Clock) -> Cycle {
        let now = Instant::now();
        if self.rests_until.take().is_some() {
            self.resume(now);
        }
        self.tried = now;
        self.answers_until = None;
        let due = |poll: &&Poll| poll.grid.due() <= now;
        let tags = self.polls.iter().filter(due).map(|poll| poll.blocks.tags());
        let mut cycle = Cycle {
            readings: Vec::with_capacity(tags.sum()),
            end: End::Done,
        };
        let mut splits = MAX_SPLITS;
        for at in 0..self.polls.len() {
            let Some(poll) = self.polls.get_mut(at).filter(|poll| due(&&**poll)) else {
                continue;
            };
            poll.read(&mut self.peer, wire, clock, &mut cycle, &mut splits)
                .await;
            let goes_on = matches!(cycle.end, End::Done);
            if goes_on || matches!(cycle.end, End::Missed(_)) {
                let missed = poll.grid.done(Instant::now());
                self.peer.health.overruns.add(missed);
            }
            if !goes_on {
                // Who is behind the silent one is not starved by it.
                let polls = self.polls.len();
                self.polls.rotate_left((at + 1) % polls);
                break;
            }
        }
        if matches!(cycle.end, End::Missed(_)) {
            self.expect_late(Instant::now(), wire);
        }
        self.note();
        self.patience(cycle)
    }

    /// More than one silence is no noise.
    fn patience(&mut self, mut cycle: Cycle) -> Cycle {
        cycle.end = match cycle.end {
            End::Missed(error) if self.peer.misses >= MISSES => {
                for poll in &mut self.polls {
                    poll.blocks.forgive();
                }
                End::Silent(error)
            }
            end => end,
        };
        cycle
    }

    /// What was learnt in this cycle is worth a note.
    fn note(&mut self) {
        let mut changed = false;
        for poll in &mut self.polls {
            changed |= poll.blocks.take_changed();
        }
        if changed {
            let polls = self.polls.iter();
            self.notebook
                .note(polls.flat_map(|poll| poll.blocks.learnt()));
        }
    }

    /// Tries whether a unit that was silent is there, and waits so long for it. Its value is not used: it may be the late
    /// answer to an earlier try.
    pub(super) async fn try_again(&mut self, wire: &mut Wire, limit: Duration) -> End {
        let now = Instant::now();
        if limit >= self.peer.timeout {
            self.tried = now;
        }
        let Some(request) = self.shortest() else {
            return End::Done;
        };
        let number = self.peer.number;
        let said = wire.ask(number, &request, limit).await;
        self.expect_late(now, wire);
        match said {
            Err(NoAnswer::Exception(code)) if SAID_BY_A_GATEWAY.contains(&code) => {
                self.peer.health.exceptions.add(1);
                End::Silent(behind_gateway(number, code))
            }
            Err(NoAnswer::Silent(error)) => {
                self.peer.health.failures.add(1);
                End::Silent(error)
            }
            Err(NoAnswer::Broken(error)) => {
                self.peer.health.failures.add(1);
                End::Broken(error)
            }
            Ok(_) | Err(NoAnswer::Exception(_)) => {
                self.peer.misses = 0;
                self.rests_until = None;
                self.resume(Instant::now());
                End::Done
            }
        }
    }
}

impl Poll {
    /// Asks each request of the group.
    async fn read(
        &mut self,
        peer: &mut Peer,
        wire: &mut Wire,
        clock: &Clock,
        cycle: &mut Cycle,
        splits: &mut usize,
    ) {
        let mut place = 0;
        let mut refusals = false;
        while let Some((request, rests)) = self.blocks.at(place, Instant::now()) {
            if let Some(reason) = rests {
                peer.last = later(clock.now(), peer.last);
                answer::bad(request, reason, peer.last, &mut cycle.readings);
                place += 1;
                continue;
            }
            match peer.ask(request, wire, clock).await {
                Ok(answer) => {
                    answer::read(request, &answer, peer.last, &mut cycle.readings);
                    self.blocks.answered(place);
                    place += 1;
                }
                Err(NoAnswer::Exception(code)) if SAID_BY_A_GATEWAY.contains(&code) => {
                    cycle.end = End::Silent(behind_gateway(peer.number, code));
                    break;
                }
                Err(NoAnswer::Exception(code)) => {
                    peer.misses = 0;
                    refusals = true;
                    let refused = self.refused(place, code, peer, splits);
                    for _ in 0..refused {
                        if let Some((request, _)) = self.blocks.at(place, Instant::now()) {
                            let reason = BadReason::Exception(code);
                            answer::bad(request, reason, peer.last, &mut cycle.readings);
                        }
                        place += 1;
                    }
                }
                Err(NoAnswer::Silent(error)) => {
                    self.missed(place, peer);
                    cycle.end = End::Missed(error);
                    break;
                }
                Err(NoAnswer::Broken(error)) => {
                    cycle.end = End::Broken(error);
                    break;
                }
            }
        }
        if refusals {
            self.blocks.rejoin(Instant::now());
        }
    }

    /// A request was refused: so many of those that stand in its place are bad in this cycle.
    fn refused(&mut self, place: usize, code: u8, peer: &Peer, splits: &mut usize) -> usize {
        match self.blocks.refused(place, code, Instant::now()) {
            Refusal::Stands => 1,
            Refusal::Split(count) => {
                peer.health.unmerged.add(1);
                if *splits == 0 {
                    return count;
                }
                *splits -= 1;
                0
            }
        }
    }

    fn missed(&mut self, place: usize, peer: &mut Peer) {
        peer.misses = peer.misses.saturating_add(1);
        if self.blocks.missed(place) >= MISSES && peer.misses < MISSES {
            self.blocks.give_up_last(Instant::now());
        }
    }
}

impl Peer {
    /// Asks one request, and counts what comes of it.
    async fn ask(
        &mut self,
        request: &Request,
        wire: &mut Wire,
        clock: &Clock,
    ) -> Result<answer::Answer, NoAnswer> {
        let asked = Instant::now();
        let said = wire.ask(self.number, request, self.timeout).await;
        self.last = later(clock.now(), self.last);
        match &said {
            Ok(_) => {
                self.health.answers.add(1);
                self.misses = 0;
                // Forgets a slow answer within some fifty quick ones.
                self.usual = asked.elapsed().max(self.usual - self.usual / 16);
            }
            Err(NoAnswer::Exception(_)) => self.health.exceptions.add(1),
            Err(NoAnswer::Silent(_) | NoAnswer::Broken(_)) => self.health.failures.add(1),
        }
        said
    }
}

fn behind_gateway(unit: u8, code: u8) -> LinkError {
    link_error(
        "unreachable",
        format!(
            "unit {unit}: the gateway in between cannot reach it (exception {code}); check the unit number and its wiring"
        ),
    )
}
