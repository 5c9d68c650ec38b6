//! Objects in buckets, with the conditions that make documents safe to change, and the calls that large
//! ones are moved by.

use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;

use crate::refused::Refused;

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

/// Which bytes of an object are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub from: u64,
    /// How many.
    pub length: u64,
    /// How many the whole object has: one of another size is another object.
    pub of: u64,
}

impl Span {
    /// All of an object of that size.
    pub const fn whole(size: u64) -> Self {
        Self {
            from: 0,
            length: size,
            of: size,
        }
    }

    /// Whether that is the whole object. Of an empty one nothing else can be asked for.
    pub const fn is_whole(self) -> bool {
        self.length == self.of
    }
}

/// Bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// As many as were asked for.
    pub bytes: Bytes,
    /// Of the object, with its quotes.
    pub etag: String,
}

/// A part of an upload that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// From 1.
    pub number: u32,
    /// In bytes.
    pub size: u64,
    /// As S3 gives it.
    pub etag: String,
    /// Of its bytes.
    pub crc32: u32,
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
    /// Turned away for another reason that no other try mends.
    #[error(transparent)]
    Refused(Refused),
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
    /// Bytes arrived that are not the ones that were sent.
    #[error("checksum of `{what}` is wrong: its bytes changed on the way")]
    Garbled {
        /// Operation and object.
        what: String,
    },
    /// An upload in parts is not there any more, or was completed by a call whose answer was lost.
    #[error("upload of `{what}` is not there any more")]
    NoUpload {
        /// Operation and object.
        what: String,
    },
    /// A local file was cut off or written while it was sent.
    #[error("`{}` changed while it was sent", path.display())]
    Moving {
        /// The file.
        path: PathBuf,
    },
    /// The local disk is full.
    #[error(
        "the disk is full: no room for the {size} bytes of `{}`; give the host a larger one, or the work folder another",
        path.display()
    )]
    DiskFull {
        /// The file that did not fit; nothing of it is left.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
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

    /// Reads a stretch of an object; with `if_match`, of that version only. `Ok(None)` if there is no such
    /// object and no version was asked for; another version or another size is [`StoreError::Changed`].
    fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> impl Future<Output = Result<Option<Piece>, StoreError>> + Send;

    /// Writes an object whole, whatever is there, and lets the store check what arrives.
    fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        crc32: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Begins an upload in parts and answers its id. Nothing is visible until it is completed.
    fn begin_upload(
        &self,
        bucket: &str,
        key: &str,
    ) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// Sends one part, or sends it again. Each but the last has at least 5 MiB.
    fn put_part(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> impl Future<Output = Result<UploadedPart, StoreError>> + Send;

    /// Makes the object of its parts, whatever is there; `crc32` is that of all bytes.
    fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        parts: &[UploadedPart],
        crc32: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets an upload and its parts; one that is not there any more is fine.
    fn abort_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl StoreError {
    /// Whether the same call may go better later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Garbled { .. })
    }
}
