//! What was submitted for a stage, and what was seen of it since.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ShardSums;
use crate::attempt::AttemptRecord;
use crate::batch_event::JobSeen;
use crate::failure::Verdict;
use crate::identity::Market;
use crate::stage_head::Published;

/// One stage of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// In order; the number is the place, from 1.
    #[serde(default)]
    pub submissions: Vec<SubmissionRecord>,
    /// The result, copied from the head once it was seen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Published>,
    /// How many shards, in a fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// What a fan-out's attempts came to, where they are not kept one by one: made at the run's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_sums: Option<ShardSums>,
}

/// What the queue said of a job at its head that it could not place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedSeen {
    /// Batch's whole reason.
    pub reason: String,
    /// When it was told first.
    pub since: Timestamp,
}

/// One Batch job that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmissionRecord {
    /// From 1.
    pub number: u32,
    /// Where.
    pub market: Market,
    /// The queue it was submitted to, for the look-up by name.
    pub queue: String,
    /// With how much memory.
    pub memory_mib: u32,
    /// The shards it works on, when not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Vec<u32>>,
    /// When it was decided on.
    pub asked_at: Timestamp,
    /// Batch's id, once known: from its answer, from an event, or from the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Batch refused it, or it was withdrawn: no job of it will work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_submitted: Option<String>,
    /// The queue had no host for it, for want of capacity: what the policy goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedSeen>,
    /// Since when no child of its array is at work while some wait for hosts, as sweeps have seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children_wait_since: Option<Timestamp>,
    /// Every job seen under its name; more than one when an answer was lost.
    #[serde(default)]
    pub jobs: Vec<JobSeen>,
    /// What its end meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Its end was decided upon.
    #[serde(default)]
    pub is_decided: bool,
    /// What its agents told, attempt by attempt, without log tails but for a failed last one.
    #[serde(default)]
    pub records: Vec<AttemptRecord>,
}

impl SubmissionRecord {
    /// The job that counts: the one with the known id.
    pub fn job(&self) -> Option<&JobSeen> {
        let id = self.job_id.as_deref()?;
        self.jobs.iter().find(|job| job.id == id)
    }

    /// Folds a sight of one of its jobs: by number of attempts, then by rank, never back from an end.
    /// `true` if it told something new.
    pub fn see(&mut self, seen: &JobSeen) -> bool {
        let mut is_new = false;
        if self.job_id.is_none() {
            self.job_id = Some(seen.id.clone());
            self.not_submitted = None;
            is_new = true;
        }
        match self.jobs.iter_mut().find(|job| job.id == seen.id) {
            None => {
                self.jobs.push(seen.clone());
                true
            }
            // Who ended it is told by `DescribeJobs` only, after the event.
            Some(known) if known.status.is_terminal() => {
                known.is_terminated |= seen.is_terminated;
                known.is_cancelled |= seen.is_cancelled;
                is_new
            }
            Some(known) => {
                let old = (known.attempts.len(), known.status);
                let new = (seen.attempts.len(), seen.status);
                if seen.status.is_terminal() || new > old {
                    *known = seen.clone();
                    true
                } else {
                    // An array's parent stays as it is while its children go on.
                    if new == old && seen.array.is_some() {
                        known.array.clone_from(&seen.array);
                    }
                    is_new
                }
            }
        }
    }

    /// Whether Batch would not have it: of a submission that never became a job only that is a verdict.
    pub fn is_refused(&self) -> bool {
        self.not_submitted.is_some() && self.verdict.is_some()
    }

    /// The shards that its array works on, in a fan-out of `all`.
    pub fn shards_at_work(&self, all: Option<u32>) -> Vec<u32> {
        self.shards
            .clone()
            .unwrap_or_else(|| (0..all.unwrap_or(0)).collect())
    }

    /// Whether no job of it can be at work.
    pub fn is_over(&self) -> bool {
        let all_ended = self.jobs.iter().all(|job| job.status.is_terminal());
        match &self.job_id {
            Some(id) => all_ended && self.jobs.iter().any(|job| job.id == *id),
            None => self.not_submitted.is_some() && all_ended,
        }
    }
}

impl StageRecord {
    /// The newest submission.
    pub fn current(&self) -> Option<&SubmissionRecord> {
        self.submissions.last()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch_event::{AttemptSeen, JobStatus};

    fn submission() -> SubmissionRecord {
        SubmissionRecord {
            number: 1,
            market: Market::Spot,
            queue: "q".to_owned(),
            memory_mib: 1024,
            shards: None,
            asked_at: Timestamp::UNIX_EPOCH,
            job_id: None,
            not_submitted: None,
            blocked: None,
            children_wait_since: None,
            jobs: Vec::new(),
            verdict: None,
            is_decided: false,
            records: Vec::new(),
        }
    }

    fn job(status: JobStatus, attempts: usize) -> JobSeen {
        JobSeen {
            id: "job-a".to_owned(),
            name: "n".to_owned(),
            queue: "q".to_owned(),
            status,
            status_reason: None,
            attempts: vec![AttemptSeen::default(); attempts],
            created_at_ms: None,
            started_at_ms: None,
            stopped_at_ms: None,
            is_terminated: false,
            is_cancelled: false,
            array: None,
        }
    }

    #[test]
    fn a_retried_job_goes_from_running_back_to_runnable() {
        let mut record = submission();
        record.see(&job(JobStatus::Running, 0));

        assert!(record.see(&job(JobStatus::Runnable, 1)));
        assert_eq!(record.job().map(|j| j.status), Some(JobStatus::Runnable));
    }

    proptest! {
        #[test]
        fn any_order_of_any_events_ends_at_the_terminal_one(
            order in proptest::sample::subsequence(
                (0..8_usize).collect::<Vec<_>>(), 0..8).prop_shuffle(),
        ) {
            use JobStatus::{Failed, Pending, Running, Runnable, Starting, Submitted, Succeeded};
            let events = [
                job(Submitted, 0), job(Pending, 0), job(Runnable, 0), job(Starting, 0),
                job(Running, 0), job(Runnable, 1), job(Running, 1), job(Starting, 1),
            ];
            let mut record = submission();
            for i in &order { record.see(&events[*i]); }
            record.see(&job(Failed, 2));
            for i in &order { prop_assert!(!record.see(&events[*i])); }
            prop_assert!(!record.see(&job(Succeeded, 2)));

            prop_assert_eq!(record.job().map(|j| j.status), Some(Failed));
        }
    }
}
