//! Looking at what a decision needs: reads only, but for the pinned dataset's own document.

use futures::StreamExt;
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::batch_event::{ArrayRole, JobStatus};
use trainspot_shared::champion::Champion;
use trainspot_shared::dataset::{Dataset, DatasetObject, READY};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::failure::{self, Class};
use trainspot_shared::identity::Stage;
use trainspot_shared::job::Pinned;
use trainspot_shared::layout::{self, file};
use trainspot_shared::pipeline::DataSpec;
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::{
    ChampionSeen, DataSeen, Need, Observation, PinnedDataset, Platform, Run, SHARDS_ITEMISED,
    SeenBefore, StageEnd, SubmissionRecord,
};
use trainspot_shared::stage_head::StageHead;

use super::{DriveError, Edge, shard_records};
use crate::cas;
use crate::chain::chain;
use crate::settings::Settings;
use crate::store::StoreError;

/// Shard heads are read, and written, so many at a time.
pub(super) const HEADS_AT_ONCE: usize = 32;

/// What is seen where `need` points.
pub(super) async fn look<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    need: Need,
) -> Result<Vec<Observation>, DriveError> {
    match need {
        Need::Admission => {
            let key = layout::pipeline_head(run.id.pipeline());
            let head = cas::read::<PipelineHead>(edge, &settings.results_bucket, &key).await?;
            let admission = head.and_then(|h| h.document.entry(&run.id).map(|e| e.admission));
            Ok(vec![Observation::Admission(admission)])
        }
        Need::Data => Ok(vec![Observation::Data(data(edge, settings, run).await?)]),
        Need::StageEnd(stage) => stage_end(edge, settings, run, stage).await,
        Need::Records => {
            let mut seen = shard_records::sums(edge, settings, run).await?;
            seen.push(Observation::Records(records(edge, settings, run).await?));
            Ok(seen)
        }
    }
}

async fn data<E: Edge>(edge: &E, settings: &Settings, run: &Run) -> Result<DataSeen, DriveError> {
    let pipeline = run.pipeline().map_err(|source| DriveError::Spec {
        run: run.id.clone(),
        source,
    })?;
    let Some(spec) = &pipeline.data else {
        return Ok(DataSeen::NotNeeded);
    };
    let bucket = &settings.data_bucket;
    let listed = match edge.list(bucket, &spec.prefix).await {
        Ok(listed) => listed,
        Err(error) if !error.may_pass() && !run.waits_for_refused_data(&pipeline, edge.now()) => {
            return Ok(refused_data(&error));
        }
        Err(error) => return Err(error.into()),
    };
    let ready = format!("{}{READY}", spec.prefix);
    let marker = listed.iter().find(|object| object.key == ready);
    let ready_at = marker.map(|object| object.last_modified);
    let objects = listed.into_iter().map(|object| DatasetObject {
        key: object.key,
        size: object.size,
        etag: object.etag,
    });
    let dataset = Dataset::of(bucket, &spec.prefix, objects);
    if dataset.objects.is_empty() {
        return Ok(DataSeen::NotThere {
            why: format!("there is no object under s3://{bucket}/{}", spec.prefix),
        });
    }
    let before = seen_before(edge, settings, run, spec).await?;
    let uri = format!("s3://{bucket}/{ready}");
    if let Some(why) = run.why_not_ready(spec, &uri, ready_at, &before) {
        return Ok(DataSeen::NotThere { why });
    }
    let body = serde_json::to_vec_pretty(&dataset).map_err(|error| StoreError::Malformed {
        key: "dataset".to_owned(),
        why: error.to_string(),
    })?;
    let sha256 = sha256_hex(&body);
    let key = layout::dataset(&run.id, &sha256);
    // Its name is its digest: if it is there, it is this one.
    cas::write_if_absent(edge, edge, &settings.results_bucket, &key, &body).await?;
    let Platform {
        image,
        post_processing_image,
        ..
    } = &settings.platform;
    let fingerprint = dataset.fingerprint(&run.spec.sha256, image, post_processing_image);
    let pinned = Pinned { key, sha256 };
    Ok(DataSeen::Pinned {
        dataset: PinnedDataset::of(&dataset, pinned, fingerprint, ready_at),
        last_success: before.last_success.map(|last| last.fingerprint),
    })
}

/// What the pipeline's other runs saw, as far as this one's data is held against it.
async fn seen_before<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    spec: &DataSpec,
) -> Result<SeenBefore, DriveError> {
    if spec.wait_for_s.is_none() && !spec.skip_if_unchanged {
        return Ok(SeenBefore::default());
    }
    let bucket = &settings.results_bucket;
    let key = layout::pipeline_head(run.id.pipeline());
    let Some(head) = cas::read::<PipelineHead>(edge, bucket, &key).await? else {
        return Ok(SeenBefore::default());
    };
    let head = head.document;
    // Those that were told to start and are not settled: what they saw is in their ledgers only.
    let others: Vec<_> = head
        .started()
        .filter(|id| **id != run.id)
        .cloned()
        .collect();
    let reads = futures::stream::iter(others).map(|id| async move {
        let read = cas::read::<Run>(edge, bucket, &layout::ledger(&id)).await;
        (id, read)
    });
    let mut ledgers = Vec::new();
    let mut reads = std::pin::pin!(reads.buffered(HEADS_AT_ONCE));
    while let Some((id, read)) = reads.next().await {
        match read {
            Ok(read) => ledgers.extend(read.map(|read| read.document)),
            // Of a newer format, or torn: it must not keep this run waiting.
            Err(error @ StoreError::Malformed { .. }) => {
                tracing::warn!(run.id = %id, error = &error as &dyn std::error::Error, "ledger is not readable");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(SeenBefore::of(&head, &ledgers))
}

fn refused_data(error: &StoreError) -> DataSeen {
    let class = match error {
        StoreError::Denied { .. } => Class::PermissionDenied,
        _ => Class::BadData,
    };
    let why = chain(error);
    DataSeen::Refused { class, why }
}

async fn stage_end<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    stage: Stage,
) -> Result<Vec<Observation>, DriveError> {
    let bucket = &settings.results_bucket;
    let mut observations = Vec::new();
    let record = run.stages.get(&stage);
    let job = record
        .and_then(|r| r.current())
        .and_then(SubmissionRecord::job);
    if let Some(job) = job.filter(|job| failure::asks_who_ended_it(job)) {
        let described = edge.describe(std::slice::from_ref(&job.id)).await?;
        observations.extend(
            described
                .into_iter()
                .map(|job| Observation::Job(Box::new(job))),
        );
    }
    let head_key = layout::stage_head(&run.id, stage, None);
    let head = cas::read::<StageHead>(edge, bucket, &head_key)
        .await?
        .map(|read| read.document);
    let mut end = StageEnd {
        stage,
        record: None,
        missing_shards: None,
        child_verdict: None,
        metrics: None,
        champion: None,
        is_verified: None,
        head,
    };
    let output = end
        .head
        .as_ref()
        .and_then(|head| head.output.as_ref())
        .map(|o| o.prefix.clone());
    let has_failed = job.is_some_and(|job| job.status == JobStatus::Failed);
    if let Some(shards) = record
        .and_then(|r| r.shards)
        .filter(|_| has_failed && output.is_none())
    {
        let missing = missing_shards(edge, settings, run, stage, shards).await?;
        if let Some(parent) = job.filter(|job| matches!(job.array, Some(ArrayRole::Parent { .. })))
        {
            end.child_verdict = child_verdict(edge, run, stage, &parent.id, &missing).await?;
        }
        end.missing_shards = Some(missing);
    }
    if output.is_none() && record.is_some_and(|r| r.shards.is_none()) {
        end.record = failed_attempt(edge, settings, run, stage).await?;
    }
    if let Some(prefix) = output {
        match stage {
            Stage::Train => end.champion = champion(edge, settings, run).await?,
            // The champion that the gate goes by is the one that evaluate scored.
            Stage::Evaluate => {
                end.metrics =
                    Some(json(edge, bucket, &format!("{prefix}{}", file::METRICS)).await?);
            }
            Stage::Gather => {
                let key = format!("{prefix}{}", file::RECOMMENDATIONS);
                let told: Result<serde_json::Value, String> = json(edge, bucket, &key).await?;
                end.is_verified = Some(told.is_ok_and(|told| told["verified"] == true));
            }
            Stage::Recommend => {}
        }
    }
    observations.push(Observation::StageEnded(Box::new(end)));
    Ok(observations)
}

/// What the last attempt's agent left, where Batch's own words do not say why it ended.
async fn failed_attempt<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    stage: Stage,
) -> Result<Option<AttemptRecord>, DriveError> {
    let current = run.stages.get(&stage).and_then(|record| record.current());
    let Some((submission, job)) = current.and_then(|s| Some((s.number, s.job()?))) else {
        return Ok(None);
    };
    let attempt = u32::try_from(job.attempts.len()).unwrap_or(u32::MAX);
    if attempt == 0 || !failure::classify(job).is_some_and(|verdict| verdict.asks_the_record()) {
        return Ok(None);
    }
    let prefix = layout::results(&run.id, stage, None, submission, attempt);
    let key = format!("{prefix}{}", file::ATTEMPT);
    let read = json::<E, AttemptRecord>(edge, &settings.results_bucket, &key).await?;
    if let Err(why) = &read {
        tracing::info!(run.id = %run.id, why, "the attempt left no record");
    }
    Ok(read.ok())
}

async fn champion<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
) -> Result<Option<ChampionSeen>, DriveError> {
    let key = layout::champion(run.id.pipeline());
    let read = cas::read::<Champion>(edge, &settings.results_bucket, &key).await?;
    Ok(read.map(|read| ChampionSeen {
        etag: read.etag,
        champion: read.document,
    }))
}

/// A program's own document: what is wrong with it is a fact about the run, not a fault of the store.
pub(super) async fn json<E: Edge, T: serde::de::DeserializeOwned>(
    edge: &E,
    bucket: &str,
    key: &str,
) -> Result<Result<T, String>, StoreError> {
    let Some(object) = edge.get(bucket, key).await? else {
        return Ok(Err(format!("there is no s3://{bucket}/{key}")));
    };
    Ok(serde_json::from_slice(&object.body)
        .map_err(|error| format!("s3://{bucket}/{key}: {error}")))
}

async fn missing_shards<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    stage: Stage,
    shards: u32,
) -> Result<Vec<u32>, DriveError> {
    let heads = futures::stream::iter(0..shards).map(|shard| async move {
        let key = layout::stage_head(&run.id, stage, Some(shard));
        let head = cas::read::<StageHead>(edge, &settings.results_bucket, &key).await?;
        let is_done = head.is_some_and(|head| head.document.output.is_some());
        Ok::<_, StoreError>((!is_done).then_some(shard))
    });
    let mut missing = Vec::new();
    let mut heads = std::pin::pin!(heads.buffered(HEADS_AT_ONCE));
    while let Some(shard) = heads.next().await {
        missing.extend(shard?);
    }
    Ok(missing)
}

/// Why the first of the missing children failed; the parent only says that one did.
async fn child_verdict<E: Edge>(
    edge: &E,
    run: &Run,
    stage: Stage,
    parent: &str,
    missing: &[u32],
) -> Result<Option<failure::Verdict>, DriveError> {
    let shards = run
        .stages
        .get(&stage)
        .and_then(|r| r.current())
        .and_then(|s| s.shards.as_ref());
    let ids: Vec<String> = missing
        .iter()
        .filter_map(|shard| match shards {
            None => Some(*shard as usize),
            Some(list) => list.iter().position(|s| s == shard),
        })
        .take(100)
        .map(|index| format!("{parent}:{index}"))
        .collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let children = edge.describe(&ids).await?;
    Ok(children.iter().find_map(failure::classify))
}

async fn records<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
) -> Result<Vec<AttemptRecord>, DriveError> {
    let bucket = &settings.results_bucket;
    let mut keys = Vec::new();
    for (stage, record) in &run.stages {
        match record.shards {
            None => {
                for submission in &record.submissions {
                    let ended = submission.job().map_or(0, |job| job.attempts.len());
                    for attempt in 1..=u32::try_from(ended).unwrap_or(0) {
                        let prefix =
                            layout::results(&run.id, *stage, None, submission.number, attempt);
                        keys.push(format!("{prefix}{}", file::ATTEMPT));
                    }
                }
            }
            Some(shards) if shards <= SHARDS_ITEMISED => {
                let prefix = layout::stage_results(&run.id, *stage);
                let listed = edge.list(bucket, &prefix).await?;
                keys.extend(
                    listed
                        .into_iter()
                        .map(|o| o.key)
                        .filter(|key| key.rsplit('/').next() == Some(file::ATTEMPT)),
                );
            }
            // They are summed up.
            Some(_) => {}
        }
    }
    let mut records = Vec::new();
    let mut reads = std::pin::pin!(
        futures::stream::iter(keys)
            .map(|key| async move { json::<E, AttemptRecord>(edge, bucket, &key).await })
            .buffered(HEADS_AT_ONCE)
    );
    while let Some(read) = reads.next().await {
        match read? {
            Ok(record) => records.push(record),
            // A host that died without a word leaves none: a hole in the account, not in the run.
            Err(why) => tracing::warn!(run.id = %run.id, why, "attempt record is not readable"),
        }
    }
    Ok(records)
}
