//! The end of a run: recorded once, reviewed once, told.

use jiff::Timestamp;

use super::{Action, End, Phase, Run, ShardSums};
use crate::attempt::AttemptRecord;
use crate::identity::Stage;
use crate::notice;
use crate::pipeline::{NoticeKind, Pipeline};
use crate::pipeline_head::LastSuccess;

/// Of a failed attempt so many log lines stay in the ledger, for the notice.
const LOG_LINES_KEPT: usize = 20;

impl Run {
    /// Records the end. What follows (records, report, notice, spend) waits for the review.
    pub(super) fn finish(&mut self, end: End, now: Timestamp) -> Vec<Action> {
        if self.is_final() {
            return Vec::new();
        }
        self.note(now, super::closing::describe(&end));
        self.phase = Phase::Final;
        self.end = Some(end);
        self.ended_at = Some(now);
        self.closing = None;
        Vec::new()
    }

    /// A large fan-out was summed up, for the review that follows.
    pub(super) fn see_shard_sums(&mut self, stage: Stage, sums: &ShardSums) -> Vec<Action> {
        if self.is_final()
            && !self.is_reviewed
            && let Some(record) = self.stages.get_mut(&stage)
        {
            record.shard_sums = Some(sums.clone());
        }
        Vec::new()
    }

    /// All attempts' records are known: report, tell and record.
    pub(super) fn review(
        &mut self,
        records: &[AttemptRecord],
        pipeline: &Pipeline,
        _now: Timestamp,
    ) -> Vec<Action> {
        if !self.is_final() || self.is_reviewed {
            return Vec::new();
        }
        for record in records {
            let submission = self.stages.get_mut(&record.stage).and_then(|stage| {
                stage
                    .submissions
                    .iter_mut()
                    .find(|s| s.number == record.submission)
            });
            let Some(submission) = submission else {
                continue;
            };
            let is_known = submission
                .records
                .iter()
                .any(|known| (known.shard, known.attempt) == (record.shard, record.attempt));
            if !is_known {
                submission.records.push(trimmed(record));
            }
        }
        self.is_reviewed = true;
        let mut actions = Vec::new();
        if !self.stages.is_empty() {
            actions.push(Action::WriteReport);
        }
        if let Some(kind) = self.end.as_ref().map(kind_of) {
            actions.extend(self.tell(kind, pipeline));
        }
        actions.push(Action::RecordEnd {
            cost: self.totals().cost,
            success: self.success(),
            marker: self.marker(),
        });
        actions
    }

    /// A notice, if the pipeline wants to be told of such things.
    pub(super) fn tell(&self, kind: NoticeKind, pipeline: &Pipeline) -> Vec<Action> {
        if !pipeline.notify_on.contains(&kind) {
            return Vec::new();
        }
        vec![Action::Notify(Box::new(notice::compose(self, kind)))]
    }

    pub(super) fn success(&self) -> Option<LastSuccess> {
        let ended_well = matches!(self.end, Some(End::Succeeded | End::KeptChampion { .. }));
        let dataset = self.dataset.as_ref().filter(|_| ended_well)?;
        Some(LastSuccess {
            run_id: self.id.clone(),
            fingerprint: dataset.fingerprint.clone(),
            at: self.ended_at?,
        })
    }
}

/// What a notice of this end is called.
pub(super) fn kind_of(end: &End) -> NoticeKind {
    match end {
        End::Succeeded => NoticeKind::Succeeded,
        End::KeptChampion { .. } => NoticeKind::KeptChampion,
        End::Skipped { .. } => NoticeKind::Skipped,
        End::Failed { .. } => NoticeKind::Failed,
        End::Cancelled { .. } => NoticeKind::Cancelled,
    }
}

fn trimmed(record: &AttemptRecord) -> AttemptRecord {
    let mut kept = record.clone();
    let ended_badly = kept.exit_code.is_some_and(|code| code != 0);
    let first = if ended_badly {
        kept.log_tail.len().saturating_sub(LOG_LINES_KEPT)
    } else {
        kept.log_tail.len()
    };
    kept.log_tail.drain(..first);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Class;

    /// One of each; a new kind of end does not compile until it is here.
    fn every_end() -> Vec<End> {
        let because = String::new;
        let after = |end: &End| match end {
            End::Succeeded => Some(End::KeptChampion { because: because() }),
            End::KeptChampion { .. } => Some(End::Skipped { because: because() }),
            End::Skipped { .. } => Some(End::Failed {
                stage: None,
                class: Class::Bug,
                evidence: because(),
            }),
            End::Failed { .. } => Some(End::Cancelled { because: because() }),
            End::Cancelled { .. } => None,
        };
        std::iter::successors(Some(End::Succeeded), after).collect()
    }

    #[test]
    fn whatever_the_end_of_a_shipped_pipeline_s_run_people_are_told() {
        let specs = [
            include_str!("../../../pipelines/recommender.toml"),
            include_str!("../../../examples/keras-fit/pipeline.toml"),
            include_str!("../../../examples/keras-module/pipeline.toml"),
            include_str!("../../../examples/plain-files/pipeline.toml"),
            include_str!("../../../examples/shell-shards/pipeline.toml"),
        ];

        for spec in specs {
            let pipeline = Pipeline::parse(spec).expect("a shipped spec");
            for end in every_end() {
                let name = &pipeline.name;
                assert!(pipeline.notifies_on(kind_of(&end)), "{name}: {end:?}");
            }
        }
    }
}
