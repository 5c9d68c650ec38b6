//! A complete set of files in the store: shipped with its manifest last, fetched with every checksum.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use trainspot_edge::store::Condition;
use trainspot_edge::transfer::{Arrived, Transfer, Wanted};
use trainspot_edge::{Store, World};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::layout::file::MANIFEST;
use trainspot_shared::manifest::{Manifest, ManifestFile};

use crate::error::AgentError;
use crate::file_digest::digest;
use crate::folder::{self, LocalFile};
use crate::patience::patiently;
use crate::relative_path;

/// Files under way at once. Thousands of small ones are bound by round trips; how many bytes are held is
/// bounded by the transfer's room, whatever this says.
pub(crate) const AT_ONCE: usize = 96;

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

/// Uploads `files` under `prefix`, without a manifest: they do not count yet. What `transfer` has sent
/// there before and what is still the same is not sent again.
pub(crate) async fn upload<S: Store, W: World>(
    transfer: &Transfer<'_, S, W>,
    patience: Duration,
    (bucket, prefix): (&str, &str),
    files: Vec<LocalFile>,
) -> Result<Vec<ManifestFile>, AgentError> {
    transfer.begin("sent", files.iter().map(|file| file.size).sum());
    stream::iter(files)
        .map(|file| async move {
            let key = format!("{prefix}{}", file.name);
            let sent = transfer.send(patience, (bucket, &key), &file.path).await?;
            Ok(ManifestFile {
                path: file.name,
                size: sent.size,
                sha256: sent.sha256,
                // One part is the file, which its SHA-256 tells.
                crc32: if sent.crc32.len() > 1 {
                    sent.crc32
                } else {
                    Vec::new()
                },
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
/// exactly the set that was published. A file that lies there already, as the manifest has it, is left as
/// it is; one that it does not name is removed. On `Err` the folder may be half full, each file in it whole.
pub(crate) async fn fetch<S: Store, W: World>(
    (store, world, transfer): (&S, &W, &Transfer<'_, S, W>),
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
    folder::keep_only(folder, manifest.files.iter().map(|file| file.path.as_str()))?;
    transfer.begin("fetched", manifest.files.iter().map(|file| file.size).sum());
    let files = stream::iter(manifest.files.clone())
        .map(|file| fetch_one(transfer, patience, (bucket, prefix), file, folder))
        .buffer_unordered(AT_ONCE);
    files.try_collect::<Vec<()>>().await?;
    Ok(manifest)
}

async fn fetch_one<S: Store, W: World>(
    transfer: &Transfer<'_, S, W>,
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
    if path.metadata().is_ok_and(|there| there.len() == file.size)
        && digest(path.clone()).await? == (file.size, file.sha256.clone())
    {
        return Ok(());
    }
    let key = format!("{prefix}{}", file.path);
    let wanted = Wanted {
        bucket,
        key: &key,
        size: file.size,
        if_match: None,
        sha256: Some(&file.sha256),
        crc32: &file.crc32,
    };
    match transfer.fetch(patience, &wanted, &path).await? {
        Arrived::Whole => Ok(()),
        Arrived::Absent => torn("is not there"),
        Arrived::Other => torn("is not what its manifest says"),
    }
}
