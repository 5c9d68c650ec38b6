//! Every few minutes, and whenever a job starts or goes back to its queue: finish what a kill left,
//! notice what no event told of, start ticks that got lost.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::Serialize;
use serde_json::Value;
use trainspot_edge::drive::{Edge, Swept, sweep};
use trainspot_edge::function::{Failed, JobAnswer, drive_job_event};
use trainspot_edge::settings::Settings;

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
}

/// Sweeps, or takes a job's new state in. `Err` only for what a retry may mend.
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
