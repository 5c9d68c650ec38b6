//! What follows when a stage's current submission has come to its end.

use jiff::Timestamp;

use super::{
    Action, End, Phase, Platform, Remedy, Run, Situation, StageEnd, SubmissionRecord, remedy,
};
use crate::batch_event::JobStatus;
use crate::failure::{Class, Verdict, classify};
use crate::identity::{Market, Stage};
use crate::pipeline::Pipeline;
use crate::stage_head::{Published, StageHead};

impl Run {
    /// Decides on the end of a stage's current submission.
    pub(super) fn end_stage(
        &mut self,
        end: &StageEnd,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let stage = end.stage;
        if self.current_stage() != Some(stage) || self.phase == Phase::Closing {
            return Vec::new();
        }
        if let Some(output) = end.head.as_ref().and_then(|head| head.output.clone()) {
            return self.complete(stage, output, Some(end), pipeline, platform, now);
        }
        let Some(record) = self.stages.get_mut(&stage) else {
            return Vec::new();
        };
        let shards = record.shards;
        let Some(current) = record.submissions.last_mut() else {
            return Vec::new();
        };
        if current.is_decided || waits_for_another_job(current, end.head.as_ref()) {
            return Vec::new();
        }
        let Some(job) = current.job().filter(|job| job.status.is_terminal()) else {
            return Vec::new();
        };
        let is_complete = end.missing_shards.as_ref().is_some_and(Vec::is_empty);
        if let Some(shards) = shards
            && (job.status == JobStatus::Succeeded || is_complete)
        {
            current.is_decided = true;
            let submission = current.number;
            return vec![Action::PublishShards {
                stage,
                submission,
                shards,
            }];
        }
        let verdict = classify(job).unwrap_or_else(|| Verdict {
            class: Class::NoOutput,
            evidence: "the job succeeded and published nothing".to_owned(),
        });
        // Of an array the children know why.
        let verdict = match (&end.child_verdict, verdict.class) {
            (Some(child), Class::ShardsFailed) => child.clone(),
            _ => verdict,
        };
        let verdict = match &end.record {
            Some(record) => verdict.with_record(record),
            None => verdict,
        };
        current.verdict = Some(verdict.clone());
        current.is_decided = true;
        self.remedy_failure(stage, verdict, end, pipeline, platform, now)
    }

    fn remedy_failure(
        &mut self,
        stage: Stage,
        verdict: Verdict,
        end: &StageEnd,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let Some((record, spec)) = self.stages.get(&stage).zip(pipeline.stage(stage)) else {
            return Vec::new();
        };
        let Some(current) = record.current() else {
            return Vec::new();
        };
        let same =
            |s: &&SubmissionRecord| s.verdict.as_ref().is_some_and(|v| v.class == verdict.class);
        let situation = Situation {
            class: verdict.class,
            times: record.submissions.iter().filter(same).count(),
            submissions: record.submissions.len(),
            market: current.market,
            can_move: stage == Stage::Train,
            memory_mib: current.memory_mib,
            max_memory_mib: spec.max_memory_gib.saturating_mul(1024),
            has_checkpoint: end
                .head
                .as_ref()
                .is_some_and(|head| head.latest_checkpoint.is_some()),
        };
        let decided = remedy(&situation);
        self.note(
            now,
            format!(
                "{stage} ended as {} ({}): {decided:?}",
                verdict.class.as_str(),
                verdict.evidence
            ),
        );
        let missing = end.missing_shards.clone();
        let market = situation.market;
        match decided {
            Remedy::Again => {
                self.submit_again(stage, market, None, missing, pipeline, platform, now)
            }
            Remedy::WithMemory { memory_mib } => self.submit_again(
                stage,
                market,
                Some(memory_mib),
                missing,
                pipeline,
                platform,
                now,
            ),
            Remedy::MoveToOnDemand => {
                let mut actions = self.submit_again(
                    stage,
                    Market::OnDemand,
                    None,
                    missing,
                    pipeline,
                    platform,
                    now,
                );
                actions.extend(self.tell(crate::pipeline::NoticeKind::Moved, pipeline));
                actions
            }
            Remedy::Stop => self.give_up(
                End::Failed {
                    stage: Some(stage),
                    class: verdict.class,
                    evidence: verdict.evidence,
                },
                now,
            ),
            Remedy::Cancel => self.give_up(
                End::Cancelled {
                    because: verdict.evidence,
                },
                now,
            ),
        }
    }

    /// A stage has its output: the next stage, or the end.
    pub(super) fn complete(
        &mut self,
        stage: Stage,
        output: Published,
        end: Option<&StageEnd>,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let record = self.stages.entry(stage).or_default();
        if record.output.is_some() {
            return Vec::new();
        }
        // Done is done: a submission that is still on its way would find the head with output.
        self.pending
            .retain(|p| !matches!(&p.action, Action::Submit(s) if s.name.stage == stage));
        if let Some(current) = record.submissions.last_mut() {
            current.is_decided = true;
            let owner = end
                .and_then(|end| end.head.as_ref())
                .map(|head| &head.owner);
            if let Some(owner) = owner.filter(|owner| owner.submission == current.number) {
                current.job_id = current.job_id.take().or_else(|| owner.job_id.clone());
            }
            if current
                .job()
                .is_some_and(|job| job.status == JobStatus::Failed)
            {
                self.note(
                    now,
                    format!("{stage} is complete although its job says FAILED"),
                );
            }
        }
        if let Some(record) = self.stages.get_mut(&stage) {
            record.output = Some(output);
        }
        self.note(now, format!("{stage} is complete"));
        let is_last = stage == Stage::Train && pipeline.evaluate.is_none();
        // The stage was done before it could be closed; what would follow is not wanted.
        if let Some(because) = self.cancel_wanted.clone().filter(|_| !is_last) {
            return self.finish(End::Cancelled { because }, now);
        }
        match stage {
            Stage::Train if pipeline.evaluate.is_some() => {
                self.champion_seen = end.and_then(|end| end.champion.clone());
                self.begin(Stage::Evaluate, pipeline, platform, now)
            }
            Stage::Train => self.finish(End::Succeeded, now),
            Stage::Evaluate => self.pass_gate(end, pipeline, platform, now),
            Stage::Recommend => self.begin(Stage::Gather, pipeline, platform, now),
            Stage::Gather => {
                if end.and_then(|end| end.is_verified) == Some(true) {
                    self.promote(pipeline, now)
                } else {
                    self.finish(
                        End::Failed {
                            stage: Some(stage),
                            class: Class::QualityFloor,
                            evidence: "gather did not verify the recommendations".to_owned(),
                        },
                        now,
                    )
                }
            }
        }
    }
}

/// The job that ended may not be the one that works: the head knows, and a twin may be the owner.
fn waits_for_another_job(current: &mut SubmissionRecord, head: Option<&StageHead>) -> bool {
    let Some(owner) = head
        .map(|head| &head.owner)
        .filter(|o| o.submission == current.number)
    else {
        return false;
    };
    let Some(owner_job) = owner
        .job_id
        .as_ref()
        .filter(|id| Some(*id) != current.job_id.as_ref())
    else {
        return false;
    };
    current.job_id = Some(owner_job.clone());
    !current.job().is_some_and(|job| job.status.is_terminal())
}
