//! Batch jobs, as far as trainspot submits, looks at and ends them.

use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::JobName;

/// All that a submission says to Batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// The name, by which it is found again.
    pub name: JobName,
    /// Queue ARN.
    pub queue: String,
    /// Job definition ARN with its revision.
    pub definition: String,
    /// What the agent is to run.
    pub command: Vec<String>,
    /// `s3://…/job-<n>.json`, for the one variable.
    pub job_document: String,
    /// GPUs; 0 leaves the definition's.
    pub gpus: u32,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Time limit of each attempt, in seconds.
    pub timeout_s: u32,
    /// Array size, from 2; `None` for a plain job.
    pub array_size: Option<u32>,
    /// The fair-share queue's share.
    pub share: String,
    /// 0 to 99 within the queue.
    pub priority: u32,
}

/// Why a submission did not come back with an id. The difference decides who may try again, and when.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Turned away for load: nothing happened; try again later.
    #[error("submit `{name}`: throttled")]
    Throttled {
        /// Job name.
        name: String,
    },
    /// Turned away for good: nothing happened, and the same request never will.
    #[error("submit `{name}`: refused: {why}")]
    Refused {
        /// Job name.
        name: String,
        /// Batch's own words.
        why: String,
    },
    /// No answer, or a server fault: a job may exist.
    #[error("submit `{name}`: unclear whether a job exists: {why}")]
    Unclear {
        /// Job name.
        name: String,
        /// What was seen.
        why: String,
    },
}

/// Why another call on Batch failed; all of them may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct JobsError {
    /// Operation and job.
    pub what: String,
    /// The SDK's own words.
    pub why: String,
}

/// A job found by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFound {
    /// Its id.
    pub id: String,
    /// When it was made, in milliseconds since the epoch; the oldest is adopted.
    pub created_at_ms: i64,
}

/// Batch, as far as trainspot uses it.
pub trait Jobs: Send + Sync {
    /// Submits once: never retried inside, since Batch has no idempotency token. Gives the job id.
    fn submit(
        &self,
        request: &JobRequest,
    ) -> impl Future<Output = Result<String, SubmitError>> + Send;

    /// The jobs that Batch still knows of `ids`, 100 a call; an absent one is unknown, never lost.
    fn describe(
        &self,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<JobSeen>, JobsError>> + Send;

    /// Every job with exactly this name in the queue, whatever its state, all pages.
    fn find(
        &self,
        queue: &str,
        name: &JobName,
    ) -> impl Future<Output = Result<Vec<JobFound>, JobsError>> + Send;

    /// Ends a job in any state; `reason` becomes its status reason.
    fn terminate(
        &self,
        id: &str,
        reason: &str,
    ) -> impl Future<Output = Result<(), JobsError>> + Send;
}
