//! Supervision: finish what a kill left, notice what no event told of, start ticks that got lost.

mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Display;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::{PipelineName, RunId};
use trainspot_shared::layout;
use trainspot_shared::measure;
use trainspot_shared::pipeline_head::{Admission, Entry, Origin, PipelineHead};
use trainspot_shared::run::Run;

use super::admit::{AdmitError, Admitted, admit, create, spec};
use super::entered::ledgers;
use super::{DriveError, Edge, drive};
use crate::cas::{self, CasError, Decision};
use crate::chain::chain;
use crate::metrics;
use crate::settings::Settings;
use crate::store::StoreError;

/// A due tick without a run is left to the schedule's own retries for so long.
const LOST_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Runs are driven so many at a time: fifty live ones fit into one invocation with time to spare.
const RUNS_AT_ONCE: usize = 8;
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
    /// What failed, or is refused until a person mends it; the others were swept all the same.
    pub failures: Vec<String>,
}

impl Swept {
    /// An action that a service refuses, until a person mends it or it is given up.
    fn refused(&mut self, run: &Run) {
        for pending in &run.pending {
            if let Some(why) = &pending.refused {
                self.failures
                    .push(format!("{}: {}: {why}", run.id, pending.id));
            }
        }
    }

    /// Of a run or of a whole pipeline.
    fn failed(&mut self, what: &impl Display, error: &dyn Error) {
        self.failures.push(format!("{what}: {}", chain(error)));
    }
}

/// Why nothing could be swept at all.
#[derive(Debug, thiserror::Error)]
#[error("list the pipelines' states")]
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

/// Sweeps every pipeline that has a state, also one whose spec was removed: its live runs carry theirs in
/// their ledgers and go on to their ends. One that fails is told of and does not keep the others from being
/// swept.
pub async fn sweep<E: Edge>(edge: &E, settings: &Settings, by: &str) -> Result<Swept, SweepError> {
    let folders = edge
        .list_folders(&settings.results_bucket, layout::STATE_PREFIX)
        .await
        .map_err(SweepError)?;
    let mut swept = Swept::default();
    for folder in folders {
        let name = folder.trim_end_matches('/').parse::<PipelineName>();
        let Ok(name) = name else { continue };
        let swept_one = Box::pin(sweep_pipeline(edge, settings, &name, by, &mut swept)).await;
        if let Err(error) = swept_one {
            swept.failed(&name, &error);
        }
    }
    if !swept.failures.is_empty() {
        metrics::tell_of_sweep(edge, settings, measure::failed_sweep());
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
    let (mut ledgers, unreadable) = ledgers(edge, settings, &head).await;
    for entry in &head.entries {
        // One ledger that cannot be read, or is of a newer format, must not keep the other runs waiting.
        if let Some(error) = unreadable.get(&entry.run_id) {
            swept.failed(&entry.run_id, error);
            continue;
        }
        if ledgers.contains_key(&entry.run_id) {
            continue;
        }
        match recreate(edge, settings, &head, entry, by).await {
            Ok(Admitted::Created) => swept.recreated.push(entry.run_id.clone()),
            Ok(Admitted::AlreadyThere | Admitted::LostTheCreate) => {}
            Err(error) => swept.failed(&entry.run_id, &error),
        }
    }
    let now = edge.now();
    let mut jobs = live::jobs(edge, &ledgers, now).await?;
    let live: Vec<(Run, Vec<JobSeen>)> = ledgers
        .values()
        .filter(|ledger| !ledger.is_settled())
        .map(|ledger| (ledger.clone(), jobs.remove(&ledger.id).unwrap_or_default()))
        .collect();
    let driven = futures::stream::iter(live).map(|(ledger, jobs)| async move {
        let run = Box::pin(live::drive_live(edge, settings, &ledger, jobs, now, by)).await;
        (ledger.id, run)
    });
    // By whichever is done first: one that takes long must not keep the others waiting.
    let driven: BTreeMap<_, _> = driven.buffer_unordered(RUNS_AT_ONCE).collect().await;
    for (id, run) in driven {
        // One run that cannot be driven must not keep the others waiting.
        match run {
            Ok(run) => {
                swept.refused(&run);
                ledgers.insert(id.clone(), run);
            }
            Err(error) => swept.failed(&id, &error),
        }
        swept.driven.push(id);
    }
    let started = settle(edge, settings, &head, &ledgers, swept).await?;
    for id in started {
        if let Err(error) = drive(edge, settings, &id, Vec::new(), by).await {
            swept.failed(&id, &error);
        }
    }
    let head = see_schedule(edge, settings, head, now).await?;
    make_up(edge, settings, name, &head, now, by, swept).await
}

/// Makes the ledger that an entry lacks.
async fn recreate<E: Edge>(
    edge: &E,
    settings: &Settings,
    head: &PipelineHead,
    entry: &Entry,
    by: &str,
) -> Result<Admitted, AdmitError> {
    let spec = spec(edge, settings, &head.pipeline).await?;
    create(edge, settings, entry, &spec.text, by).await
}

/// A schedule that changed makes older ticks never due. One write when it did, no request otherwise.
async fn see_schedule<E: Edge>(
    edge: &E,
    settings: &Settings,
    head: PipelineHead,
    now: Timestamp,
) -> Result<PipelineHead, PipelineError> {
    let schedule = settings.schedules.get(&head.pipeline);
    let text = schedule.map_or_else(String::new, |schedule| {
        format!("{} {}", schedule.expression(), schedule.time_zone())
    });
    if head.schedule_seen.as_deref() == Some(text.as_str()) {
        return Ok(head);
    }
    let key = layout::pipeline_head(&head.pipeline);
    let seen = cas::change(
        edge,
        edge,
        &settings.results_bucket,
        &key,
        |there: Option<&PipelineHead>, write_id| {
            let there = there.unwrap_or(&head);
            match there.see_schedule(&text, now, write_id) {
                Some(next) => Decision::Write(Box::new(next.clone()), next),
                None => Decision::Leave(there.clone()),
            }
        },
    )
    .await?;
    Ok(seen)
}

/// Removes the entries of which nothing is left to do and starts the queued one; gives what was started.
async fn settle<E: Edge>(
    edge: &E,
    settings: &Settings,
    head: &PipelineHead,
    ledgers: &BTreeMap<RunId, Run>,
    swept: &mut Swept,
) -> Result<Vec<RunId>, PipelineError> {
    let which = |is_it: fn(&Run) -> bool| -> BTreeSet<RunId> {
        let ledgers = ledgers.values().filter(|run| is_it(run));
        ledgers.map(|run| run.id.clone()).collect()
    };
    let (settled, is_final) = (which(Run::is_settled), which(Run::is_final));
    let was_queued: BTreeSet<_> = head
        .entries
        .iter()
        .filter(|entry| entry.admission == Admission::Queue)
        .map(|entry| entry.run_id.clone())
        .collect();
    if settled.is_empty() && was_queued.is_empty() {
        return Ok(Vec::new());
    }
    let key = layout::pipeline_head(&head.pipeline);
    let started = cas::change(
        edge,
        edge,
        &settings.results_bucket,
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
        match admit(edge, settings, &id, Origin::LostTick, by).await {
            Ok(Admitted::Created) => swept.made_up.push(id),
            Ok(Admitted::AlreadyThere | Admitted::LostTheCreate) => {}
            // Somebody removed the pipeline and has not deployed yet without its schedule.
            Err(error @ AdmitError::UnknownPipeline { .. }) => {
                tracing::warn!(run.id = %id, %error, "a lost tick is not made up");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
