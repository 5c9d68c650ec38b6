//! What a fan-out's attempts came to, where they are too many for the ledger to keep one by one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StageRecord;
use super::facts::{interruptions, repeated, wasted};
use super::host_time::{HostLine, host_lines, host_seconds};
use crate::attempt::{AttemptOutcome, AttemptRecord};
use crate::batch_event::{ArrayRole, JobStatus};
use crate::cost::Usd;

/// A fan-out of more shards is summed up; the attempts of a smaller one are kept.
pub const SHARDS_ITEMISED: u32 = 64;

/// The sums.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardSums {
    /// By market and type of host.
    pub lines: Vec<HostLine>,
    /// Hosts taken back with a notice.
    pub reclaims: usize,
    /// Attempts that another one followed.
    pub interruptions: usize,
    /// Seconds of work that were done twice.
    pub repeated_s: f64,
    /// What that cost.
    pub wasted: Usd,
    /// What no record was found of.
    pub gaps: Gaps,
    /// Shards whose records were not read, for want of time.
    pub unread: usize,
}

/// What no record was found of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// Attempts that there must have been, as there are later ones or a result.
    pub attempts: usize,
    /// Shards of which nobody knows whether they ran at all.
    pub shards: usize,
}

impl ShardSums {
    /// Of the records of a fan-out; `unread` of its shards were not looked at.
    pub fn of(stage: &StageRecord, records: &[AttemptRecord], unread: usize) -> Self {
        let mut records: Vec<&AttemptRecord> = records.iter().collect();
        records.sort_by_key(|r| (r.shard, r.submission, r.attempt));
        let host_s = host_seconds(&records);
        let twice: Vec<_> = interruptions(&records)
            .map(|(a, b)| repeated(a, b))
            .collect();
        let gaps = gaps(stage, &records);
        // A single shard that was submitted again is a plain job, whose attempts Batch counts.
        let of_plain_jobs: usize = stage
            .submissions
            .iter()
            .flat_map(|submission| &submission.jobs)
            .filter(|job| job.array.is_none())
            .map(|job| {
                let recorded = records.iter().filter(|r| r.job_id == job.id).count();
                job.attempts.len().saturating_sub(recorded)
            })
            .sum();
        Self {
            lines: host_lines(&records),
            reclaims: records
                .iter()
                .filter(|record| was_reclaimed(record))
                .count(),
            interruptions: twice.len(),
            repeated_s: twice.iter().fold(0.0, |sum, r| sum + r.repeated_s),
            wasted: wasted(&records, &host_s),
            gaps: Gaps {
                attempts: gaps.attempts + of_plain_jobs,
                shards: gaps.shards.saturating_sub(unread),
            },
            unread,
        }
    }
}

/// Whether AWS took the host back, with a notice.
pub(super) fn was_reclaimed(record: &AttemptRecord) -> bool {
    record.notice.as_deref() == Some("spot_notice")
}

/// Whether no attempt of the child follows.
pub fn is_last_of_its_child(record: &AttemptRecord) -> bool {
    record.exit_code == Some(0)
        || matches!(
            record.outcome,
            AttemptOutcome::Done | AttemptOutcome::AlreadyDone
        )
}

/// What is missing among the records of a fan-out's arrays. Their children's attempts are counted by nobody:
/// a child has one for every number up to its last, and one that ended well where the array did.
pub(super) fn gaps(stage: &StageRecord, records: &[&AttemptRecord]) -> Gaps {
    let mut gaps = Gaps::default();
    let mut seen: BTreeMap<(u32, u32), (usize, u32, bool)> = BTreeMap::new();
    for record in records {
        let Some(shard) = record.shard else { continue };
        let (count, newest, is_done) = seen.entry((record.submission, shard)).or_default();
        *count += 1;
        *newest = (*newest).max(record.attempt);
        *is_done |= is_last_of_its_child(record);
    }
    for submission in &stage.submissions {
        let mut parents = submission
            .jobs
            .iter()
            .filter(|job| matches!(job.array, Some(ArrayRole::Parent { .. })))
            .peekable();
        if parents.peek().is_none() {
            continue;
        }
        let has_succeeded = parents.any(|parent| parent.status == JobStatus::Succeeded);
        for shard in submission.shards_at_work(stage.shards) {
            match seen.get(&(submission.number, shard)) {
                None => gaps.shards += 1,
                Some((count, newest, is_done)) => {
                    let unheard = usize::from(has_succeeded && !is_done);
                    gaps.attempts += (*newest as usize).saturating_sub(*count) + unheard;
                }
            }
        }
    }
    gaps
}
