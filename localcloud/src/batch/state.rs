//! Everything Batch holds in memory, under one lock; and the one line in which RUNNABLE jobs wait for a host.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::sync::mpsc::UnboundedSender;

use super::attempt::Order;
use super::blocked;
use super::job::{Job, Role};
use super::shape::Summary;
use crate::template::Stack;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) jobs: HashMap<String, Job>,
    /// Of array parents, by their id.
    pub(super) summaries: HashMap<String, Summary>,
    pub(super) sequence: u64,
    /// RUNNABLE jobs without a host, first to start first.
    pub(super) waiting: BTreeSet<Turn>,
    /// Retried jobs go before all that wait: this counts down.
    pub(super) front: i64,
    pub(super) running: usize,
    pub(super) live: HashMap<String, UnboundedSender<Order>>,
    /// ARNs of queues that get no hosts.
    pub(super) withheld: HashSet<String>,
    /// By ARN, how many times without hosts that were drawn for a queue are not over.
    pub(super) starved: HashMap<String, u32>,
    /// Jobs in line that no host of their queue could ever fit, with Batch's reason.
    pub(super) unfit: HashMap<String, &'static str>,
    /// Jobs whose queue was told to be blocked by them, with the reason.
    pub(super) told_blocked: HashMap<String, String>,
    /// Jobs that another process left on hosts; told about when events can be delivered.
    pub(super) lost: Vec<String>,
    pub(super) stopping: bool,
}

/// A job's place in the one line that all queues form on a laptop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) queue_priority: Reverse<i64>,
    pub(super) scheduling_priority: Reverse<i64>,
    pub(super) place: i64,
    pub(super) index: u32,
    pub(super) job_id: String,
}

impl State {
    /// Puts a RUNNABLE job in line.
    pub(super) fn line_up(&mut self, stack: &Stack, job_id: &str, place: i64) {
        let Some(job) = self.jobs.get(job_id) else {
            return;
        };
        let turn = Turn {
            queue_priority: Reverse(
                stack
                    .queue(&job.queue_arn)
                    .map_or(0, |queue| queue.priority),
            ),
            scheduling_priority: Reverse(job.scheduling_priority.unwrap_or(0)),
            place,
            index: index(job),
            job_id: job_id.to_owned(),
        };
        if let Some(why) = stack
            .queue(&job.queue_arn)
            .and_then(|queue| blocked::misfit(job, queue))
        {
            self.unfit.insert(job_id.to_owned(), why);
        }
        self.waiting.insert(turn);
    }

    /// Puts a retried job before all that wait at its priority.
    pub(super) fn line_up_first(&mut self, stack: &Stack, job_id: &str) {
        self.front -= 1;
        self.line_up(stack, job_id, self.front);
    }

    /// Whether a queue gets hosts now.
    pub(super) fn gets_hosts(&self, queue_arn: &str) -> bool {
        !self.withheld.contains(queue_arn)
            && self.starved.get(queue_arn).is_none_or(|times| *times == 0)
    }

    /// Takes the first job out of line whose queue gets hosts.
    pub(super) fn next_turn(&mut self) -> Option<String> {
        loop {
            // A job that fits on no host keeps its place, and all of its queue behind it.
            let mut stuck = HashSet::new();
            let next = self.waiting.iter().find(|turn| {
                let Some(job) = self.jobs.get(&turn.job_id) else {
                    return false;
                };
                if job.status.is_final() {
                    return true;
                }
                if self.unfit.contains_key(&turn.job_id) {
                    stuck.insert(job.queue_arn.as_str());
                }
                self.gets_hosts(&job.queue_arn) && !stuck.contains(job.queue_arn.as_str())
            });
            let turn = next.cloned()?;
            self.waiting.remove(&turn);
            // A job that was terminated while it waited is passed over.
            if self
                .jobs
                .get(&turn.job_id)
                .is_some_and(|job| !job.status.is_final())
            {
                return Some(turn.job_id);
            }
        }
    }
}

/// The place in line of a fresh job.
pub(super) fn place(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// The index of an array's child; 0 for any other job.
pub(super) fn index(job: &Job) -> u32 {
    match job.role {
        Role::Child { index, .. } => index,
        _ => 0,
    }
}
