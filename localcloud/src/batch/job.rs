//! A job's record: what was submitted, where it stands, how its attempts ended.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::work::ContainerName;
use crate::template::Retry;

/// A state, in AWS's words and order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Submitted,
    Pending,
    Runnable,
    Starting,
    Running,
    Succeeded,
    Failed,
}

impl Status {
    pub(crate) const ALL: [Self; 7] = [
        Self::Submitted,
        Self::Pending,
        Self::Runnable,
        Self::Starting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What a job is to an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Single,
    Parent {
        size: u32,
    },
    Child {
        parent: String,
        index: u32,
        size: u32,
    },
}

/// Where an attempt runs or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) instance_id: String,
    pub(crate) container_instance_arn: String,
    pub(crate) task_arn: String,
    pub(crate) log_stream: String,
    /// The child process, with the clock tick of its start that tells it from a later one with its number.
    pub(crate) process: Option<(i32, u64)>,
    /// The container, where jobs are containers.
    #[serde(default)]
    pub(crate) container: Option<ContainerName>,
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) placement: Placement,
    pub(crate) started_at: Option<i64>,
    pub(crate) stopped_at: i64,
    pub(crate) exit_code: Option<i32>,
    /// The container's reason.
    pub(crate) reason: Option<String>,
    pub(crate) status_reason: String,
}

/// One job. All times are milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) name: String,
    /// Counts submissions, so that jobs of one millisecond have an order.
    pub(crate) sequence: u64,
    pub(crate) queue_arn: String,
    pub(crate) definition_arn: String,
    pub(crate) definition_name: String,
    pub(crate) role: Role,
    pub(crate) status: Status,
    pub(crate) status_reason: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) stopped_at: Option<i64>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) share: Option<String>,
    pub(crate) scheduling_priority: Option<i64>,
    pub(crate) parameters: Map<String, Value>,
    /// The definition's container with the submission's overrides.
    pub(crate) container: Map<String, Value>,
    pub(crate) tags: Map<String, Value>,
    pub(crate) propagate_tags: bool,
    pub(crate) platform_capabilities: Value,
    pub(crate) is_cancelled: bool,
    pub(crate) is_terminated: bool,
    /// The running attempt's place.
    pub(crate) placement: Option<Placement>,
}

impl Job {
    /// How often the job may be moved to RUNNABLE.
    pub(crate) fn attempts_allowed(&self) -> usize {
        self.retry
            .as_ref()
            .map_or(1, |retry| retry.attempts as usize)
    }

    /// The child of an array parent before anything happened to it.
    pub(crate) fn child(&self, index: u32, size: u32) -> Self {
        Self {
            id: format!("{}:{index}", self.id),
            arn: format!("{}:{index}", self.arn),
            role: Role::Child {
                parent: self.id.clone(),
                index,
                size,
            },
            status: Status::Runnable,
            status_reason: None,
            started_at: None,
            stopped_at: None,
            attempts: Vec::new(),
            placement: None,
            is_cancelled: false,
            is_terminated: false,
            ..self.clone()
        }
    }

    /// The container's environment, as names and values.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.container
            .get("environment")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some((entry.get("name")?.as_str()?, entry.get("value")?.as_str()?)))
    }

    /// The container's command, with `Ref::name` replaced from the parameters.
    pub(crate) fn command(&self) -> Vec<String> {
        let words = self
            .container
            .get("command")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        words
            .filter_map(Value::as_str)
            .map(|word| {
                word.strip_prefix("Ref::")
                    .and_then(|name| self.parameters.get(name)?.as_str())
                    .unwrap_or(word)
                    .to_owned()
            })
            .collect()
    }
}

/// A job as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSnapshot {
    /// The job's id; an array child's ends in `:<index>`.
    pub job_id: String,
    /// Its name.
    pub job_name: String,
    /// The name of its queue.
    pub queue: String,
    /// The ARN of its definition, with the revision.
    pub definition: String,
    /// Its state, in AWS's upper-case word.
    pub status: String,
    /// Why, where the state has a reason.
    pub status_reason: Option<String>,
    /// How many attempts have ended.
    pub attempts_ended: usize,
    /// The last ended attempt's exit code, where it had one.
    pub exit_code: Option<i32>,
    /// The host of the running attempt.
    pub instance_id: Option<String>,
    /// Whether that host is a Spot host that can be reclaimed with a notice.
    pub on_spot: bool,
    /// When it was submitted, started (the latest attempt) and stopped, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// See `created_at_ms`.
    pub started_at_ms: Option<i64>,
    /// See `created_at_ms`.
    pub stopped_at_ms: Option<i64>,
    /// Where the running or the last attempt writes its output.
    pub log_file: Option<std::path::PathBuf>,
}
