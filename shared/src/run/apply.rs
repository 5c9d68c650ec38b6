//! From an observation to actions.

use jiff::{SignedDuration, Timestamp};

use super::closing::superfluous;
use super::{Action, BlockedSeen, DataSeen, End, Observation, Phase, Platform, Run};
use crate::batch_event::{JobSeen, JobStatus};
use crate::failure::{Blocked, Class, queue_blocked};
use crate::host_shape::Wants;
use crate::identity::{JobName, Stage};
use crate::pipeline::{Pipeline, SpecError};
use crate::pipeline_head::{Admission, Origin};

fn seconds(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A terminated container has almost two minutes; its agent then ships its record, and the event may be lost.
const REVIEW_WAITS: SignedDuration = SignedDuration::from_mins(15);

/// Whoever may mend a policy hears of it from an alarm first.
const REFUSAL_WAITS_S: u64 = 3600;

impl Run {
    /// Whether a store that refuses to show the dataset may still be mended in time: for as long as the data itself
    /// may take, and for an hour at least.
    pub fn waits_for_refused_data(&self, pipeline: &Pipeline, now: Timestamp) -> bool {
        let wait_for_s = pipeline.data.as_ref().and_then(|data| data.wait_for_s);
        self.waited_s(now) < seconds(wait_for_s.unwrap_or(0).max(REFUSAL_WAITS_S))
    }

    fn waited_s(&self, now: Timestamp) -> i64 {
        now.as_second() - self.waits_from().as_second()
    }

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
            Observation::ShardsSummed { stage, sums } => self.see_shard_sums(*stage, sums),
            Observation::Records(records) => self.review(records, &pipeline, now),
            Observation::Carried { id, nonce, outcome } => {
                self.carried(id, nonce, outcome, &pipeline, platform, now)
            }
            // Told late, or handed in again: what did find its host is not blocked any more.
            Observation::QueueBlocked { status, .. } if *status != JobStatus::Runnable => {
                Vec::new()
            }
            Observation::QueueBlocked {
                job_id,
                reason,
                wants,
                ..
            } => self.see_blocked(job_id, reason, wants, platform, now),
            Observation::Progress(seen) => self.see_progress(seen, &pipeline, now),
            Observation::Cancel { because } => self.cancel(because, now),
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
        // What has ended need not be ended.
        if job.status.is_terminal() {
            self.pending.retain(
                |p| !matches!(&p.action, Action::Terminate { job_id, .. } if *job_id == job.id),
            );
        }
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
                if self.waited_s(now) < seconds(wait_s) {
                    let what = format!("waits for its data: {why}");
                    if self.history.last().is_none_or(|line| line.what != what) {
                        self.note(now, what);
                    }
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
            DataSeen::Refused { class, why } => self.finish(
                End::Failed {
                    stage: None,
                    class: *class,
                    evidence: why.clone(),
                },
                now,
            ),
            DataSeen::NotNeeded => self.begin(Stage::Train, pipeline, platform, now),
            DataSeen::Pinned {
                dataset,
                last_success,
            } => {
                self.previous_fingerprint.clone_from(last_success);
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
        wants: &Wants,
        platform: &Platform,
        now: Timestamp,
    ) -> Vec<Action> {
        // Of an array the child at the queue's head may be named.
        let parent = job_id.split(':').next().unwrap_or(job_id);
        let Some(stage) = self
            .current_stage()
            .filter(|_| self.phase != Phase::Closing)
        else {
            return Vec::new();
        };
        // What the ledger has seen of it since counts too. An array's parent is PENDING as long as it lives.
        let current = self
            .stages
            .get_mut(&stage)
            .and_then(|record| record.submissions.last_mut())
            .filter(|current| current.job_id.as_deref() == Some(parent))
            .filter(|current| {
                current
                    .job()
                    .is_none_or(|job| job.status <= JobStatus::Runnable)
            });
        let Some(current) = current else {
            return Vec::new();
        };
        if queue_blocked(reason) == Blocked::Misconfigured {
            let types = platform.instance_types(stage).iter().map(String::as_str);
            let evidence = match wants.too_much_for(types) {
                Some(which) => format!("{reason} The job cannot run: {which}."),
                None => format!("{reason} The job wants {wants}."),
            };
            return self.give_up(
                End::Failed {
                    stage: Some(stage),
                    class: Class::Misconfigured,
                    evidence,
                },
                now,
            );
        }
        if current
            .blocked
            .as_ref()
            .is_none_or(|known| known.reason != reason)
        {
            current.blocked = Some(BlockedSeen {
                reason: reason.to_owned(),
                since: now,
            });
            self.note(now, format!("the queue is blocked: {reason}"));
        }
        Vec::new()
    }

    fn see_time(&mut self, at: Timestamp, pipeline: &Pipeline) -> Vec<Action> {
        if self.is_final() {
            let waits_until = self.ended_at.map(|at| at + REVIEW_WAITS);
            self.is_review_due |= waits_until.is_some_and(|until| until < at);
            return self.end_superfluous_jobs();
        }
        let mut actions = self.see_waiting(pipeline, at);
        if !self.is_late && self.deadline.is_some_and(|deadline| deadline < at) {
            self.is_late = true;
            self.note(at, "the deadline has passed".to_owned());
            actions.extend(self.tell(crate::pipeline::NoticeKind::Late, pipeline));
        }
        actions
    }
}
