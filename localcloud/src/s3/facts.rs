//! What is known of a file that is an object: `ETag`, size, time, and what its writer said about it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Tells one content of a file from the next: every put is a new inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    mtime: (i64, i64),
}

/// What S3 says about an object besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// In quotes, as on the wire.
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    pub(crate) attributes: Attributes,
}

/// What the writer said about an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<String>,
    /// User metadata, names without `x-amz-meta-`.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// What cannot be read off a file.
#[derive(Serialize, Deserialize)]
pub(super) struct AttributesRecord {
    pub(super) etag: String,
    pub(super) attributes: Attributes,
    /// Of an object made of parts, whose `ETag` does not follow from its bytes: the file that it is the `ETag` of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<Stamp>,
}

impl AttributesRecord {
    /// Of an object that was put whole.
    pub(super) fn of(etag: &str, attributes: &Attributes) -> Self {
        Self {
            etag: etag.to_owned(),
            attributes: attributes.clone(),
            file: None,
        }
    }

    /// Whether the file says all of it.
    pub(super) fn is_plain(&self) -> bool {
        self.file.is_none() && self.attributes == Attributes::default()
    }
}

pub(super) fn stamp_of(metadata: &Metadata) -> Stamp {
    Stamp {
        inode: metadata.ino(),
        size: metadata.len(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
    }
}

pub(super) fn facts_of(metadata: &Metadata) -> Facts {
    Facts {
        etag: String::new(),
        size: metadata.len(),
        modified: Timestamp::new(
            metadata.mtime(),
            i32::try_from(metadata.mtime_nsec()).unwrap_or(0),
        )
        .unwrap_or(Timestamp::UNIX_EPOCH),
        attributes: Attributes::default(),
    }
}

pub(super) fn etag_of(source: &mut impl Read) -> io::Result<String> {
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(format!("\"{}\"", hex::encode(hash.finalize()))),
            n => hash.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}
