//! What wakes submit-training: a tick, or a person.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::identity::{PipelineName, RunId, Tick};
use crate::schedule::Schedule;

/// How it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// A rule or a schedule fired.
    Tick {
        /// A rule's event time, or the Scheduler's scheduled time; see [`tick_of`].
        at: Timestamp,
    },
    /// A person asked.
    Manual {
        /// Drawn once by the cli; `None` for a bare invoke.
        run_id: Option<RunId>,
        /// Also if the data did not change, or the run is there already.
        force: bool,
    },
}

/// A request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of which pipeline; whether there is such a one is not known here.
    pub pipeline: PipelineName,
    /// How it came about.
    pub kind: RequestKind,
}

/// A request that can never become a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

const KNOWN: [&str; 4] = ["pipeline", "tick", "run_id", "force"];
const FORM: &str = "{\"pipeline\", \"tick\"} or {\"pipeline\", \"run_id\"?, \"force\"?}";

impl Request {
    /// Reads a target's input or a person's payload.
    pub fn parse(payload: &Value) -> Result<Self, RequestError> {
        let wrong = |sentence: String| Err(RequestError(sentence));
        let Value::Object(fields) = payload else {
            return wrong(format!(
                "a request is an object {FORM}, received: {payload}"
            ));
        };
        if let Some(detail_type) = fields.get("detail-type") {
            return wrong(format!(
                "this is a whole event ({detail_type}), not a request: the target that sent it needs an input {FORM}"
            ));
        }
        if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return wrong(format!("a request is {FORM}; it has no field `{unknown}`"));
        }
        let Some(pipeline) = text(fields, "pipeline")? else {
            return wrong(format!(
                "a request is {FORM}; the field `pipeline` is missing"
            ));
        };
        let pipeline: PipelineName = pipeline
            .parse()
            .map_err(|error| RequestError(format!("{error}")))?;
        let tick = text(fields, "tick")?;
        let run_id = text(fields, "run_id")?;
        let force = match fields.get("force") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(force)) => Some(*force),
            Some(other) => {
                return wrong(format!("`force` must be true or false, received: {other}"));
            }
        };
        if let Some(tick) = tick {
            if run_id.is_some() || force.is_some() {
                return wrong(
                    "`tick` is for schedules, `run_id` and `force` are for people: a request has one or the other".to_owned(),
                );
            }
            let at = tick.parse().map_err(|_| {
                RequestError(format!(
                    "`tick` must be a time such as \"2026-11-23T02:00:00Z\", received: `{tick}`"
                ))
            })?;
            return Ok(Self {
                pipeline,
                kind: RequestKind::Tick { at },
            });
        }
        let run_id = match run_id {
            None => None,
            Some(text) => {
                let id: RunId = text
                    .parse()
                    .map_err(|error| RequestError(format!("{error}")))?;
                if *id.pipeline() != pipeline {
                    return wrong(format!("run `{id}` is not one of pipeline `{pipeline}`"));
                }
                Some(id)
            }
        };
        let force = force.unwrap_or(false);
        Ok(Self {
            pipeline,
            kind: RequestKind::Manual { run_id, force },
        })
    }
}

/// Whether a schedule sent this, whatever else is wrong with it: a tick, or the event that a target without an
/// input passes on as it is. People send neither.
pub fn is_of_a_schedule(payload: &Value) -> bool {
    ["tick", "detail-type"]
        .iter()
        .any(|field| payload.get(field).is_some())
}

fn text<'f>(fields: &'f Map<String, Value>, field: &str) -> Result<Option<&'f str>, RequestError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(RequestError(format!(
            "`{field}` must be a text, received: {other}"
        ))),
    }
}

/// A rule may fire a little before its minute by another host's clock.
const EARLY: SignedDuration = SignedDuration::from_secs(30);

/// Supervision makes up ticks up to a day old. A firing that is later than that cannot stand for
/// one of them any more, and one that is not must: as a tick of its own it would be a second run.
const LATE: SignedDuration = SignedDuration::from_hours(24);

/// The tick that a firing at `at` stands for.
///
/// With a cron it is the latest due tick, since a rule may fire a minute late; without a schedule,
/// with a rate, or when the cron was not due for a day, it is the minute itself.
pub fn tick_of(at: Timestamp, schedule: Option<&Schedule>) -> Tick {
    let due = schedule.and_then(|schedule| schedule.latest_due(at.checked_add(EARLY).ok()?));
    due.filter(|tick| at.duration_since(tick.start()) <= LATE)
        .unwrap_or_else(|| Tick::containing(at))
}

#[cfg(test)]
mod tests;
