//! SHA-256 in lowercase hexadecimal, the one digest of all documents.

use sha2::{Digest as _, Sha256};

/// The digest of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
