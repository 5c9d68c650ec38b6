//! What supervision sees of runs that are live: Batch's own states, heads and heartbeats.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use trainspot_shared::batch_event::{JobSeen, JobStatus};
use trainspot_shared::identity::{JobName, RunId};
use trainspot_shared::layout::{self, file};
use trainspot_shared::measure;
use trainspot_shared::run::{Observation, ProgressSeen, Run, Watch};
use trainspot_shared::stage_head::StageHead;

use super::PipelineError;
use crate::cas;
use crate::drive::{DriveError, Edge, drive};
use crate::metrics;
use crate::settings::Settings;
use crate::store::StoreError;

/// Batch tells of a job for at least seven days after its end. One that it does not know after eight has
/// ended, whatever it was; before that, absent means unknown, never lost.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(8 * 24);

/// A job that may be live: whose it is, and since when at the latest.
struct Live {
    name: JobName,
    asked_at: Timestamp,
    known: Option<JobSeen>,
}

/// What Batch knows of all jobs that may be live: 100 a call, whatever runs they are of.
pub(super) async fn jobs<E: Edge>(
    edge: &E,
    ledgers: &BTreeMap<RunId, Run>,
    now: Timestamp,
) -> Result<BTreeMap<RunId, Vec<JobSeen>>, PipelineError> {
    let mut live: BTreeMap<String, Live> = ledgers.values().flat_map(live_of).collect();
    let mut jobs: BTreeMap<RunId, Vec<JobSeen>> = BTreeMap::new();
    if live.is_empty() {
        return Ok(jobs);
    }
    let ids: Vec<String> = live.keys().cloned().collect();
    for job in edge.describe(&ids).await.map_err(DriveError::from)? {
        if let Some(live) = live.remove(&job.id) {
            jobs.entry(live.name.run).or_default().push(job);
        }
    }
    let forgotten = live
        .into_iter()
        .filter(|(_, live)| live.asked_at + FORGOTTEN_AFTER < now);
    for (id, live) in forgotten {
        let run = live.name.run.clone();
        jobs.entry(run).or_default().push(forgotten_job(id, live));
    }
    Ok(jobs)
}

fn live_of(run: &Run) -> Vec<(String, Live)> {
    let mut live = Vec::new();
    for (stage, record) in &run.stages {
        for submission in &record.submissions {
            let known = |id: &str| submission.jobs.iter().find(|job| job.id == id);
            let seen = submission.jobs.iter().map(|job| &job.id);
            for id in submission.job_id.iter().chain(seen) {
                if known(id).is_some_and(|job| job.status.is_terminal()) {
                    continue;
                }
                let job = Live {
                    name: JobName {
                        run: run.id.clone(),
                        stage: *stage,
                        submission: submission.number,
                    },
                    asked_at: submission.asked_at,
                    known: known(id).cloned(),
                };
                live.push((id.clone(), job));
            }
        }
    }
    live
}

fn forgotten_job(id: String, live: Live) -> JobSeen {
    let told = live.known.unwrap_or_else(|| JobSeen {
        id,
        name: live.name.to_string(),
        queue: String::new(),
        status: JobStatus::Submitted,
        status_reason: None,
        attempts: Vec::new(),
        created_at_ms: None,
        started_at_ms: None,
        stopped_at_ms: None,
        is_terminated: false,
        is_cancelled: false,
        array: None,
    });
    JobSeen {
        status: JobStatus::Failed,
        status_reason: Some("Batch no longer knows this job".to_owned()),
        ..told
    }
}

/// Drives one run with what was seen of it. Looking must not keep it from being driven: a head or a
/// heartbeat that cannot be read now is read the next time.
pub(super) async fn drive_live<E: Edge>(
    edge: &E,
    settings: &Settings,
    ledger: &Run,
    jobs: Vec<JobSeen>,
    now: Timestamp,
    by: &str,
) -> Result<Run, DriveError> {
    let waits = jobs
        .iter()
        .filter_map(|job| measure::on_demand_wait(job, &settings.platform, now));
    let mut measures: Vec<_> = waits.collect();
    let mut observations: Vec<_> = jobs
        .into_iter()
        .map(|job| Observation::Job(Box::new(job)))
        .collect();
    observations.push(Observation::Swept { at: now });
    if let Some(watch) = ledger.watch() {
        match progress(edge, settings, &ledger.id, watch).await {
            Ok(seen) => {
                measures.extend(measure::checkpoint_age(ledger, &seen, now));
                observations.push(Observation::Progress(seen));
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(run.id = %ledger.id, error, "could not look at its progress");
            }
        }
    }
    metrics::tell(edge, settings, &ledger.id, || measures);
    drive(edge, settings, &ledger.id, observations, by).await
}

async fn progress<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &RunId,
    watch: Watch,
) -> Result<ProgressSeen, StoreError> {
    let bucket = &settings.results_bucket;
    let head_key = layout::stage_head(run, watch.stage, None);
    let head = cas::read::<StageHead>(edge, bucket, &head_key).await?;
    let results = layout::results(run, watch.stage, None, watch.submission, watch.attempt);
    let heartbeat = edge
        .get(bucket, &format!("{results}{}", file::PROGRESS))
        .await?;
    let head = head.map(|read| read.document);
    Ok(ProgressSeen {
        watch,
        checkpoint_at: head
            .as_ref()
            .and_then(|head| head.latest_checkpoint.as_ref())
            .map(|checkpoint| checkpoint.at),
        // By the store's own clock.
        heartbeat_at: heartbeat.map(|heartbeat| heartbeat.last_modified),
        has_output: head.is_some_and(|head| head.output.is_some()),
    })
}
