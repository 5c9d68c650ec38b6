//! Batch as the [`Jobs`].

use aws_sdk_batch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_batch::types::{
    ArrayProperties, ContainerOverrides, JobTimeout, KeyValuePair, KeyValuesPair,
    ResourceRequirement, ResourceType,
};
use serde_json::{Value, json};
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::JobName;
use trainspot_shared::job::JOB_VARIABLE;

use super::Aws;
use crate::jobs::{JobFound, JobRequest, Jobs, JobsError, SubmitError};
use crate::world::World;

/// `DescribeJobs` takes so many ids.
const IDS_PER_CALL: usize = 100;

impl<W: World> Jobs for Aws<W> {
    async fn submit(&self, request: &JobRequest) -> Result<String, SubmitError> {
        let name = request.name.to_string();
        let need = |kind: ResourceType, value: u32| {
            ResourceRequirement::builder()
                .r#type(kind)
                .value(value.to_string())
                .build()
        };
        let mut overrides = ContainerOverrides::builder()
            .environment(
                KeyValuePair::builder()
                    .name(JOB_VARIABLE)
                    .value(&request.job_document)
                    .build(),
            )
            .resource_requirements(need(ResourceType::Vcpu, request.vcpus))
            .resource_requirements(need(ResourceType::Memory, request.memory_mib));
        if request.gpus > 0 {
            overrides = overrides.resource_requirements(need(ResourceType::Gpu, request.gpus));
        }
        for word in &request.command {
            overrides = overrides.command(word);
        }
        let timeout = i32::try_from(request.timeout_s).unwrap_or(i32::MAX);
        let array = request.array_size.map(|size| {
            ArrayProperties::builder()
                .size(i32::try_from(size).unwrap_or(i32::MAX))
                .build()
        });
        let answer = self
            .batch_once
            .submit_job()
            .job_name(&name)
            .job_queue(&request.queue)
            .job_definition(&request.definition)
            .container_overrides(overrides.build())
            .timeout(
                JobTimeout::builder()
                    .attempt_duration_seconds(timeout)
                    .build(),
            )
            .set_array_properties(array)
            .share_identifier(&request.share)
            .scheduling_priority_override(i32::try_from(request.priority).unwrap_or(0))
            .send()
            .await;
        match answer {
            Ok(answer) => match answer.job_id {
                Some(id) => Ok(id),
                None => Err(SubmitError::Unclear {
                    name,
                    why: "an answer without a job id".to_owned(),
                }),
            },
            Err(error) => Err(submit_error(name, &error)),
        }
    }

    async fn describe(&self, ids: &[String]) -> Result<Vec<JobSeen>, JobsError> {
        let mut seen = Vec::new();
        for some in ids.chunks(IDS_PER_CALL) {
            let what = || format!("describe {} jobs", some.len());
            let answer = self
                .batch
                .describe_jobs()
                .set_jobs(Some(some.to_vec()))
                .send()
                .await
                .map_err(|e| JobsError {
                    what: what(),
                    why: words(&e),
                })?;
            for job in answer.jobs.unwrap_or_default() {
                // One shape, one parser: the event's detail is this very structure.
                let detail = detail_of(&job);
                let job = JobSeen::from_detail(&detail).map_err(|e| JobsError {
                    what: what(),
                    why: e.to_string(),
                })?;
                seen.push(job);
            }
        }
        Ok(seen)
    }

    async fn find(&self, queue: &str, name: &JobName) -> Result<Vec<JobFound>, JobsError> {
        let name = name.to_string();
        let mut pages = self
            .batch
            .list_jobs()
            .job_queue(queue)
            .filters(
                KeyValuesPair::builder()
                    .name("JOB_NAME")
                    .values(&name)
                    .build(),
            )
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| JobsError {
                what: format!("look for job {name}"),
                why: words(&e),
            })?;
            for job in page.job_summary_list.unwrap_or_default() {
                // The filter ignores case; names do not.
                if job.job_name.as_deref() == Some(name.as_str())
                    && let Some(id) = job.job_id
                {
                    found.push(JobFound {
                        id,
                        created_at_ms: job.created_at.unwrap_or(i64::MAX),
                    });
                }
            }
        }
        found.sort_by_key(|job| job.created_at_ms);
        Ok(found)
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<(), JobsError> {
        let what = || format!("terminate job {id}");
        // Batch takes at most 1,024 characters.
        let reason: String = reason.chars().take(1_000).collect();
        self.batch
            .terminate_job()
            .job_id(id)
            .reason(reason)
            .send()
            .await
            .map_err(|e| JobsError {
                what: what(),
                why: words(&e),
            })?;
        Ok(())
    }
}

/// Batch has two error shapes only; throttling and validation both come as client errors, told apart by code.
fn submit_error<E, R>(name: String, error: &SdkError<E, R>) -> SubmitError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let why = words(error);
    let Some(service) = error.as_service_error() else {
        // A request that was never sent had no effect; all else may have.
        return match error {
            SdkError::ConstructionFailure(_) => SubmitError::Refused { name, why },
            _ => SubmitError::Unclear { name, why },
        };
    };
    match service.code().unwrap_or_default() {
        "TooManyRequestsException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded" => SubmitError::Throttled { name },
        "ClientException" | "AccessDeniedException" | "ValidationException" => {
            SubmitError::Refused { name, why }
        }
        _ => SubmitError::Unclear { name, why },
    }
}

fn words<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error() {
        Some(service) => format!(
            "{}: {}",
            service.code().unwrap_or("unknown"),
            service.message().unwrap_or("no message")
        ),
        None => format!("{}", aws_sdk_batch::error::DisplayErrorContext(error)),
    }
}

/// The structure as JSON, with the fields that [`JobSeen`] reads, under their wire names.
fn detail_of(job: &aws_sdk_batch::types::JobDetail) -> Value {
    let attempts: Vec<Value> = job
        .attempts()
        .iter()
        .map(|attempt| {
            let container = attempt.container();
            let tasks: Vec<Value> = attempt
                .task_properties()
                .iter()
                .map(|task| {
                    let containers: Vec<Value> = task
                        .containers()
                        .iter()
                        .map(|c| {
                            json!({"name": c.name(), "exitCode": c.exit_code(), "reason": c.reason(),
                                   "logStreamName": c.log_stream_name()})
                        })
                        .collect();
                    json!({ "containers": containers })
                })
                .collect();
            without_nulls(json!({
                "startedAt": attempt.started_at(), "stoppedAt": attempt.stopped_at(),
                "statusReason": attempt.status_reason(),
                "container": container.map(|c| json!({
                    "exitCode": c.exit_code(), "reason": c.reason(), "logStreamName": c.log_stream_name(),
                })),
                "taskProperties": (!tasks.is_empty()).then_some(tasks),
            }))
        })
        .collect();
    // The SDK holds the field for required and fills in 0 for a job that has not been started.
    let started_at = job.started_at().filter(|at| *at > 0);
    without_nulls(json!({
        "jobId": job.job_id(), "jobName": job.job_name(), "jobQueue": job.job_queue(),
        "status": job.status().map(aws_sdk_batch::types::JobStatus::as_str),
        "statusReason": job.status_reason(), "attempts": attempts,
        "createdAt": job.created_at(), "startedAt": started_at, "stoppedAt": job.stopped_at(),
        "isTerminated": job.is_terminated(), "isCancelled": job.is_cancelled(),
        "arrayProperties": job.array_properties().map(|a| json!({
            "size": a.size(), "index": a.index(), "statusSummary": a.status_summary(),
        })),
    }))
}

/// An absent field is absent, as in an event.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k, without_nulls(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}
