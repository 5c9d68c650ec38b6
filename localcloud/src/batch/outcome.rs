//! What follows from an attempt's end: success, another attempt, failure, and the end of an array.

use std::sync::Arc;

use super::attempt::Ending;
use super::engine::{Batch, now_ms};
use super::job::{Attempt, Job, Placement, Role, Status};
use super::retry;
use super::state::State;
use crate::locked::locked;

const EXITED: &str = "Essential container in task exited";
const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
/// The container's reason where its limit of memory ended it.
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
const NOT_STARTED: &str = "Task failed to start";
const CHILD_FAILED: &str = "Array Child Job failed";
/// AWS cuts a container's reason here.
const LONGEST_REASON: usize = 255;

impl Batch {
    /// An attempt has ended: what follows.
    pub(super) fn ended(self: &Arc<Self>, job_id: &str, ending: Ending) {
        let mut state = locked(&self.state);
        state.live.remove(job_id);
        state.running = state.running.saturating_sub(1);
        let failed = Status::Failed;
        match ending {
            Ending::Abandoned => return,
            Ending::Withdrawn(reason) => {
                self.fail(&mut state, job_id, &reason, |job| job.is_terminated = true);
            }
            Ending::NoHost(reason) => {
                self.watch.broken("start a job", &reason);
                self.fail(&mut state, job_id, &reason, |_| {});
            }
            Ending::Terminated(placement, reason, code) => {
                let attempt =
                    ended_attempt(&state, job_id, placement, Some(code), None, Some(&reason));
                if let Some(job) = state.jobs.get_mut(job_id) {
                    job.is_terminated = true;
                }
                self.finish(&mut state, job_id, failed, Some(attempt), None);
            }
            Ending::TimedOut(placement) => {
                let attempt = ended_attempt(&state, job_id, placement, None, None, Some(TIMED_OUT));
                self.finish(&mut state, job_id, failed, Some(attempt), None);
            }
            Ending::Exited(placement, 0) => {
                let attempt = ended_attempt(&state, job_id, placement, Some(0), None, Some(EXITED));
                self.finish(&mut state, job_id, Status::Succeeded, Some(attempt), None);
            }
            Ending::Exited(placement, code) => {
                let attempt =
                    ended_attempt(&state, job_id, placement, Some(code), None, Some(EXITED));
                self.retry_or_fail(&mut state, job_id, attempt);
            }
            Ending::OutOfMemory(placement, code) => {
                let reason = Some(OUT_OF_MEMORY.to_owned());
                let attempt =
                    ended_attempt(&state, job_id, placement, Some(code), reason, Some(EXITED));
                self.retry_or_fail(&mut state, job_id, attempt);
            }
            Ending::HostLost(placement) => {
                let attempt = ended_attempt(&state, job_id, placement, None, None, None);
                self.retry_or_fail(&mut state, job_id, attempt);
            }
            Ending::NotStarted(placement, reason) => {
                let reason = reason.chars().take(LONGEST_REASON).collect();
                let attempt = ended_attempt(
                    &state,
                    job_id,
                    placement,
                    None,
                    Some(reason),
                    Some(NOT_STARTED),
                );
                self.retry_or_fail(&mut state, job_id, attempt);
            }
        }
        self.fill(&mut state);
    }

    fn retry_or_fail(&self, state: &mut State, job_id: &str, attempt: Attempt) {
        let Some(job) = state.jobs.get(job_id) else {
            return;
        };
        // An array whose parent was terminated starts nothing more.
        let parent_ended = match &job.role {
            Role::Child { parent, .. } => state
                .jobs
                .get(parent)
                .is_some_and(|parent| parent.is_terminated),
            _ => false,
        };
        debug_assert!(job.attempts.len() < job.attempts_allowed() || job.attempts.is_empty());
        if parent_ended || !retry::retries(job.retry.as_ref(), &attempt, job.attempts.len() + 1) {
            self.finish(state, job_id, Status::Failed, Some(attempt), None);
            return;
        }
        self.enter(state, job_id, Status::Runnable, |job| {
            job.attempts.push(attempt);
            job.placement = None;
        });
        state.line_up_first(&self.stack, job_id);
    }

    /// A job that fails without an attempt.
    pub(super) fn fail(
        &self,
        state: &mut State,
        job_id: &str,
        reason: &str,
        change: impl FnOnce(&mut Job),
    ) {
        if let Some(job) = state.jobs.get_mut(job_id) {
            change(job);
        }
        self.finish(state, job_id, Status::Failed, None, Some(reason));
    }

    pub(super) fn finish(
        &self,
        state: &mut State,
        job_id: &str,
        status: Status,
        attempt: Option<Attempt>,
        reason: Option<&str>,
    ) {
        let stopped_at = attempt
            .as_ref()
            .map_or_else(now_ms, |attempt| attempt.stopped_at);
        let reason = attempt
            .as_ref()
            .map(|attempt| attempt.status_reason.clone())
            .or(reason.map(str::to_owned));
        self.enter(state, job_id, status, |job| {
            job.status_reason = reason;
            job.stopped_at = Some(stopped_at);
            job.placement = None;
            job.attempts.extend(attempt);
        });
        let parent = match state.jobs.get(job_id).map(|job| &job.role) {
            Some(Role::Child { parent, size, .. }) => (parent.clone(), *size),
            _ => return,
        };
        let (parent_id, size) = parent;
        let count = |status: Status| {
            state
                .summaries
                .get(&parent_id)
                .and_then(|summary| summary.get(status as usize))
                .copied()
                .unwrap_or(0)
        };
        let failed = count(Status::Failed);
        if failed + count(Status::Succeeded) < size {
            return;
        }
        let status = if failed == 0 {
            Status::Succeeded
        } else {
            Status::Failed
        };
        self.enter(state, &parent_id, status, |parent| {
            parent.stopped_at = Some(stopped_at);
            if status == Status::Failed && parent.status_reason.is_none() {
                parent.status_reason = Some(CHILD_FAILED.to_owned());
            }
        });
    }
}

/// Without a status reason the attempt ended because its host was lost.
pub(super) fn ended_attempt(
    state: &State,
    job_id: &str,
    placement: Placement,
    exit_code: Option<i32>,
    reason: Option<String>,
    status_reason: Option<&str>,
) -> Attempt {
    let job = state.jobs.get(job_id);
    let has_run = job.is_some_and(|job| job.status == Status::Running);
    Attempt {
        started_at: job.and_then(|job| job.started_at).filter(|_| has_run),
        stopped_at: now_ms(),
        exit_code,
        reason,
        status_reason: status_reason.map_or_else(
            || format!("Host EC2 (instance {}) terminated.", placement.instance_id),
            str::to_owned,
        ),
        placement,
    }
}
