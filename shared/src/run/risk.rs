//! Live runs that somebody should look at before something is lost: supervision's eyes.
//!
//! A risk changes nothing about the run; it is told once for each attempt, and stays in the ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Run, SubmissionRecord};
use crate::batch_event::{ArrayRole, JobSeen, JobStatus};
use crate::identity::Stage;
use crate::notice::spell::{duration, seconds_between};
use crate::pipeline::{NoticeKind, Pipeline};

/// A heartbeat is shipped within seconds of being written, and the agent itself ends a program without
/// progress after ten minutes: a heartbeat older than this is the silence of host and agent.
const SILENT_AFTER_S: i64 = 15 * 60;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskKind {
    /// It waits for a host longer than the spec allows.
    Stuck,
    /// Its newest checkpoint is older than the spec allows: a reclaim now would lose the work since.
    CheckpointOverdue,
    /// Batch says that it runs, and its heartbeat stopped.
    Silent,
}

impl RiskKind {
    /// The word in ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::CheckpointOverdue => "checkpoint_overdue",
            Self::Silent => "silent",
        }
    }
}

/// One warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// What is wrong.
    pub kind: RiskKind,
    /// Where.
    pub stage: Stage,
    /// Of the stage.
    pub submission: u32,
    /// Of the submission, from 1.
    pub attempt: u32,
    /// Since when: in the queue, without a checkpoint, without a heartbeat.
    pub since: Timestamp,
    /// When it was noticed.
    pub at: Timestamp,
    /// What the queue said, where it said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What supervision is to look at, besides Batch's own states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Whose head and heartbeat.
    pub stage: Stage,
    /// Of the stage.
    pub submission: u32,
    /// The one that runs.
    pub attempt: u32,
}

/// What was seen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressSeen {
    /// What was looked at.
    pub watch: Watch,
    /// When the newest checkpoint was published, by whichever attempt.
    pub checkpoint_at: Option<Timestamp>,
    /// When this attempt's heartbeat was written; none if its program writes none.
    pub heartbeat_at: Option<Timestamp>,
    /// The stage has its output: nothing can be lost any more.
    pub has_output: bool,
}

impl Run {
    /// Where to look: at the one job that runs. A fan-out's children are short and many; nobody watches them.
    pub fn watch(&self) -> Option<Watch> {
        let (stage, current, job) = self.current_job()?;
        let is_fan_out = self.stages.get(&stage)?.shards.is_some();
        (job.status == JobStatus::Running && !is_fan_out).then_some(Watch {
            stage,
            submission: current.number,
            attempt: attempt_of(job),
        })
    }

    /// Takes in what was seen where [`Run::watch`] pointed.
    pub(super) fn see_progress(
        &mut self,
        seen: &ProgressSeen,
        pipeline: &Pipeline,
        now: Timestamp,
    ) -> Vec<Action> {
        if self.watch() != Some(seen.watch) || seen.has_output {
            return Vec::new();
        }
        let Some((stage, _, job)) = self.current_job() else {
            return Vec::new();
        };
        let began_at = job
            .started_at_ms
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let limit_s = pipeline.stage(stage).map(|spec| spec.max_checkpoint_age_s);
        let mut actions = Vec::new();
        // What an earlier attempt published is this one's beginning.
        if let (Some(since), Some(limit_s)) = (began_at.max(seen.checkpoint_at), limit_s)
            && seconds(since, now) > i64::from(limit_s)
        {
            actions.extend(self.warn(RiskKind::CheckpointOverdue, since, None, pipeline, now));
        }
        if let Some(since) = seen.heartbeat_at
            && seconds(since, now) > SILENT_AFTER_S
        {
            actions.extend(self.warn(RiskKind::Silent, since, None, pipeline, now));
        }
        actions
    }

    /// Time passes: does the current job, or every child of it, wait for a host longer than the spec allows?
    pub(super) fn see_waiting(&mut self, pipeline: &Pipeline, now: Timestamp) -> Vec<Action> {
        self.see_children_wait(now);
        let Some((stage, current, job)) = self.current_job() else {
            return Vec::new();
        };
        // A retried job waits since its last attempt ended.
        let since_ms = job
            .attempts
            .iter()
            .filter_map(|attempt| attempt.stopped_at_ms)
            .chain(job.created_at_ms)
            .max();
        let since = match job.status {
            JobStatus::Runnable => since_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            JobStatus::Pending => current.children_wait_since,
            _ => None,
        };
        let limit_s = pipeline.stage(stage).map(|spec| spec.max_queue_wait_s);
        let said = current
            .blocked
            .as_ref()
            .map(|blocked| blocked.reason.clone());
        match (since, limit_s) {
            (Some(since), Some(limit_s)) if seconds(since, now) > i64::from(limit_s) => {
                self.warn(RiskKind::Stuck, since, said, pipeline, now)
            }
            _ => Vec::new(),
        }
    }

    /// An array's parent is PENDING whatever its children do: what they do is in its summary.
    fn see_children_wait(&mut self, now: Timestamp) {
        let Some((stage, _, job)) = self.current_job() else {
            return;
        };
        let children = match &job.array {
            Some(ArrayRole::Parent { summary, .. }) if !job.status.is_terminal() => summary,
            _ => return,
        };
        let count = |states: &[&str]| -> u32 {
            let known = states.iter().filter_map(|state| children.get(*state));
            known.sum()
        };
        let wait = count(&["RUNNABLE"]) > 0 && count(&["STARTING", "RUNNING"]) == 0;
        // Before any has ended none had a host, and they wait since they were made.
        let made_at = job
            .created_at_ms
            .filter(|_| count(&["SUCCEEDED", "FAILED"]) == 0)
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let record = self.stages.get_mut(&stage);
        if let Some(current) = record.and_then(|record| record.submissions.last_mut()) {
            current.children_wait_since = wait.then(|| {
                let known = current.children_wait_since;
                known.or(made_at).unwrap_or(now)
            });
        }
    }

    fn current_job(&self) -> Option<(Stage, &SubmissionRecord, &JobSeen)> {
        if self.phase == super::Phase::Closing {
            return None;
        }
        let stage = self.current_stage()?;
        let current = self.stages.get(&stage)?.current()?;
        Some((stage, current, current.job()?))
    }

    /// Once for each attempt and kind.
    fn warn(
        &mut self,
        kind: RiskKind,
        since: Timestamp,
        said: Option<String>,
        pipeline: &Pipeline,
        now: Timestamp,
    ) -> Vec<Action> {
        let Some((stage, current, job)) = self.current_job() else {
            return Vec::new();
        };
        let risk = Risk {
            kind,
            stage,
            submission: current.number,
            attempt: attempt_of(job),
            since,
            at: now,
            said,
        };
        let place = |risk: &Risk| (risk.kind, risk.stage, risk.submission, risk.attempt);
        if self.risks.iter().any(|known| place(known) == place(&risk)) {
            return Vec::new();
        }
        self.note(now, format!("warned: {}", risk.sentence()));
        self.risks.push(risk);
        self.tell(NoticeKind::AtRisk, pipeline)
    }
}

impl Risk {
    /// What is wrong, without a full stop.
    pub fn sentence(&self) -> String {
        let job = format!(
            "{} {}, attempt {}",
            self.stage, self.submission, self.attempt
        );
        let long = duration(seconds_between(self.since, self.at));
        match self.kind {
            RiskKind::Stuck => format!("{job} has waited {long} for a host"),
            RiskKind::CheckpointOverdue => format!(
                "{job} has published no checkpoint for {long}: a reclaim now would lose that much work"
            ),
            RiskKind::Silent => format!("{job} runs, and its heartbeat stopped {long} ago"),
        }
    }
}

fn attempt_of(job: &JobSeen) -> u32 {
    u32::try_from(job.attempts.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}
