//! Objects in buckets, with the conditions that make documents safe to change.

use std::path::Path;

use jiff::Timestamp;

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The whole body.
    pub body: Vec<u8>,
    /// With its quotes, as S3 gives it.
    pub etag: String,
    /// When it was written, by S3's clock.
    pub last_modified: Timestamp,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The whole key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// With its quotes.
    pub etag: String,
    /// When it was written, by S3's clock.
    pub last_modified: Timestamp,
}

/// When a write may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Only if there is no such object: `If-None-Match: *`.
    Absent,
    /// Only over exactly this version: `If-Match`.
    Matches(String),
    /// Whatever is there: for data under a writer's own prefix only.
    Always,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Written, with this `ETag`.
    Written(String),
    /// 412, 409 or, under [`Condition::Matches`], 404: read again. It may have been me, answered too late.
    Refused,
}

/// Why a call on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer, or a 5xx after all retries: trying later may help.
    #[error("reach the store for `{what}`")]
    Unreachable {
        /// Operation and object.
        what: String,
        /// The SDK's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Forbidden: a role or a bucket policy is wrong.
    #[error("permission for `{what}`")]
    Denied {
        /// Operation and object.
        what: String,
    },
    /// A pinned object is not the one that was pinned.
    #[error("`{what}` changed or vanished since it was pinned")]
    Changed {
        /// Bucket and key.
        what: String,
    },
    /// The bucket does not exist.
    #[error("bucket of `{what}` does not exist")]
    NoBucket {
        /// Operation and object.
        what: String,
    },
    /// A local file could not be read or written.
    #[error("local file for `{what}`")]
    File {
        /// Operation and object.
        what: String,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A document is not what its key promises.
    #[error("read document `{key}`: {why}")]
    Malformed {
        /// The key.
        key: String,
        /// Which field, and how.
        why: String,
    },
}

/// S3, as far as trainspot uses it.
pub trait Store: Send + Sync {
    /// Reads an object whole; `None` if there is none.
    fn get(
        &self,
        bucket: &str,
        key: &str,
    ) -> impl Future<Output = Result<Option<Fetched>, StoreError>> + Send;

    /// Writes an object whole.
    fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> impl Future<Output = Result<Put, StoreError>> + Send;

    /// Every object whose key begins with `prefix`, all pages, by key.
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;

    /// The distinct next path parts under `prefix` (which ends with `/`), each ending with `/`.
    fn list_folders(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Streams an object into a file; with `if_match`, refuses any other version with
    /// [`StoreError::Changed`]. `Ok(None)` if there is no such object and no version was asked for.
    /// The answer is the size in bytes. The file may be half-written on `Err`.
    fn fetch_file(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<&str>,
        to: &Path,
    ) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Streams a file into an object, whatever is there.
    fn put_file(
        &self,
        bucket: &str,
        key: &str,
        from: &Path,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
