//! A stage's job succeeded: the next stage, or the end of the run.
//!
//! The event says only that a job ended well. Whether the stage is done is read from its head, and what
//! follows is decided by the ledger; the same event twice finds it decided.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::Value;
use trainspot_edge::drive::Edge;
use trainspot_edge::function::{Failed, JobAnswer, drive_job_event};
use trainspot_edge::settings::Settings;

/// Takes a job's end in. `Err` only for what a retry may mend.
pub async fn handle<E: Edge>(
    edge: &E,
    settings: &Settings,
    event: &EventBridgeEvent<Value>,
    by: &str,
) -> Result<JobAnswer, Failed> {
    drive_job_event(edge, settings, event, by).await
}
