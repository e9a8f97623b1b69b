//! The shift that the machine works in: one use of wall time, put on the boot clock by the present anchor. Pure.
//!
//! Shifts only ever go forwards: a clock that is set back by a few minutes does not bring the last one back. One that is set
//! by more was wrong before: then what holds is looked up anew.

use super::restart::Resumed;
use super::{Machine, Moment, Unsaved};
use crate::aggregate::calendar::{Calendar, Occurrence, Present};
use crate::aggregate::saved::{self, Saved};
use crate::model::{BootTime, Stamp, UtcTime};
use crate::settings::{self, Plant, Problem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What moves the wall clock by less is being disciplined, not set.
const STEP_NS: i64 = 500_000_000;
/// A clock that is set by more was wrong before.
const WRONG_NS: i64 = 5 * 60 * 1_000_000_000;
/// 2024-01-01: a clock that shows less was never set.
const NEVER_SET: UtcTime = UtcTime(1_704_067_200_000_000_000);
/// Shifts of a down time are worked off one by one if it was shorter.
const WORKED_OFF_NS: i64 = 7 * 86_400 * 1_000_000_000;
/// Never.
const NEVER: UtcTime = UtcTime(i64::MAX);

/// The shift now, and when it changes.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    calendar: Option<Calendar>,
    /// Somebody wants to know the time on the wall.
    wanted: bool,
    present: Option<Occurrence>,
    /// When that changes, on the wall.
    next: Option<UtcTime>,
    /// UTC less boot time; `None` before the first look.
    offset_ns: Option<i64>,
    /// No boundary was passed before: the clock was set then, or nobody knows how long the box was off.
    not_before: Option<BootTime>,
}

/// What must outlive the gateway.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    present: Option<Occurrence>,
    next: Option<UtcTime>,
}

impl Shifts {
    /// The calendar that the settings name for the machine, else the only one of the file.
    pub(super) fn compile(
        plant: &Plant,
        machine: &settings::Machine,
        problems: &mut Vec<Problem>,
    ) -> Shifts {
        let equipment = &machine.equipment;
        let performance = equipment.performance.as_ref();
        let named = equipment.calendar.as_ref();
        let named = named.or_else(|| performance?.calendar.as_ref());
        let only = plant
            .calendars
            .first()
            .filter(|_| plant.calendars.len() == 1);
        let found = match named {
            Some(name) => plant.calendars.get_key_value(name),
            None => only,
        };
        let calendar = found.and_then(|(name, settings)| {
            Calendar::new(name, settings)
                .map_err(|wrong| problems.push(Problem::new(format!("calendars.{name}"), wrong)))
                .ok()
        });
        Shifts {
            wanted: calendar.is_some() || performance.is_some(),
            calendar,
            ..Shifts::default()
        }
    }

    pub(super) fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }

    /// When the shift changes; at once, until the wall clock was looked at.
    pub(super) fn due(&self) -> Option<BootTime> {
        match self.offset_ns {
            None => self.wanted.then_some(BootTime(i64::MIN)),
            Some(_) => Some(self.boot_of(self.next?)),
        }
    }

    /// `2026-11-22/early`; `None` without a calendar, or outside all shifts.
    pub(super) fn name(&self) -> Option<String> {
        self.present.as_ref().map(|shift| shift.name.clone())
    }

    pub(super) fn present(&self) -> Option<&Occurrence> {
        self.present.as_ref()
    }

    /// When the shift changes, on the wall.
    pub(super) fn until(&self) -> UtcTime {
        self.next.unwrap_or(NEVER)
    }

    /// When the wall shows `utc`, by the present anchor.
    pub(super) fn boot_of(&self, utc: UtcTime) -> BootTime {
        let boot = BootTime(utc.0.saturating_sub(self.offset_ns.unwrap_or_default()));
        self.not_before.map_or(boot, |earliest| boot.max(earliest))
    }

    /// The instant at which the wall shows `utc`.
    pub(super) fn stamp_of(&self, utc: UtcTime) -> Stamp {
        Stamp {
            boot: self.boot_of(utc),
            utc,
        }
    }

    /// What the wall shows at `boot`.
    pub(super) fn utc_of(&self, boot: BootTime) -> UtcTime {
        UtcTime(boot.0.saturating_add(self.offset_ns.unwrap_or_default()))
    }

    /// What holds at `utc`, and until when; nothing that changes while the clock was never set.
    fn look_up(&self, utc: UtcTime) -> Present {
        let calendar = self.calendar.as_ref().filter(|_| utc >= NEVER_SET);
        calendar.map_or(
            Present {
                shift: None,
                until: NEVER,
            },
            |calendar| calendar.at(utc),
        )
    }

    fn enter(&mut self, present: Present) {
        self.present = present.shift;
        self.next = self.calendar.is_some().then_some(present.until);
    }

    pub(super) fn save(&self, scope: &str, into: &mut Saved) {
        if self.calendar.is_some() && self.offset_ns.is_some() {
            let memory = Memory {
                present: self.present.clone(),
                next: self.next,
            };
            into.put(format!("{scope}/shift"), &memory);
        }
    }

    pub(super) fn restore(
        &mut self,
        scope: &str,
        entries: &BTreeMap<String, Vec<u8>>,
        resumed: Resumed,
    ) {
        let memory = entries
            .get(&format!("{scope}/shift"))
            .and_then(|bytes| saved::read::<Memory>(bytes));
        if let Some(memory) = memory.filter(|_| self.calendar.is_some()) {
            self.present = memory.present;
            self.next = memory.next;
        }
        self.not_before = (!resumed.measurable).then_some(resumed.now);
    }
}

impl Machine {
    /// Looks at the wall clock, before anything else of an instant: it may have been set.
    pub(super) fn look_at_clock(&mut self, now: Stamp, moment: &mut Moment<'_>) {
        if !self.shifts.wanted {
            return;
        }
        let offset = now.utc.0.saturating_sub(now.boot.0);
        let Some(before) = self.shifts.offset_ns.replace(offset) else {
            self.first_look(now, moment);
            return;
        };
        let step = offset.saturating_sub(before).saturating_abs();
        if step < STEP_NS {
            return;
        }
        self.shifts.not_before = Some(now.boot);
        self.intervals_clock_stepped();
        if step > WRONG_NS {
            let by_the_old_clock = UtcTime(now.boot.0.saturating_add(before));
            self.look_up_shift(by_the_old_clock, now, moment);
        }
    }

    /// The first look of this run: a shift that was restored goes on, or is worked off.
    fn first_look(&mut self, now: Stamp, moment: &mut Moment<'_>) {
        self.unsaved = Unsaved::Soon;
        match self.shifts.next {
            None => {
                let present = self.shifts.look_up(now.utc);
                self.shifts.enter(present);
            }
            // A clock that was never set says nothing about the shift that was restored.
            Some(_) if now.utc < NEVER_SET => {}
            Some(next) if now.utc.0.saturating_sub(next.0) > WORKED_OFF_NS => {
                self.look_up_shift(next, now, moment);
            }
            // Changes in the down time are worked off next.
            Some(next) if next <= now.utc => {}
            Some(_) => self.check_restored_shift(now, moment),
        }
        self.intervals_begin(now);
    }

    /// The restored shift should still last: unless the settings or the clock were changed meanwhile.
    fn check_restored_shift(&mut self, now: Stamp, moment: &mut Moment<'_>) {
        let present = self.shifts.look_up(now.utc);
        let begun = self.shifts.present.as_ref().map(|shift| shift.from.0);
        let early_ns = begun.map_or(0, |from| from.saturating_sub(now.utc.0));
        if present.shift == self.shifts.present {
            self.shifts.enter(present);
        } else if !(1..WRONG_NS).contains(&early_ns) {
            self.look_up_shift(now.utc, now, moment);
        }
    }

    /// What holds is looked up anew; if it is another shift, the old one ended when its clock showed `ended`.
    fn look_up_shift(&mut self, ended: UtcTime, now: Stamp, moment: &mut Moment<'_>) {
        let present = self.shifts.look_up(now.utc);
        if present.shift == self.shifts.present {
            self.shifts.enter(present);
            self.intervals_cut(ended, now);
            return;
        }
        let ended = self.shifts.present.as_ref().map_or(ended, |shift| {
            if ended < NEVER_SET {
                shift.to
            } else {
                ended.max(shift.from).min(shift.to)
            }
        });
        let ended = Stamp {
            boot: self.shifts.boot_of(ended).min(now.boot),
            utc: ended,
        };
        self.change_shift(ended, now, present, moment);
    }

    /// Works off the changes of shift that are due, each at its own time. A change never ends an operation.
    pub(super) fn shift_due(&mut self, moment: &mut Moment<'_>) {
        while let Some(next) = self.shifts.next {
            let at = self.shifts.stamp_of(next);
            if self.shifts.offset_ns.is_none() || at.boot > moment.now.boot {
                return;
            }
            let present = self.shifts.look_up(next);
            self.change_shift(at, at, present, moment);
        }
    }

    /// The present shift ends, the next begins: whoever tells things by shift does so before the new one has a name.
    fn change_shift(
        &mut self,
        ended: Stamp,
        begun: Stamp,
        present: Present,
        moment: &mut Moment<'_>,
    ) {
        self.unsaved = Unsaved::Soon;
        let before = self.shifts.name();
        let moment = &mut moment.at(ended);
        self.report_counters_now(moment);
        self.progress_shift_changed(moment);
        self.stops_shift_changed(before.as_deref(), moment);
        self.intervals_shift_ends(ended);
        if before.is_some() {
            self.context_shift_ended(moment);
        }
        self.shifts.enter(present);
        self.intervals_begin(begun);
    }
}
