//! What the program works on: dataset, inputs and parameters, exactly as they were pinned.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use trainspot_edge::transfer::{Arrived, Transfer, Wanted};
use trainspot_edge::{Store, World, cas};
use trainspot_shared::dataset::{Dataset, DatasetObject};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::identity::{RunId, Stage};
use trainspot_shared::job::{Input, JobDocument, Pinned};
use trainspot_shared::layout;
use trainspot_shared::stage_head::StageHead;

use crate::error::AgentError;
use crate::file_set::{self, AT_ONCE, FetchFailed};
use crate::folder;
use crate::patience::patiently;
use crate::relative_path;

/// Newest format of a job document that this agent reads.
const JOB_SCHEMA: u32 = 1;

/// Reads the job document.
pub(crate) async fn job(
    store: &impl Store,
    world: &impl World,
    patience: Duration,
    bucket: &str,
    key: &str,
) -> Result<JobDocument, AgentError> {
    let wrong = |why: String| AgentError::Configuration(format!("job document `{key}` {why}"));
    let fetched = patiently(world, patience, || store.get(bucket, key))
        .await?
        .ok_or_else(|| wrong("is not there".to_owned()))?;
    let job: JobDocument = serde_json::from_slice(&fetched.body)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if job.schema > JOB_SCHEMA {
        return Err(wrong(format!(
            "has schema {}, and this agent knows {JOB_SCHEMA}",
            job.schema
        )));
    }
    Ok(job)
}

/// Fetches the pinned dataset into `folder`; a file's name is its key without the dataset's prefix.
pub(crate) async fn dataset<S: Store, W: World>(
    (store, world, transfer): (&S, &W, &Transfer<'_, S, W>),
    patience: Duration,
    bucket: &str,
    pinned: &Pinned,
    folder: &Path,
) -> Result<(), AgentError> {
    let wrong = |why: String| AgentError::BadData(format!("dataset `{}` {why}", pinned.key));
    let fetched = patiently(world, patience, || store.get(bucket, &pinned.key))
        .await?
        .ok_or_else(|| wrong("is not there".to_owned()))?;
    if sha256_hex(&fetched.body) != pinned.sha256 {
        return Err(wrong("is not the one that was pinned".to_owned()));
    }
    let dataset: Dataset = serde_json::from_slice(&fetched.body)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut placed = Vec::new();
    for object in &dataset.objects {
        placed.push((object.clone(), place_of(&dataset, object, folder)?));
    }
    for (_, path) in &placed {
        if let Some(parent) = path.parent() {
            folder::make(parent)?;
        }
    }
    let source = dataset.bucket.as_str();
    transfer.begin("fetched", dataset.size_bytes());
    stream::iter(placed)
        .map(|(object, path)| async move {
            let wanted = Wanted {
                bucket: source,
                key: &object.key,
                size: object.size,
                if_match: Some(&object.etag),
                sha256: None,
                crc32: &[],
            };
            match transfer.fetch(patience, &wanted, &path).await? {
                Arrived::Whole => Ok(()),
                Arrived::Absent | Arrived::Other => Err(AgentError::BadData(format!(
                    "data object `s3://{source}/{}` changed since the run pinned it",
                    object.key
                ))),
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    tracing::info!(
        "fetched {} data objects, {} bytes",
        dataset.objects.len(),
        dataset.size_bytes()
    );
    Ok(())
}

fn place_of(
    dataset: &Dataset,
    object: &DatasetObject,
    folder: &Path,
) -> Result<PathBuf, AgentError> {
    object
        .key
        .strip_prefix(&dataset.prefix)
        .map(|name| name.strip_prefix('/').unwrap_or(name))
        .and_then(|name| relative_path::below(folder, name))
        .ok_or_else(|| {
            AgentError::BadData(format!(
                "data object `{}` has no place below `{}`",
                object.key, dataset.prefix
            ))
        })
}

/// Fetches an earlier stage's output into `<folder>/<name>/`; of a fan-out, every shard's into
/// `<folder>/<name>/<shard>/`.
pub(crate) async fn input<S: Store, W: World>(
    (store, world, transfer): (&S, &W, &Transfer<'_, S, W>),
    patience: Duration,
    (bucket, run): (&str, &RunId),
    input: &Input,
    folder: &Path,
) -> Result<(), AgentError> {
    let place = relative_path::below(folder, &input.name).ok_or_else(|| {
        AgentError::Configuration(format!("input `{}` is no name of a folder", input.name))
    })?;
    let place = place.as_path();
    let Some(shards) = input.shards else {
        let sha256 = input.manifest_sha256.as_str();
        let from = (bucket, input.prefix.as_str(), sha256);
        return set((store, world, transfer), patience, &input.name, from, place).await;
    };
    let stage: Stage = input.name.parse().map_err(|_| {
        AgentError::Configuration(format!("input `{}` has shards and is no stage", input.name))
    })?;
    stream::iter(0..shards)
        .map(|shard| async move {
            let name = format!("{stage}/{shard}");
            let key = layout::stage_head(run, stage, Some(shard));
            let read = || cas::read::<StageHead>(store, bucket, &key);
            let head = patiently(world, patience, read).await?;
            let output = head.and_then(|head| head.document.output).ok_or_else(|| {
                AgentError::BadData(format!("input `{name}` was never published"))
            })?;
            let from = (
                bucket,
                output.prefix.as_str(),
                output.manifest_sha256.as_str(),
            );
            set(
                (store, world, transfer),
                patience,
                &name,
                from,
                &place.join(shard.to_string()),
            )
            .await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    tracing::info!("fetched {shards} shards of `{}`", input.name);
    Ok(())
}

async fn set<S: Store, W: World>(
    from_store: (&S, &W, &Transfer<'_, S, W>),
    patience: Duration,
    name: &str,
    (bucket, prefix, manifest_sha256): (&str, &str, &str),
    place: &Path,
) -> Result<(), AgentError> {
    let fetched = file_set::fetch(
        from_store,
        patience,
        (bucket, prefix),
        Some(manifest_sha256),
        place,
    );
    match fetched.await {
        Ok(_) => Ok(()),
        Err(FetchFailed::Torn(why)) => Err(AgentError::BadData(format!("input `{name}`: {why}"))),
        Err(FetchFailed::Other(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_climbs_out_or_lies_elsewhere_has_no_place() {
        let dataset = Dataset {
            schema: 1,
            bucket: "data".to_owned(),
            prefix: "interactions/".to_owned(),
            objects: Vec::new(),
        };
        let place = |key: &str| {
            let object = DatasetObject {
                key: key.to_owned(),
                size: 1,
                etag: "\"x\"".to_owned(),
            };
            place_of(&dataset, &object, Path::new("/d")).ok()
        };

        assert_eq!(
            place("interactions/y/a.parquet"),
            Some(PathBuf::from("/d/y/a.parquet"))
        );
        assert_eq!(place("interactions/../secrets"), None);
        assert_eq!(place("interactions/a/../../secrets"), None);
        assert_eq!(place("other/a.parquet"), None);
        assert_eq!(place("interactions/"), None);
    }
}
