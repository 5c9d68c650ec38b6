//! Batch on the wire: REST with JSON.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::engine::Batch;
use super::job::{Job, Role, Status};
use super::shape;
use super::submit::NotSubmitted;
use crate::front::{Answer, Request, json_error, json_response};
use crate::template::{Definition, Queue};

/// `DescribeJobs`' limit.
const MOST_JOBS: usize = 100;
/// `ListJobs`' page limits, by status and by filter.
const LONGEST_PAGE: usize = 1000;
const LONGEST_FILTERED_PAGE: usize = 100;
const LONGEST_REASON: usize = 1024;

/// What an operation comes to: what it was about, and its answer.
type Done = (String, Result<Value, NotSubmitted>);

/// Answers one request to Batch.
pub(crate) fn handle(batch: &Arc<Batch>, request: &Request) -> Answer {
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(_) if request.body.is_empty() => json!({}),
        Err(error) => {
            return Answer::new(
                &request.path,
                "",
                json_error(
                    StatusCode::BAD_REQUEST,
                    "ClientException",
                    &error.to_string(),
                ),
            );
        }
    };
    let (operation, (resource, result)) = match (&request.method, request.path.as_str()) {
        (&Method::POST, "/v1/submitjob") => ("SubmitJob", submit(batch, &body, request.body.len())),
        (&Method::POST, "/v1/describejobs") => ("DescribeJobs", describe(batch, &body)),
        (&Method::POST, "/v1/listjobs") => ("ListJobs", list(batch, &body)),
        (&Method::POST, "/v1/terminatejob") => ("TerminateJob", terminate(batch, &body)),
        (&Method::POST, "/v1/describejobqueues") => ("DescribeJobQueues", queues(batch, &body)),
        (&Method::POST, "/v1/describejobdefinitions") => {
            ("DescribeJobDefinitions", definitions(batch, &body))
        }
        (method, path) => {
            let what = format!("{method} {path}");
            let message = format!("{what} does not exist here");
            return Answer::not_implemented(
                &what,
                json_error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &message),
            );
        }
    };
    match result {
        Ok(value) => Answer::new(operation, resource, json_response(StatusCode::OK, &value)),
        Err(NotSubmitted::Invalid(why)) => Answer::new(
            operation,
            resource,
            json_error(StatusCode::BAD_REQUEST, "ClientException", &why),
        ),
        Err(NotSubmitted::Missing(what)) => {
            let message = format!("{what} does not exist here");
            Answer::not_implemented(
                &what,
                json_error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &message),
            )
        }
    }
}

fn submit(batch: &Arc<Batch>, body: &Value, size: usize) -> Done {
    (
        text(body, "jobName").unwrap_or_default().to_owned(),
        batch.submit(body, size),
    )
}

fn describe(batch: &Batch, body: &Value) -> Done {
    let ids: Vec<&str> = texts(body, "jobs");
    let resource = ids.join(",");
    if ids.is_empty() || ids.len() > MOST_JOBS {
        return (resource, invalid("jobs must name 1 to 100 jobs"));
    }
    // Unknown ids are simply missing from the answer.
    let jobs: Vec<Value> = ids
        .into_iter()
        .filter_map(|id| batch.see(id, shape::described))
        .collect();
    (resource, Ok(json!({ "jobs": jobs })))
}

fn terminate(batch: &Arc<Batch>, body: &Value) -> Done {
    let job_id = text(body, "jobId").unwrap_or_default();
    let resource = job_id.to_owned();
    let reason = text(body, "reason").unwrap_or_default();
    if job_id.is_empty() || reason.is_empty() || reason.len() > LONGEST_REASON {
        return (
            resource,
            invalid("jobId and a reason of at most 1024 characters are required"),
        );
    }
    if batch.see(job_id, |_, _| ()).is_none() {
        return (
            resource,
            Err(NotSubmitted::Invalid(format!(
                "Job {job_id} does not exist."
            ))),
        );
    }
    batch.terminate(job_id, reason);
    (resource, Ok(json!({})))
}

fn list(batch: &Batch, body: &Value) -> Done {
    for missing in ["multiNodeJobId"] {
        if body.get(missing).is_some_and(|value| !value.is_null()) {
            return (
                String::new(),
                Err(NotSubmitted::Missing(format!("ListJobs with {missing}"))),
            );
        }
    }
    let (queue, parent) = (text(body, "jobQueue"), text(body, "arrayJobId"));
    let resource = queue.or(parent).unwrap_or_default().to_owned();
    let queue_arn = match (queue, parent) {
        (Some(wanted), None) => match batch.stack.queue(wanted) {
            Some(queue) => queue.arn.clone(),
            None => {
                return (
                    resource,
                    Err(NotSubmitted::Invalid(format!(
                        "JobQueue {wanted} does not exist."
                    ))),
                );
            }
        },
        (None, Some(_)) => String::new(),
        _ => {
            return (
                resource,
                invalid("exactly one of jobQueue, arrayJobId and multiNodeJobId is required"),
            );
        }
    };
    let status = match text(body, "jobStatus") {
        None => Status::Running,
        Some(word) => match Status::ALL.into_iter().find(|status| status.word() == word) {
            Some(status) => status,
            None => {
                return (
                    resource,
                    Err(NotSubmitted::Invalid(format!("`{word}` is no job status"))),
                );
            }
        },
    };
    let filters = body
        .get("filters")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let filter = match filters {
        [] => None,
        [_] if parent.is_some() => {
            return (resource, invalid("filters cannot be used with arrayJobId"));
        }
        [one] => match (text(one, "name"), texts(one, "values").as_slice()) {
            (Some("JOB_NAME"), [value]) => Some((*value).to_lowercase()),
            (Some("JOB_NAME"), _) => {
                return (resource, invalid("the filter JOB_NAME takes one value"));
            }
            (name, _) => {
                let what = format!("ListJobs with the filter {}", name.unwrap_or_default());
                return (resource, Err(NotSubmitted::Missing(what)));
            }
        },
        _ => return (resource, invalid("only one filter can be used at a time")),
    };
    let wanted = |job: &Job| {
        let here = match (&job.role, parent) {
            (Role::Child { parent, .. }, Some(wanted)) => parent == wanted,
            (Role::Child { .. }, None) => false,
            (_, wanted) => wanted.is_none() && job.queue_arn == queue_arn,
        };
        // With a name, the status is ignored and jobs of every status come back.
        here && match &filter {
            None => job.status == status,
            Some(pattern) => {
                let name = job.name.to_lowercase();
                match pattern.strip_suffix('*') {
                    Some(beginning) => name.starts_with(beginning),
                    None => name == *pattern,
                }
            }
        }
    };
    let longest = if filter.is_some() {
        LONGEST_FILTERED_PAGE
    } else {
        LONGEST_PAGE
    };
    let page = body
        .get("maxResults")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(longest);
    if page == 0 || page > LONGEST_PAGE {
        return (resource, invalid("maxResults must be between 1 and 1000"));
    }
    let page = page.min(longest);
    let after = match text(body, "nextToken").map(|token| {
        let (sequence, index) = token.split_once('.')?;
        Some((sequence.parse().ok()?, index.parse().ok()?))
    }) {
        None => None,
        Some(Some(after)) => Some(after),
        Some(None) => return (resource, invalid("nextToken is not valid")),
    };
    let (jobs, next) = batch.select(wanted, after, page);
    let mut answer = Map::new();
    answer.insert("jobSummaryList".into(), Value::Array(jobs));
    if let Some((sequence, index)) = next {
        answer.insert("nextToken".into(), json!(format!("{sequence}.{index}")));
    }
    (resource, Ok(Value::Object(answer)))
}

fn queues(batch: &Batch, body: &Value) -> Done {
    let wanted = texts(body, "jobQueues");
    let queues: Vec<Value> = batch
        .stack
        .queues
        .iter()
        .filter(|queue| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|name| *name == queue.name || *name == queue.arn)
        })
        .map(queue)
        .collect();
    (wanted.join(","), Ok(json!({ "jobQueues": queues })))
}

fn queue(queue: &Queue) -> Value {
    let order: Vec<Value> = queue
        .environments
        .iter()
        .enumerate()
        .map(|(order, name)| {
            let arn = format!(
                "arn:aws:batch:{}:{}:compute-environment/{name}",
                crate::template::REGION,
                crate::template::ACCOUNT
            );
            json!({ "order": order + 1, "computeEnvironment": arn })
        })
        .collect();
    let mut shape = json!({
        "jobQueueName": queue.name,
        "jobQueueArn": queue.arn,
        "state": "ENABLED",
        "status": "VALID",
        "statusReason": "JobQueue Healthy",
        "priority": queue.priority,
        "computeEnvironmentOrder": order,
        "tags": {},
    });
    if let Some(policy) = &queue.policy_arn {
        shape["schedulingPolicyArn"] = json!(policy);
    }
    shape
}

fn definitions(batch: &Batch, body: &Value) -> Done {
    let mut wanted = texts(body, "jobDefinitions");
    wanted.extend(text(body, "jobDefinitionName"));
    let definitions: Vec<Value> = batch
        .stack
        .definitions
        .iter()
        .filter(|definition| {
            wanted.is_empty()
                || wanted.iter().any(|name| {
                    batch
                        .stack
                        .definition(name)
                        .is_some_and(|found| found.arn == definition.arn)
                })
        })
        .map(definition)
        .collect();
    (
        wanted.join(","),
        Ok(json!({ "jobDefinitions": definitions })),
    )
}

fn definition(definition: &Definition) -> Value {
    let mut shape = json!({
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": definition.arn,
        "revision": 1,
        "status": "ACTIVE",
        "type": "container",
        "parameters": definition.parameters,
        "containerProperties": definition.container,
        "propagateTags": definition.propagate_tags,
        "platformCapabilities": definition.platform_capabilities,
        "tags": {},
    });
    if let Some(retry) = &definition.retry {
        shape["retryStrategy"] = json!(retry);
    }
    if let Some(seconds) = definition.timeout_s {
        shape["timeout"] = json!({ "attemptDurationSeconds": seconds });
    }
    if let Some(priority) = definition.scheduling_priority {
        shape["schedulingPriority"] = json!(priority);
    }
    shape
}

fn invalid(why: &str) -> Result<Value, NotSubmitted> {
    Err(NotSubmitted::Invalid(why.to_owned()))
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn texts<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
