//! Why a run failed or moved, and what a person may do about it.
//!
//! The class says it where a job came to its end. Where none was begun, because the data never came or Batch
//! refused the submission, its sentence would blame a program that had no part in it.

use super::spell::duration;
use super::what_happened::newest_move;
use crate::failure::{self, Class};
use crate::pipeline::NoticeKind;
use crate::run::{End, Run, SubmissionRecord};

/// What stands behind a class.
enum Cause {
    /// A job came to its end.
    Job,
    /// Batch refused the submission.
    Refused,
    /// The data was not there when its time was up.
    NoData {
        /// Where it should lie.
        prefix: String,
        /// How long it may take; none if nobody waits for it.
        wait_for_s: Option<u64>,
    },
}

impl Cause {
    fn of(run: &Run, kind: NoticeKind) -> Self {
        let is_refused = match (kind, &run.end) {
            (NoticeKind::Moved, _) => newest_move(run).is_some_and(|moved| moved.from.is_refused()),
            (_, Some(End::Failed { stage: None, .. })) => {
                let data = run.pipeline().ok().and_then(|pipeline| pipeline.data);
                return Self::NoData {
                    wait_for_s: data.as_ref().and_then(|data| data.wait_for_s),
                    prefix: data.map(|data| data.prefix).unwrap_or_default(),
                };
            }
            (
                _,
                Some(End::Failed {
                    stage: Some(stage), ..
                }),
            ) => {
                let record = run.stages.get(stage);
                let current = record.and_then(|record| record.current());
                current.is_some_and(SubmissionRecord::is_refused)
            }
            _ => false,
        };
        if is_refused { Self::Refused } else { Self::Job }
    }
}

/// What happened, in a sentence or two.
pub fn explain(run: &Run, kind: NoticeKind, class: Class) -> String {
    match (Cause::of(run, kind), class) {
        (Cause::Job, class) => failure::explain(class).to_owned(),
        (Cause::Refused, Class::PermissionDenied) => {
            "Batch refused the submission: the functions' role lacks a permission. No program ran."
                .to_owned()
        }
        (Cause::Refused, _) => {
            "Batch refused the submission, and would refuse the same one again. No program ran."
                .to_owned()
        }
        (
            Cause::NoData {
                wait_for_s: Some(wait_for_s),
                ..
            },
            _,
        ) => format!(
            "The data was not there when the {} of `wait_for` were over. Nothing was run.",
            duration(seconds(wait_for_s))
        ),
        (Cause::NoData { .. }, _) => "There was no data. Nothing was run.".to_owned(),
    }
}

/// What a person may do about it, in a sentence or two.
pub fn next_step(run: &Run, kind: NoticeKind, class: Class) -> String {
    match (Cause::of(run, kind), class) {
        (Cause::Job, class) => failure::next_step(class).to_owned(),
        (Cause::Refused, Class::PermissionDenied) => {
            "Give the functions' role in the template (DrivePolicy) the right that the evidence names, and deploy."
                .to_owned()
        }
        (Cause::Refused, _) => {
            "Read Batch's words in the evidence: a queue that is disabled, a job definition that is not active, a program that is too long. Mend the template or the spec."
                .to_owned()
        }
        (
            Cause::NoData {
                prefix,
                wait_for_s: Some(_),
            },
            _,
        ) => format!(
            "Put the whole export below `{prefix}`, then write `{prefix}_READY` anew, and then retry: a retry takes what lies there when it is asked for. If the export always comes later, raise `wait_for`."
        ),
        (Cause::NoData { prefix, .. }, _) => format!(
            "Put the data below `{prefix}` in the data bucket, and then retry. With `wait_for` a run waits for it."
        ),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a wait is far below 2^52 s")]
fn seconds(whole: u64) -> f64 {
    whole as f64
}
