//! How pressure and ram move in a stroke, and how numbers lie in registers (CDAB: low word first).

use std::time::Duration;

/// Pressure in bar and the ram's way in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Force {
    /// Forming pressure.
    pub(super) bar: f64,
    /// Way of the ram from its upper end.
    pub(super) mm: f64,
}

/// The press between strokes.
pub(super) const REST: Force = Force { bar: 4.0, mm: 0.0 };

/// Parts of a stroke by their ends, 0 to 1: down, press, dwell, and the rest up again.
const DOWN: f64 = 0.35;
const PRESSED: f64 = 0.55;
const DWELT: f64 = 0.78;
/// Where the die meets the sheet, and the lower end.
const CONTACT_MM: f64 = 700.0;
const BOTTOM_MM: f64 = 786.0;
/// Pressure of the way down.
const APPROACH_BAR: f64 = 11.0;
/// How much the pressure swings while it dwells.
const RIPPLE_BAR: f64 = 0.6;

impl Force {
    /// After the valves opened: the ram stands where it was.
    #[must_use]
    pub(super) fn vented(self) -> Force {
        Force {
            bar: REST.bar,
            ..self
        }
    }
}

/// Pressure and ram when `done` of a stroke (0 to 1) is over; the pressure reaches `peak` while it dwells, never more.
#[must_use]
pub(super) fn stroke(done: f64, peak: f64) -> Force {
    let done = done.clamp(0.0, 1.0);
    if done < DOWN {
        let part = smooth(done / DOWN);
        return Force {
            bar: mix(REST.bar, APPROACH_BAR, part),
            mm: mix(REST.mm, CONTACT_MM, part),
        };
    }
    if done < PRESSED {
        let part = (done - DOWN) / (PRESSED - DOWN);
        return Force {
            bar: mix(APPROACH_BAR, peak - RIPPLE_BAR, part * part),
            mm: mix(CONTACT_MM, BOTTOM_MM, smooth(part)),
        };
    }
    if done < DWELT {
        let part = (done - PRESSED) / (DWELT - PRESSED);
        let swing = (part * std::f64::consts::PI).sin();
        return Force {
            bar: peak - RIPPLE_BAR * (1.0 - swing),
            mm: BOTTOM_MM,
        };
    }
    let part = smooth((done - DWELT) / (1.0 - DWELT));
    Force {
        bar: mix(peak - RIPPLE_BAR, REST.bar, part.sqrt()),
        mm: mix(BOTTOM_MM, REST.mm, part),
    }
}

/// Oil temperature in tenths of a degree: warms up from 41 to 52 in some minutes.
#[must_use]
pub(super) fn oil_tenths(now: Duration) -> u16 {
    let warm = 1.0 - (-now.as_secs_f64() / 240.0).exp();
    whole(mix(410.0, 520.0, warm))
}

/// The word that lies at the lower address.
#[must_use]
pub(super) fn low_half(number: f64) -> u16 {
    let [_, _, c, d] = single(number).to_be_bytes();
    u16::from_be_bytes([c, d])
}

/// The word that lies at the higher address.
#[must_use]
pub(super) fn high_half(number: f64) -> u16 {
    let [a, b, _, _] = single(number).to_be_bytes();
    u16::from_be_bytes([a, b])
}

/// As a PLC keeps it: IEEE 754 single.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a PLC has singles; the numbers of a press fit"
)]
fn single(number: f64) -> f32 {
    number as f32
}

/// Rounded and kept in a register.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a register holds"
)]
fn whole(number: f64) -> u16 {
    number.round().clamp(0.0, f64::from(u16::MAX)) as u16
}

/// From 0 to 1 without a jerk at either end.
fn smooth(part: f64) -> f64 {
    part * part * (3.0 - 2.0 * part)
}

fn mix(from: f64, to: f64, part: f64) -> f64 {
    from + (to - from) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_goes_down_reaches_its_peak_and_comes_back() {
        let all: Vec<Force> = (0..=2_000)
            .map(|i| stroke(f64::from(i) / 2_000.0, 242.0))
            .collect();
        let peak = all.iter().map(|force| force.bar).fold(0.0, f64::max);
        assert!((241.9..=242.0).contains(&peak), "{peak}");
        let bottom = all.iter().map(|force| force.mm).fold(0.0, f64::max);
        assert!((bottom - BOTTOM_MM).abs() < 1e-9, "{bottom}");
        for end in [all.first(), all.last()].into_iter().flatten() {
            assert!((end.bar - REST.bar).abs() < 1e-9 && end.mm.abs() < 1e-9);
        }
        let jump = |a: &Force, b: &Force| (a.bar - b.bar).abs() > 5.0 || (a.mm - b.mm).abs() > 8.0;
        let jumps = all.windows(2).filter(|pair| jump(&pair[0], &pair[1]));
        assert_eq!(jumps.count(), 0, "nothing jumps inside a stroke");
    }

    #[test]
    fn a_reader_every_50_ms_sees_the_peak_within_half_a_bar() {
        for offset in 0..50 {
            let seen = (0..40)
                .map(|i| {
                    stroke(
                        (f64::from(i) * 0.05 + f64::from(offset) * 0.001) / 2.0,
                        254.0,
                    )
                    .bar
                })
                .fold(0.0, f64::max);
            assert!(seen > 253.5, "{seen}");
        }
    }

    #[test]
    fn numbers_lie_in_registers_low_word_first() {
        assert_eq!((low_half(1.0), high_half(1.0)), (0x0000, 0x3F80));
        assert_eq!((low_half(251.4), high_half(251.4)), (0x6666, 0x437B));
        assert_eq!(oil_tenths(Duration::ZERO), 410);
        assert_eq!(oil_tenths(Duration::from_secs(86_400)), 520);
    }
}
