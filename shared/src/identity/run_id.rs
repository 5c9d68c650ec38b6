//! A run's id and the tick inside it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{IdentityError, PipelineName};

const TICK_FORMAT: &str = "%Y%m%dT%H%MZ";
/// `20261123T0200Z`
const TICK_LENGTH: usize = 14;

/// The minute, in UTC, for which a run was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(Timestamp);

impl Tick {
    /// The minute that `at` falls in.
    pub fn containing(at: Timestamp) -> Self {
        let second = at.as_second();
        let floored = second - second.rem_euclid(60);
        Self(Timestamp::from_second(floored).unwrap_or(at))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.0.to_zoned(TimeZone::UTC);
        write!(f, "{}", utc.strftime(TICK_FORMAT))
    }
}

impl FromStr for Tick {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || IdentityError::Tick(text.to_owned());
        if text.len() != TICK_LENGTH {
            return Err(wrong());
        }
        let parsed = jiff::civil::DateTime::strptime(TICK_FORMAT, text).map_err(|_| wrong())?;
        let zoned = parsed.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
        Ok(Self::containing(zoned.timestamp()))
    }
}

super::serde_as_text!(Tick);

/// `<pipeline>-<tick>`, then `-m<hex>` for a manual run and `-r<n>` for its n-th repeat.
///
/// The same tick of the same pipeline is the same run, however often it is delivered. A manual
/// run's hexadecimal part is drawn once by whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    pipeline: PipelineName,
    tick: Tick,
    manual: Option<String>,
    repeat: u32,
}

impl RunId {
    /// The run of a scheduled tick.
    pub fn scheduled(pipeline: PipelineName, tick: Tick) -> Self {
        Self {
            pipeline,
            tick,
            manual: None,
            repeat: 1,
        }
    }

    /// A run that a person asked for; of `drawn` only hexadecimal digits are kept, at most 32.
    pub fn manual(pipeline: PipelineName, tick: Tick, drawn: &str) -> Result<Self, IdentityError> {
        let hex: String = drawn
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(32)
            .collect::<String>()
            .to_lowercase();
        if hex.len() < 8 {
            return Err(IdentityError::RunId(format!("{pipeline}-{tick}-m{drawn}")));
        }
        Ok(Self {
            pipeline,
            tick,
            manual: Some(hex),
            repeat: 1,
        })
    }

    /// The next repeat of this run: `…-r2` of a first one.
    #[must_use]
    pub fn next_repeat(&self) -> Self {
        Self {
            repeat: self.repeat + 1,
            ..self.clone()
        }
    }

    /// The pipeline it is a run of.
    pub fn pipeline(&self) -> &PipelineName {
        &self.pipeline
    }

    /// The tick it is a run for.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Whether a person asked for it.
    pub fn is_manual(&self) -> bool {
        self.manual.is_some()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pipeline, self.tick)?;
        if let Some(hex) = &self.manual {
            write!(f, "-m{hex}")?;
        }
        if self.repeat > 1 {
            write!(f, "-r{}", self.repeat)?;
        }
        Ok(())
    }
}

impl FromStr for RunId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || IdentityError::RunId(text.to_owned());
        let (rest, repeat) = match text.rsplit_once("-r") {
            Some((rest, n)) if is_count(n) => (rest, n.parse().map_err(|_| wrong())?),
            _ => (text, 1),
        };
        let (rest, manual) = match rest.rsplit_once("-m") {
            Some((before, hex)) if is_lower_hex(hex) => (before, Some(hex.to_owned())),
            _ => (rest, None),
        };
        let (pipeline, tick) = rest.rsplit_once('-').ok_or_else(wrong)?;
        let id = Self {
            pipeline: pipeline.parse().map_err(|_| wrong())?,
            tick: tick.parse().map_err(|_| wrong())?,
            manual,
            repeat,
        };
        // One spelling only: `-r1`, `-r02` and the like would be second names of the same run.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(wrong())
        }
    }
}

super::serde_as_text!(RunId);

fn is_count(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_lower_hex(text: &str) -> bool {
    (8..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn same_tick_is_same_run_whatever_the_second() {
        let pipeline: PipelineName = "recommender".parse().expect("a valid name");
        let early: Timestamp = "2026-11-23T02:00:00Z".parse().expect("a valid time");
        let late: Timestamp = "2026-11-23T02:00:59Z".parse().expect("a valid time");

        let a = RunId::scheduled(pipeline.clone(), Tick::containing(early));
        let b = RunId::scheduled(pipeline, Tick::containing(late));

        assert_eq!(a, b);
        assert_eq!(a.to_string(), "recommender-20261123T0200Z");
    }

    #[test]
    fn a_second_spelling_is_refused() {
        for text in [
            "recommender-20261123T0200Z-r1",
            "recommender-20261123T0200Z-r02",
            "recommender-20261123T0200",
            "Recommender-20261123T0200Z",
            "recommender",
            "",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_run_id_survives_the_round_trip(
            name in "[a-z][a-z0-9-]{0,39}", seconds in 0_i64..4_000_000_000,
            manual in proptest::option::of("[0-9a-f]{8,32}"), repeats in 0_u8..5,
        ) {
            let pipeline: PipelineName = name.parse().expect("made to fit");
            let tick = Tick::containing(Timestamp::from_second(seconds).expect("in range"));
            let mut id = match manual {
                Some(hex) => RunId::manual(pipeline, tick, &hex).expect("made to fit"),
                None => RunId::scheduled(pipeline, tick),
            };
            for _ in 0..repeats { id = id.next_repeat(); }

            prop_assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        }
    }
}
