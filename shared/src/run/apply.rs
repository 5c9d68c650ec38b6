//! From an observation to actions.

use jiff::Timestamp;

use super::{Action, Closing, DataSeen, End, Observation, Outcome, Phase, Platform, Run};
use crate::batch_event::JobSeen;
use crate::failure::{Blocked, Class, queue_blocked};
use crate::identity::{JobName, Market, Stage};
use crate::pipeline::{Pipeline, SpecError};
use crate::pipeline_head::{Admission, Origin};

/// All jobs that trainspot ends are ended with a reason that begins so.
const OURS: &str = "trainspot:";

impl Run {
    /// Takes one fact in. What it gives is to be held in the outbox and carried out after this ledger
    /// is saved. The same fact again changes nothing and asks for nothing.
    pub fn apply(
        &mut self,
        observation: &Observation,
        platform: &Platform,
        now: Timestamp,
    ) -> Result<Vec<Action>, SpecError> {
        let pipeline = self.pipeline()?;
        Ok(match observation {
            Observation::Job(job) => self.see_job(job, now),
            Observation::Admission(admission) => self.see_admission(*admission, now),
            Observation::Data(data) => self.see_data(data, &pipeline, platform, now),
            Observation::StageEnded(end) => self.end_stage(end, &pipeline, platform, now),
            Observation::Records(records) => self.review(records, &pipeline, now),
            Observation::Carried { id, nonce, outcome } => {
                self.carried(id, nonce, outcome, &pipeline, platform, now)
            }
            Observation::QueueBlocked {
                job_id,
                reason,
                wants,
            } => self.see_blocked(job_id, reason, wants, now),
            Observation::Cancel { because } => self.give_up(
                End::Cancelled {
                    because: because.clone(),
                },
                now,
            ),
            Observation::Swept { at } => self.see_time(*at, &pipeline),
        })
    }

    fn see_job(&mut self, job: &JobSeen, now: Timestamp) -> Vec<Action> {
        let Ok(name) = job.name.parse::<JobName>() else {
            return Vec::new();
        };
        if name.run != self.id {
            return Vec::new();
        }
        let submission = self.stages.get_mut(&name.stage).and_then(|stage| {
            stage
                .submissions
                .iter_mut()
                .find(|s| s.number == name.submission)
        });
        let Some(submission) = submission else {
            return Vec::new();
        };
        let before = submission.job().map(|j| (j.attempts.len(), j.status));
        let is_news = submission.see(job);
        let after = submission.job().map(|j| (j.attempts.len(), j.status));
        // Its job is there, so it was submitted, whether or not the answer ever came back.
        self.pending
            .retain(|p| !matches!(&p.action, Action::Submit(s) if s.name == name));
        if before != after
            && let Some((attempts, status)) = after
        {
            let word = serde_json::to_value(status)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned));
            self.note(
                now,
                format!(
                    "{name} is {} after {attempts} ended attempts",
                    word.unwrap_or_default()
                ),
            );
        }
        if is_news && self.is_final() && !job.status.is_terminal() {
            return vec![superfluous(&job.id)];
        }
        Vec::new()
    }

    /// Once a run is over every head has output or is closed: what still waits or works is a twin or
    /// came too late, and nothing it does can count.
    fn end_superfluous_jobs(&self) -> Vec<Action> {
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

    fn see_admission(&mut self, admission: Option<Admission>, now: Timestamp) -> Vec<Action> {
        if self.phase != Phase::Queued {
            return Vec::new();
        }
        match admission {
            Some(Admission::Start) => {
                self.phase = Phase::WaitingForData;
                self.note(
                    now,
                    "the run before is over; it is this one's turn".to_owned(),
                );
                Vec::new()
            }
            Some(Admission::SkipSuperseded) => self.finish(
                End::Skipped {
                    because: "a newer request took its place in the queue".to_owned(),
                },
                now,
            ),
            _ => Vec::new(),
        }
    }

    fn see_data(
        &mut self,
        data: &DataSeen,
        pipeline: &Pipeline,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        if self.phase != Phase::WaitingForData {
            return Vec::new();
        }
        match data {
            DataSeen::NotThere { why } => {
                let wait_s = pipeline
                    .data
                    .as_ref()
                    .and_then(|data| data.wait_for_s)
                    .unwrap_or(0);
                let waited_s = now.as_second() - self.id.tick().start().as_second();
                if waited_s < i64::try_from(wait_s).unwrap_or(i64::MAX) {
                    return Vec::new();
                }
                self.finish(
                    End::Failed {
                        stage: None,
                        class: Class::BadData,
                        evidence: why.clone(),
                    },
                    now,
                )
            }
            DataSeen::NotNeeded => self.begin(Stage::Train, pipeline, platform, now),
            DataSeen::Pinned(dataset) => {
                let skips = pipeline
                    .data
                    .as_ref()
                    .is_some_and(|data| data.skip_if_unchanged)
                    && !matches!(self.origin, Origin::Manual { force: true });
                let is_unchanged =
                    self.previous_fingerprint.as_deref() == Some(dataset.fingerprint.as_str());
                self.note(
                    now,
                    format!(
                        "dataset pinned: {} objects, {} bytes, fingerprint {}",
                        dataset.objects,
                        dataset.size_bytes,
                        dataset.fingerprint.get(..12).unwrap_or_default()
                    ),
                );
                self.dataset = Some(dataset.clone());
                if skips && is_unchanged {
                    return self.finish(
                        End::Skipped {
                            because: "data, spec and image are the same as in the last run that ended well"
                                .to_owned(),
                        },
                        now,
                    );
                }
                self.begin(Stage::Train, pipeline, platform, now)
            }
        }
    }

    fn see_blocked(
        &mut self,
        job_id: &str,
        reason: &str,
        wants: &str,
        now: Timestamp,
    ) -> Vec<Action> {
        let is_current = self
            .current_stage()
            .and_then(|stage| self.stages.get(&stage)?.current());
        if is_current.and_then(|s| s.job_id.as_deref()) != Some(job_id) {
            return Vec::new();
        }
        if queue_blocked(reason) == Blocked::Misconfigured {
            let stage = self.current_stage();
            let evidence = format!("{reason} The job wants {wants}.");
            return self.give_up(
                End::Failed {
                    stage,
                    class: Class::Misconfigured,
                    evidence,
                },
                now,
            );
        }
        let line = format!("the queue is blocked: {reason}");
        if self.history.last().is_none_or(|last| last.what != line) {
            self.note(now, line);
        }
        Vec::new()
    }

    fn see_time(&mut self, at: Timestamp, pipeline: &Pipeline) -> Vec<Action> {
        if self.is_final() {
            return self.end_superfluous_jobs();
        }
        let is_past = self.deadline.is_some_and(|deadline| deadline < at);
        if self.is_late || !is_past {
            return Vec::new();
        }
        self.is_late = true;
        self.note(at, "the deadline has passed".to_owned());
        self.tell(crate::pipeline::NoticeKind::Late, pipeline)
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

    fn carried(
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
            Outcome::Released { not_before } => {
                let pending = &mut self.pending[place];
                // Only the claim that is let go: somebody else may have taken it over.
                if pending
                    .claim
                    .as_ref()
                    .is_some_and(|claim| claim.nonce == nonce)
                {
                    pending.claim = None;
                    pending.not_before = Some(*not_before);
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
                // Closing began while the answer was on its way: this job is not wanted.
                if self.phase == Phase::Closing || self.is_final() {
                    let reason = format!("{OURS} the stage was closed");
                    return vec![Action::Terminate {
                        job_id: job_id.clone(),
                        reason,
                    }];
                }
                Vec::new()
            }
            (Action::Submit(submit), Outcome::SubmitRefused { why }) => {
                self.note(now, format!("{} refused by Batch: {why}", submit.name));
                let stage = submit.name.stage;
                let mut market = Market::Spot;
                self.with_submission(&submit.name, |record| {
                    record.not_submitted = Some(why.clone());
                    record.is_decided = true;
                    market = record.market;
                });
                if stage == Stage::Train && market == Market::Spot && self.phase == Phase::Training
                {
                    // Refused as invalid after a grant: once on the other market, with a new number.
                    return self.submit_again(
                        stage,
                        Market::OnDemand,
                        None,
                        None,
                        pipeline,
                        platform,
                        now,
                    );
                }
                self.give_up(
                    End::Failed {
                        stage: Some(stage),
                        class: Class::BadConfiguration,
                        evidence: why.clone(),
                    },
                    now,
                )
            }
            (Action::Submit(submit), Outcome::Withdrawn(why)) => {
                self.note(now, format!("{} withdrawn: {why:?}", submit.name));
                self.with_submission(&submit.name, |record| {
                    record.not_submitted = Some(format!("withdrawn: {why:?}"));
                });
                Vec::new()
            }
            (Action::Close { .. }, Outcome::Closed) => self.closed(now),
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

    /// The head is closed: the end may be recorded, and what still runs is ended.
    fn closed(&mut self, now: Timestamp) -> Vec<Action> {
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

    fn told(&mut self, id: &str, at: Timestamp, undeliverable: Option<String>) {
        if !self.notices.iter().any(|told| told.id == id) {
            self.notices.push(super::ToldNotice {
                id: id.to_owned(),
                at,
                undeliverable,
            });
        }
    }

    fn with_submission(
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

fn superfluous(job_id: &str) -> Action {
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
