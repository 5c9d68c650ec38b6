//! A job as JSON, in the shape that `DescribeJobs` answers and events carry. Pure.

use serde_json::{Map, Value, json};

use super::job::{Attempt, Job, Placement, Role, Status};

/// How many children stand in each state.
pub(crate) type Summary = [u32; Status::ALL.len()];

/// The `detail` of an event. `summary` is the array parent's.
pub(crate) fn event_detail(job: &Job, summary: Option<&Summary>) -> Value {
    let mut detail = detail(job, summary);
    // No captured event ever carried a user's tag.
    detail.insert("tags".into(), json!({ "resourceArn": job.arn }));
    Value::Object(detail)
}

/// One of `DescribeJobs`' jobs.
pub(crate) fn described(job: &Job, summary: Option<&Summary>) -> Value {
    let mut detail = detail(job, summary);
    detail.insert("tags".into(), Value::Object(job.tags.clone()));
    detail.insert("isCancelled".into(), json!(job.is_cancelled));
    detail.insert("isTerminated".into(), json!(job.is_terminated));
    Value::Object(detail)
}

/// One of `ListJobs`' jobs.
pub(crate) fn summarised(job: &Job, summary: Option<&Summary>) -> Value {
    let mut item = Map::new();
    item.insert("jobArn".into(), json!(job.arn));
    item.insert("jobId".into(), json!(job.id));
    item.insert("jobName".into(), json!(job.name));
    item.insert("createdAt".into(), json!(job.created_at));
    item.insert("status".into(), json!(job.status.word()));
    item.insert("jobDefinition".into(), json!(job.definition_arn));
    insert_some(&mut item, "statusReason", job.status_reason.as_deref());
    insert_some(&mut item, "startedAt", job.started_at);
    insert_some(&mut item, "stoppedAt", job.stopped_at);
    insert_some(&mut item, "shareIdentifier", job.share.as_deref());
    if let Some(last) = job.attempts.last().filter(|_| job.status.is_final()) {
        let mut container = Map::new();
        insert_some(&mut container, "exitCode", last.exit_code);
        insert_some(&mut container, "reason", last.reason.as_deref());
        item.insert("container".into(), Value::Object(container));
    }
    if let Some(array) = array_properties(job, summary) {
        item.insert("arrayProperties".into(), array);
    }
    Value::Object(item)
}

fn detail(job: &Job, summary: Option<&Summary>) -> Map<String, Value> {
    let mut detail = Map::new();
    let mut put = |name: &str, value: Value| detail.insert(name.to_owned(), value);
    put("jobArn", json!(job.arn));
    put("jobName", json!(job.name));
    put("jobId", json!(job.id));
    put("jobQueue", json!(job.queue_arn));
    put("status", json!(job.status.word()));
    put("attempts", job.attempts.iter().map(attempt).collect());
    put("createdAt", json!(job.created_at));
    put("dependsOn", json!([]));
    put("jobDefinition", json!(job.definition_arn));
    put("parameters", Value::Object(job.parameters.clone()));
    put("container", Value::Object(container(job)));
    put("propagateTags", json!(job.propagate_tags));
    put("platformCapabilities", job.platform_capabilities.clone());
    put("eksAttempts", json!([]));
    if let Some(retry) = &job.retry {
        put("retryStrategy", json!(retry));
    }
    if let Some(seconds) = job.timeout_s {
        put("timeout", json!({ "attemptDurationSeconds": seconds }));
    }
    if let Some(array) = array_properties(job, summary) {
        put("arrayProperties", array);
    }
    insert_some(&mut detail, "startedAt", job.started_at);
    insert_some(&mut detail, "shareIdentifier", job.share.as_deref());
    insert_some(&mut detail, "schedulingPriority", job.scheduling_priority);
    if job.status.is_final() {
        insert_some(&mut detail, "stoppedAt", job.stopped_at);
        insert_some(&mut detail, "statusReason", job.status_reason.as_deref());
    }
    detail
}

fn container(job: &Job) -> Map<String, Value> {
    let mut container = job.container.clone();
    container.insert("networkInterfaces".into(), json!([]));
    let last = job.attempts.last().filter(|_| job.status.is_final());
    if let Some(place) = last.map(|attempt| &attempt.placement).or(job.placement.as_ref()) {
        insert_place(&mut container, place);
    }
    if let Some(last) = last {
        insert_some(&mut container, "exitCode", last.exit_code);
        insert_some(&mut container, "reason", last.reason.as_deref());
    }
    container
}

fn attempt(attempt: &Attempt) -> Value {
    let mut container = Map::new();
    insert_place(&mut container, &attempt.placement);
    container.insert("networkInterfaces".into(), json!([]));
    insert_some(&mut container, "exitCode", attempt.exit_code);
    insert_some(&mut container, "reason", attempt.reason.as_deref());
    let mut shape = Map::new();
    shape.insert("container".into(), Value::Object(container));
    insert_some(&mut shape, "startedAt", attempt.started_at);
    shape.insert("stoppedAt".into(), json!(attempt.stopped_at));
    shape.insert("statusReason".into(), json!(attempt.status_reason));
    Value::Object(shape)
}

fn insert_place(container: &mut Map<String, Value>, place: &Placement) {
    container.insert("containerInstanceArn".into(), json!(place.container_instance_arn));
    container.insert("taskArn".into(), json!(place.task_arn));
    container.insert("logStreamName".into(), json!(place.log_stream));
}

fn array_properties(job: &Job, summary: Option<&Summary>) -> Option<Value> {
    match &job.role {
        Role::Single => None,
        Role::Child { index, .. } => Some(json!({ "index": index, "statusSummary": {} })),
        Role::Parent { size } => {
            let counts: Map<String, Value> = Status::ALL
                .iter()
                .zip(summary.copied().unwrap_or_default())
                .map(|(status, count)| (status.word().to_owned(), json!(count)))
                .collect();
            Some(json!({ "size": size, "statusSummary": counts }))
        }
    }
}

fn insert_some(object: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}
