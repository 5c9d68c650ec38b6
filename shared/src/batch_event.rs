//! What Batch says of a job: in its state-change events and in `DescribeJobs`, which share a shape.

mod detail;
mod envelope;
mod wants;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use envelope::{BatchEvent, BatchEventKind, EventError};
pub use wants::wants;

/// Batch's job states, in the order of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Taken.
    Submitted,
    /// Waits for others; an array parent stays here while its children live.
    Pending,
    /// Waits for a host.
    Runnable,
    /// Image pull and container start.
    Starting,
    /// At work.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended otherwise, with no retry left.
    Failed,
}

impl JobStatus {
    /// Whether the job has come to its end.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// One attempt that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSeen {
    /// Absent when the host was lost, and sometimes on a time-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `container.reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The attempt's `statusReason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Where its log is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_stream: Option<String>,
    /// Milliseconds since the epoch; absent when it never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at_ms: Option<i64>,
}

/// A job's part in an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrayRole {
    /// The parent.
    Parent {
        /// Number of children.
        size: u32,
        /// Children by state.
        summary: BTreeMap<String, u32>,
    },
    /// A child.
    Child {
        /// From 0.
        index: u32,
    },
}

/// A job as Batch tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSeen {
    /// Batch's id.
    pub id: String,
    /// The name it was submitted under; anybody's.
    pub name: String,
    /// Queue ARN.
    pub queue: String,
    /// State.
    pub status: JobStatus,
    /// The job's own `statusReason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Those that have ended; empty while the first one runs.
    #[serde(default)]
    pub attempts: Vec<AttemptSeen>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<i64>,
    /// Of the latest attempt; milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    /// Milliseconds since the epoch; terminal states only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at_ms: Option<i64>,
    /// Somebody called `TerminateJob`; `DescribeJobs` only.
    #[serde(default)]
    pub is_terminated: bool,
    /// Somebody called `CancelJob`; `DescribeJobs` only.
    #[serde(default)]
    pub is_cancelled: bool,
    /// Its part in an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<ArrayRole>,
}
