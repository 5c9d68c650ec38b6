//! What must be looked at before the next decision can be made.

use super::{End, Phase, Run};
use crate::identity::Stage;

/// Something to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The pipeline head's entry of this run.
    Admission,
    /// The data bucket.
    Data,
    /// The head of a stage whose current job has ended, and what its decision rests on.
    StageEnd(Stage),
    /// Every attempt's record.
    Records,
}

impl Run {
    /// A run that was given up has told its jobs to end; what they cost is known when they have.
    fn waits_for_jobs_to_end(&self) -> bool {
        let is_given_up = matches!(self.end, Some(End::Failed { .. } | End::Cancelled { .. }));
        let mut submissions = self.stages.values().flat_map(|stage| &stage.submissions);
        is_given_up && !self.is_review_due && submissions.any(|s| !s.is_over())
    }

    /// The next thing to look at; none while the run waits for a job, an action or nothing.
    pub fn needs(&self) -> Option<Need> {
        match self.phase {
            Phase::Queued => Some(Need::Admission),
            Phase::WaitingForData => Some(Need::Data),
            Phase::Training | Phase::Evaluating | Phase::Recommending | Phase::Gathering => {
                let stage = self.current_stage()?;
                let current = self.stages.get(&stage)?.current()?;
                let has_ended = current.job().is_some_and(|job| job.status.is_terminal());
                // Its head would not have it: the output is there, by somebody who came before.
                let never_begins = current.job_id.is_none() && current.not_submitted.is_some();
                let has_news = has_ended || never_begins;
                (has_news && !current.is_decided).then_some(Need::StageEnd(stage))
            }
            Phase::Promoting | Phase::Closing => None,
            Phase::Final => {
                (!self.is_reviewed && !self.waits_for_jobs_to_end()).then_some(Need::Records)
            }
        }
    }
}
