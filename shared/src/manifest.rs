//! `MANIFEST.json`: written last into a prefix; names every file that counts, with checksums.

use serde::{Deserialize, Serialize};

/// One file under the manifest's prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Relative to the prefix, with `/` between folders.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Lowercase hexadecimal.
    pub sha256: String,
    /// Of each part, of a file that was sent in several: tells which one to read again. Parts are cut as
    /// the agent cuts them; where that has changed since, the SHA-256 decides alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crc32: Vec<u32>,
}

/// A complete set of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this document.
    pub schema: u32,
    /// The checkpoint's step; of an output, the last step of the work (0 where there is none).
    pub step: u64,
    /// Sorted by path.
    pub files: Vec<ManifestFile>,
}

impl Manifest {
    /// A manifest of `files`, sorted.
    pub fn of(step: u64, mut files: Vec<ManifestFile>) -> Self {
        files.sort();
        Self {
            schema: 1,
            step,
            files,
        }
    }
}
