//! A job's change as `EventBridge` tells it, in the shape of `events/`. Who ended a job is never in it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use trainspot_shared::batch_event::ArrayRole;

use super::batch::{ATTEMPTS_MAX, BatchJob};

const ARN: &str = "arn:aws:batch:us-east-1:123456789012";

/// `Batch Job State Change`.
pub(super) fn state_change(job: &BatchJob, number: usize, at: Timestamp) -> Value {
    event(
        "Batch Job State Change",
        number,
        at,
        &job.seen.id,
        &detail(job),
    )
}

/// `Batch Job Queue Blocked`: the reason stands where a state's would.
pub(super) fn queue_blocked(job: &BatchJob, number: usize, at: Timestamp, reason: &str) -> Value {
    let mut detail = detail(job);
    detail.insert("statusReason".to_owned(), json!(reason));
    event("Batch Job Queue Blocked", number, at, &job.seen.id, &detail)
}

fn event(
    kind: &str,
    number: usize,
    at: Timestamp,
    job: &str,
    detail: &Map<String, Value>,
) -> Value {
    // An event's time is told to the second.
    let time = Timestamp::from_second(at.as_second()).unwrap_or(at);
    json!({
        "version": "0",
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "detail-type": kind,
        "source": "aws.batch",
        "account": "123456789012",
        "time": time.to_string(),
        "region": "us-east-1",
        "resources": [format!("{ARN}:job/{job}")],
        "detail": detail,
    })
}

fn detail(job: &BatchJob) -> Map<String, Value> {
    let (seen, request) = (&job.seen, &job.request);
    let attempts: Vec<Value> = seen
        .attempts
        .iter()
        .map(|attempt| {
            json!({
                "container": present(&[
                    ("exitCode", json!(attempt.exit_code)),
                    ("reason", json!(attempt.reason)),
                    ("logStreamName", json!(attempt.log_stream)),
                ]),
                "startedAt": attempt.started_at_ms,
                "stoppedAt": attempt.stopped_at_ms,
                "statusReason": attempt.status_reason,
            })
        })
        .collect();
    let array = seen.array.as_ref().map(|role| match role {
        ArrayRole::Parent { size, summary } => json!({"size": size, "statusSummary": summary}),
        ArrayRole::Child { index } => json!({"index": index}),
    });
    present(&[
        ("jobArn", json!(format!("{ARN}:job/{}", seen.id))),
        ("jobName", json!(seen.name)),
        ("jobId", json!(seen.id)),
        ("jobQueue", json!(seen.queue)),
        ("status", json!(seen.status)),
        ("statusReason", json!(seen.status_reason)),
        ("shareIdentifier", json!(request.share)),
        ("schedulingPriority", json!(request.priority)),
        ("attempts", json!(attempts)),
        ("createdAt", json!(seen.created_at_ms)),
        ("startedAt", json!(seen.started_at_ms)),
        ("stoppedAt", json!(seen.stopped_at_ms)),
        ("retryStrategy", json!({"attempts": ATTEMPTS_MAX})),
        ("dependsOn", json!([])),
        ("jobDefinition", json!(request.definition)),
        ("arrayProperties", json!(array)),
        (
            "container",
            json!({
                "command": request.command,
                "environment": [{"name": "TRAINSPOT_JOB", "value": request.job_document}],
            }),
        ),
        (
            "timeout",
            json!({"attemptDurationSeconds": request.timeout_s}),
        ),
        ("platformCapabilities", json!(["EC2"])),
    ])
}

/// Batch leaves out what it does not know.
fn present(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}
