//! A job failed, or the queue cannot start one: classify, decide, act, tell.
//!
//! What the failure is and what follows are pure decisions of the ledger (`trainspot_shared::failure`,
//! `trainspot_shared::run`); this is the door. The same event twice finds it decided.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::Value;
use trainspot_edge::drive::Edge;
use trainspot_edge::function::{Failed, JobAnswer, drive_job_event};
use trainspot_edge::settings::Settings;

/// Takes a failure in. `Err` only for what a retry may mend.
pub async fn handle<E: Edge>(
    edge: &E,
    settings: &Settings,
    event: &EventBridgeEvent<Value>,
    by: &str,
) -> Result<JobAnswer, Failed> {
    drive_job_event(edge, settings, event, by).await
}
