//! Giving a run up: its stage's head is closed first, then the end is recorded, then jobs are ended.

use jiff::Timestamp;

use super::{Action, Closing, End, Phase, Run};

/// All jobs that trainspot ends are ended with a reason that begins so.
pub(super) const OURS: &str = "trainspot:";

impl Run {
    /// A person wants it ended. Once the champion is being changed, it is too late.
    pub(super) fn cancel(&mut self, because: &str, now: Timestamp) -> Vec<Action> {
        if matches!(self.phase, Phase::Promoting | Phase::Final) {
            return Vec::new();
        }
        self.cancel_wanted.get_or_insert_with(|| because.to_owned());
        let end = End::Cancelled {
            because: because.to_owned(),
        };
        self.give_up(end, now)
    }

    /// Ends the current stage by closing its head; an end is recorded only after that.
    pub(super) fn give_up(&mut self, end: End, now: Timestamp) -> Vec<Action> {
        match self.phase {
            Phase::Final | Phase::Closing | Phase::Promoting => Vec::new(),
            Phase::Queued | Phase::WaitingForData => self.finish(end, now),
            Phase::Training | Phase::Evaluating | Phase::Recommending | Phase::Gathering => {
                let Some(stage) = self.current_stage() else {
                    return Vec::new();
                };
                self.phase = Phase::Closing;
                self.note(now, format!("{stage} is being closed: {}", describe(&end)));
                let reason = describe(&end);
                self.closing = Some(Closing { stage, end });
                self.drop_unbegun_submissions();
                let base = 1;
                vec![Action::Close {
                    stage,
                    base,
                    reason,
                }]
            }
        }
    }

    /// A submission that nobody has begun need not be begun; no job of it is waited for.
    fn drop_unbegun_submissions(&mut self) {
        let mut dropped = Vec::new();
        self.pending.retain(|pending| match &pending.action {
            Action::Submit(submit) if pending.claim.is_none() => {
                dropped.push(submit.name.clone());
                false
            }
            _ => true,
        });
        for name in dropped {
            self.with_submission(&name, |record| {
                record.not_submitted = Some("the stage was closed before it was begun".to_owned());
            });
        }
    }

    /// The head is closed: the end may be recorded, and what still runs is ended.
    pub(super) fn closed(&mut self, now: Timestamp) -> Vec<Action> {
        let Some(closing) = self.closing.take() else {
            return Vec::new();
        };
        let reason = format!("{OURS} {}", describe(&closing.end));
        let mut actions = self.finish(closing.end, now);
        let live = self
            .stages
            .values()
            .flat_map(|stage| &stage.submissions)
            .filter(|s| !s.is_over());
        for submission in live {
            let known: Vec<&str> = submission
                .jobs
                .iter()
                .filter(|j| !j.status.is_terminal())
                .map(|j| j.id.as_str())
                .collect();
            let ids = if submission.jobs.is_empty() {
                submission.job_id.as_deref().into_iter().collect()
            } else {
                known
            };
            actions.extend(ids.into_iter().map(|id| Action::Terminate {
                job_id: id.to_owned(),
                reason: reason.clone(),
            }));
        }
        actions
    }

    /// Once a run is over every head has output or is closed: what still waits or works is a twin or
    /// came too late, and nothing it does can count.
    pub(super) fn end_superfluous_jobs(&self) -> Vec<Action> {
        let submissions = self.stages.values().flat_map(|stage| &stage.submissions);
        let live = submissions.flat_map(|s| {
            let seen = s
                .jobs
                .iter()
                .filter(|job| !job.status.is_terminal())
                .map(|job| &job.id);
            let unseen = s
                .job_id
                .iter()
                .filter(|id| s.jobs.iter().all(|job| job.id != **id));
            seen.chain(unseen)
        });
        live.map(|id| superfluous(id)).collect()
    }
}

pub(super) fn superfluous(job_id: &str) -> Action {
    Action::Terminate {
        job_id: job_id.to_owned(),
        reason: format!("{OURS} the run is over"),
    }
}

/// An end in a few words, for close reasons and the history.
pub(super) fn describe(end: &End) -> String {
    match end {
        End::Succeeded => "succeeded".to_owned(),
        End::KeptChampion { because } => format!("kept champion: {because}"),
        End::Skipped { because } => format!("skipped: {because}"),
        End::Failed {
            class, evidence, ..
        } => format!("failed ({}): {evidence}", class.as_str()),
        End::Cancelled { because } => format!("cancelled: {because}"),
    }
}
