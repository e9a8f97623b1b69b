//! Keeps binary noise out of decimal numbers: a PLC that means 21.3 shall read 21.3, not 21.299999237060547.
//!
//! Pure. Called by the register decoder for singles and by conditioning after scaling. It only ever picks a neighbour
//! that is as true as the number itself: for singles one that is the same single, else one within 15 significant digits.

/// Digits that a double keeps of any decimal number (IEEE 754: `DBL_DIG`).
const DOUBLE_DIGITS: usize = 15;
/// Digits that are enough for what people write into a single; a number that needs more keeps its exact value.
const SINGLE_DIGITS: usize = 7;

/// Powers of ten that a double holds exactly: a whole number divided by one of them is correctly rounded.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Lower bounds of the decades below one; smaller numbers are left alone.
const FRACTIONS: [f64; 7] = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];

/// The double that a single stands for: the decimal of seven digits, where that is the same single, else its exact value.
#[must_use]
pub(super) fn of_single(single: f32) -> f64 {
    let exact = f64::from(single);
    let short = rounded(exact, exact.abs(), SINGLE_DIGITS);
    // There is no other conversion to a single; the comparison is what makes the rounding harmless.
    if short as f32 == single { short } else { exact }
}

/// `value` at 15 significant digits of `largest`, the largest number that took part in computing it.
///
/// The error of one product and one sum stays below half of that place, so a decimal result comes out as the decimal.
#[must_use]
pub(super) fn without_noise(value: f64, largest: f64) -> f64 {
    rounded(value, largest.abs(), DOUBLE_DIGITS)
}

/// `value` rounded to the place that `digits` significant digits of `largest` end at; unchanged where no power is exact.
fn rounded(value: f64, largest: f64, digits: usize) -> f64 {
    match decimals(largest, digits).and_then(|places| POWERS.get(places)) {
        Some(power) => (value * power).round() / power,
        None => value,
    }
}

/// Places behind the point that make `digits` significant digits of `number`.
fn decimals(number: f64, digits: usize) -> Option<usize> {
    if number >= 1.0 {
        let before_point = POWERS.partition_point(|power| *power <= number);
        digits.checked_sub(before_point)
    } else {
        let reached = FRACTIONS.partition_point(|bound| *bound <= number);
        (reached > 0).then(|| digits + FRACTIONS.len() - reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn singles_read_as_the_decimal_that_was_meant() {
        for text in [
            "21.3", "0.1", "-273.15", "182.4", "0.001", "1013.25", "0", "16777216",
        ] {
            let single: f32 = text.parse().unwrap();
            assert_eq!(of_single(single), text.parse::<f64>().unwrap());
        }
        assert_eq!(of_single(f32::MAX), f64::from(f32::MAX));
        assert_eq!(of_single(f32::MIN_POSITIVE), f64::from(f32::MIN_POSITIVE));
    }

    #[test]
    fn noise_of_products_and_sums_goes() {
        assert_eq!(without_noise(3.0 * 0.1, 0.3), 0.3);
        assert_eq!(without_noise(2951.0 * 0.1 - 273.15, 295.1), 21.95);
        assert_eq!(without_noise(1e300, 1e300), 1e300);
        assert_eq!(without_noise(0.0, 0.0), 0.0);
    }

    proptest! {
        #[test]
        fn a_single_stays_that_single(bits: u32) {
            let single = f32::from_bits(bits);
            prop_assume!(single.is_finite());
            prop_assert_eq!(of_single(single) as f32, single);
        }

        #[test]
        fn a_scaled_whole_number_is_the_nearest_double_to_the_decimal(raw in -2_147_483_648i64..=2_147_483_647, places in 0usize..6) {
            let scaled = raw as f64 * format!("1e-{places}").parse::<f64>().unwrap();
            let meant: f64 = format!("{raw}e-{places}").parse().unwrap();
            prop_assert_eq!(without_noise(scaled, scaled), meant);
        }

        #[test]
        fn nothing_moves_by_more_than_the_last_of_fifteen_digits(value: f64) {
            prop_assume!(value.is_finite());
            prop_assert!((without_noise(value, value) - value).abs() <= value.abs() * 6e-15);
        }
    }
}
