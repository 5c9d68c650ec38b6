//! From an event's `detail` to [`JobSeen`].
//!
//! Unknown fields are ignored, as AWS asks: it adds new ones without a word.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{ArrayRole, AttemptSeen, EventError, JobSeen, JobStatus};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    job_id: String,
    job_name: String,
    job_queue: String,
    status: JobStatus,
    status_reason: Option<String>,
    attempts: Option<Vec<Attempt>>,
    created_at: Option<i64>,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
    is_terminated: Option<bool>,
    is_cancelled: Option<bool>,
    array_properties: Option<ArrayProperties>,
    ecs_properties: Option<EcsProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    container: Option<Container>,
    task_properties: Option<Vec<Task>>,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
    status_reason: Option<String>,
}

/// Both a `containerProperties` job's container and one of an `ecsProperties` job's.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Option<String>,
    exit_code: Option<i32>,
    reason: Option<String>,
    log_stream_name: Option<String>,
    essential: Option<bool>,
}

#[derive(Deserialize)]
struct Task {
    containers: Option<Vec<Container>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EcsProperties {
    task_properties: Option<Vec<Task>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArrayProperties {
    size: Option<u32>,
    index: Option<u32>,
    status_summary: Option<BTreeMap<String, u32>>,
}

/// What must be there, in the order in which it is asked for.
const REQUIRED: [&str; 4] = ["jobId", "jobName", "jobQueue", "status"];

impl JobSeen {
    /// Reads the `detail` of an event, or a job as `DescribeJobs` prints it.
    pub fn from_detail(detail: &Value) -> Result<Self, EventError> {
        for field in REQUIRED {
            if detail.get(field).is_none_or(Value::is_null) {
                return Err(EventError::Missing {
                    field: format!("detail.{field}"),
                });
            }
        }
        let read: Detail =
            serde_path_to_error::deserialize(detail).map_err(|error| EventError::Wrong {
                field: format!("detail.{}", error.path()),
                problem: error.inner().to_string(),
            })?;
        let essential = read
            .ecs_properties
            .as_ref()
            .map(essential_names)
            .unwrap_or_default();
        let attempts = read.attempts.unwrap_or_default();
        Ok(Self {
            id: read.job_id,
            name: read.job_name,
            queue: read.job_queue,
            status: read.status,
            status_reason: read.status_reason,
            attempts: attempts
                .into_iter()
                .map(|attempt| attempt.seen(&essential))
                .collect(),
            created_at_ms: read.created_at,
            started_at_ms: read.started_at,
            stopped_at_ms: read.stopped_at,
            is_terminated: read.is_terminated.unwrap_or(false),
            is_cancelled: read.is_cancelled.unwrap_or(false),
            array: read.array_properties.and_then(ArrayProperties::role),
        })
    }
}

impl Attempt {
    fn seen(self, essential: &[String]) -> AttemptSeen {
        let container = self.container.unwrap_or_else(|| {
            let tasks = self.task_properties.unwrap_or_default();
            telling(
                tasks
                    .into_iter()
                    .flat_map(|task| task.containers.unwrap_or_default()),
                essential,
            )
        });
        AttemptSeen {
            exit_code: container.exit_code,
            reason: container.reason,
            status_reason: self.status_reason,
            log_stream: container.log_stream_name,
            started_at_ms: self.started_at,
            stopped_at_ms: self.stopped_at,
        }
    }
}

impl ArrayProperties {
    fn role(self) -> Option<ArrayRole> {
        match (self.index, self.size) {
            (Some(index), _) => Some(ArrayRole::Child { index }),
            (None, Some(size)) => {
                let summary = self.status_summary.unwrap_or_default();
                Some(ArrayRole::Parent { size, summary })
            }
            (None, None) => None,
        }
    }
}

/// The container that tells how the task ended: one that failed before one that gives a reason
/// before one that did neither; among equals an essential one, then the first.
fn telling(containers: impl Iterator<Item = Container>, essential: &[String]) -> Container {
    let rank = |container: &Container| {
        let failed = container.exit_code.is_some_and(|code| code != 0);
        let is_essential = container
            .name
            .as_ref()
            .is_some_and(|name| essential.contains(name));
        (!failed, container.reason.is_none(), !is_essential)
    };
    containers.min_by_key(rank).unwrap_or_default()
}

/// ECS takes a container for essential unless it says otherwise.
fn essential_names(properties: &EcsProperties) -> Vec<String> {
    let tasks = properties.task_properties.iter().flatten();
    let containers = tasks.flat_map(|task| task.containers.iter().flatten());
    containers
        .filter(|container| container.essential.unwrap_or(true))
        .filter_map(|container| container.name.clone())
        .collect()
}
