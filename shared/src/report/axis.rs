//! Where a value lies on an axis, and which values to write beside it.
//!
//! Positions are percentages of the drawing's width or height, so that a page of any width needs no
//! script and its letters stay as large as they are.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::notice::spell::seconds_between;

/// A stretch of numbers, never empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// Over all finite `values`, with some room at both ends; none if there is no finite value.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, room: f64) -> Option<Self> {
        let (from, to) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        if from > to {
            return None;
        }
        let width = to - from;
        // A flat line lies in the middle.
        let room = if width > 0.0 {
            width * room
        } else {
            (from.abs() * 0.1).max(1e-6)
        };
        let axis = Self {
            from: from - room,
            to: to + room,
        };
        (axis.from.is_finite() && axis.to.is_finite()).then_some(axis)
    }

    /// From 0 to 100, whatever the value.
    pub(super) fn percent(self, value: f64) -> f64 {
        let share = (value - self.from) / (self.to - self.from);
        if share.is_finite() {
            (share * 100.0).clamp(0.0, 100.0)
        } else {
            0.0
        }
    }

    /// Round values within it, at most about `n`, with as many decimals as they need.
    pub(super) fn ticks(self, n: u32) -> Vec<(f64, String)> {
        let rough = (self.to - self.from) / f64::from(n.max(1));
        let magnitude = rough.log10().floor();
        let base = 10_f64.powf(magnitude);
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * base)
            .find(|s| *s >= rough)
            .unwrap_or(base);
        if !step.is_finite() || step <= 0.0 {
            return Vec::new();
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 12"
        )]
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (self.from / step).ceil();
        (0..=2 * n)
            .map(|i| (first + f64::from(i)) * step)
            .take_while(|value| *value <= self.to)
            // 0 times a negative step would be written as -0.
            .map(|value| (value, format!("{:.decimals$}", value + 0.0)))
            .collect()
    }
}

/// A stretch of time, never empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeAxis {
    from: Timestamp,
    seconds: f64,
}

/// Steps that people count time in, in seconds.
const STEPS_S: [i64; 18] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400,
];

impl TimeAxis {
    /// From one to the other.
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            seconds: seconds_between(from, to).max(1.0),
        }
    }

    /// From 0 to 100.
    pub(super) fn percent(self, at: Timestamp) -> f64 {
        (seconds_between(self.from, at) / self.seconds * 100.0).clamp(0.0, 100.0)
    }

    /// Round times of the day (UTC) within it, at most about `n`.
    pub(super) fn ticks(self, n: u32) -> Vec<(f64, String)> {
        let rough = self.seconds / f64::from(n.max(1));
        #[expect(clippy::cast_precision_loss, reason = "at most a day of seconds")]
        let fits = |step: &&i64| **step as f64 >= rough;
        #[expect(clippy::cast_possible_truncation, reason = "a run's days")]
        let days = (rough / 86_400.0).ceil() as i64 * 86_400;
        let step = STEPS_S.iter().find(fits).copied().unwrap_or(days);
        let shape = if step >= 86_400 {
            "%b %d"
        } else if step < 60 {
            "%H:%M:%S"
        } else {
            "%H:%M"
        };
        let first = self.from.as_second().div_euclid(step) + 1;
        (0..=i64::from(2 * n))
            .filter_map(|i| Timestamp::from_second((first + i) * step).ok())
            .take_while(|at| seconds_between(self.from, *at) <= self.seconds)
            .map(|at| {
                (
                    self.percent(at),
                    at.to_zoned(TimeZone::UTC).strftime(shape).to_string(),
                )
            })
            .collect()
    }
}

/// `12.34%`, for an attribute.
pub(super) fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

/// How a label at `share` percent is anchored, so that it stays within the drawing.
pub(super) fn anchor(share: f64) -> &'static str {
    if share < 12.0 {
        "start"
    } else if share > 88.0 {
        "end"
    } else {
        "middle"
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Axis::over([0.031, 0.693], 0.0).expect("two numbers");
        let told: Vec<String> = axis.ticks(4).into_iter().map(|(_, label)| label).collect();

        assert_eq!(told, ["0.2", "0.4", "0.6"]);
    }

    #[test]
    fn times_are_round() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let axis = TimeAxis::new(at("2026-11-23T02:00:03Z"), at("2026-11-23T02:32:10Z"));
        let told: Vec<String> = axis.ticks(5).into_iter().map(|(_, label)| label).collect();

        assert_eq!(told, ["02:10", "02:20", "02:30"]);
    }

    #[test]
    fn there_is_no_axis_over_nothing() {
        assert_eq!(Axis::over([], 0.1), None);
        assert_eq!(Axis::over([f64::NAN, f64::INFINITY], 0.1), None);
    }

    proptest! {
        #[test]
        fn any_axis_has_few_ticks_and_places_everything(
            values in proptest::collection::vec(proptest::num::f64::ANY, 0..20), n in 1_u32..12,
        ) {
            if let Some(axis) = Axis::over(values.iter().copied(), 0.05) {
                prop_assert!(axis.ticks(n).len() <= 2 * n as usize + 1);
                for value in values {
                    prop_assert!((0.0..=100.0).contains(&axis.percent(value)));
                }
            }
        }

        #[test]
        fn any_stretch_of_time_has_few_ticks(seconds in 0_i64..100_000_000) {
            let from = Timestamp::from_second(1_795_000_000).expect("a time");
            let to = Timestamp::from_second(1_795_000_000 + seconds).expect("a time");
            let ticks = TimeAxis::new(from, to).ticks(5);

            prop_assert!(ticks.len() <= 6);
            prop_assert!(ticks.iter().all(|(at, _)| (0.0..=100.0).contains(at)));
        }
    }
}
