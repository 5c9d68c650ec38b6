//! When a pipeline is due: `cron(…)` and `rate(…)` as `EventBridge` reads them, in a time zone.
//!
//! The schedule itself is in the template; functions are handed a copy of it, so that they can
//! tell which tick an event stands for and which ticks got lost.

mod cron;
mod rate;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use self::cron::Cron;
use crate::identity::{PipelineName, Tick};

/// The variable that holds all schedules, as [`Schedules::parse`] reads them.
pub const SCHEDULES_VARIABLE: &str = "TRAINSPOT_SCHEDULES";

/// More due ticks than this are never listed: the newest count, the others are history.
pub const DUE_MAX: usize = 1_000;

/// Why a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither `cron(…)` nor `rate(…)`, or not as AWS takes them.
    #[error("schedule `{expression}`: {problem}")]
    Expression {
        /// As it was written.
        expression: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not an IANA time zone.
    #[error("time zone `{0}` is not known")]
    TimeZone(String),
    /// Not `{"<pipeline>": {"expression": …, "time_zone": …}}`.
    #[error("schedules are not `{{\"<pipeline>\": {{\"expression\", \"time_zone\"}}}}`: {0}")]
    Shape(String),
}

#[derive(Debug, Clone)]
enum Timing {
    Cron(Box<Cron>),
    /// Due at times that only AWS knows.
    Rate,
}

/// When a pipeline is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: String,
    time_zone: String,
    timing: Timing,
}

impl Schedule {
    /// Reads an expression; `time_zone` is an IANA name, and matters to `cron(…)` only.
    pub fn parse(expression: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let zone =
            TimeZone::get(time_zone).map_err(|_| ScheduleError::TimeZone(time_zone.to_owned()))?;
        let wrong = |problem: String| ScheduleError::Expression {
            expression: expression.to_owned(),
            problem,
        };
        let inside = |kind: &str| {
            expression
                .strip_prefix(kind)?
                .strip_prefix('(')?
                .strip_suffix(')')
        };
        let timing = if let Some(fields) = inside("cron") {
            Timing::Cron(Box::new(Cron::parse(fields, zone).map_err(wrong)?))
        } else if let Some(fields) = inside("rate") {
            {
                rate::check(fields).map_err(wrong)?;
                Timing::Rate
            }
        } else {
            return Err(wrong("it is neither `cron(…)` nor `rate(…)`".to_owned()));
        };
        let (expression, time_zone) = (expression.to_owned(), time_zone.to_owned());
        Ok(Self {
            expression,
            time_zone,
            timing,
        })
    }

    /// As it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone it is read in.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// The latest due tick at or before `at`; `None` for `rate(…)`, whose beginning only AWS knows.
    pub fn latest_due(&self, at: Timestamp) -> Option<Tick> {
        match &self.timing {
            Timing::Cron(cron) => cron.latest_due(at),
            Timing::Rate => None,
        }
        .map(Tick::containing)
    }

    /// The first due tick after `at`; `None` for `rate(…)`, and for a cron whose years are over.
    pub fn next_after(&self, at: Timestamp) -> Option<Tick> {
        match &self.timing {
            Timing::Cron(cron) => cron.next_after(at),
            Timing::Rate => None,
        }
        .map(Tick::containing)
    }

    /// The due ticks after `after`, up to and including `until`, oldest first; of more than
    /// [`DUE_MAX`] the newest.
    pub fn due_between(&self, after: Timestamp, until: Timestamp) -> Vec<Tick> {
        const BEFORE: SignedDuration = SignedDuration::from_nanos(1);
        let mut due = Vec::new();
        let mut at = until;
        while due.len() < DUE_MAX {
            let Some(tick) = self.latest_due(at).filter(|tick| tick.start() > after) else {
                break;
            };
            due.push(tick);
            let Ok(earlier) = tick.start().checked_sub(BEFORE) else {
                break;
            };
            at = earlier;
        }
        due.reverse();
        due
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    expression: String,
    #[serde(default = "utc")]
    time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// The schedule of every pipeline that has one.
#[derive(Debug, Clone, Default)]
pub struct Schedules(BTreeMap<PipelineName, Schedule>);

impl Schedules {
    /// Reads [`SCHEDULES_VARIABLE`]:
    /// `{"recommender":{"expression":"cron(0 2 ? * MON,FRI *)","time_zone":"UTC"}}`.
    pub fn parse(json: &str) -> Result<Self, ScheduleError> {
        let entries: BTreeMap<PipelineName, Entry> =
            serde_json::from_str(json).map_err(|error| ScheduleError::Shape(error.to_string()))?;
        entries
            .into_iter()
            .map(|(name, entry)| Ok((name, Schedule::parse(&entry.expression, &entry.time_zone)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The schedule of a pipeline; `None` when it is only started by people.
    pub fn get(&self, pipeline: &PipelineName) -> Option<&Schedule> {
        self.0.get(pipeline)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PipelineName, &Schedule)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
