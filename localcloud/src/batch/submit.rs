//! `SubmitJob`: AWS's rules about what may be submitted. Pure: a request and the stack give a job or a refusal.

use serde_json::{Map, Value, json};

use super::job::{Job, Role, Status};
use crate::template::{Queue, Retry, Stack};

/// Service limit of a whole request.
pub(super) const LARGEST_REQUEST: usize = 30 * 1024;
/// ECS's cap on the text of the overrides; the job fails later, with this reason.
const LONGEST_OVERRIDES: usize = 8192;
pub(super) const OVERRIDES_TOO_LONG: &str = "Container Overrides length must be at most 8192";

/// Why a request was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotSubmitted {
    /// `ClientException`
    Invalid(String),
    /// A part of Batch that does not exist here.
    Missing(String),
}

/// A job as accepted, and whether it is bound to fail for the length of its overrides.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) job: Job,
    pub(super) overrides_too_long: bool,
}

/// What the service itself adds to a request.
pub(super) struct Stamp {
    pub(super) job_id: String,
    pub(super) sequence: u64,
    pub(super) now_ms: i64,
}

pub(super) fn submission(
    request: &Value,
    size: usize,
    stack: &Stack,
    stamp: Stamp,
) -> Result<Accepted, NotSubmitted> {
    let invalid = |why: &str| Err(NotSubmitted::Invalid(why.to_owned()));
    if size > LARGEST_REQUEST {
        return invalid("Request exceeds the maximum allowed size of 30 KiB");
    }
    for missing in [
        "dependsOn",
        "nodeOverrides",
        "eksPropertiesOverride",
        "ecsPropertiesOverride",
        "consumableResourcePropertiesOverride",
    ] {
        let given = request
            .get(missing)
            .is_some_and(|value| !value.is_null() && value != &json!([]) && value != &json!({}));
        if given {
            return Err(NotSubmitted::Missing(format!("SubmitJob with {missing}")));
        }
    }
    let text = |name: &str| request.get(name).and_then(Value::as_str);

    let name = text("jobName").unwrap_or_default();
    if !is_job_name(name) {
        return invalid(
            "Job name should match valid pattern: it must begin with a letter or number and have up to 128 letters, numbers, hyphens and underscores",
        );
    }
    let wanted = text("jobQueue").unwrap_or_default();
    let Some(queue) = stack.queue(wanted) else {
        return Err(NotSubmitted::Invalid(format!(
            "JobQueue {wanted} does not exist."
        )));
    };
    let wanted = text("jobDefinition").unwrap_or_default();
    let Some(definition) = stack.definition(wanted) else {
        return Err(NotSubmitted::Invalid(format!(
            "JobDefinition {wanted} does not exist or is not ACTIVE."
        )));
    };

    let size = request.pointer("/arrayProperties/size").map(Value::as_u64);
    let role = match size {
        None => Role::Single,
        Some(Some(size @ 2..=10_000)) => Role::Parent {
            size: u32::try_from(size).unwrap_or(u32::MAX),
        },
        Some(_) => return invalid("Array Size must be between 2 and 10000"),
    };
    let share = share(request, queue)?;
    let priority = request
        .get("schedulingPriorityOverride")
        .and_then(Value::as_i64);
    if priority.is_some() && !queue.fair_share {
        return invalid(
            "schedulingPriorityOverride is only for job queues with a scheduling policy",
        );
    }
    if priority.is_some_and(|priority| !(0..=9999).contains(&priority)) {
        return invalid("schedulingPriorityOverride must be between 0 and 9999");
    }
    let retry = match request
        .get("retryStrategy")
        .filter(|value| !value.is_null())
    {
        None => definition.retry.clone(),
        Some(strategy) => Some(
            serde_json::from_value::<Retry>(strategy.clone())
                .map_err(|error| NotSubmitted::Invalid(format!("retryStrategy: {error}")))?,
        ),
    };
    if retry
        .as_ref()
        .is_some_and(|retry| !(1..=10).contains(&retry.attempts))
    {
        return invalid("Retry attempts must be between 1 and 10");
    }
    if retry
        .as_ref()
        .is_some_and(|retry| retry.evaluate_on_exit.len() > 5)
    {
        return invalid("evaluateOnExit has at most 5 rules");
    }
    let timeout_s = match request.pointer("/timeout/attemptDurationSeconds") {
        None => definition.timeout_s,
        Some(given) => match given.as_u64() {
            Some(seconds @ 60..) => Some(seconds),
            _ => return invalid("attemptDurationSeconds must be at least 60 seconds"),
        },
    };
    let mut parameters = definition.parameters.clone();
    if let Some(Value::Object(given)) = request.get("parameters") {
        parameters.extend(given.clone());
    }
    let tags = request
        .get("tags")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if tags.len() > 50 {
        return invalid("a job has at most 50 tags");
    }
    let overrides = request
        .get("containerOverrides")
        .cloned()
        .unwrap_or_else(|| json!({}));
    let container = overridden(definition.container.clone(), &overrides)?;

    let arn = format!(
        "arn:aws:batch:{}:{}:job/{}",
        crate::template::REGION,
        crate::template::ACCOUNT,
        stamp.job_id
    );
    Ok(Accepted {
        overrides_too_long: overrides.to_string().len() > LONGEST_OVERRIDES,
        job: Job {
            id: stamp.job_id,
            arn,
            name: name.to_owned(),
            sequence: stamp.sequence,
            queue_arn: queue.arn.clone(),
            definition_arn: definition.arn.clone(),
            definition_name: definition.name.clone(),
            role,
            status: Status::Submitted,
            status_reason: None,
            created_at: stamp.now_ms,
            started_at: None,
            stopped_at: None,
            attempts: Vec::new(),
            retry,
            timeout_s,
            share,
            scheduling_priority: if queue.fair_share {
                priority.or(definition.scheduling_priority).or(Some(0))
            } else {
                None
            },
            parameters,
            container,
            tags,
            propagate_tags: request
                .get("propagateTags")
                .and_then(Value::as_bool)
                .unwrap_or(definition.propagate_tags),
            platform_capabilities: definition.platform_capabilities.clone(),
            is_cancelled: false,
            is_terminated: false,
            placement: None,
        },
    })
}

fn is_job_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_')
}

fn share(request: &Value, queue: &Queue) -> Result<Option<String>, NotSubmitted> {
    let given = request.get("shareIdentifier").and_then(Value::as_str);
    let why = match (given, queue.fair_share) {
        (None, true) => {
            "A shareIdentifier is required for jobs submitted to a fair-share job queue"
        }
        (Some(_), false) => {
            "A shareIdentifier is not allowed for a job queue without a scheduling policy"
        }
        (Some(share), true)
            if share.is_empty()
                || share.len() > 255
                || !share.chars().all(|letter| letter.is_ascii_alphanumeric()) =>
        {
            "shareIdentifier must have 1 to 255 letters and numbers"
        }
        (given, _) => return Ok(given.map(str::to_owned)),
    };
    Err(NotSubmitted::Invalid(why.to_owned()))
}

fn overridden(
    mut container: Map<String, Value>,
    overrides: &Value,
) -> Result<Map<String, Value>, NotSubmitted> {
    let invalid = |why: &str| NotSubmitted::Invalid(why.to_owned());
    if let Some(given) = overrides.get("command").filter(|value| !value.is_null()) {
        let words = given
            .as_array()
            .ok_or_else(|| invalid("command must be a list"))?;
        if words
            .iter()
            .any(|word| word.as_str().is_none_or(str::is_empty))
        {
            return Err(invalid("Command should not contain an empty string"));
        }
        container.insert("command".into(), given.clone());
    }
    // Later entries win, by name or type.
    for (list, key) in [("environment", "name"), ("resourceRequirements", "type")] {
        for entry in overrides
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let named = entry
                .get(key)
                .and_then(Value::as_str)
                .ok_or_else(|| invalid("an override has no name"))?;
            if list == "environment" && named.starts_with("AWS_BATCH") {
                return Err(invalid(
                    "Environment variables beginning with AWS_BATCH are reserved",
                ));
            }
            if let Some(Value::Array(entries)) = container.get_mut(list) {
                entries.retain(|present| present.get(key).and_then(Value::as_str) != Some(named));
                entries.push(entry.clone());
            }
        }
    }
    Ok(container)
}
