//! Dollars as whole micro-dollars, so that sums are exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICRO_PER_DOLLAR: i64 = 1_000_000;
const SECONDS_PER_HOUR: u64 = 3600;
/// Beyond nine thousand million dollars a double no longer holds every micro-dollar.
const EXACT_MAX: i64 = 1 << 53;

/// An amount of money. In documents it is a decimal number of dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From whole micro-dollars.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In whole micro-dollars.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The nearest micro-dollar; `None` for what is not finite or too large to be exact.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "both constants are exact as doubles"
        )]
        let (factor, limit) = (MICRO_PER_DOLLAR as f64, EXACT_MAX as f64);
        let micros = (dollars * factor).round();
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        (micros.abs() <= limit).then_some(Self(micros as i64))
    }

    /// As a number of dollars, for documents and comparisons with a budget.
    pub fn dollars(self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "amounts stay far below 2^53 micro-dollars"
        )]
        let dollars = self.0 as f64 / MICRO_PER_DOLLAR as f64;
        dollars
    }
}

/// What `seconds` at a price per hour come to, rounded up to the micro-dollar.
pub fn cost_of(seconds: u64, usd_per_hour: Usd) -> Usd {
    let micros = i128::from(usd_per_hour.0) * i128::from(seconds);
    let hour = i128::from(SECONDS_PER_HOUR);
    let rounded_up = micros.div_euclid(hour) + i128::from(micros.rem_euclid(hour) > 0);
    Usd(i64::try_from(rounded_up).unwrap_or(i64::MAX))
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    /// `$12.35`, and four places below a dollar: `$0.0123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let (places, unit) = if micros < MICRO_PER_DOLLAR.unsigned_abs() {
            (4, 100)
        } else {
            (2, 10_000)
        };
        let shown = (micros + unit / 2) / unit;
        let per_dollar = MICRO_PER_DOLLAR.unsigned_abs() / unit;
        write!(
            f,
            "{sign}${}.{:0places$}",
            shown / per_dollar,
            shown % per_dollar
        )
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars)
            .ok_or_else(|| serde::de::Error::custom(format!("`{dollars}` is no amount of dollars")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_case::test_case;

    use super::*;

    #[test_case(0, "$0.0000")]
    #[test_case(12_300, "$0.0123")]
    #[test_case(12_350, "$0.0124")]
    #[test_case(999_990, "$1.0000"; "rounds up to a dollar")]
    #[test_case(1_000_000, "$1.00")]
    #[test_case(12_345_678, "$12.35")]
    #[test_case(-526_000, "-$0.5260")]
    fn amounts_are_shown_as_people_write_them(micros: i64, shown: &str) {
        assert_eq!(Usd::from_micros(micros).to_string(), shown);
    }

    #[test]
    fn ten_dimes_are_exactly_a_dollar() {
        let dime = Usd::from_dollars(0.1).expect("a small amount");

        let sum: Usd = std::iter::repeat_n(dime, 10).sum();

        assert_eq!(sum, Usd::from_micros(1_000_000));
        assert_eq!(serde_json::to_string(&sum).expect("a number"), "1.0");
    }

    #[test]
    fn a_second_is_never_free() {
        let hourly = Usd::from_micros(526_000);

        assert_eq!(cost_of(0, hourly), Usd::ZERO);
        assert_eq!(cost_of(1, hourly), Usd::from_micros(147));
        assert_eq!(cost_of(3600, hourly), hourly);
        assert_eq!(cost_of(90 * 60, hourly), Usd::from_micros(789_000));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for dollars in [f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Usd::from_dollars(dollars), None);
        }
        assert!(serde_json::from_str::<Usd>("\"1.5\"").is_err());
    }

    proptest! {
        #[test]
        fn every_amount_survives_the_document(micros in -EXACT_MAX / 8..EXACT_MAX / 8) {
            let amount = Usd::from_micros(micros);
            let text = serde_json::to_string(&amount).expect("a number");

            prop_assert_eq!(serde_json::from_str::<Usd>(&text).expect("a number"), amount);
        }

        #[test]
        fn parts_of_a_job_never_cost_less_than_the_whole(
            first in 0_u64..100_000, second in 0_u64..100_000, micros in 0_i64..100_000_000,
        ) {
            let hourly = Usd::from_micros(micros);
            let parts = cost_of(first, hourly) + cost_of(second, hourly);
            let whole = cost_of(first + second, hourly);

            prop_assert!(parts >= whole && parts <= whole + Usd::from_micros(1));
        }
    }
}
