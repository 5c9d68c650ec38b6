//! What a sweep tells of live runs, from what it has read anyway.

use jiff::Timestamp;

use super::waiting::{seconds, since_ms};
use super::{Measure, Metric};
use crate::batch_event::{JobSeen, JobStatus};
use crate::identity::Stage;
use crate::run::{Platform, ProgressSeen, Run};

/// How old the newest checkpoint of a training is, or its work if it has none yet: what a reclaim would lose.
/// None for a program that shows no sign of life, of which nobody knows what it would lose.
pub fn checkpoint_age(run: &Run, seen: &ProgressSeen, now: Timestamp) -> Option<Measure> {
    let is_watched = run.watch() == Some(seen.watch) && seen.watch.stage == Stage::Train;
    if !is_watched || seen.has_output {
        return None;
    }
    seen.heartbeat_at?;
    let job = run.stages.get(&Stage::Train)?.current()?.job()?;
    // What an earlier attempt published is this one's beginning.
    let checkpoint_ms = seen.checkpoint_at.map(Timestamp::as_millisecond);
    let since_ms = job.started_at_ms.max(checkpoint_ms)?;
    Some(Measure {
        metric: Metric::CheckpointAge,
        value: seconds(since_ms, now.as_millisecond()),
    })
}

/// How long a job has waited for a host in the on-demand queue. There it should not wait at all.
pub fn on_demand_wait(job: &JobSeen, platform: &Platform, now: Timestamp) -> Option<Measure> {
    let waits = job.status == JobStatus::Runnable && job.queue == platform.on_demand_queue;
    let since_ms = since_ms(job, job.attempts.len()).filter(|_| waits)?;
    Some(Measure {
        metric: Metric::OnDemandWait,
        value: seconds(since_ms, now.as_millisecond()),
    })
}

/// A sweep failed for a run, or found something that a service refuses until a person mends it.
pub const fn failed_sweep() -> Measure {
    Measure::one(Metric::SweepsFailed)
}
