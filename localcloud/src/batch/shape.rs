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
    if let Some(place) = last
        .map(|attempt| &attempt.placement)
        .or(job.placement.as_ref())
    {
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
    container.insert(
        "containerInstanceArn".into(),
        json!(place.container_instance_arn),
    );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Retry, RetryAction, RetryRule};

    fn keys(value: &Value, pointer: &str) -> Vec<String> {
        let object = value.pointer(pointer).and_then(Value::as_object);
        let mut keys: Vec<String> = object
            .into_iter()
            .flat_map(|object| object.keys().cloned())
            .collect();
        keys.sort();
        keys
    }

    fn failed() -> Job {
        let placement = Placement {
            instance_id: "i-0123456789abcdef0".into(),
            container_instance_arn: "arn:aws:ecs:us-east-1:123456789012:container-instance/c/1"
                .into(),
            task_arn: "arn:aws:ecs:us-east-1:123456789012:task/c/1".into(),
            log_stream: "train/default/1".into(),
            process: None,
            container: None,
        };
        Job {
            id: "e13b29a0-3b61-403e-b750-e1d954fc6b13".into(),
            arn: "arn:aws:batch:us-east-1:123456789012:job/e13b29a0-3b61-403e-b750-e1d954fc6b13"
                .into(),
            name: "recommender-20261123T0200Z--train-1".into(),
            sequence: 1,
            queue_arn: "arn:aws:batch:us-east-1:123456789012:job-queue/spot".into(),
            definition_arn: "arn:aws:batch:us-east-1:123456789012:job-definition/train:1".into(),
            definition_name: "train".into(),
            role: Role::Single,
            status: Status::Failed,
            status_reason: Some("Essential container in task exited".into()),
            created_at: 1_745_434_620_145,
            started_at: Some(1_745_434_913_482),
            stopped_at: Some(1_745_434_913_574),
            attempts: vec![Attempt {
                placement,
                started_at: Some(1_745_434_913_482),
                stopped_at: 1_745_434_913_574,
                exit_code: Some(1),
                reason: None,
                status_reason: "Essential container in task exited".into(),
            }],
            retry: Some(Retry {
                attempts: 3,
                evaluate_on_exit: vec![RetryRule {
                    on_status_reason: None,
                    on_reason: Some("*".into()),
                    on_exit_code: None,
                    action: RetryAction::Exit,
                }],
            }),
            timeout_s: None,
            share: None,
            scheduling_priority: None,
            parameters: Map::new(),
            container: Map::new(),
            tags: Map::from_iter([("team".to_owned(), json!("shop"))]),
            propagate_tags: false,
            platform_capabilities: json!(["EC2"]),
            is_cancelled: false,
            is_terminated: false,
            placement: None,
        }
    }

    #[test]
    fn a_failed_event_has_the_keys_of_a_real_one() {
        let event = event_detail(&failed(), None);

        // The keys of a captured FAILED event with exit code 1, and no others.
        assert_eq!(
            keys(&event, ""),
            [
                "attempts",
                "container",
                "createdAt",
                "dependsOn",
                "eksAttempts",
                "jobArn",
                "jobDefinition",
                "jobId",
                "jobName",
                "jobQueue",
                "parameters",
                "platformCapabilities",
                "propagateTags",
                "retryStrategy",
                "startedAt",
                "status",
                "statusReason",
                "stoppedAt",
                "tags"
            ]
        );
        assert_eq!(
            keys(&event, "/attempts/0"),
            ["container", "startedAt", "statusReason", "stoppedAt"]
        );
        let of_attempt = [
            "containerInstanceArn",
            "exitCode",
            "logStreamName",
            "networkInterfaces",
            "taskArn",
        ];
        assert_eq!(keys(&event, "/attempts/0/container"), of_attempt);
        assert_eq!(keys(&event, "/container"), of_attempt);
        assert_eq!(
            keys(&event, "/tags"),
            ["resourceArn"],
            "no user's tag was ever seen in an event"
        );
        assert_eq!(
            event.pointer("/retryStrategy/evaluateOnExit/0"),
            Some(&json!({"onReason": "*", "action": "exit"}))
        );
        assert_eq!(event.get("createdAt"), Some(&json!(1_745_434_620_145_i64)));
    }

    #[test]
    fn a_lost_host_leaves_no_exit_code_anywhere() {
        let mut job = failed();
        for attempt in &mut job.attempts {
            attempt.exit_code = None;
        }

        let text = event_detail(&job, None).to_string();

        assert!(
            !text.contains("exitCode") && !text.contains("\"reason\""),
            "{text}"
        );
    }

    #[test]
    fn before_its_end_a_job_has_neither_reason_nor_stop() {
        let job = Job {
            status: Status::Runnable,
            attempts: Vec::new(),
            started_at: None,
            ..failed()
        };

        let event = event_detail(&job, None);

        for absent in ["statusReason", "stoppedAt", "startedAt"] {
            assert_eq!(event.get(absent), None, "{absent}");
        }
        assert_eq!(event.get("attempts"), Some(&json!([])));
        assert_eq!(keys(&event, "/container"), ["networkInterfaces"]);
        assert_eq!(
            described(&job, None).pointer("/tags/team"),
            Some(&json!("shop")),
            "DescribeJobs does have them"
        );
    }
}
