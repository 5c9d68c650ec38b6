//! A person makes a run's challenger the champion: where the spec says `promote = "ask"`, or to go back to an
//! earlier run's.

use jiff::Timestamp;

use super::{End, Run};
use crate::champion::Champion;
use crate::identity::Stage;
use crate::stage_head::Published;

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum ByHand {
    /// This, over the version that was seen. Without version and `write_id`.
    Write(Box<Champion>),
    /// Nothing: it is champion.
    Stands,
}

/// Why a run has nothing that could be made champion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPromotable {
    /// It may still do so itself.
    #[error("it is not over")]
    NotOver,
    /// No end that leaves a judged model.
    #[error("it ended as {0}: only a run that ended well has a model that was judged")]
    EndedAs(&'static str),
    /// A pipeline without evaluate has no champion.
    #[error("its pipeline has no gate, so nothing says which model is its best")]
    NoGate,
    /// The gate held it back, and not for a person to decide.
    #[error("its challenger failed a check of the gate: {0}")]
    CheckFailed(String),
}

impl Run {
    /// What makes this run's challenger the champion in place of `seen`. `is_forced`: also where a check of the
    /// gate failed. The same run and champion give the same answer, and a second time there is nothing to write.
    ///
    /// The recommendations are this run's where they were made by its challenger; else those that serve go on
    /// serving until the next run makes new ones.
    pub fn promoted_by_hand(
        &self,
        seen: Option<&Champion>,
        is_forced: bool,
        now: Timestamp,
    ) -> Result<ByHand, NotPromotable> {
        match &self.end {
            None => return Err(NotPromotable::NotOver),
            Some(End::Succeeded | End::KeptChampion { .. }) => {}
            Some(end) => return Err(NotPromotable::EndedAs(end.as_str())),
        }
        let evaluate = self.pipeline().ok().and_then(|pipeline| pipeline.evaluate);
        let (Some(gate), Some(model), Some(evaluate)) =
            (&self.gate, self.output_of(Stage::Train), evaluate)
        else {
            return Err(NotPromotable::NoGate);
        };
        if seen.is_some_and(|seen| seen.run_id == self.id && seen.candidate == gate.candidate) {
            return Ok(ByHand::Stands);
        }
        let failed = gate.checks.iter().find(|check| !check.passed);
        if let Some(check) = failed.filter(|_| !is_forced) {
            return Err(NotPromotable::CheckFailed(format!(
                "{}: {:.4}, needs {:.4}",
                check.name, check.value, check.bound
            )));
        }
        // A challenger that was not promoted left the fan-out to the champion of that time.
        let own = self
            .output_of(Stage::Gather)
            .filter(|_| gate.is_better || self.champion_seen.is_none());
        let made_by = own.as_ref().map(|_| self.id.clone());
        Ok(ByHand::Write(Box::new(Champion {
            recommendations: own.or_else(|| seen.and_then(|seen| seen.recommendations.clone())),
            recommendations_run_id: made_by
                .or_else(|| seen.and_then(|seen| seen.recommendations_run_id.clone())),
            ..Champion::of(
                self.id.clone(),
                gate,
                evaluate.gate.metric,
                model,
                seen,
                now,
            )
        })))
    }

    fn output_of(&self, stage: Stage) -> Option<Published> {
        self.stages
            .get(&stage)
            .and_then(|record| record.output.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::ledgers;

    fn now() -> Timestamp {
        "2026-11-24T09:00:00Z".parse().expect("a time")
    }

    /// A run whose challenger was left to a person, and the champion that it met.
    fn held_back() -> (Run, Champion) {
        let mut run = ledgers::succeeded_with_a_reclaim();
        let gate = run.gate.as_mut().expect("it came to the gate");
        gate.is_better = false;
        gate.is_left_to_a_person = true;
        let because = gate.because.clone();
        run.end = Some(End::KeptChampion { because });
        let seen = run.champion_seen.as_ref().expect("there was one");
        let mut champion = seen.champion.clone();
        champion.recommendations = run.output_of(Stage::Gather);
        champion.recommendations_run_id = Some(run.id.clone());
        (run, champion)
    }

    fn written(run: &Run, seen: Option<&Champion>, is_forced: bool) -> Champion {
        match run.promoted_by_hand(seen, is_forced, now()) {
            Ok(ByHand::Write(champion)) => *champion,
            other => panic!("something is to be written, not {other:?}"),
        }
    }

    #[test]
    fn a_challenger_that_was_left_to_a_person_takes_the_place_and_recommends_nothing_yet() {
        let (run, seen) = held_back();

        let champion = written(&run, Some(&seen), false);

        assert_eq!(champion.run_id, run.id);
        assert_eq!(champion.candidate, "sequential-rules");
        assert_eq!(Some(&champion.model), run.output_of(Stage::Train).as_ref());
        assert_eq!(
            champion.metrics["ndcg_at_10"].to_bits(),
            0.1132_f64.to_bits()
        );
        assert_eq!(champion.promoted_at, now());
        let previous = champion.previous.as_ref().expect("the one before");
        assert_eq!(previous.run_id, seen.run_id);
        assert_eq!(previous.promoted_at, seen.promoted_at);
        assert_eq!(
            (
                champion.recommendations.clone(),
                champion.recommendations_run_id.clone()
            ),
            (seen.recommendations, seen.recommendations_run_id),
            "they were made by the champion of that time, and serve on"
        );
        let again = run.promoted_by_hand(Some(&champion), false, now());
        assert_eq!(again, Ok(ByHand::Stands));
    }

    #[test]
    fn going_back_brings_the_recommendations_of_that_run_back_too() {
        let before = ledgers::succeeded_with_a_reclaim();
        let (_, mut bad) = held_back();
        bad.run_id = "recommender-20261127T0200Z".parse().expect("an id");
        bad.recommendations_run_id = Some(bad.run_id.clone());

        let champion = written(&before, Some(&bad), false);

        assert_eq!(champion.run_id, before.id);
        assert_eq!(champion.recommendations, before.output_of(Stage::Gather));
        assert_eq!(champion.recommendations_run_id, Some(before.id.clone()));
        assert_eq!(champion.previous.map(|one| one.run_id), Some(bad.run_id));
    }

    #[test]
    fn what_the_gate_held_back_is_promoted_only_by_force() {
        let (mut run, seen) = held_back();
        let gate = run.gate.as_mut().expect("it came to the gate");
        gate.checks[0].passed = false;

        let refused = run.promoted_by_hand(Some(&seen), false, now());

        assert!(
            matches!(refused, Err(NotPromotable::CheckFailed(_))),
            "{refused:?}"
        );
        assert_eq!(written(&run, Some(&seen), true).run_id, run.id);
    }

    #[test]
    fn a_run_without_a_judged_model_has_nothing_to_promote() {
        let refused = |run: &Run| run.promoted_by_hand(None, true, now());
        let (mut no_gate, _) = held_back();
        no_gate.gate = None;
        let (mut live, _) = held_back();
        live.end = None;

        assert_eq!(refused(&no_gate), Err(NotPromotable::NoGate));
        assert_eq!(refused(&live), Err(NotPromotable::NotOver));
        assert_eq!(
            refused(&ledgers::failed_by_a_bug()),
            Err(NotPromotable::EndedAs("failed"))
        );
    }
}
