//! What can be asked about jobs without changing any.

use std::cmp::Reverse;

use serde_json::Value;

use super::engine::Batch;
use super::host;
use super::job::{Job, JobSnapshot};
use super::shape::{self, Summary};
use super::state::index;
use crate::locked::locked;
use crate::template::{Market, Queue};

impl Batch {
    /// Calls `see` with a job and, for an array parent, its children's states.
    pub(super) fn see<T>(
        &self,
        job_id: &str,
        see: impl FnOnce(&Job, Option<&Summary>) -> T,
    ) -> Option<T> {
        let state = locked(&self.state);
        state
            .jobs
            .get(job_id)
            .map(|job| see(job, state.summaries.get(job_id)))
    }

    /// A page of the jobs that `wanted` picks, newest first, after the job at `after`; and where the next page
    /// starts, if there is one. A place is a job's own, so that what is submitted meanwhile shifts no page.
    pub(super) fn select(
        &self,
        wanted: impl Fn(&Job) -> bool,
        after: Option<(u64, u32)>,
        page: usize,
    ) -> (Vec<Value>, Option<(u64, u32)>) {
        let key = |(sequence, index): (u64, u32)| (Reverse(sequence), index);
        let state = locked(&self.state);
        let mut jobs: Vec<&Job> = state
            .jobs
            .values()
            .filter(|job| {
                wanted(job)
                    && after.is_none_or(|after| key((job.sequence, index(job))) > key(after))
            })
            .collect();
        jobs.sort_by_key(|job| key((job.sequence, index(job))));
        let more = jobs.len() > page;
        jobs.truncate(page);
        let next = jobs
            .last()
            .filter(|_| more)
            .map(|job| (job.sequence, index(job)));
        (
            jobs.into_iter()
                .map(|job| shape::summarised(job, state.summaries.get(&job.id)))
                .collect(),
            next,
        )
    }

    /// All jobs, oldest first.
    pub(crate) fn snapshots(&self) -> Vec<JobSnapshot> {
        let state = locked(&self.state);
        let mut jobs: Vec<&Job> = state.jobs.values().collect();
        jobs.sort_by_key(|job| (job.sequence, index(job)));
        jobs.into_iter().map(|job| self.snapshot(job)).collect()
    }

    pub(super) fn snapshot(&self, job: &Job) -> JobSnapshot {
        let last = job.attempts.last();
        let stream = job
            .placement
            .as_ref()
            .or(last.map(|attempt| &attempt.placement));
        JobSnapshot {
            job_id: job.id.clone(),
            job_name: job.name.clone(),
            queue: self
                .stack
                .queue(&job.queue_arn)
                .map_or_else(|| job.queue_arn.clone(), |queue| queue.name.clone()),
            definition: job.definition_arn.clone(),
            status: job.status.word().to_owned(),
            status_reason: job.status_reason.clone(),
            attempts_ended: job.attempts.len(),
            exit_code: last.and_then(|attempt| attempt.exit_code),
            instance_id: job
                .placement
                .as_ref()
                .map(|placement| placement.instance_id.clone()),
            on_spot: self
                .stack
                .queue(&job.queue_arn)
                .is_some_and(|queue| queue.market == Market::Spot),
            created_at_ms: job.created_at,
            started_at_ms: job.started_at,
            stopped_at_ms: job.stopped_at,
            log_file: stream.map(|placement| host::log_file(&self.folder, &placement.log_stream)),
        }
    }

    pub(super) fn job_and_queue(&self, job_id: &str) -> Option<(Job, Queue)> {
        let job = locked(&self.state).jobs.get(job_id).cloned()?;
        let queue = self.stack.queue(&job.queue_arn)?.clone();
        Some((job, queue))
    }
}
