//! `--reclaim`: a Spot host of a stage is taken back once, with notice, so that a person sees what their program
//! makes of it.

use std::str::FromStr;
use std::time::Duration;

use trainspot_localcloud::Reclaim;
use trainspot_shared::identity::Stage;
use trainspot_shared::pipeline::Pipeline;
use trainspot_shared::progress::Progress;
use trainspot_shared::run::Run;

use crate::local::cloud::Local;
use crate::local::follow::Beat;
use crate::problem::{Exit, Problem};

/// Two minutes in the cloud.
const LEAD: Duration = Duration::from_secs(20);
const PER_CENT: f64 = 100.0;

/// Whose host, and how far its work is then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReclaimAt {
    stage: Stage,
    share: f64,
}

impl FromStr for ReclaimAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let stages = Stage::ALL.map(Stage::as_str).join(", ");
            format!("it must be a stage ({stages}), `@` and 1 to 99 per cent, such as train@40")
        };
        let (stage, percent) = text.split_once('@').ok_or_else(wrong)?;
        let stage = Stage::ALL.into_iter().find(|known| known.as_str() == stage);
        let percent = percent.parse::<u8>().ok().filter(|n| (1..=99).contains(n));
        match (stage, percent) {
            (Some(stage), Some(percent)) => Ok(Self {
                stage,
                share: f64::from(percent) / PER_CENT,
            }),
            _ => Err(wrong()),
        }
    }
}

impl ReclaimAt {
    /// Whether the pipeline has such a stage.
    pub(crate) fn check(&self, pipeline: &Pipeline) -> Result<(), Problem> {
        if pipeline.stage(self.stage).is_some() {
            return Ok(());
        }
        let sentence = format!("pipeline `{}` has no [{}]", pipeline.name, self.stage);
        Err(Problem::new(Exit::Configuration, sentence).hint("--reclaim names one of its stages"))
    }

    fn is_due(&self, beat: &Beat) -> bool {
        let share = beat.progress.as_ref().map_or(0.0, Progress::share);
        beat.job.stage == self.stage && share >= self.share
    }
}

/// What was asked for, and whether it was done.
pub(crate) struct Reclaiming {
    wanted: Option<ReclaimAt>,
    is_done: bool,
}

impl Reclaiming {
    /// Nothing, when nobody asked.
    pub(crate) fn of(wanted: Option<ReclaimAt>) -> Self {
        Self {
            wanted,
            is_done: false,
        }
    }

    /// Takes the host back, if it is time.
    pub(crate) async fn hear(&mut self, local: &Local, beat: &Beat) -> Result<(), Problem> {
        if self.is_done || !self.wanted.is_some_and(|wanted| wanted.is_due(beat)) {
            return Ok(());
        }
        let reclaim = Reclaim::WithNotice(LEAD);
        // Refused: the job ended since somebody looked. Whether that was all is the verdict's affair.
        self.is_done = local.cloud.reclaim(&beat.job_id, reclaim).await.is_ok();
        Ok(())
    }

    /// After the run: who asked for a reclaim shall not believe that there was one.
    pub(crate) fn verdict(&self, run: &Run) -> Result<(), Problem> {
        let Some(wanted) = &self.wanted else {
            return Ok(());
        };
        let mut records = run.records().into_iter();
        let was_heard =
            records.any(|record| record.stage == wanted.stage && record.notice.is_some());
        self.judged(wanted, was_heard)
    }

    /// `was_heard`: an attempt of the stage had a notice before it ended.
    fn judged(&self, wanted: &ReclaimAt, was_heard: bool) -> Result<(), Problem> {
        let sentence = match (self.is_done, was_heard) {
            (true, true) => return Ok(()),
            (true, false) => format!(
                "the host was taken back, but {} was done before it heard of it",
                wanted.stage
            ),
            (false, _) => format!(
                "no host was taken back: no heartbeat of {} told of {:.0} % while it ran",
                wanted.stage,
                wanted.share * PER_CENT
            ),
        };
        Err(Problem::new(Exit::EndedBadly, sentence).hint(
            "the program writes progress.json {step, total} into its output folder; ask for less, or give it more to do",
        ))
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("train@40" => Ok(ReclaimAt { stage: Stage::Train, share: 0.4 }); "a training")]
    #[test_case("recommend@1" => Ok(ReclaimAt { stage: Stage::Recommend, share: 0.01 }); "a shard")]
    fn a_stage_and_a_share_are_read(text: &str) -> Result<ReclaimAt, String> {
        text.parse()
    }

    #[test_case("train"; "no share")]
    #[test_case("training@40"; "no stage")]
    #[test_case("train@0"; "before it began")]
    #[test_case("train@100"; "when it is over")]
    #[test_case("train@40%"; "a sign")]
    fn anything_else_is_refused_with_an_example(text: &str) {
        let refused = text.parse::<ReclaimAt>().expect_err("it is wrong");

        assert!(refused.ends_with("such as train@40"), "{refused}");
    }

    #[test]
    fn a_reclaim_that_never_came_is_told() {
        let wanted = "train@40".parse().expect("it is right");

        let mut plan = Reclaiming::of(Some(wanted));
        let missed = plan.judged(&wanted, false);
        plan.is_done = true;
        let too_late = plan.judged(&wanted, false);

        assert_eq!(missed.expect_err("nothing was done").exit, Exit::EndedBadly);
        let too_late = too_late.expect_err("nobody heard of it");
        assert!(
            too_late.sentence.contains("was done before"),
            "{too_late:?}"
        );
        assert_eq!(plan.judged(&wanted, true), Ok(()));
    }
}
