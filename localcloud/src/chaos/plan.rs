//! What a bad week is made of, as a file says it.

use std::time::Duration;

use serde::Deserialize;

/// How often what goes wrong: shares are in per cent, and 0 when a file does not name them.
///
/// The seed decides which of them strike: the n-th draw of a kind is the same for the same seed. What the n-th
/// event, call or invocation is depends on the real processes, which no seed rules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chaos {
    /// Decides all draws.
    #[serde(skip)]
    pub seed: u64,
    /// Events on their way to functions. Ticks that the owner delivers are never lost or held back.
    pub events: EventChaos,
    /// Functions at work.
    pub functions: FunctionChaos,
    /// Calls that functions and jobs make.
    pub calls: CallChaos,
    /// Spot hosts under running jobs.
    pub hosts: HostChaos,
    /// Hosts that are not to be had.
    pub capacity: CapacityChaos,
}

/// See [`Chaos::events`]. An event suffers one of these at most, and may be duplicated besides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventChaos {
    /// Never delivered.
    pub drop: f64,
    /// Delivered a second time, at once or up to `delay_max_s` later.
    pub duplicate: f64,
    /// Delivered up to `delay_max_s` later.
    pub delay: f64,
    /// In seconds.
    pub delay_max_s: f64,
    /// Delivered only when a later event has been worked on.
    pub reorder: f64,
}

impl Default for EventChaos {
    fn default() -> Self {
        Self {
            drop: 0.0,
            duplicate: 0.0,
            delay: 0.0,
            delay_max_s: 10.0,
            reorder: 0.0,
        }
    }
}

/// See [`Chaos::functions`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionChaos {
    /// Invocations whose process is killed at one of its calls, before or after that call took effect.
    pub kill: f64,
    /// At which call at the latest; an invocation that makes fewer may get away.
    pub kill_within_calls: u32,
}

impl Default for FunctionChaos {
    fn default() -> Self {
        Self {
            kill: 0.0,
            kill_within_calls: 8,
        }
    }
}

/// See [`Chaos::calls`]. A call suffers one of these at most.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallChaos {
    /// The connection is cut before the call took effect.
    pub cut: f64,
    /// The call takes effect, and the connection is cut before the answer.
    pub lose_answer: f64,
    /// The connection is cut, and the call takes effect up to `late_max_s` later. Calls that change something only.
    pub late: f64,
    /// In seconds.
    pub late_max_s: f64,
    /// Answered as throttled, without effect.
    pub throttle: f64,
}

impl Default for CallChaos {
    fn default() -> Self {
        Self {
            cut: 0.0,
            lose_answer: 0.0,
            late: 0.0,
            late_max_s: 10.0,
            throttle: 0.0,
        }
    }
}

/// See [`Chaos::hosts`]. A host suffers one of these at most.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostChaos {
    /// Attempts on Spot whose host is reclaimed with a notice.
    pub reclaim: f64,
    /// Attempts on Spot whose host is lost without a word.
    pub lose: f64,
    /// How long after the attempt's start at the latest, in seconds.
    pub within_s: f64,
    /// How long before its end a reclaimed host is told, in seconds; AWS gives 120.
    pub notice_s: f64,
}

impl Default for HostChaos {
    fn default() -> Self {
        Self {
            reclaim: 0.0,
            lose: 0.0,
            within_s: 10.0,
            notice_s: 5.0,
        }
    }
}

/// See [`Chaos::capacity`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapacityChaos {
    /// Submissions to a Spot queue from which on that queue gets no hosts for a while.
    pub withhold: f64,
    /// For how long at most, in seconds.
    pub withhold_max_s: f64,
}

impl Default for CapacityChaos {
    fn default() -> Self {
        Self {
            withhold: 0.0,
            withhold_max_s: 10.0,
        }
    }
}

/// Why a chaos file cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChaosError {
    /// Not TOML, or a field that does not exist.
    #[error("{0}")]
    Shape(String),
    /// A number that makes no sense.
    #[error("`{field}` must be {rule}, received: {received}")]
    Number {
        /// As it is written in the file.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
        /// What it is.
        received: String,
    },
}

const SHARE: &str = "a share from 0 to 100 per cent";
const SECONDS: &str = "0 or more seconds, at most a day";
const TOGETHER: &str = "at most 100 per cent together with those that exclude it";
/// A day: more is another kind of test.
const LONGEST_S: f64 = 86_400.0;

impl Chaos {
    /// Reads a file.
    pub fn parse(text: &str, seed: u64) -> Result<Self, ChaosError> {
        let chaos: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.unwrap_or_default().matches('\n').count() + 1;
            ChaosError::Shape(format!("line {line}: {}", error.message()))
        })?;
        chaos.check()?;
        Ok(Self { seed, ..chaos })
    }

    fn check(&self) -> Result<(), ChaosError> {
        let wrong = |field, rule, received: f64| {
            Err(ChaosError::Number {
                field,
                rule,
                received: received.to_string(),
            })
        };
        let (events, calls, hosts) = (&self.events, &self.calls, &self.hosts);
        for (field, share) in [
            ("events.drop", events.drop),
            ("events.duplicate", events.duplicate),
            ("events.delay", events.delay),
            ("events.reorder", events.reorder),
            ("functions.kill", self.functions.kill),
            ("calls.cut", calls.cut),
            ("calls.lose_answer", calls.lose_answer),
            ("calls.late", calls.late),
            ("calls.throttle", calls.throttle),
            ("hosts.reclaim", hosts.reclaim),
            ("hosts.lose", hosts.lose),
            ("capacity.withhold", self.capacity.withhold),
        ] {
            if !(0.0..=100.0).contains(&share) {
                return wrong(field, SHARE, share);
            }
        }
        for (field, together) in [
            ("events.drop", events.drop + events.delay + events.reorder),
            (
                "calls.cut",
                calls.cut + calls.lose_answer + calls.late + calls.throttle,
            ),
            ("hosts.reclaim", hosts.reclaim + hosts.lose),
        ] {
            if together > 100.0 {
                return wrong(field, TOGETHER, together);
            }
        }
        for (field, seconds) in [
            ("events.delay_max_s", events.delay_max_s),
            ("calls.late_max_s", calls.late_max_s),
            ("hosts.within_s", hosts.within_s),
            ("hosts.notice_s", hosts.notice_s),
            ("capacity.withhold_max_s", self.capacity.withhold_max_s),
        ] {
            if !(0.0..=LONGEST_S).contains(&seconds) {
                return wrong(field, SECONDS, seconds);
            }
        }
        Ok(())
    }
}

/// A checked number of seconds.
pub(super) fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number.clamp(0.0, LONGEST_S))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test]
    fn what_a_file_does_not_name_never_strikes() {
        let chaos = Chaos::parse("[events]\nduplicate = 50\n", 7).expect("a chaos file");

        assert_eq!(chaos.seed, 7);
        let rest = Chaos {
            seed: 7,
            events: EventChaos {
                duplicate: 50.0,
                ..EventChaos::default()
            },
            ..Chaos::default()
        };
        assert_eq!(chaos, rest);
    }

    #[test_case("[events]\nlose = 5" => true; "an unknown field")]
    #[test_case("[event]\ndrop = 5" => true; "an unknown section")]
    #[test_case("events = 5" => true; "no section")]
    #[test_case("seed = 5" => true; "the seed is no part of the file")]
    #[test_case("" => false; "an empty file")]
    fn what_is_no_chaos_file_is_refused(text: &str) -> bool {
        Chaos::parse(text, 1).is_err()
    }

    #[test_case("[events]\ndrop = 101" => "`events.drop` must be a share from 0 to 100 per cent, received: 101")]
    #[test_case("[functions]\nkill = -1" => "`functions.kill` must be a share from 0 to 100 per cent, received: -1")]
    #[test_case("[calls]\nlate = nan" => "`calls.late` must be a share from 0 to 100 per cent, received: NaN")]
    #[test_case("[hosts]\nreclaim = 60\nlose = 60" => "`hosts.reclaim` must be at most 100 per cent together with those that exclude it, received: 120")]
    #[test_case("[calls]\nlate_max_s = 1e9" => "`calls.late_max_s` must be 0 or more seconds, at most a day, received: 1000000000")]
    fn a_wrong_number_is_named(text: &str) -> String {
        Chaos::parse(text, 1)
            .map(|chaos| format!("{chaos:?}"))
            .expect_err("the number is wrong")
            .to_string()
    }
}
