//! What came of an action, taken into the ledger: the outbox gets shorter, and something may follow.

use jiff::Timestamp;

use super::closing::OURS;
use super::{Action, End, Outcome, Phase, Platform, Run, Submit};
use crate::failure;
use crate::identity::{JobName, Market, Stage};
use crate::pipeline::{NoticeKind, Pipeline};

impl Run {
    pub(super) fn carried(
        &mut self,
        id: &str,
        nonce: &str,
        outcome: &Outcome,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        let Some(place) = self.pending.iter().position(|pending| pending.id == id) else {
            return Vec::new();
        };
        match outcome {
            Outcome::Unclear { why } => {
                self.note(now, format!("{id}: unclear: {why}"));
                return Vec::new();
            }
            Outcome::Released {
                not_before,
                refused,
            } => {
                self.put_off(place, nonce, *not_before, refused.as_ref(), now);
                return Vec::new();
            }
            Outcome::Granted { shards } => {
                let pending = &mut self.pending[place];
                if pending.is_held_by(nonce) {
                    pending.claim = None;
                    pending.granted = *shards;
                }
                return Vec::new();
            }
            _ => {}
        }
        let pending = self.pending.remove(place);
        match (&pending.action, outcome) {
            (Action::Submit(submit), Outcome::Submitted { job_id }) => {
                self.note(now, format!("{} submitted as job {job_id}", submit.name));
                self.with_submission(&submit.name, |record| {
                    if record.job_id.is_none() {
                        record.job_id = Some(job_id.clone());
                    }
                });
                // The stage was closed while the answer was on its way: this job is not wanted. While it is
                // only being closed, the job may turn out to be the one that was done before.
                if self.is_final() {
                    let reason = format!("{OURS} the stage was closed");
                    return vec![Action::Terminate {
                        job_id: job_id.clone(),
                        reason,
                    }];
                }
                Vec::new()
            }
            (Action::Submit(submit), Outcome::SubmitRefused { why }) => {
                self.refused(submit, why, pipeline, platform, now)
            }
            (Action::Submit(submit), Outcome::Withdrawn(why)) => {
                self.note(now, format!("{} withdrawn: {why:?}", submit.name));
                self.with_submission(&submit.name, |record| {
                    record.not_submitted = Some(format!("withdrawn: {why:?}"));
                });
                Vec::new()
            }
            (Action::Close { .. }, Outcome::Closed) => self.closed(now),
            // It was done meanwhile, and what was wanted of it has been decided.
            (Action::Close { .. }, Outcome::HadOutput(_)) if self.phase != Phase::Closing => {
                Vec::new()
            }
            (Action::Close { stage, .. }, Outcome::HadOutput(head)) => {
                // It was done before it could be ended.
                self.closing = None;
                self.phase = Phase::of(*stage);
                self.note(
                    now,
                    format!("{stage} had its output before it could be closed"),
                );
                if let Some(record) = self.stages.get_mut(stage)
                    && let Some(current) = record.submissions.last_mut()
                {
                    current.is_decided = false;
                    // An earlier submission's job says nothing about this one's.
                    if head.owner.submission == current.number
                        && let Some(job) = &head.owner.job_id
                    {
                        current.job_id.get_or_insert_with(|| job.clone());
                    }
                }
                Vec::new()
            }
            (Action::PublishShards { stage, .. }, Outcome::Published(output)) => {
                self.complete(*stage, output.clone(), None, pipeline, platform, now)
            }
            (Action::PublishShards { stage, .. }, Outcome::NotPublished) => {
                self.note(
                    now,
                    format!("{stage} could not be published: its head is closed"),
                );
                Vec::new()
            }
            (Action::Promote(_), Outcome::Promoted) => {
                let end = match &self.gate {
                    Some(gate) if !gate.is_better => End::KeptChampion {
                        because: gate.because.clone(),
                    },
                    _ => End::Succeeded,
                };
                self.finish(end, now)
            }
            (Action::Promote(_), Outcome::ChampionChanged) => self.finish(
                End::KeptChampion {
                    because: "the champion was changed by somebody else since the gate".to_owned(),
                },
                now,
            ),
            (Action::Promote(_), Outcome::GivenUp { class, why }) => {
                let stage = self.stages.keys().next_back().copied();
                self.finish(
                    End::Failed {
                        stage,
                        class: *class,
                        evidence: format!("the champion could not be changed: {why}"),
                    },
                    now,
                )
            }
            (Action::WriteReport, Outcome::GivenUp { why, .. }) => {
                self.note(now, format!("the report could not be written: {why}"));
                Vec::new()
            }
            (Action::Terminate { job_id, .. }, Outcome::NotTerminated { why }) => {
                self.note(now, format!("job {job_id} could not be ended: {why}"));
                Vec::new()
            }
            (Action::Notify(notice), Outcome::Told { at }) => {
                self.told(&notice.id, *at, None);
                Vec::new()
            }
            (Action::Notify(notice), Outcome::Undeliverable { why, at }) => {
                self.told(&notice.id, *at, Some(why.clone()));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Lets a claim go. A refusal that only a person can mend is said once, and stays with the action until a try
    /// meets another answer.
    fn put_off(
        &mut self,
        place: usize,
        nonce: &str,
        not_before: Timestamp,
        refused: Option<&String>,
        now: Timestamp,
    ) {
        let pending = &mut self.pending[place];
        // Only the claim that is let go: somebody else may have taken it over.
        if !pending.is_held_by(nonce) {
            return;
        }
        pending.claim = None;
        pending.not_before = Some(not_before);
        let before = std::mem::replace(&mut pending.refused, refused.cloned());
        if let Some(why) = refused.filter(|_| before.is_none()) {
            let id = pending.id.clone();
            self.note(now, format!("{id} put off: {why}"));
        }
    }

    /// Batch would not have a submission: once on the other market, with a new number, and then no more.
    fn refused(
        &mut self,
        submit: &Submit,
        why: &str,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        self.note(now, format!("{} refused by Batch: {why}", submit.name));
        let stage = submit.name.stage;
        let verdict = failure::refused(why);
        let mut market = Market::Spot;
        self.with_submission(&submit.name, |record| {
            record.not_submitted = Some(why.to_owned());
            record.verdict = Some(verdict.clone());
            record.is_decided = true;
            market = record.market;
        });
        if stage == Stage::Train && market == Market::Spot && self.phase == Phase::Training {
            let other = Market::OnDemand;
            let mut actions = self.submit_again(stage, other, None, None, pipeline, platform, now);
            actions.extend(self.tell(NoticeKind::Moved, pipeline));
            return actions;
        }
        self.give_up(
            End::Failed {
                stage: Some(stage),
                class: verdict.class,
                evidence: verdict.evidence,
            },
            now,
        )
    }

    fn told(&mut self, id: &str, at: Timestamp, undeliverable: Option<String>) {
        if !self.notices.iter().any(|told| told.id == id) {
            self.notices.push(super::ToldNotice {
                id: id.to_owned(),
                at,
                undeliverable,
            });
        }
    }

    pub(super) fn with_submission(
        &mut self,
        name: &JobName,
        change: impl FnOnce(&mut super::SubmissionRecord),
    ) {
        let record = self.stages.get_mut(&name.stage).and_then(|stage| {
            stage
                .submissions
                .iter_mut()
                .find(|s| s.number == name.submission)
        });
        if let Some(record) = record {
            change(record);
        }
    }
}
