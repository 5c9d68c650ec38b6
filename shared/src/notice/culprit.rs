//! Which attempt tells most about a failure, and what it says.

use super::mask::{mask, mask_lines};
use crate::attempt::{AttemptOutcome, AttemptRecord};
use crate::identity::Stage;
use crate::run::{End, Run};

/// An attempt that ended badly, in words that anybody may read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Culprit<'a> {
    /// Its record.
    pub(crate) record: &'a AttemptRecord,
    /// What the program said of its failure.
    pub(crate) reason: Option<String>,
    /// What the program advises.
    pub(crate) hint: Option<String>,
    /// What the agent said.
    pub(crate) error: Option<String>,
    /// The last log lines, newest last.
    pub(crate) log_tail: Vec<String>,
}

impl Culprit<'_> {
    /// `train, submission 1, attempt 2`.
    pub(crate) fn name(&self) -> String {
        let shard = self
            .record
            .shard
            .map_or_else(String::new, |shard| format!(", shard {shard}"));
        let AttemptRecord {
            stage,
            submission,
            attempt,
            ..
        } = self.record;
        format!("{stage}{shard}, submission {submission}, attempt {attempt}")
    }
}

/// The attempt to show; none for a run that did not end badly, or whose attempts left no record.
pub(crate) fn culprit(run: &Run) -> Option<Culprit<'_>> {
    let stage = match &run.end {
        Some(End::Failed { stage, .. }) => *stage,
        Some(End::Cancelled { .. }) => None,
        _ => return None,
    };
    let record = run
        .records()
        .into_iter()
        .filter(|record| stage.is_none_or(|stage| record.stage == stage) && ended_badly(record))
        .max_by_key(|record| {
            let says_why = record.failure.is_some() || !record.log_tail.is_empty();
            (record.submission, says_why, record.ended_at)
        })?;
    let said = |text: &str| Some(mask(text)).filter(|text| !text.trim().is_empty());
    Some(Culprit {
        record,
        reason: record
            .failure
            .as_ref()
            .and_then(|failure| said(&failure.reason)),
        hint: record
            .failure
            .as_ref()
            .and_then(|failure| said(&failure.hint)),
        error: record.error.as_deref().and_then(said),
        log_tail: mask_lines(&record.log_tail),
    })
}

fn ended_badly(record: &AttemptRecord) -> bool {
    record.outcome == AttemptOutcome::Failed
        || record.exit_code.is_some_and(|code| code != 0)
        || record.failure.is_some()
        || record.error.is_some()
}

/// Where Batch keeps the logs: stage, submission, attempt (from 1) and stream.
pub(crate) fn log_streams(run: &Run) -> Vec<(Stage, u32, usize, &str)> {
    let mut streams = Vec::new();
    for (stage, record) in &run.stages {
        for submission in &record.submissions {
            for job in &submission.jobs {
                for (place, attempt) in job.attempts.iter().enumerate() {
                    if let Some(stream) = attempt.log_stream.as_deref() {
                        streams.push((*stage, submission.number, place + 1, stream));
                    }
                }
            }
        }
    }
    streams
}
