//! Carrying a run's decisions out: read, look, decide, save, act, record.
//!
//! `drive` may be called by any function, at any time, any number of times at once, and may die between
//! any two lines. The ledger is saved with its actions and claims before anything is done, and again
//! with what came of it; a claim that ran out is taken over by whoever comes next.

mod act;
mod admit;
mod entered;
mod look;
mod shard_records;
mod sweep;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use trainspot_shared::identity::RunId;
use trainspot_shared::layout;
use trainspot_shared::measure;
use trainspot_shared::pipeline::SpecError;
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::{Need, Observation, Run};

pub use admit::{AdmitError, Admitted, admit};
pub use sweep::{SweepError, Swept, sweep};

use crate::cas::{self, CasError, Decision};
use crate::jobs::JobsError;
use crate::metrics;
use crate::settings::Settings;
use crate::store::StoreError;
use crate::{Jobs, Store, Topic, World};

/// Everything that a function may touch.
pub trait Edge: Store + Jobs + Topic + World {}

impl<T: Store + Jobs + Topic + World> Edge for T {}

/// A claim's lease, in function time-outs: what outlives it was killed long ago.
const LEASE_IN_TIMEOUTS: u32 = 3;

/// A document that others keep changing, or decisions that follow on each other: more rounds than any
/// run has stages and actions.
const ROUNDS: u32 = 40;

/// Why a run could not be driven. All of them may be tried again but [`DriveError::NoRun`].
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// There is no such ledger.
    #[error("there is no ledger of run `{0}`")]
    NoRun(RunId),
    /// The ledger's pinned spec does not parse: written by something else.
    #[error("pinned spec of run `{run}`")]
    Spec {
        /// Which.
        run: RunId,
        /// How.
        #[source]
        source: SpecError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document kept changing.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// Batch failed.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// Others kept changing the ledger, or it never came to rest.
    #[error("drive run `{0}`: {ROUNDS} rounds were not enough")]
    Restless(RunId),
}

/// Drives `run_id` as far as it goes now. `by` names function and request for the claims. `Err` also where it goes on
/// and something that it needs could not be looked at.
pub async fn drive<E: Edge>(
    edge: &E,
    settings: &Settings,
    run_id: &RunId,
    observations: Vec<Observation>,
    by: &str,
) -> Result<Run, DriveError> {
    let nonce = edge.draw();
    let key = layout::ledger(run_id);
    let bucket = &settings.results_bucket;
    let lease = planned_lease(settings);
    let read = || async {
        cas::read::<Run>(edge, bucket, &key)
            .await?
            .ok_or_else(|| DriveError::NoRun(run_id.clone()))
    };
    let mut known = read().await?;
    let mut inbox = observations;
    // Thousands of records are not read again because somebody else saved meanwhile: they do not change.
    let mut account: Option<Vec<Observation>> = None;
    for _ in 0..ROUNDS {
        let now = edge.now();
        let mut run = known.document.clone();
        for observation in &inbox {
            take_in(settings, &mut run, observation, now)?;
            #[cfg(feature = "planted")]
            overwrite_the_end(settings, &mut run, observation);
        }
        // A look that fails ends the looking, not the rest: what was decided before it is saved and carried out.
        let looked = look_around(edge, settings, &mut run, &mut account, now).await;
        let claimed = run.claim(&nonce, by, now, lease);
        if run == known.document {
            return looked.map(|()| run);
        }
        if known.document.is_settled() && !run.is_settled() {
            // Before the save: an entry of a settled run is removed again, a wish without one is lost.
            reenter(edge, settings, &run, by).await?;
        }
        run.version += 1;
        run.write_id = edge.draw();
        #[cfg(feature = "planted")]
        let (claimed, early) = submit_before_save(edge, settings, &run, claimed).await;
        let Some(etag) = cas::write_once(edge, bucket, &key, &run, Some(&known.etag)).await? else {
            // Somebody else decided meanwhile: the same facts are taken in again, on what is there.
            edge.pause(Duration::from_millis(20).mul_f64(edge.chance()))
                .await;
            known = read().await?;
            continue;
        };
        tracing::info!(run.id = %run.id, run.version = run.version, run.phase = ?run.phase, pending = run.pending.len(), "ledger saved");
        metrics::tell(edge, settings, &run.id, || {
            measure::of_save(Some(&known.document), &run)
        });
        known = cas::Read {
            document: run,
            etag,
        };
        inbox.clear();
        #[cfg(feature = "planted")]
        inbox.extend(early);
        if claimed.is_empty() && inbox.is_empty() {
            return looked.map(|()| known.document);
        }
        for pending in claimed {
            // Boxed, as the looks are: the futures of all actions in one would be a stack of kilobytes.
            let outcome = Box::pin(act::act(edge, settings, &known.document, &pending)).await;
            tracing::info!(run.id = %run_id, action = %pending.id, ?outcome, "action carried out");
            inbox.push(Observation::Carried {
                id: pending.id,
                nonce: nonce.clone(),
                outcome,
            });
        }
    }
    Err(DriveError::Restless(run_id.clone()))
}

fn take_in(
    settings: &Settings,
    run: &mut Run,
    observation: &Observation,
    now: Timestamp,
) -> Result<(), DriveError> {
    let actions = run.apply(observation, &settings.platform, now);
    let actions = actions.map_err(|source| DriveError::Spec {
        run: run.id.clone(),
        source,
    })?;
    run.hold(actions);
    Ok(())
}

/// Looks at what the run needs and takes it in, as long as it needs something else then. `account`: its records,
/// once they were read.
async fn look_around<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &mut Run,
    account: &mut Option<Vec<Observation>>,
    now: Timestamp,
) -> Result<(), DriveError> {
    let mut looked_at = Vec::new();
    while let Some(need) = run.needs().filter(|need| !looked_at.contains(need)) {
        looked_at.push(need);
        let seen = match account.take().filter(|_| need == Need::Records) {
            Some(account) => account,
            None => Box::pin(look::look(edge, settings, run, need)).await?,
        };
        if need == Need::Records {
            *account = Some(seen.clone());
        }
        for observation in seen {
            take_in(settings, run, &observation, now)?;
        }
    }
    Ok(())
}

#[cfg(not(feature = "planted"))]
fn planned_lease(settings: &Settings) -> SignedDuration {
    lease(settings.function_timeout)
}

/// The planted bug: the lease is over long before the function is.
#[cfg(feature = "planted")]
fn planned_lease(settings: &Settings) -> SignedDuration {
    match settings.planted {
        crate::planted::Planted::ShortLease => lease(settings.function_timeout) / 12,
        _ => lease(settings.function_timeout),
    }
}

/// The planted bug: what is claimed is carried out before anybody else can know of it.
#[cfg(feature = "planted")]
async fn submit_before_save<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    claimed: Vec<trainspot_shared::run::Pending>,
) -> (Vec<trainspot_shared::run::Pending>, Vec<Observation>) {
    use trainspot_shared::run::Action;
    if settings.planted != crate::planted::Planted::SubmitBeforeSave {
        return (claimed, Vec::new());
    }
    let (submits, others) = claimed
        .into_iter()
        .partition::<Vec<_>, _>(|pending| matches!(pending.action, Action::Submit(_)));
    let mut early = Vec::new();
    for pending in submits {
        let outcome = Box::pin(act::act(edge, settings, run, &pending)).await;
        early.push(Observation::Carried {
            nonce: pending.claim.map(|claim| claim.nonce).unwrap_or_default(),
            id: pending.id,
            outcome,
        });
    }
    (others, early)
}

/// The planted bug: the job's last word counts more than the run's end.
#[cfg(feature = "planted")]
fn overwrite_the_end(settings: &Settings, run: &mut Run, observation: &Observation) {
    use trainspot_shared::run::End;
    let is_planted = settings.planted == crate::planted::Planted::TerminalOverwritten;
    if let Observation::Job(job) = observation
        && is_planted
        && run.is_final()
        && job.status == trainspot_shared::batch_event::JobStatus::Failed
    {
        run.end = Some(End::Cancelled {
            because: format!("{} failed", job.name),
        });
    }
}

/// Puts a run back into its pipeline's head, so that supervision sees to it again: a submission that
/// landed when all was over and settled has left a job that is to be ended.
async fn reenter<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    by: &str,
) -> Result<(), CasError> {
    let key = layout::pipeline_head(run.id.pipeline());
    let now = edge.now();
    cas::change(
        edge,
        edge,
        &settings.results_bucket,
        &key,
        |head: Option<&PipelineHead>, write_id| {
            let next =
                head.and_then(|head| head.reenter(&run.id, run.origin.clone(), now, by, write_id));
            match next {
                Some(next) => Decision::Write(Box::new(next), ()),
                None => Decision::Leave(()),
            }
        },
    )
    .await
}

/// How long a claim is good for.
pub fn lease(function_timeout: Duration) -> SignedDuration {
    SignedDuration::try_from(function_timeout * LEASE_IN_TIMEOUTS)
        .unwrap_or(SignedDuration::from_mins(15))
}
