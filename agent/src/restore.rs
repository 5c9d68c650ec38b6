//! The newest complete published checkpoint, back on the local disk.

use std::path::Path;
use std::time::Duration;

use trainspot_edge::transfer::Transfer;
use trainspot_edge::{Store, World};
use trainspot_shared::layout::file::MANIFEST;
use trainspot_shared::stage_head::Published;

use crate::error::AgentError;
use crate::file_set::{self, FetchFailed};
use crate::folder;
use crate::patience::patiently;
use crate::place::Seat;

/// Where a checkpoint is while it is not whole; no step's name.
const RESTORING: &str = "restoring";

/// A set of files that may be a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    step: u64,
    /// Which submission and attempt wrote it, and the how manieth of that step there; a later one wins.
    writer: (u32, u32, u32),
    prefix: String,
    manifest_sha256: Option<String>,
}

/// Lays the newest checkpoint at or below the published one into `<folder>/<step>/` and answers its
/// step. A torn one is named in the log and the one before it is tried; with none left the work
/// begins anew.
pub(crate) async fn restore<S: Store, W: World>(
    way: (&S, &W, &Transfer<'_, S, W>),
    patience: Duration,
    seat: &Seat,
    published: Option<&Published>,
    folder: &Path,
) -> Result<Option<u64>, AgentError> {
    let Some(published) = published else {
        return Ok(None);
    };
    let (store, world, _) = way;
    let first = Candidate {
        step: published.step,
        writer: (published.submission, published.attempt, 1),
        prefix: published.prefix.clone(),
        manifest_sha256: Some(published.manifest_sha256.clone()),
    };
    if try_one(way, patience, seat, &first, folder).await? {
        return Ok(Some(first.step));
    }
    let listed = patiently(world, patience, || {
        store.list(&seat.bucket, &seat.all_checkpoints)
    })
    .await?;
    let keys = listed.iter().map(|object| object.key.as_str());
    for candidate in older(&seat.all_checkpoints, keys, &first) {
        if try_one(way, patience, seat, &candidate, folder).await? {
            return Ok(Some(candidate.step));
        }
    }
    tracing::warn!("no complete checkpoint is left; the work begins anew");
    folder::remove(&folder.join(RESTORING))?;
    Ok(None)
}

/// Every sealed set at or below the torn one's step, newest first, without the torn one.
fn older<'k>(all: &str, keys: impl Iterator<Item = &'k str>, torn: &Candidate) -> Vec<Candidate> {
    let mut candidates: Vec<_> = keys
        .filter_map(|key| sealed(all, key))
        .filter(|candidate| candidate.step <= torn.step && candidate.prefix != torn.prefix)
        .collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse((candidate.step, candidate.writer)));
    candidates
}

/// `<all><submission>-<attempt>/<step>/MANIFEST.json`, or `<step>.<number>` of one that was written again; a
/// shard's lies deeper and is not this one's.
fn sealed(all: &str, key: &str) -> Option<Candidate> {
    let prefix = key.strip_suffix(MANIFEST)?;
    let mut parts = prefix.strip_prefix(all)?.strip_suffix('/')?.split('/');
    let (writer, step) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (submission, attempt) = writer.split_once('-')?;
    let (step, number) = step.split_once('.').unwrap_or((step, "1"));
    Some(Candidate {
        step: step.parse().ok()?,
        writer: (
            submission.parse().ok()?,
            attempt.parse().ok()?,
            number.parse().ok()?,
        ),
        prefix: prefix.to_owned(),
        manifest_sha256: None,
    })
}

/// `false`: it is torn.
async fn try_one<S: Store, W: World>(
    way: (&S, &W, &Transfer<'_, S, W>),
    patience: Duration,
    seat: &Seat,
    candidate: &Candidate,
    folder: &Path,
) -> Result<bool, AgentError> {
    // What came of one that was torn is kept: files that did not change need not come again.
    let half = folder.join(RESTORING);
    let fetched = file_set::fetch(
        way,
        patience,
        (&seat.bucket, &candidate.prefix),
        candidate.manifest_sha256.as_deref(),
        &half,
    )
    .await;
    match fetched {
        Ok(manifest) if manifest.step == candidate.step => {
            let whole = folder.join(candidate.step.to_string());
            std::fs::rename(&half, &whole)
                .map_err(|source| AgentError::local("put in place", &whole, source))?;
            tracing::info!(
                "restored step {} from `{}`",
                candidate.step,
                candidate.prefix
            );
            Ok(true)
        }
        Ok(manifest) => {
            tracing::warn!(
                "`{}` holds step {}; tried the one before",
                candidate.prefix,
                manifest.step
            );
            Ok(false)
        }
        Err(FetchFailed::Torn(why)) => {
            tracing::warn!("checkpoint {why}; tried the one before");
            Ok(false)
        }
        Err(FetchFailed::Other(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_checkpoints_come_highest_step_first_and_never_newer_or_deeper() {
        let all = "checkpoints/p/r/train/";
        let keys = [
            "checkpoints/p/r/train/1-1/10/MANIFEST.json",
            "checkpoints/p/r/train/1-1/20/MANIFEST.json",
            "checkpoints/p/r/train/1-1/30/part-0",
            "checkpoints/p/r/train/1-2/20/MANIFEST.json",
            "checkpoints/p/r/train/1-2/20.2/MANIFEST.json",
            "checkpoints/p/r/train/1-2/20.x/MANIFEST.json",
            "checkpoints/p/r/train/1-2/40/MANIFEST.json",
            "checkpoints/p/r/train/1-2/50/MANIFEST.json",
            "checkpoints/p/r/train/3/1-2/15/MANIFEST.json",
            "checkpoints/p/r/train/1-2/x/MANIFEST.json",
        ];
        let torn = Candidate {
            step: 40,
            writer: (1, 2, 1),
            prefix: "checkpoints/p/r/train/1-2/40/".to_owned(),
            manifest_sha256: None,
        };

        let found = older(all, keys.into_iter(), &torn);

        let found: Vec<_> = found.iter().map(|c| (c.step, c.writer)).collect();
        assert_eq!(
            found,
            [
                (20, (1, 2, 2)),
                (20, (1, 2, 1)),
                (20, (1, 1, 1)),
                (10, (1, 1, 1))
            ]
        );
    }
}
