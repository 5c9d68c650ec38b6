//! Local files, read and written at any place, on threads that may wait.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// So little is read or written at once: a thread would cost more. And a proof on a virtual clock, whose
/// files are all small, has no threads to wait for.
const SMALL: u64 = 64 << 10;
/// What a digest reads at once.
const CHUNK: usize = 1 << 20;

/// Tells one content of a file from the next, as far as the system does. Not by when its inode changed: a name
/// that it gains or loses changes that too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let seen = file.metadata()?;
        Ok(Self {
            size: seen.len(),
            inode: seen.ino(),
            modified: (seen.mtime(), seen.mtime_nsec()),
        })
    }
}

/// Does work on `bytes` bytes of a file, on a thread of its own if they are many.
pub(super) async fn aside<T: Send + 'static>(
    bytes: u64,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if bytes <= SMALL {
        return work();
    }
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

/// Takes the bytes between `from` and `until` into a digest.
pub(super) fn digest_span(
    file: &File,
    (from, until): (u64, u64),
    digest: &mut Sha256,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut at = from;
    while at < until {
        let n = usize::try_from(until - at).map_or(CHUNK, |left| left.min(CHUNK));
        let chunk = chunk.get_mut(..n).unwrap_or_default();
        file.read_exact_at(chunk, at)?;
        digest.update(&*chunk);
        at += n as u64;
    }
    Ok(())
}

/// A file that gets its name when it is whole, and leaves nothing behind otherwise.
#[derive(Debug)]
pub(super) struct Half {
    /// Where it will be.
    to: PathBuf,
    at: PathBuf,
    is_whole: bool,
}

impl Half {
    pub(super) fn of(to: &Path) -> Self {
        // Beside it, since a rename does not leave its disk. Its own name may have the most bytes there can be
        // already, and any name made of it may be another file's. Nobody ever sees this one.
        let name = uuid::Uuid::new_v4().simple();
        Self {
            at: to.with_file_name(format!(".arriving-{name}")),
            to: to.to_owned(),
            is_whole: false,
        }
    }

    pub(super) fn create(&self) -> io::Result<File> {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&self.at)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        std::fs::rename(&self.at, &self.to)?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if !self.is_whole {
            // It may never have been made; and a full disk must get its room back.
            let _ = std::fs::remove_file(&self.at);
        }
    }
}
