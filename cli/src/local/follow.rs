//! Watches a run in a local cloud to its end, and lets supervision come by more often than every five
//! minutes: a person is waiting. Changes nothing of the run itself.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;
use trainspot_edge::store::Store;
use trainspot_localcloud::JobSnapshot;
use trainspot_shared::identity::{JobName, RunId, Stage};
use trainspot_shared::layout;
use trainspot_shared::progress::Progress;
use trainspot_shared::run::Run;

use crate::ledgers;
use crate::local::cloud::Local;
use crate::local::narrator::Narrator;
use crate::problem::{Exit, Problem};

/// The template's rule that wakes supervision.
const SWEEP: &str = "OnSweep";
const SWEEP_EVERY: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// A job of a run at work, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Beat {
    /// Its name.
    pub(crate) job: JobName,
    /// Batch's id.
    pub(crate) job_id: String,
    /// From 1.
    pub(crate) attempt: u32,
    /// What it told last; none before its first heartbeat.
    pub(crate) progress: Option<Progress>,
}

/// Follows `run` until its ledger is final and nothing is left to do. `each` sees every beat.
pub(crate) async fn follow(
    local: &Local,
    store: &impl Store,
    run: &RunId,
    narrator: &Narrator,
    longest: Option<Duration>,
    mut each: impl AsyncFnMut(&Beat) -> Result<(), Problem>,
) -> Result<Run, Problem> {
    let began = Instant::now();
    let mut happenings = local.cloud.happenings();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    loop {
        tokio::select! {
            happening = happenings.recv() => {
                match happening {
                    Ok(happening) => narrator.tell(&happening),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => {
                        return Err(Problem::new(Exit::Unforeseen, "the local cloud ended before the run did"));
                    }
                }
                continue;
            }
            _ = look.tick() => {}
        }
        if let Some(ledger) = ledgers::ledger(store, &local.results, run).await? {
            if ledger.is_settled() {
                return Ok(ledger);
            }
            if !ledger.is_final() {
                for beat in beats(local, store, run, narrator).await? {
                    each(&beat).await?;
                }
            }
        }
        if longest.is_some_and(|longest| began.elapsed() > longest) {
            let sentence = format!(
                "run `{run}` did not end within {} s",
                began.elapsed().as_secs()
            );
            return Err(Problem::new(Exit::EndedBadly, sentence));
        }
        if swept.elapsed() > SWEEP_EVERY {
            swept = Instant::now();
            let delivered = local.cloud.deliver_tick(SWEEP, Timestamp::now()).await;
            delivered.map_err(|error| Problem::new(Exit::Configuration, error.to_string()))?;
        }
    }
}

/// The run's jobs that are at work: one, or the running children of a fan-out; told to the narrator on the way.
async fn beats(
    local: &Local,
    store: &impl Store,
    run: &RunId,
    narrator: &Narrator,
) -> Result<Vec<Beat>, Problem> {
    let jobs = jobs_of(local, run);
    let Some((name, job)) = jobs
        .iter()
        .rev()
        .find(|(_, job)| is_parent(job) && is_live(job))
    else {
        return Ok(Vec::new());
    };
    let children: Vec<_> = jobs
        .iter()
        .filter(|(_, child)| is_child_of(child, job))
        .collect();
    if children.is_empty() {
        // The one child of a fan-out is a plain job, and works for shard 0.
        let shard = (name.stage == Stage::Recommend).then_some(0);
        let beat = beat(local, store, (name, job), shard).await?;
        if let Some(Beat {
            attempt,
            progress: Some(progress),
            ..
        }) = &beat
        {
            narrator.heartbeat(&format!("{name} attempt {attempt}"), progress);
        }
        return Ok(beat.into_iter().collect());
    }
    let n_done = children
        .iter()
        .filter(|(_, child)| child.status == "SUCCEEDED")
        .count();
    narrator.share(&name.to_string(), n_done, children.len());
    let mut beats = Vec::new();
    for (name, child) in children {
        // A later submission works for the failed shards only, and its places are not their numbers.
        let shard = (name.submission == 1)
            .then(|| child.job_id.split_once(':')?.1.parse().ok())
            .flatten();
        if shard.is_some() {
            beats.extend(beat(local, store, (name, child), shard).await?);
        }
    }
    Ok(beats)
}

/// Where a running job stands.
async fn beat(
    local: &Local,
    store: &impl Store,
    (name, job): (&JobName, &JobSnapshot),
    shard: Option<u32>,
) -> Result<Option<Beat>, Problem> {
    if job.status != "RUNNING" {
        return Ok(None);
    }
    let attempt = u32::try_from(job.attempts_ended + 1).unwrap_or(u32::MAX);
    let prefix = layout::results(&name.run, name.stage, shard, name.submission, attempt);
    let key = format!("{prefix}{}", layout::file::PROGRESS);
    let fetched = store.get(&local.results, &key).await?;
    // A heartbeat in another shape is the program's affair; the ledger tells how it ends.
    let progress =
        fetched.and_then(|fetched| serde_json::from_slice::<Progress>(&fetched.body).ok());
    Ok(Some(Beat {
        job: name.clone(),
        job_id: job.job_id.clone(),
        attempt,
        progress,
    }))
}

/// The jobs that work for a run, oldest first.
pub(crate) fn jobs_of(local: &Local, run: &RunId) -> Vec<(JobName, JobSnapshot)> {
    let named = local.cloud.jobs().into_iter().filter_map(|job| {
        let name: JobName = job.job_name.parse().ok()?;
        (name.run == *run).then_some((name, job))
    });
    named.collect()
}

/// Not a child of an array.
pub(crate) fn is_parent(job: &JobSnapshot) -> bool {
    !job.job_id.contains(':')
}

fn is_child_of(child: &JobSnapshot, parent: &JobSnapshot) -> bool {
    child
        .job_id
        .split_once(':')
        .is_some_and(|(id, _)| id == parent.job_id)
}

fn is_live(job: &JobSnapshot) -> bool {
    !matches!(job.status.as_str(), "SUCCEEDED" | "FAILED")
}
