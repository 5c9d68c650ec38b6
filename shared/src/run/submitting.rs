//! What is submitted: the next submission of a stage, with its job document.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::action::Submit;
use super::{Action, Phase, Platform, Run, SubmissionRecord};
use crate::gate::GATE_METRIC;
use crate::identity::{JobName, Market, Stage};
use crate::job::{Input, JobDocument};
use crate::metrics::FanOut;
use crate::pipeline::{DEFAULT_METRIC, Pipeline, Shards};
use crate::shard_plan;
use crate::stage_head::Published;

/// Batch's time-outs begin here.
const TIMEOUT_MIN_S: u32 = 60;

impl Run {
    /// Begins a stage with its first submission.
    pub(super) fn begin(
        &mut self,
        stage: Stage,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        self.phase = Phase::of(stage);
        // Post-processing goes to a queue that is Spot first and on-demand next, by itself.
        self.submit_again(stage, Market::Spot, None, None, pipeline, platform, now)
    }

    /// Begins the fan-out: into how many shards, and why, is written into the run's history.
    pub(super) fn begin_fan_out(
        &mut self,
        estimate: Option<&FanOut>,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let Some(recommend) = &pipeline.recommend else {
            return Vec::new();
        };
        let shards = match recommend.shards {
            Shards::Fixed(n) => n,
            Shards::Auto => {
                let bytes = self
                    .dataset
                    .as_ref()
                    .map_or(0, |dataset| dataset.size_bytes);
                let candidate = self.serving_candidate();
                let vcpus = recommend.stage.vcpus;
                let plan = shard_plan::plan(estimate, candidate.as_deref(), vcpus, bytes);
                let word = if plan.shards == 1 { "shard" } else { "shards" };
                self.note(
                    now,
                    format!("recommend: {} {word}: {}", plan.shards, plan.because),
                );
                plan.shards
            }
        };
        self.stages.entry(Stage::Recommend).or_default().shards = Some(shards);
        self.begin(Stage::Recommend, pipeline, platform, now)
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
        let Some(spec) = pipeline.stage(stage) else {
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
        let definitions = self
            .definitions
            .get_or_insert_with(|| platform.definitions());
        let definition = definitions.of(stage).to_owned();
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
            blocked: None,
            children_wait_since: None,
            jobs: Vec::new(),
            verdict: None,
            is_decided: false,
            records: Vec::new(),
        });
        vec![Action::Submit(Box::new(Submit {
            name,
            queue,
            definition,
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
            pipeline
                .stage(stage)
                .map(|spec| spec.params.clone())
                .unwrap_or_default()
        };
        let mut params = own(stage);
        match stage {
            Stage::Train => {}
            Stage::Evaluate => {
                // Images from before there was a choice refuse the parameter, and go by the default.
                let metric = pipeline.evaluate.as_ref().map(|e| &e.gate.metric);
                if let Some(metric) = metric.filter(|metric| *metric != DEFAULT_METRIC) {
                    params.insert(GATE_METRIC.to_owned(), json!(metric));
                }
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
            Stage::Recommend => {
                let model = match (&self.champion_seen, &self.gate) {
                    (Some(seen), Some(gate)) if !gate.is_better => {
                        Some(input("train", &seen.champion.model))
                    }
                    _ => trained,
                };
                // This run's, whoever serves: a candidate that is fitted on each run's data was
                // fitted there, once for all shards.
                let evaluated = output(Stage::Evaluate).map(|fits| input("evaluate", fits));
                model.into_iter().chain(evaluated).collect()
            }
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
