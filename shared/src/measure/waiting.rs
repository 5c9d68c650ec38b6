//! How long a job's attempts waited for a host, as Batch's own times say.

use jiff::Timestamp;

use crate::batch_event::{ArrayRole, JobSeen, JobStatus};

/// Since when the attempt after `ended` ended ones has waited: since the one before it ended, or since the
/// job was made. Batch does not tell when a job became RUNNABLE.
pub(super) fn since_ms(job: &JobSeen, ended: usize) -> Option<i64> {
    let before = ended.checked_sub(1).and_then(|last| job.attempts.get(last));
    match before {
        Some(before) => before.stopped_at_ms,
        None => job.created_at_ms,
    }
}

/// For each attempt that has started, in order: seconds of waiting, where Batch tells both times. Attempts
/// that never got a host have none. Children of a fan-out are not told of, and their parent never waits.
pub(super) fn waits_s(job: &JobSeen) -> Vec<Option<f64>> {
    if matches!(job.array, Some(ArrayRole::Parent { .. })) {
        return Vec::new();
    }
    let ended = job.attempts.iter().map(|attempt| attempt.started_at_ms);
    // The job's own `startedAt` stays when it goes back to its queue: it counts while it runs only.
    let runs = (job.status == JobStatus::Running).then_some(job.started_at_ms);
    let started = ended.chain(runs).enumerate();
    started
        .map(|(place, started)| Some(seconds(since_ms(job, place)?, started?)))
        .collect()
}

/// From one to the other; 0 if two clocks say that it went backwards.
pub(super) fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    let from = Timestamp::from_millisecond(from_ms).unwrap_or(Timestamp::MIN);
    let to = Timestamp::from_millisecond(to_ms).unwrap_or(Timestamp::MIN);
    to.duration_since(from).as_secs_f64().max(0.0)
}
