//! Changing a document by compare-and-swap.
//!
//! A document carries a random `write_id`, so that no two writes have equal bytes and a writer whose
//! answer was lost recognises its own work. If somebody wrote on top of it meanwhile, the decision is
//! made again on what is there; so a decision must recognise its own effect by content.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Condition, Put, Store, StoreError};
use crate::world::World;

/// Tries before giving up; with full jitter up to [`LONGEST_PAUSE`] they fit into a function's time.
const TRIES: u32 = 20;
/// A conflict that nobody won is tried again at once; a handful of them in a row is contention.
const CONFLICT_TRIES: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A document that is changed by compare-and-swap.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// The random id of the write that made it.
    fn write_id(&self) -> &str;
}

/// The newest format that these functions know, of every document alike. Within a format only fields are
/// added, and whoever does not know one keeps it; a change that an older function would misread raises it.
pub const SCHEMA: u32 = 1;

/// What is read of a document before the document.
#[derive(Deserialize)]
struct Format {
    schema: u32,
}

impl Document for trainspot_shared::stage_head::StageHead {
    fn write_id(&self) -> &str {
        &self.write_id
    }
}

impl Document for trainspot_shared::pipeline_head::PipelineHead {
    fn write_id(&self) -> &str {
        &self.write_id
    }
}

impl Document for trainspot_shared::run::Run {
    fn write_id(&self) -> &str {
        &self.write_id
    }
}

impl Document for trainspot_shared::champion::Champion {
    fn write_id(&self) -> &str {
        &self.write_id
    }
}

/// A document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<D> {
    /// What it says.
    pub document: D,
    /// The version to change.
    pub etag: String,
}

/// What to do about a document.
pub enum Decision<D, T> {
    /// Write this and, once it is there, answer that. The document carries the `write_id` it was given.
    Write(Box<D>, T),
    /// Leave it as it is and answer this.
    Leave(T),
}

/// Why a document could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum CasError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others kept winning.
    #[error("change `{key}`: {TRIES} tries were overtaken")]
    Contended {
        /// Which document.
        key: String,
    },
}

impl CasError {
    /// Whether the same change may go better later.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass(),
            Self::Contended { .. } => true,
        }
    }
}

/// Reads a document.
pub async fn read<D: Document>(
    store: &impl Store,
    bucket: &str,
    key: &str,
) -> Result<Option<Read<D>>, StoreError> {
    let Some(fetched) = store.get(bucket, key).await? else {
        return Ok(None);
    };
    Ok(Some(Read {
        document: parse(&fetched.body).map_err(|why| StoreError::Malformed {
            key: key.to_owned(),
            why,
        })?,
        etag: fetched.etag,
    }))
}

/// A document of a newer format is refused, never changed: for a while during an upgrade, and after a
/// rollback, older functions meet newer documents.
fn parse<D: Document>(body: &[u8]) -> Result<D, String> {
    match serde_json::from_slice::<Format>(body) {
        Ok(Format { schema }) if schema > SCHEMA => Err(format!(
            "it has schema {schema} and this function knows {SCHEMA}: a newer version wrote it; deploy that version again"
        )),
        Ok(_) => serde_json::from_slice(body).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes `document` over the version `over` (`None`: creates it). `true` if it is there now, also when
/// the answer to an earlier try of the very same write was lost.
pub async fn write<D: Document>(
    store: &impl Store,
    bucket: &str,
    key: &str,
    document: &D,
    over: Option<&str>,
) -> Result<bool, StoreError> {
    Ok(write_once(store, bucket, key, document, over)
        .await?
        .is_some())
}

/// Like [`write()`], with the version that it made.
pub async fn write_once<D: Document>(
    store: &impl Store,
    bucket: &str,
    key: &str,
    document: &D,
    over: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let body = serde_json::to_vec_pretty(document).map_err(|error| StoreError::Malformed {
        key: key.to_owned(),
        why: error.to_string(),
    })?;
    let condition = over.map_or(Condition::Absent, |etag| {
        Condition::Matches(etag.to_owned())
    });
    for _ in 0..CONFLICT_TRIES {
        let put = store.put(bucket, key, body.clone(), condition.clone());
        if let Put::Written(etag) = put.await? {
            return Ok(Some(etag));
        }
        let there = read::<D>(store, bucket, key).await?;
        if let Some(there) = &there
            && there.document.write_id() == document.write_id()
        {
            return Ok(Some(there.etag.clone()));
        }
        let is_as_it_was = there.as_ref().map(|there| there.etag.as_str()) == over;
        if !is_as_it_was {
            return Ok(None);
        }
        // A conflict (409) with a write that came to nothing: nobody has won.
    }
    Ok(None)
}

/// Reads, decides and writes until the write went through or the decision was to leave it.
pub async fn change<D: Document, T: Send>(
    world: &impl World,
    store: &impl Store,
    bucket: &str,
    key: &str,
    mut decide: impl FnMut(Option<&D>, String) -> Decision<D, T> + Send,
) -> Result<T, CasError> {
    for attempt in 0..TRIES {
        let seen = read::<D>(store, bucket, key).await?;
        let (document, answer) = match decide(seen.as_ref().map(|r| &r.document), world.draw()) {
            Decision::Leave(answer) => return Ok(answer),
            Decision::Write(document, answer) => (document, answer),
        };
        let over = seen.as_ref().map(|r| r.etag.as_str());
        if write(store, bucket, key, document.as_ref(), over).await? {
            return Ok(answer);
        }
        world.pause(jitter(world.chance(), attempt)).await;
    }
    Err(CasError::Contended {
        key: key.to_owned(),
    })
}

/// Writes a document that is written once, whoever does it: its key tells all that is in it. `Ok` means
/// that it is there. A refusal may be a conflict (409) with a write that then came to nothing.
pub async fn write_if_absent(
    world: &impl World,
    store: &impl Store,
    bucket: &str,
    key: &str,
    body: &[u8],
) -> Result<(), CasError> {
    for attempt in 0..TRIES {
        let put = store.put(bucket, key, body.to_vec(), Condition::Absent);
        if let Put::Written(_) = put.await? {
            return Ok(());
        }
        if store.get(bucket, key).await?.is_some() {
            return Ok(());
        }
        world.pause(jitter(world.chance(), attempt)).await;
    }
    Err(CasError::Contended {
        key: key.to_owned(),
    })
}

/// Full jitter: anything between nothing and a cap that doubles from 20 ms.
fn jitter(chance: f64, attempt: u32) -> Duration {
    let cap = Duration::from_millis(20)
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_PAUSE);
    cap.mul_f64(chance.clamp(0.0, 1.0))
}
