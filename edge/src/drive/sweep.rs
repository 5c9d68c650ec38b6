//! Supervision: finish what a kill left, notice what no event told of, start ticks that got lost.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::{PipelineName, RunId};
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::{Admission, Origin, PipelineHead};
use trainspot_shared::run::{Observation, Run};

use super::admit::{AdmitError, Admitted, admit, create, spec};
use super::{DriveError, Edge, drive};
use crate::cas::{self, CasError, Decision};
use crate::chain::chain;
use crate::settings::Settings;
use crate::store::StoreError;

/// A due tick without a run is left to the schedule's own retries for so long.
const LOST_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Older ticks are not made up.
const TOO_OLD_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What a sweep did, as the function answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Live runs that were looked at.
    pub driven: Vec<RunId>,
    /// Ledgers that an entry had and nobody made.
    pub recreated: Vec<RunId>,
    /// Due ticks that had no run.
    pub made_up: Vec<RunId>,
    /// Runs of which nothing is left to do.
    pub settled: Vec<RunId>,
    /// What failed; the others were swept all the same.
    pub failures: Vec<String>,
}

/// Why nothing could be swept at all.
#[derive(Debug, thiserror::Error)]
#[error("list the pipelines")]
pub struct SweepError(#[source] StoreError);

/// Why one pipeline could not be swept.
#[derive(Debug, thiserror::Error)]
enum PipelineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cas(#[from] CasError),
    #[error(transparent)]
    Drive(#[from] DriveError),
    #[error(transparent)]
    Admit(#[from] AdmitError),
}

/// Sweeps every pipeline. One that fails is told of and does not keep the others from being swept.
pub async fn sweep<E: Edge>(edge: &E, settings: &Settings, by: &str) -> Result<Swept, SweepError> {
    let specs = edge
        .list(&settings.results_bucket, layout::PIPELINES_PREFIX)
        .await
        .map_err(SweepError)?;
    let mut swept = Swept::default();
    for object in specs {
        let name = object
            .key
            .strip_prefix(layout::PIPELINES_PREFIX)
            .and_then(|rest| rest.strip_suffix(".toml"))
            .and_then(|name| name.parse::<PipelineName>().ok());
        let Some(name) = name else { continue };
        let swept_one = Box::pin(sweep_pipeline(edge, settings, &name, by, &mut swept)).await;
        if let Err(error) = swept_one {
            swept.failures.push(format!("{name}: {}", chain(&error)));
        }
    }
    Ok(swept)
}

async fn sweep_pipeline<E: Edge>(
    edge: &E,
    settings: &Settings,
    name: &PipelineName,
    by: &str,
    swept: &mut Swept,
) -> Result<(), PipelineError> {
    let key = layout::pipeline_head(name);
    let bucket = &settings.results_bucket;
    let Some(head) = cas::read::<PipelineHead>(edge, bucket, &key).await? else {
        return Ok(());
    };
    let head = head.document;
    let mut ledgers = BTreeMap::new();
    for entry in &head.entries {
        let ledger = layout::ledger(&entry.run_id);
        if let Some(run) = cas::read::<Run>(edge, bucket, &ledger).await? {
            ledgers.insert(entry.run_id.clone(), run.document);
            continue;
        }
        let spec = spec(edge, settings, name).await?;
        if create(edge, settings, &head, entry, &spec.text, by).await? == Admitted::Created {
            swept.recreated.push(entry.run_id.clone());
        }
    }
    let mut jobs = live_jobs(edge, &ledgers).await?;
    let now = edge.now();
    for (id, ledger) in &ledgers {
        let mut observations: Vec<_> = jobs
            .remove(id)
            .unwrap_or_default()
            .into_iter()
            .map(|job| Observation::Job(Box::new(job)))
            .collect();
        observations.push(Observation::Swept { at: now });
        if ledger.is_settled() {
            continue;
        }
        swept.driven.push(id.clone());
        // One run that cannot be driven must not keep the others waiting.
        if let Err(error) = drive(edge, settings, id, observations, by).await {
            swept.failures.push(format!("{id}: {}", chain(&error)));
        }
    }
    let started = settle(edge, settings, &head, swept).await?;
    for id in started {
        drive(edge, settings, &id, Vec::new(), by).await?;
    }
    make_up(edge, settings, name, &head, now, by, swept).await
}

/// What Batch knows of all jobs that may be live: 100 a call, whatever runs they are of.
async fn live_jobs<E: Edge>(
    edge: &E,
    ledgers: &BTreeMap<RunId, Run>,
) -> Result<BTreeMap<RunId, Vec<JobSeen>>, PipelineError> {
    let mut run_of = BTreeMap::new();
    for (id, run) in ledgers {
        for submission in run.stages.values().flat_map(|stage| &stage.submissions) {
            let is_live = |job: &String| {
                submission
                    .jobs
                    .iter()
                    .all(|j| j.id != *job || !j.status.is_terminal())
            };
            let known = submission.jobs.iter().map(|job| job.id.clone());
            for job in submission
                .job_id
                .clone()
                .into_iter()
                .chain(known)
                .filter(is_live)
            {
                run_of.insert(job, id.clone());
            }
        }
    }
    let ids: Vec<String> = run_of.keys().cloned().collect();
    let mut jobs: BTreeMap<RunId, Vec<JobSeen>> = BTreeMap::new();
    if ids.is_empty() {
        return Ok(jobs);
    }
    for job in edge.describe(&ids).await.map_err(DriveError::from)? {
        if let Some(run) = run_of.get(&job.id) {
            jobs.entry(run.clone()).or_default().push(job);
        }
    }
    Ok(jobs)
}

/// Removes the entries of which nothing is left to do and starts the queued one; gives what was started.
async fn settle<E: Edge>(
    edge: &E,
    settings: &Settings,
    head: &PipelineHead,
    swept: &mut Swept,
) -> Result<Vec<RunId>, PipelineError> {
    let bucket = &settings.results_bucket;
    let (mut settled, mut is_final) = (BTreeSet::new(), BTreeSet::new());
    for entry in &head.entries {
        let run = cas::read::<Run>(edge, bucket, &layout::ledger(&entry.run_id)).await?;
        let Some(run) = run.map(|read| read.document) else {
            continue;
        };
        if run.is_settled() {
            settled.insert(entry.run_id.clone());
        }
        if run.is_final() {
            is_final.insert(entry.run_id.clone());
        }
    }
    let was_queued: BTreeSet<_> = head
        .entries
        .iter()
        .filter(|entry| entry.admission == Admission::Queue)
        .map(|entry| entry.run_id.clone())
        .collect();
    let key = layout::pipeline_head(&head.pipeline);
    let started = cas::change(
        edge,
        edge,
        bucket,
        &key,
        |head: Option<&PipelineHead>, write_id| {
            let Some(next) = head.and_then(|head| head.settle(&settled, &is_final, write_id))
            else {
                return Decision::Leave(Vec::new());
            };
            let started = next
                .started()
                .filter(|run| was_queued.contains(run))
                .cloned()
                .collect();
            Decision::Write(Box::new(next), started)
        },
    )
    .await?;
    swept.settled.extend(settled);
    Ok(started)
}

async fn make_up<E: Edge>(
    edge: &E,
    settings: &Settings,
    name: &PipelineName,
    head: &PipelineHead,
    now: Timestamp,
    by: &str,
    swept: &mut Swept,
) -> Result<(), PipelineError> {
    let Some(schedule) = settings.schedules.get(name) else {
        return Ok(());
    };
    let from = head.ticks_from.max(now - TOO_OLD_AFTER);
    for tick in schedule.due_between(from, now - LOST_AFTER) {
        if !head.makes_up(tick) {
            continue;
        }
        let id = RunId::scheduled(name.clone(), tick);
        if admit(edge, settings, &id, Origin::LostTick, by).await? == Admitted::Created {
            swept.made_up.push(id);
        }
    }
    Ok(())
}
