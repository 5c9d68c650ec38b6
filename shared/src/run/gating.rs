//! After evaluate: the quality gate, and at the very end the change of the champion.

use jiff::Timestamp;

use super::{Action, End, Phase, Platform, Promotion, Run, StageEnd};
use crate::champion::Champion;
use crate::failure::Class;
use crate::gate;
use crate::identity::Stage;
use crate::pipeline::{Pipeline, Promote};

impl Run {
    pub(super) fn pass_gate(
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
        // The one that evaluate was given to score; promotion finds out whether it still stands.
        let seen = self.champion_seen.clone();
        let mut result = match gate::judge(metrics, &spec.gate, seen.is_some()) {
            Ok(result) => result,
            Err(why) => {
                let end = End::Failed {
                    stage,
                    class: why.class(),
                    evidence: why.to_string(),
                };
                return self.finish(end, now);
            }
        };
        let champion = seen.as_ref().map(|seen| &seen.champion.run_id);
        let scored = metrics
            .champion
            .as_ref()
            .map(|champion| champion.run_id.as_str());
        if let Some(champion) = champion.filter(|run| Some(run.to_string().as_str()) != scored) {
            result.is_better = false;
            result.because = format!("evaluate did not score the champion, {champion}");
        }
        if let Some(champion) = champion.filter(|run| run.tick() > self.id.tick()) {
            result.is_better = false;
            result.because = format!("the champion is of a newer run, {champion}");
        }
        if result.is_better && spec.gate.promote == Promote::Ask && seen.is_some() {
            result.is_better = false;
            result.is_left_to_a_person = true;
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
            self.begin_fan_out(metrics.fan_out.as_ref(), pipeline, platform, now)
        } else {
            self.promote(pipeline, now)
        }
    }

    /// All is done: change the champion, or only its recommendations.
    pub(super) fn promote(&mut self, pipeline: &Pipeline, now: Timestamp) -> Vec<Action> {
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
                recommendations,
                recommendations_run_id,
                ..Champion::of(
                    self.id.clone(),
                    &gate,
                    gate_metric(pipeline),
                    model,
                    seen.as_ref().map(|seen| &seen.champion),
                    now,
                )
            },
        };
        self.phase = Phase::Promoting;
        vec![Action::Promote(Box::new(Promotion {
            champion,
            over: seen.map(|seen| seen.etag),
        }))]
    }
}

fn gate_metric(pipeline: &Pipeline) -> String {
    pipeline
        .evaluate
        .as_ref()
        .map(|e| e.gate.metric.clone())
        .unwrap_or_default()
}
