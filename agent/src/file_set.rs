//! A complete set of files in the store: shipped with its manifest last, fetched with every checksum.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use trainspot_edge::store::Condition;
use trainspot_edge::{Store, World};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::layout::file::MANIFEST;
use trainspot_shared::manifest::{Manifest, ManifestFile};

use crate::error::AgentError;
use crate::file_digest::digest;
use crate::folder::{self, LocalFile};
use crate::patience::patiently;
use crate::relative_path;

/// Files in flight at once; more would not fill a g4dn's network and would double the memory.
pub(crate) const AT_ONCE: usize = 8;

/// Why a set could not be fetched.
#[derive(Debug)]
pub(crate) enum FetchFailed {
    /// It is not complete, or not what its manifest says: another one may be.
    Torn(String),
    /// Nothing to do with this set.
    Other(AgentError),
}

impl<E> From<E> for FetchFailed
where
    AgentError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Uploads `files` under `prefix`, without a manifest: they do not count yet.
pub(crate) async fn upload(
    store: &impl Store,
    world: &impl World,
    patience: Duration,
    (bucket, prefix): (&str, &str),
    files: Vec<LocalFile>,
) -> Result<Vec<ManifestFile>, AgentError> {
    stream::iter(files)
        .map(|file| async move {
            let (size, sha256) = digest(file.path.clone()).await?;
            let key = format!("{prefix}{}", file.name);
            patiently(world, patience, || store.put_file(bucket, &key, &file.path)).await?;
            Ok(ManifestFile {
                path: file.name,
                size,
                sha256,
            })
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Writes the manifest of `files` and answers its SHA-256.
pub(crate) async fn seal(
    store: &impl Store,
    world: &impl World,
    patience: Duration,
    (bucket, prefix): (&str, &str),
    step: u64,
    files: Vec<ManifestFile>,
) -> Result<String, AgentError> {
    let body = to_json(&Manifest::of(step, files))?;
    let sha256 = sha256_hex(&body);
    let key = format!("{prefix}{MANIFEST}");
    patiently(world, patience, || {
        store.put(bucket, &key, body.clone(), Condition::Always)
    })
    .await?;
    Ok(sha256)
}

/// A document's bytes.
pub(crate) fn to_json(document: &impl serde::Serialize) -> Result<Vec<u8>, AgentError> {
    serde_json::to_vec_pretty(document).map_err(|error| AgentError::Local {
        what: "write a document".to_owned(),
        source: error.into(),
    })
}

/// Fetches the set under `prefix` into `folder`, which it makes. With `manifest_sha256`, only
/// exactly the set that was published. On `Err` the folder may be half full.
pub(crate) async fn fetch(
    store: &impl Store,
    world: &impl World,
    patience: Duration,
    (bucket, prefix): (&str, &str),
    manifest_sha256: Option<&str>,
    folder: &Path,
) -> Result<Manifest, FetchFailed> {
    let torn = |why: String| Err(FetchFailed::Torn(format!("`{prefix}`: {why}")));
    let key = format!("{prefix}{MANIFEST}");
    let Some(fetched) = patiently(world, patience, || store.get(bucket, &key)).await? else {
        return torn("its manifest is not there".to_owned());
    };
    if manifest_sha256.is_some_and(|sha256| sha256 != sha256_hex(&fetched.body)) {
        return torn("its manifest is not the one that was published".to_owned());
    }
    let manifest: Manifest = match serde_json::from_slice(&fetched.body) {
        Ok(manifest) => manifest,
        Err(error) => return torn(format!("its manifest cannot be read: {error}")),
    };
    folder::make(folder)?;
    let files = stream::iter(manifest.files.clone())
        .map(|file| fetch_one(store, world, patience, (bucket, prefix), file, folder))
        .buffer_unordered(AT_ONCE);
    files.try_collect::<Vec<()>>().await?;
    Ok(manifest)
}

async fn fetch_one(
    store: &impl Store,
    world: &impl World,
    patience: Duration,
    (bucket, prefix): (&str, &str),
    file: ManifestFile,
    folder: &Path,
) -> Result<(), FetchFailed> {
    let torn = |why: &str| Err(FetchFailed::Torn(format!("`{prefix}{}` {why}", file.path)));
    let Some(path) = relative_path::below(folder, &file.path) else {
        return torn("is no name of a file below the folder");
    };
    if let Some(parent) = path.parent() {
        folder::make(parent)?;
    }
    let key = format!("{prefix}{}", file.path);
    let size = patiently(world, patience, || {
        store.fetch_file(bucket, &key, None, &path)
    })
    .await?;
    if size.is_none() {
        return torn("is not there");
    }
    if digest(path).await? != (file.size, file.sha256.clone()) {
        return torn("is not what its manifest says");
    }
    Ok(())
}
