//! Size and SHA-256 of a local file, read once and never held whole.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::AgentError;

const CHUNK_BYTES: usize = 1 << 20;
/// So little is read at once: a thread would cost more.
const SMALL_BYTES: u64 = 64 << 10;

/// Size and lowercase hexadecimal SHA-256. Large files are read on a thread of their own: gigabytes
/// take seconds, and a Spot notice must be heard meanwhile.
pub(crate) async fn digest(path: PathBuf) -> Result<(u64, String), AgentError> {
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= SMALL_BYTES) {
        return read_through(&path).map_err(|source| AgentError::local("read", &path, source));
    }
    let shown = path.clone();
    tokio::task::spawn_blocking(move || read_through(&path))
        .await
        .unwrap_or_else(|gone| Err(std::io::Error::other(gone)))
        .map_err(|source| AgentError::local("read", &shown, source))
}

fn read_through(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let length = file.metadata()?.len();
    let mut chunk = vec![
        0;
        usize::try_from(length)
            .unwrap_or(CHUNK_BYTES)
            .clamp(1, CHUNK_BYTES)
    ];
    let mut size = 0;
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok((size, hex::encode(hasher.finalize())));
        }
        hasher.update(&chunk[..n]);
        size += n as u64;
    }
}
