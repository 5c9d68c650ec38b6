//! What the agent has seen of its attempt so far, and the record made of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::World;
use trainspot_shared::attempt::{AttemptOutcome, AttemptRecord, Failure};
use trainspot_shared::job::JobDocument;
use trainspot_shared::layout::file::FAILURE;
use trainspot_shared::progress::Progress;

use crate::assignment::Assignment;
use crate::ending::Ending;
use crate::heard::Heard;
use crate::mask::Secrets;
use crate::memory_events::OomKills;
use crate::program::Ended;

/// Format of the record.
pub(crate) const SCHEMA: u32 = 1;

/// When the attempt began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// For the record.
    pub(crate) at: Timestamp,
    /// To measure by.
    pub(crate) uptime: Duration,
}

impl Moment {
    pub(crate) fn now(world: &impl World) -> Self {
        Self {
            at: world.now(),
            uptime: world.uptime(),
        }
    }
}

/// The account.
#[derive(Debug)]
pub(crate) struct Account {
    job: JobDocument,
    job_id: String,
    attempt: u32,
    shard: Option<u32>,
    started: Moment,
    secrets: Secrets,
    oom_kills: OomKills,
    pub(crate) heard: Heard,
    fetch_took: Option<Duration>,
    pub(crate) program_started_at: Option<Timestamp>,
    pub(crate) resumed_from: Option<u64>,
    pub(crate) published_step: Option<u64>,
    /// The newest step that was known to be published when the notice came.
    pub(crate) published_at_notice: Option<u64>,
    pub(crate) progress: Option<Progress>,
    pub(crate) ended: Option<Ended>,
    pub(crate) failure: Option<Failure>,
    pub(crate) log_tail: Vec<String>,
}

impl Account {
    /// Opened when the attempt knows what it is.
    pub(crate) fn open(
        job: JobDocument,
        assignment: &Assignment,
        shard: Option<u32>,
        started: Moment,
        heard: Heard,
        secrets: Secrets,
    ) -> Self {
        Self {
            job,
            job_id: assignment.job_id.clone(),
            attempt: assignment.attempt,
            shard,
            started,
            secrets,
            oom_kills: OomKills::begin(),
            heard,
            fetch_took: None,
            program_started_at: None,
            resumed_from: None,
            published_step: None,
            published_at_notice: None,
            progress: None,
            ended: None,
            failure: None,
            log_tail: Vec::new(),
        }
    }

    /// Every input is in place, at this uptime.
    pub(crate) fn has_fetched(&mut self, now: Duration) {
        self.fetch_took = Some(now.saturating_sub(self.started.uptime));
    }

    /// The job document it works by.
    pub(crate) fn job(&self) -> &JobDocument {
        &self.job
    }

    /// The shard, in a fan-out.
    pub(crate) fn shard(&self) -> Option<u32> {
        self.shard
    }

    /// Takes in what the program said of its own failure, if it did.
    pub(crate) fn read_failure(&mut self, output_dir: &Path) {
        let Ok(body) = fs::read(output_dir.join(FAILURE)) else {
            return;
        };
        let failure = match serde_json::from_slice::<Failure>(&body) {
            Ok(failure) => failure,
            Err(error) => Failure {
                reason: format!("the program failed and its `{FAILURE}` cannot be read: {error}"),
                hint: String::new(),
            },
        };
        self.failure = Some(Failure {
            reason: self.secrets.masked(&failure.reason),
            hint: self.secrets.masked(&failure.hint),
        });
    }

    /// The record while the attempt is at work.
    pub(crate) fn running(&self, now: Timestamp, log_tail: Vec<String>) -> AttemptRecord {
        AttemptRecord {
            log_tail,
            ..self.record(now, AttemptOutcome::Running, None, None)
        }
    }

    /// The record of the end.
    pub(crate) fn closed(&self, now: Timestamp, ending: &Ending) -> AttemptRecord {
        let code = Some(i32::from(ending.exit_code));
        self.record(now, ending.outcome, code, ending.error.as_deref())
    }

    fn record(
        &self,
        now: Timestamp,
        outcome: AttemptOutcome,
        exit_code: Option<i32>,
        error: Option<&str>,
    ) -> AttemptRecord {
        let (program_exit_code, program_signal) = match self.ended {
            Some(Ended::Exited(code)) => (Some(code), None),
            Some(Ended::Signaled(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        AttemptRecord {
            schema: SCHEMA,
            run_id: self.job.run_id.clone(),
            stage: self.job.stage,
            shard: self.shard,
            submission: self.job.submission,
            attempt: self.attempt,
            job_id: self.job_id.clone(),
            life_cycle: self.heard.identity.life_cycle.clone(),
            instance_type: self.heard.identity.instance_type.clone(),
            instance_id: self.heard.identity.instance_id.clone(),
            availability_zone: self.heard.identity.availability_zone.clone(),
            started_at: self.started.at,
            program_started_at: self.program_started_at,
            ended_at: now,
            outcome,
            exit_code,
            program_exit_code,
            program_signal,
            notice_at: self.heard.notice.map(|notice| notice.at),
            notice: self
                .heard
                .notice
                .map(|notice| notice.kind.as_str().to_owned()),
            resumed_from: self.resumed_from,
            published_step: self.published_step,
            last_step: self.progress.as_ref().map(|progress| progress.step),
            last_rate: self.progress.as_ref().map(|progress| progress.rate),
            fetch_s: self.fetch_took.map(|took| took.as_secs_f64()),
            cold_start: self
                .progress
                .as_ref()
                .map(|progress| progress.cold_start.clone())
                .unwrap_or_default(),
            out_of_memory: self.oom_kills.rose(),
            failure: self.failure.clone(),
            error: error.map(|error| self.secrets.masked(error)),
            log_tail: self.log_tail.clone(),
        }
    }
}
