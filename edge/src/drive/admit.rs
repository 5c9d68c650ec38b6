//! Entering a request into the pipeline's head, once, and making its ledger, once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use trainspot_shared::identity::{PipelineName, RunId};
use trainspot_shared::layout;
use trainspot_shared::measure;
use trainspot_shared::pipeline::{Pipeline, SpecError};
use trainspot_shared::pipeline_head::{self, Admission, Entry, Origin, PipelineHead};
use trainspot_shared::run::{End, NewRun, Phase, Run};

use super::entered::final_runs;
use super::{DriveError, Edge, drive};
use crate::cas::{self, CasError};
use crate::metrics;
use crate::settings::Settings;
use crate::store::StoreError;

/// Tries to enter a head that others keep changing.
const TRIES: u32 = 20;

/// What became of a request, as the function answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Admitted {
    /// This invocation made the ledger and drove the run.
    Created,
    /// The ledger was there before: a duplicate.
    AlreadyThere,
    /// Another invocation made the ledger at the same moment.
    LostTheCreate,
}

/// Why a request did not become a run.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Nobody pushed such a pipeline: no retry will help until somebody does.
    #[error(
        "there is no pipeline `{pipeline}`: s3://{bucket}/{key} does not exist; run `trainspot push` first"
    )]
    UnknownPipeline {
        /// Its name.
        pipeline: PipelineName,
        /// The results bucket.
        bucket: String,
        /// Where it was looked for.
        key: String,
    },
    /// What was pushed does not parse: no retry will help until somebody pushes again.
    #[error("spec of pipeline `{pipeline}`")]
    Spec {
        /// Its name.
        pipeline: PipelineName,
        /// Line and field.
        #[source]
        source: SpecError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The head kept changing.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// The run could not be driven; supervision takes it up.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// Enters `run_id` and makes its ledger, or finds that somebody did. Any number of invocations may do
/// this for the same run at once: one of them creates the ledger, and the ledger names it.
pub async fn admit<E: Edge>(
    edge: &E,
    settings: &Settings,
    run_id: &RunId,
    origin: Origin,
    by: &str,
) -> Result<Admitted, AdmitError> {
    let bucket = &settings.results_bucket;
    let head_key = layout::pipeline_head(run_id.pipeline());
    let mut head = cas::read::<PipelineHead>(edge, bucket, &head_key).await?;
    if edge.get(bucket, &layout::ledger(run_id)).await?.is_some() {
        return Ok(Admitted::AlreadyThere);
    }
    let spec = spec(edge, settings, run_id.pipeline()).await?;
    let mut tries = 0;
    let entry = loop {
        let is_final = match &head {
            Some(head) => final_runs(edge, settings, &head.document).await?,
            None => BTreeSet::new(),
        };
        let over = head.as_ref().map(|read| read.etag.clone());
        let seen = head.map_or_else(
            || {
                // Nobody pushed through the cli; a tick is as good a first day as any.
                PipelineHead::first(
                    run_id.pipeline().clone(),
                    run_id.tick().start(),
                    edge.draw(),
                )
            },
            |read| read.document,
        );
        let admitted = seen.admit(
            run_id,
            origin.clone(),
            spec.pipeline.overlap,
            &is_final,
            edge.now(),
            by,
            edge.draw(),
        );
        match admitted {
            pipeline_head::Admitted::Already(entry) => break entry,
            pipeline_head::Admitted::Write(next, entry) => {
                if cas::write(edge, bucket, &head_key, next.as_ref(), over.as_deref()).await? {
                    break entry;
                }
            }
        }
        tries += 1;
        if tries >= TRIES {
            return Err(CasError::Contended { key: head_key }.into());
        }
        edge.pause(Duration::from_millis(50).mul_f64(edge.chance()))
            .await;
        head = cas::read::<PipelineHead>(edge, bucket, &head_key).await?;
    };
    Box::pin(create(edge, settings, &entry, &spec.text, by)).await
}

/// Makes the ledger of an entry, and drives it if it was this invocation that made it.
pub(super) async fn create<E: Edge>(
    edge: &E,
    settings: &Settings,
    entry: &Entry,
    spec_text: &str,
    by: &str,
) -> Result<Admitted, AdmitError> {
    let (phase, end) = beginning(entry.admission);
    let new = NewRun {
        id: entry.run_id.clone(),
        origin: entry.origin.clone(),
        created_by: by.to_owned(),
        created_at: edge.now(),
        spec_text,
        write_id: edge.draw(),
    };
    let run = Run::new(new, phase, end).map_err(|source| AdmitError::Spec {
        pipeline: entry.run_id.pipeline().clone(),
        source,
    })?;
    let key = layout::ledger(&entry.run_id);
    if !cas::write(edge, &settings.results_bucket, &key, &run, None).await? {
        return Ok(Admitted::LostTheCreate);
    }
    metrics::tell(edge, settings, &run.id, || measure::of_save(None, &run));
    Box::pin(drive(edge, settings, &entry.run_id, Vec::new(), by)).await?;
    Ok(Admitted::Created)
}

/// Where a run begins, and how it ends at once if it was not let in.
fn beginning(admission: Admission) -> (Phase, Option<End>) {
    let skipped = |because: &str| {
        (
            Phase::WaitingForData,
            Some(End::Skipped {
                because: because.to_owned(),
            }),
        )
    };
    match admission {
        Admission::Start => (Phase::WaitingForData, None),
        Admission::Queue => (Phase::Queued, None),
        Admission::SkipOverlap => skipped("the run before is still live"),
        Admission::SkipSuperseded => skipped("a newer request took its place in the queue"),
        Admission::SkipPaused => skipped("ticks are paused"),
        Admission::RefuseTooMany => skipped("too many runs of this pipeline are live"),
    }
}

/// A spec as it lies in the bucket.
pub(super) struct Spec {
    pub(super) text: String,
    pub(super) pipeline: Pipeline,
}

pub(super) async fn spec<E: Edge>(
    edge: &E,
    settings: &Settings,
    name: &PipelineName,
) -> Result<Spec, AdmitError> {
    let key = layout::pipeline_spec(name);
    let bucket = &settings.results_bucket;
    let Some(object) = edge.get(bucket, &key).await? else {
        return Err(AdmitError::UnknownPipeline {
            pipeline: name.clone(),
            bucket: bucket.clone(),
            key,
        });
    };
    let text = String::from_utf8(object.body).map_err(|error| StoreError::Malformed {
        key,
        why: error.to_string(),
    })?;
    let pipeline = Pipeline::parse(&text).map_err(|source| AdmitError::Spec {
        pipeline: name.clone(),
        source,
    })?;
    Ok(Spec { text, pipeline })
}
