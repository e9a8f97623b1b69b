//! A hydraulic press as its PLC shows it: time in, registers out. No clock and no network; the same seed, the same shift.
//!
//! It makes strokes of about two seconds with pauses. In every five strokes one goes over the limit of the forming
//! pressure and one is broken off by a fault. It counts what it did, so that the summary can hold the MES against it.

use super::curve::{self, Force};
use std::time::Duration;

/// Holding registers that exist, from 0.
pub const HOLDING_REGISTERS: u16 = 320;
/// Input registers that exist, from 0.
pub const INPUT_REGISTERS: u16 = 256;

const ALIVE: u16 = 99;
const STATUS: u16 = 100;
const FAULT: u16 = 101;
const STROKES: u16 = 110;
const ORDER: u16 = 300;
const ORDER_REGISTERS: u16 = 10;
const PRESSURE: u16 = 200;
const RAM: u16 = 202;
const OIL: u16 = 204;

const RUNNING: u16 = 1 << 0;
const STARVED: u16 = 1 << 3;
const POWERED: u16 = 1 << 5;
const FAULTED: u16 = 1 << 7;
const SETUP: u16 = 1 << 8;

/// Nothing moves that long at first, so that whoever reads has seen the press at rest.
const FIRST_PAUSE: Duration = Duration::from_millis(1_500);
/// After the set-up mode is left, the press stands that long before the next stroke.
const AFTER_SETUP: Duration = Duration::from_millis(1_000);
/// Upper limit of the forming pressure that the demo's settings check, in bar.
pub const PRESSURE_LIMIT: f64 = 250.0;
/// Strokes for one order.
const STROKES_PER_ORDER: u64 = 10;
/// The next part lies in the press so long before its stroke begins.
const LOADED_BEFORE: Duration = Duration::from_millis(500);

/// Somebody has found the cause of a fault so long before it is mended.
const FOUND_BEFORE: Duration = Duration::from_millis(1_000);

/// What the press did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Strokes begun.
    pub begun: u64,
    /// Strokes that came to their end.
    pub completed: u64,
    /// Strokes broken off by a fault.
    pub aborted: u64,
    /// Completed strokes whose pressure went over the limit.
    pub over_limit: u64,
}

/// What the next stroke will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Card {
    Good,
    OverLimit,
    Faulty,
}

/// What the press does until a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Between strokes; the loader is slow when starved.
    Pause { starved: bool },
    /// One stroke.
    Stroke(Stroke),
    /// Stopped by a fault, the ram where it was.
    Fault { code: u16, force: Force },
    /// The fitter drives it back in the set-up mode.
    Setup,
    /// No more strokes.
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stroke {
    begins: Duration,
    lasts: Duration,
    peak: f64,
    over_limit: bool,
    /// The fault that ends it before its time.
    fault: Option<u16>,
}

/// A press.
#[derive(Clone, Debug)]
pub struct Press {
    random: fastrand::Rng,
    cards: Vec<Card>,
    phase: Phase,
    /// When the phase ends; `None` for the rest at the end.
    until: Option<Duration>,
    now: Duration,
    strokes: u64,
    tally: Tally,
    finishing: bool,
}

impl Press {
    /// A press at rest at time zero. The seed decides everything that it will do.
    #[must_use]
    pub fn new(seed: u64) -> Press {
        Press {
            random: fastrand::Rng::with_seed(seed),
            cards: Vec::new(),
            phase: Phase::Pause { starved: false },
            until: Some(FIRST_PAUSE),
            now: Duration::ZERO,
            strokes: 0,
            tally: Tally::default(),
            finishing: false,
        }
    }

    /// Lives on until `now`, counted from time zero; an earlier one than before changes nothing.
    pub fn advance(&mut self, now: Duration) {
        while let Some(until) = self.until.filter(|until| *until <= now) {
            self.now = until;
            self.next_phase(until);
        }
        self.now = self.now.max(now);
    }

    /// The stroke that runs is brought to its end, no further one begins.
    pub fn finish(&mut self) {
        self.finishing = true;
        if matches!(self.phase, Phase::Pause { .. } | Phase::Setup) {
            self.phase = Phase::Rest;
            self.until = None;
        }
    }

    /// True when a stroke runs.
    #[must_use]
    pub fn in_stroke(&self) -> bool {
        matches!(self.phase, Phase::Stroke(_))
    }

    /// The part that lies in the press for the next stroke, by its number from 1; `None` while there is none to be read.
    #[must_use]
    pub fn next_part(&self) -> Option<u64> {
        let begins = self
            .until
            .filter(|_| matches!(self.phase, Phase::Pause { .. }))?;
        (begins.saturating_sub(self.now) <= LOADED_BEFORE).then_some(self.tally.begun + 1)
    }

    /// The number of the fault that it stands for, from 1, once somebody has found the cause.
    #[must_use]
    pub fn cause_found(&self) -> Option<u64> {
        let ends = self
            .until
            .filter(|_| matches!(self.phase, Phase::Fault { .. }))?;
        (ends.saturating_sub(self.now) <= FOUND_BEFORE).then_some(self.tally.aborted)
    }

    /// What it did so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The order that is being made.
    #[must_use]
    pub fn order(&self) -> String {
        format!("WO-{}", 100_482 + self.strokes / STROKES_PER_ORDER)
    }

    /// A holding register; `None` where there is none.
    #[must_use]
    pub fn holding(&self, address: u16) -> Option<u16> {
        if address >= HOLDING_REGISTERS {
            return None;
        }
        Some(match address {
            ALIVE => low_word(u64::try_from(self.now.as_millis() / 500).unwrap_or(0)),
            STATUS => self.status(),
            FAULT => match self.phase {
                Phase::Fault { code, .. } => code,
                _ => 0,
            },
            STROKES => low_word(self.strokes),
            _ => match address.checked_sub(ORDER) {
                Some(place) if place < ORDER_REGISTERS => self.order_register(place),
                _ => 0,
            },
        })
    }

    /// An input register; `None` where there is none.
    #[must_use]
    pub fn input(&self, address: u16) -> Option<u16> {
        if address >= INPUT_REGISTERS {
            return None;
        }
        let Force { bar, mm } = self.force();
        Some(match address {
            PRESSURE => curve::low_half(bar),
            a if a == PRESSURE + 1 => curve::high_half(bar),
            RAM => curve::low_half(mm),
            a if a == RAM + 1 => curve::high_half(mm),
            OIL => curve::oil_tenths(self.now),
            _ => 0,
        })
    }

    /// Pressure and ram as they are now.
    fn force(&self) -> Force {
        match self.phase {
            Phase::Stroke(stroke) => {
                let done = self.now.saturating_sub(stroke.begins).as_secs_f64();
                curve::stroke(done / stroke.lasts.as_secs_f64(), stroke.peak)
            }
            Phase::Fault { force, .. } => force,
            Phase::Pause { .. } | Phase::Setup | Phase::Rest => curve::REST,
        }
    }

    fn status(&self) -> u16 {
        POWERED
            | match self.phase {
                Phase::Pause { starved: true } => STARVED,
                Phase::Pause { starved: false } | Phase::Rest => 0,
                Phase::Stroke(_) => RUNNING,
                Phase::Fault { .. } => FAULTED,
                Phase::Setup => SETUP,
            }
    }

    /// Two characters of the order, the first in the high byte, NUL behind its end.
    fn order_register(&self, place: u16) -> u16 {
        let order = self.order();
        let mut bytes = order.bytes().skip(usize::from(place) * 2);
        u16::from_be_bytes([bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)])
    }

    fn next_phase(&mut self, at: Duration) {
        let (phase, lasts) = match self.phase {
            Phase::Pause { .. } => self.begin_stroke(at),
            Phase::Stroke(stroke) => self.end_stroke(at, stroke),
            Phase::Fault { .. } => (Phase::Setup, self.millis(1_000, 1_600)),
            Phase::Setup => (Phase::Pause { starved: false }, AFTER_SETUP),
            Phase::Rest => return,
        };
        let between = !matches!(phase, Phase::Stroke(_) | Phase::Fault { .. });
        if self.finishing && between {
            self.phase = Phase::Rest;
            self.until = None;
        } else {
            self.phase = phase;
            self.until = Some(at + lasts);
        }
    }

    fn begin_stroke(&mut self, at: Duration) -> (Phase, Duration) {
        let card = self.draw();
        let peak = match card {
            Card::OverLimit => self.between(254.0, 262.0),
            Card::Good | Card::Faulty => self.between(238.0, 246.0),
        };
        let stroke = Stroke {
            begins: at,
            lasts: self.millis(1_700, 2_300),
            peak,
            over_limit: card == Card::OverLimit,
            fault: (card == Card::Faulty).then(|| self.random.u16(17..=19)),
        };
        self.tally.begun += 1;
        let ends = match stroke.fault {
            Some(_) => stroke.lasts.mul_f64(self.between(0.45, 0.75)),
            None => stroke.lasts,
        };
        (Phase::Stroke(stroke), ends)
    }

    fn end_stroke(&mut self, at: Duration, stroke: Stroke) -> (Phase, Duration) {
        if let Some(code) = stroke.fault {
            self.tally.aborted += 1;
            let done = at.saturating_sub(stroke.begins).as_secs_f64();
            let force = curve::stroke(done / stroke.lasts.as_secs_f64(), stroke.peak).vented();
            return (Phase::Fault { code, force }, self.millis(2_000, 3_000));
        }
        self.strokes += 1;
        self.tally.completed += 1;
        self.tally.over_limit += u64::from(stroke.over_limit);
        let starved = self.random.u8(..100) < 12;
        let lasts = match starved {
            true => self.millis(3_000, 4_000),
            false => self.millis(600, 1_100),
        };
        (Phase::Pause { starved }, lasts)
    }

    /// The next of five shuffled cards: chance in their order, none in their number.
    fn draw(&mut self) -> Card {
        if self.cards.is_empty() {
            self.cards = vec![
                Card::Good,
                Card::Good,
                Card::Good,
                Card::OverLimit,
                Card::Faulty,
            ];
            self.random.shuffle(&mut self.cards);
        }
        self.cards.pop().unwrap_or(Card::Good)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..=to))
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.random.f64() * (high - low)
    }
}

/// The low 16 bits: registers run over.
fn low_word(number: u64) -> u16 {
    u16::try_from(number & 0xFFFF).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    /// Plays for so long and shows the press at each tick.
    fn play(press: &mut Press, lasts: Duration, mut each: impl FnMut(&Press)) {
        let mut now = press.now;
        let end = now + lasts;
        while now < end {
            now += TICK;
            press.advance(now);
            each(press);
        }
    }

    fn float(press: &Press, address: u16) -> f32 {
        let low = press.input(address).unwrap();
        let high = press.input(address + 1).unwrap();
        f32::from_bits(u32::from(high) << 16 | u32::from(low))
    }

    #[test]
    fn the_same_seed_gives_the_same_shift_however_it_is_read() {
        let mut read_often = Press::new(7);
        let mut read_once = Press::new(7);
        play(&mut read_often, Duration::from_secs(300), |_| {});
        read_once.advance(Duration::from_secs(300));
        assert_eq!(read_often.tally(), read_once.tally());
        assert_eq!(read_often.holding(STATUS), read_once.holding(STATUS));
        assert_eq!(read_often.input(PRESSURE), read_once.input(PRESSURE));
        assert!(read_once.tally().completed > 40);
        read_once.advance(Duration::ZERO);
        assert_eq!(read_often.tally(), read_once.tally());
    }

    #[test]
    fn each_part_lies_there_before_its_stroke_and_no_other() {
        let mut press = Press::new(3);
        let mut seen = Vec::new();
        play(&mut press, Duration::from_secs(60), |press| {
            let part = press.next_part();
            assert!(!press.in_stroke() || part.is_none());
            seen.extend(part.filter(|part| seen.last() != Some(part)));
        });
        let begun = press.tally().begun;
        let all: Vec<u64> = (1..=begun.max(press.next_part().unwrap_or(0))).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn what_the_registers_show_is_what_the_press_counts() {
        for seed in 0..20 {
            let mut press = Press::new(seed);
            let (mut begun, mut ended, mut faults, mut over) = (0, 0, 0, 0);
            let (mut was, mut peak) = (press.status(), 0.0_f32);
            play(&mut press, Duration::from_secs(120), |press| {
                let status = press.holding(STATUS).unwrap();
                if status & RUNNING != 0 {
                    peak = peak.max(float(press, PRESSURE));
                }
                if status & RUNNING != 0 && was & RUNNING == 0 {
                    begun += 1;
                }
                if status & RUNNING == 0 && was & RUNNING != 0 {
                    if status & FAULTED != 0 {
                        faults += 1;
                        assert!(press.holding(FAULT).unwrap() >= 17, "seed {seed}");
                    } else {
                        ended += 1;
                        over += u64::from(f64::from(peak) > PRESSURE_LIMIT);
                    }
                    peak = 0.0;
                }
                was = status;
            });
            let seen = Tally {
                begun,
                completed: ended,
                aborted: faults,
                over_limit: over,
            };
            assert_eq!(press.tally(), seen, "seed {seed}");
            assert_eq!(press.holding(STROKES), u16::try_from(ended).ok());
        }
    }

    #[test]
    fn a_short_demo_has_a_stroke_over_the_limit_and_a_fault() {
        for seed in 0..50 {
            let mut press = Press::new(seed);
            press.advance(Duration::from_secs(30));
            let tally = press.tally();
            assert!(tally.over_limit >= 1 && tally.aborted >= 1, "seed {seed}");
            assert!(tally.completed >= 3, "seed {seed}: {tally:?}");
        }
    }

    #[test]
    fn after_finishing_the_stroke_ends_and_no_other_begins() {
        for seed in 0..50 {
            let mut press = Press::new(seed);
            press.advance(Duration::from_millis(10_000 + seed * 137));
            let before = press.tally();
            press.finish();
            press.advance(Duration::from_secs(60));
            let after = press.tally();
            assert!(!press.in_stroke(), "seed {seed}");
            assert_eq!(after.begun, before.begun, "seed {seed}");
            assert_eq!(after.completed + after.aborted, after.begun, "seed {seed}");
            assert_eq!(press.holding(STATUS), Some(POWERED), "seed {seed}");
        }
    }

    #[test]
    fn the_order_is_text_in_registers() {
        let press = Press::new(1);
        let bytes: Vec<u8> = (ORDER..ORDER + ORDER_REGISTERS)
            .flat_map(|address| press.holding(address).unwrap().to_be_bytes())
            .collect();
        assert_eq!(&bytes[..10], b"WO-100482\0");
        assert_eq!(bytes.len(), 20);
    }

    #[test]
    fn beyond_its_registers_the_press_has_none() {
        let press = Press::new(1);
        assert_eq!(press.holding(HOLDING_REGISTERS), None);
        assert_eq!(press.input(u16::MAX), None);
        assert_eq!(press.holding(0), Some(0));
        assert_eq!(low_word(65_537), 1);
    }
}
