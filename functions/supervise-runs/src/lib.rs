//! Every few minutes, and whenever a job starts or goes back to its queue: finish what a kill left,
//! notice what no event told of, start ticks that got lost. And the door for people who want a run ended.

mod cancel;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::Serialize;
use serde_json::Value;
use trainspot_edge::drive::{Edge, Swept, sweep};
use trainspot_edge::function::{Failed, JobAnswer, drive_job_event};
use trainspot_edge::settings::Settings;
use trainspot_shared::command::Command;

pub use cancel::{CancelAnswer, Cancelled};

/// `EventBridge`'s own word for a rule that fired by its schedule.
const SCHEDULED: &str = "aws.events";

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// All pipelines were looked at.
    Swept(Swept),
    /// One job's new state was taken in.
    Job(JobAnswer),
    /// A person's wish to end a run was taken in.
    Cancel(CancelAnswer),
    /// The payload is neither an event nor a command that can be followed; a retry would not help.
    Refused {
        /// In one sentence.
        because: String,
    },
}

/// Follows a person's command, or takes an event. `Err` only for what a retry may mend.
pub async fn answer<E: Edge>(
    edge: &E,
    settings: &Settings,
    payload: &Value,
    by: &str,
) -> Result<Answer, Failed> {
    let refused = |because: String| {
        tracing::warn!(because, "payload refused");
        Ok(Answer::Refused { because })
    };
    match Command::parse(payload) {
        Some(Ok(Command::Cancel { run_id, because })) => Ok(Answer::Cancel(
            cancel::cancel(edge, settings, run_id, because, by).await?,
        )),
        Some(Err(error)) => refused(error.to_string()),
        None => match serde_json::from_value::<EventBridgeEvent<Value>>(payload.clone()) {
            Ok(event) => handle(edge, settings, &event, by).await,
            Err(error) => refused(format!("this is no event: {error}")),
        },
    }
}

/// Sweeps, or takes a job's new state in. `Err` only for what a retry may mend. A sweep that could not do all of its
/// work is an answer, and a metric that an alarm looks at: the next one comes sooner than a dead letter would be read.
pub async fn handle<E: Edge>(
    edge: &E,
    settings: &Settings,
    event: &EventBridgeEvent<Value>,
    by: &str,
) -> Result<Answer, Failed> {
    if event.source != SCHEDULED {
        return Ok(Answer::Job(
            drive_job_event(edge, settings, event, by).await?,
        ));
    }
    let swept = sweep(edge, settings, by)
        .await
        .map_err(|error| Failed::new("SweepFailed", &error))?;
    for failure in &swept.failures {
        tracing::error!(failure, "could not be swept");
    }
    tracing::info!(
        driven = swept.driven.len(),
        made_up = swept.made_up.len(),
        settled = swept.settled.len(),
        "swept"
    );
    Ok(Answer::Swept(swept))
}
