//! What follows when a stage's current submission has come to its end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::action::Submit;
use super::{
    Action, End, Phase, Platform, Promotion, Remedy, Run, Situation, StageEnd, SubmissionRecord,
    remedy,
};
use crate::batch_event::JobStatus;
use crate::champion::{Champion, Previous};
use crate::failure::{Class, Verdict, classify};
use crate::gate;
use crate::identity::{JobName, Market, Stage};
use crate::job::{Input, JobDocument};
use crate::pipeline::{Pipeline, Promote, Shards, StageSpec};
use crate::stage_head::{Published, StageHead};

/// With `shards = "auto"`, one shard for so much of the dataset.
const BYTES_PER_SHARD: u64 = 32 << 20;
const SHARDS_MAX: u64 = 10_000;
/// Batch's time-outs begin here.
const TIMEOUT_MIN_S: u32 = 60;

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
        let Some((record, spec)) = self.stages.get(&stage).zip(spec_of(pipeline, stage)) else {
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

    fn pass_gate(
        &mut self,
        end: Option<&StageEnd>,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let stage = Some(Stage::Evaluate);
        let refuse = |evidence: String| End::Failed {
            stage,
            class: Class::Bug,
            evidence,
        };
        let (Some(spec), Some(end)) = (&pipeline.evaluate, end) else {
            return self.finish(refuse("there is no gate to pass".to_owned()), now);
        };
        let metrics = match &end.metrics {
            Some(Ok(metrics)) => metrics,
            Some(Err(why)) => return self.finish(refuse(why.clone()), now),
            None => return self.finish(refuse("evaluate wrote no metrics.json".to_owned()), now),
        };
        let mut result = match gate::judge(metrics, &spec.gate, end.champion.is_some()) {
            Ok(result) => result,
            Err(unreadable) => return self.finish(refuse(unreadable.to_string()), now),
        };
        let newer = end.champion.as_ref().map(|seen| &seen.champion.run_id);
        let scored = metrics
            .champion
            .as_ref()
            .map(|champion| champion.run_id.as_str());
        if let Some(champion) = newer.filter(|run| Some(run.to_string().as_str()) != scored) {
            result.is_better = false;
            result.because = format!("{champion} became champion while this run was evaluated");
        }
        if let Some(champion) = newer.filter(|run| run.tick() > self.id.tick()) {
            result.is_better = false;
            result.because = format!("the champion is of a newer run, {champion}");
        }
        if result.is_better && spec.gate.promote == Promote::Ask && end.champion.is_some() {
            result.is_better = false;
            result.because = format!(
                "{}; the pipeline asks a person before it promotes",
                result.because
            );
        }
        self.note(
            now,
            format!(
                "gate: `{}` is {}: {}",
                result.candidate,
                if result.is_better {
                    "promoted"
                } else {
                    "not promoted"
                },
                result.because
            ),
        );
        let is_better = result.is_better;
        let because = result.because.clone();
        self.gate = Some(result);
        self.champion_seen.clone_from(&end.champion);
        if !is_better && self.champion_seen.is_none() {
            // Nothing to keep, and nothing good enough to begin with.
            return self.finish(
                End::Failed {
                    stage,
                    class: Class::QualityFloor,
                    evidence: because,
                },
                now,
            );
        }
        if pipeline.recommend.is_some() {
            self.begin(Stage::Recommend, pipeline, platform, now)
        } else {
            self.promote(pipeline, now)
        }
    }

    /// All is done: change the champion, or only its recommendations.
    fn promote(&mut self, pipeline: &Pipeline, now: Timestamp) -> Vec<Action> {
        let output = |stage| {
            self.stages
                .get(&stage)
                .and_then(|s: &super::StageRecord| s.output.clone())
        };
        let (Some(gate), Some(model)) = (self.gate.clone(), output(Stage::Train)) else {
            return self.finish(End::Succeeded, now);
        };
        let recommendations = output(Stage::Gather);
        let recommendations_run_id = recommendations.is_some().then(|| self.id.clone());
        let seen = self.champion_seen.clone();
        let champion = match (&seen, gate.is_better) {
            (Some(seen), false) => Champion {
                recommendations: recommendations.or_else(|| seen.champion.recommendations.clone()),
                recommendations_run_id: recommendations_run_id
                    .or_else(|| seen.champion.recommendations_run_id.clone()),
                ..seen.champion.clone()
            },
            // `pass_gate` ended a run that had neither a champion nor a better one; were that ever to
            // change, promoting nothing is the safe side.
            (None, false) => {
                return self.finish(
                    End::KeptChampion {
                        because: gate.because,
                    },
                    now,
                );
            }
            (_, true) => Champion {
                schema: 1,
                version: 0,
                write_id: String::new(),
                run_id: self.id.clone(),
                candidate: gate.candidate.clone(),
                model,
                metrics: BTreeMap::from([(gate_metric(pipeline), gate.score)]),
                recommendations,
                recommendations_run_id,
                promoted_at: now,
                previous: seen.as_ref().map(|seen| Previous {
                    run_id: seen.champion.run_id.clone(),
                    promoted_at: seen.champion.promoted_at,
                }),
                unknown: serde_json::Map::new(),
            },
        };
        self.phase = Phase::Promoting;
        vec![Action::Promote(Box::new(Promotion {
            champion,
            over: seen.map(|seen| seen.etag),
        }))]
    }

    /// Begins a stage with its first submission.
    pub(super) fn begin(
        &mut self,
        stage: Stage,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        self.phase = Phase::of(stage);
        if stage == Stage::Recommend {
            let wanted = pipeline
                .recommend
                .as_ref()
                .map(|recommend| recommend.shards);
            let shards = if let Some(Shards::Fixed(n)) = wanted {
                n
            } else {
                let bytes = self
                    .dataset
                    .as_ref()
                    .map_or(0, |dataset| dataset.size_bytes);
                u32::try_from(bytes.div_ceil(BYTES_PER_SHARD).clamp(1, SHARDS_MAX)).unwrap_or(1)
            };
            self.stages.entry(stage).or_default().shards = Some(shards);
        }
        // Post-processing goes to a queue that is Spot first and on-demand next, by itself.
        self.submit_again(stage, Market::Spot, None, None, pipeline, platform, now)
    }

    /// The next submission of a stage.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one decision of the table; a struct would be built and taken apart at once"
    )]
    pub(super) fn submit_again(
        &mut self,
        stage: Stage,
        market: Market,
        memory_mib: Option<u32>,
        only: Option<Vec<u32>>,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let Some(spec) = spec_of(pipeline, stage) else {
            return Vec::new();
        };
        let record = self.stages.get(&stage).cloned().unwrap_or_default();
        let number = u32::try_from(record.submissions.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let last_memory = record.current().map(|s| s.memory_mib);
        let memory_mib = memory_mib
            .or(last_memory)
            .unwrap_or_else(|| spec.memory_gib.saturating_mul(1024));
        let children = only
            .as_ref()
            .map(|only| u32::try_from(only.len()).unwrap_or(u32::MAX))
            .or(record.shards);
        let name = JobName {
            run: self.id.clone(),
            stage,
            submission: number,
        };
        let queue = platform.queue(stage, market).to_owned();
        let document = JobDocument {
            schema: 1,
            run_id: self.id.clone(),
            stage,
            submission: number,
            base: 1,
            market,
            program: spec.program.clone(),
            params: self.params(stage, pipeline),
            dataset: self
                .dataset
                .as_ref()
                .map(|dataset| dataset.document.clone()),
            inputs: self.inputs(stage),
            shards: record.shards,
            shard_of_index: only.clone(),
        };
        let record = self.stages.entry(stage).or_default();
        record.submissions.push(SubmissionRecord {
            number,
            market,
            queue: queue.clone(),
            memory_mib,
            shards: only,
            asked_at: now,
            job_id: None,
            not_submitted: None,
            jobs: Vec::new(),
            verdict: None,
            is_decided: false,
            records: Vec::new(),
        });
        vec![Action::Submit(Box::new(Submit {
            name,
            queue,
            definition: platform.definition(stage).to_owned(),
            gpus: spec.gpus,
            vcpus: spec.vcpus,
            memory_mib,
            timeout_s: spec.timeout_s.max(TIMEOUT_MIN_S),
            array_size: children.filter(|n| *n >= 2),
            share: self.id.pipeline().share(),
            priority: pipeline.priority,
            document,
        }))]
    }

    fn params(&self, stage: Stage, pipeline: &Pipeline) -> BTreeMap<String, Value> {
        let own = |stage| {
            spec_of(pipeline, stage)
                .map(|spec| spec.params.clone())
                .unwrap_or_default()
        };
        let mut params = own(stage);
        match stage {
            Stage::Train => {}
            Stage::Evaluate => {
                if let Some(seen) = &self.champion_seen {
                    let champion = &seen.champion;
                    params.insert("champion_candidate".to_owned(), json!(champion.candidate));
                    params.insert("champion_run_id".to_owned(), json!(champion.run_id));
                }
            }
            Stage::Recommend | Stage::Gather => {
                if stage == Stage::Gather {
                    // What the shards were made by is what they are held against.
                    params = own(Stage::Recommend).into_iter().chain(params).collect();
                }
                if let Some(candidate) = self.serving_candidate() {
                    params.insert("candidate".to_owned(), json!(candidate));
                }
            }
        }
        params
    }

    /// Whose recommendations are made: the challenger's, or the old champion's.
    fn serving_candidate(&self) -> Option<String> {
        let gate = self.gate.as_ref()?;
        match (&self.champion_seen, gate.is_better) {
            (Some(seen), false) => Some(seen.champion.candidate.clone()),
            _ => Some(gate.candidate.clone()),
        }
    }

    fn inputs(&self, stage: Stage) -> Vec<Input> {
        let input = |name: &str, published: &Published| Input {
            name: name.to_owned(),
            prefix: published.prefix.clone(),
            manifest_sha256: published.manifest_sha256.clone(),
            shards: None,
        };
        let output = |stage: Stage| self.stages.get(&stage).and_then(|s| s.output.as_ref());
        let trained = output(Stage::Train).map(|model| input("train", model));
        match stage {
            Stage::Train => Vec::new(),
            Stage::Evaluate => {
                let champion = self
                    .champion_seen
                    .as_ref()
                    .map(|seen| input("champion", &seen.champion.model));
                trained.into_iter().chain(champion).collect()
            }
            Stage::Recommend => match (&self.champion_seen, &self.gate) {
                (Some(seen), Some(gate)) if !gate.is_better => {
                    vec![input("train", &seen.champion.model)]
                }
                _ => trained.into_iter().collect(),
            },
            Stage::Gather => output(Stage::Recommend)
                .map(|shards| Input {
                    shards: self.stages.get(&Stage::Recommend).and_then(|s| s.shards),
                    ..input("recommend", shards)
                })
                .into_iter()
                .collect(),
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

fn spec_of(pipeline: &Pipeline, stage: Stage) -> Option<&StageSpec> {
    match stage {
        Stage::Train => Some(&pipeline.train),
        Stage::Evaluate => pipeline.evaluate.as_ref().map(|evaluate| &evaluate.stage),
        Stage::Recommend => pipeline
            .recommend
            .as_ref()
            .map(|recommend| &recommend.stage),
        Stage::Gather => pipeline.gather.as_ref(),
    }
}

fn gate_metric(pipeline: &Pipeline) -> String {
    pipeline
        .evaluate
        .as_ref()
        .map(|e| e.gate.metric.clone())
        .unwrap_or_default()
}
