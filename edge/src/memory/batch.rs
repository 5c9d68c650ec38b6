//! Batch's jobs and their states, moved by hand. Retries follow the rules of the template; every change
//! of state leaves an event for the proof to carry, or not.

use std::collections::BTreeMap;

use serde_json::Value;
use trainspot_shared::batch_event::{ArrayRole, AttemptSeen, JobSeen, JobStatus};

use super::batch_event::{queue_blocked, state_change};
use super::clock::VirtualClock;
use crate::jobs::{JobFound, JobRequest};

/// The template's `Attempts`.
pub const ATTEMPTS_MAX: usize = 10;

/// The exit code of a program that SIGTERM ended.
const ENDED_BY_SIGTERM: i32 = 143;

/// What Batch says of an attempt that took too long; such a job is not tried again, whatever it ends with.
const TIMED_OUT: &str = "Job attempt duration exceeded timeout";

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// None when the host went with it.
    pub exit_code: Option<i32>,
    /// `container.reason`.
    pub reason: Option<String>,
    /// `statusReason`.
    pub status_reason: String,
}

impl AttemptEnd {
    /// The program ended by itself with this code.
    pub fn exit(code: i32) -> Self {
        Self {
            exit_code: Some(code),
            reason: None,
            status_reason: "Essential container in task exited".to_owned(),
        }
    }

    /// The host was taken back, or failed.
    pub fn host_lost() -> Self {
        Self {
            exit_code: None,
            reason: None,
            status_reason: "Host EC2 (instance i-0123456789abcdef0) terminated.".to_owned(),
        }
    }

    /// The kernel killed it for memory.
    pub fn out_of_memory() -> Self {
        Self {
            reason: Some("OutOfMemoryError: Container killed due to memory usage".to_owned()),
            ..Self::exit(137)
        }
    }

    /// The container never started.
    pub fn never_started(reason: &str) -> Self {
        Self {
            exit_code: None,
            reason: Some(reason.to_owned()),
            status_reason: "Task failed to start".to_owned(),
        }
    }

    /// It took longer than its time limit; Batch sent SIGTERM, then SIGKILL.
    pub fn timed_out() -> Self {
        Self {
            status_reason: TIMED_OUT.to_owned(),
            ..Self::exit(137)
        }
    }

    fn is_success(&self) -> bool {
        self.exit_code == Some(0) && self.reason.is_none()
    }
}

/// Whether Batch starts another attempt by itself: the template's `EvaluateOnExit`.
pub fn is_retried(end: &AttemptEnd) -> bool {
    if end.status_reason == TIMED_OUT {
        return false;
    }
    end.status_reason.starts_with("Host EC2")
        || matches!(end.exit_code, Some(75 | 76))
        || end
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("DockerTimeoutError"))
}

/// A job as Batch holds it.
#[derive(Debug, Clone)]
pub struct BatchJob {
    /// What was submitted.
    pub request: JobRequest,
    /// Where it stands, with what only `DescribeJobs` tells.
    pub seen: JobSeen,
}

/// Batch.
#[derive(Debug)]
pub struct MemoryBatch {
    clock: VirtualClock,
    jobs: BTreeMap<String, BatchJob>,
    submitted: usize,
    emitted: usize,
    events: Vec<Value>,
    /// Under which the next job goes, when it is none of ours.
    foreign_name: Option<String>,
}

impl MemoryBatch {
    pub(super) fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            jobs: BTreeMap::new(),
            submitted: 0,
            emitted: 0,
            events: Vec::new(),
            foreign_name: None,
        }
    }

    /// Every job, array children too, by id.
    pub fn jobs(&self) -> impl Iterator<Item = &BatchJob> {
        self.jobs.values()
    }

    /// One job.
    pub fn job(&self, id: &str) -> Option<&BatchJob> {
        self.jobs.get(id)
    }

    /// The events since the last time, in the order in which they were emitted.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// A host takes the job and its container runs; nothing happens unless it waits for one.
    pub fn start(&mut self, id: &str) {
        self.bring_to(id, &[JobStatus::Starting, JobStatus::Running]);
    }

    /// A host takes the job, whose container does not run yet.
    pub fn find_host(&mut self, id: &str) {
        self.bring_to(id, &[JobStatus::Starting]);
    }

    fn bring_to(&mut self, id: &str, states: &[JobStatus]) {
        let now = self.now_ms();
        for &status in states {
            self.change(id, |seen| {
                let waits = seen.status < status && seen.status >= JobStatus::Runnable;
                if waits {
                    seen.status = status;
                    seen.started_at_ms = Some(now);
                }
                waits
            });
        }
    }

    /// The attempt at work ends; the job goes back to its queue or comes to its end.
    pub fn end(&mut self, id: &str, end: &AttemptEnd) {
        let now = self.now_ms();
        self.change(id, |seen| {
            if seen.status.is_terminal() || seen.status < JobStatus::Starting {
                return false;
            }
            seen.attempts.push(AttemptSeen {
                exit_code: end.exit_code,
                reason: end.reason.clone(),
                status_reason: Some(end.status_reason.clone()),
                log_stream: Some(format!(
                    "trainspot/default/{}-{}",
                    seen.id,
                    seen.attempts.len() + 1
                )),
                started_at_ms: seen.started_at_ms,
                stopped_at_ms: Some(now),
            });
            seen.status_reason = Some(end.status_reason.clone());
            if end.is_success() {
                seen.status = JobStatus::Succeeded;
            } else if is_retried(end) && seen.attempts.len() < ATTEMPTS_MAX {
                seen.status = JobStatus::Runnable;
                seen.status_reason = None;
            } else {
                seen.status = JobStatus::Failed;
            }
            if seen.status.is_terminal() {
                seen.stopped_at_ms = Some(now);
            }
            true
        });
    }

    /// Every child of a parent comes to that end at once, without a word of each. Ten thousand of them, one by
    /// one, would each look at all the others.
    pub fn end_children(&mut self, parent: &str, end: &AttemptEnd) {
        let now = self.now_ms();
        for id in self.children_of(parent) {
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            job.seen.status = if end.is_success() {
                JobStatus::Succeeded
            } else {
                JobStatus::Failed
            };
            job.seen.status_reason = Some(end.status_reason.clone());
            job.seen.stopped_at_ms = Some(now);
            job.seen.attempts.push(AttemptSeen {
                exit_code: end.exit_code,
                reason: end.reason.clone(),
                status_reason: Some(end.status_reason.clone()),
                ..AttemptSeen::default()
            });
        }
        self.follow_children(parent);
    }

    /// Tells of a queue whose head cannot start; the job stays as it is.
    pub fn block(&mut self, id: &str, reason: &str) {
        if let Some(job) = self.jobs.get(id) {
            self.emitted += 1;
            self.events
                .push(queue_blocked(job, self.emitted, self.clock.now(), reason));
        }
    }

    /// Ends the job in any state, and of an array all children. `false` if there is no such job.
    pub fn terminate(&mut self, id: &str, reason: &str) -> bool {
        if !self.jobs.contains_key(id) {
            return false;
        }
        let now = self.now_ms();
        let mut ids = vec![id.to_owned()];
        ids.extend(self.children_of(id));
        for id in ids {
            self.change(&id, |seen| {
                if seen.status.is_terminal() {
                    return false;
                }
                if seen.status >= JobStatus::Starting {
                    seen.attempts.push(AttemptSeen {
                        exit_code: Some(ENDED_BY_SIGTERM),
                        reason: None,
                        status_reason: Some(reason.to_owned()),
                        log_stream: None,
                        started_at_ms: seen.started_at_ms,
                        stopped_at_ms: Some(now),
                    });
                }
                seen.status = JobStatus::Failed;
                seen.status_reason = Some(reason.to_owned());
                seen.stopped_at_ms = Some(now);
                seen.is_terminated = true;
                true
            });
        }
        true
    }

    /// Somebody else's job, whatever its name.
    pub fn submit_foreign(&mut self, name: &str, request: &JobRequest) -> String {
        self.foreign_name = Some(name.to_owned());
        let id = self.submit(request);
        self.foreign_name = None;
        id
    }

    pub(super) fn submit(&mut self, request: &JobRequest) -> String {
        self.submitted += 1;
        let id = format!("job-{:04}", self.submitted);
        let array = request.array_size.map(|size| ArrayRole::Parent {
            size,
            summary: BTreeMap::new(),
        });
        self.jobs
            .insert(id.clone(), self.fresh(request, id.clone(), array));
        for index in 0..request.array_size.unwrap_or(0) {
            let child = format!("{id}:{index}");
            let role = Some(ArrayRole::Child { index });
            self.jobs
                .insert(child.clone(), self.fresh(request, child.clone(), role));
            self.change(&child, |seen| {
                seen.status = JobStatus::Runnable;
                true
            });
        }
        let waits_as = if request.array_size.is_some() {
            JobStatus::Pending
        } else {
            JobStatus::Runnable
        };
        for status in [JobStatus::Submitted, waits_as] {
            self.change(&id, |seen| {
                seen.status = status;
                true
            });
        }
        id
    }

    pub(super) fn describe(&self, ids: &[String]) -> Vec<JobSeen> {
        ids.iter()
            .filter_map(|id| self.jobs.get(id))
            .map(|job| job.seen.clone())
            .collect()
    }

    pub(super) fn find(&self, queue: &str, name: &str) -> Vec<JobFound> {
        let is_it = |job: &&BatchJob| {
            job.seen.name == name
                && job.seen.queue == queue
                && !matches!(job.seen.array, Some(ArrayRole::Child { .. }))
        };
        let mut found: Vec<JobFound> = self
            .jobs
            .values()
            .filter(is_it)
            .map(|job| JobFound {
                id: job.seen.id.clone(),
                created_at_ms: job.seen.created_at_ms.unwrap_or_default(),
            })
            .collect();
        found.sort_by_key(|job| job.created_at_ms);
        found
    }

    fn fresh(&self, request: &JobRequest, id: String, array: Option<ArrayRole>) -> BatchJob {
        let seen = JobSeen {
            id,
            name: self
                .foreign_name
                .clone()
                .unwrap_or_else(|| request.name.to_string()),
            queue: request.queue.clone(),
            status: JobStatus::Submitted,
            status_reason: None,
            attempts: Vec::new(),
            created_at_ms: Some(self.now_ms()),
            started_at_ms: None,
            stopped_at_ms: None,
            is_terminated: false,
            is_cancelled: false,
            array,
        };
        BatchJob {
            request: request.clone(),
            seen,
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn children_of(&self, id: &str) -> Vec<String> {
        let prefix = format!("{id}:");
        self.jobs
            .keys()
            .filter(|key| key.starts_with(&prefix))
            .cloned()
            .collect()
    }

    /// Changes a job, tells of it, and lets its parent follow.
    fn change(&mut self, id: &str, change: impl FnOnce(&mut JobSeen) -> bool) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        if !change(&mut job.seen) {
            return;
        }
        self.emitted += 1;
        self.events
            .push(state_change(job, self.emitted, self.clock.now()));
        if let Some((parent, _)) = id.split_once(':') {
            self.follow_children(parent);
        }
    }

    fn follow_children(&mut self, parent: &str) {
        let children = self.children_of(parent);
        let states: Vec<JobStatus> = children
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .map(|job| job.seen.status)
            .collect();
        let mut counts = BTreeMap::new();
        for status in &states {
            let word = serde_json::to_value(status).ok();
            let word = word
                .and_then(|word| word.as_str().map(str::to_owned))
                .unwrap_or_default();
            *counts.entry(word).or_insert(0_u32) += 1;
        }
        let has_ended = states.iter().all(|status| status.is_terminal());
        let has_failed = states.contains(&JobStatus::Failed);
        let now = self.now_ms();
        let Some(job) = self.jobs.get_mut(parent) else {
            return;
        };
        let Some(ArrayRole::Parent { size, summary }) = &mut job.seen.array else {
            return;
        };
        *summary = counts;
        if states.len() < *size as usize || !has_ended || job.seen.status.is_terminal() {
            return;
        }
        self.change(parent, |seen| {
            seen.stopped_at_ms = Some(now);
            if has_failed {
                seen.status = JobStatus::Failed;
                seen.status_reason = Some("Array Child Job failed".to_owned());
            } else {
                seen.status = JobStatus::Succeeded;
            }
            true
        });
    }
}
