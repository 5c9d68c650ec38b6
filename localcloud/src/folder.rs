//! The folder that holds a local cloud's state: one process at a time, every write whole or absent.
//! Survives the death of the process, not of the machine: nothing is flushed to the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::errors::StartError;

/// A locked folder. Dropping it lets the next process in.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// How often a cloud was started over this folder, so that a seed never draws the same ids twice.
    pub(crate) starts: u64,
    writes: AtomicU64,
    _lock: File,
}

impl Folder {
    /// Opens and locks the folder, creating it when absent.
    pub(crate) fn open(root: &Path) -> Result<Self, StartError> {
        let make = |path: PathBuf| {
            fs::create_dir_all(&path).map_err(|source| StartError::File {
                doing: "create the folder",
                path,
                source,
            })
        };
        make(root.to_owned())?;
        let root = root.canonicalize().map_err(|source| StartError::File {
            doing: "open the folder",
            path: root.to_owned(),
            source,
        })?;
        let at = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File {
                doing,
                path,
                source,
            }
        };
        let lock_path = root.join("lock");
        // Not truncated: a process that is refused leaves the folder as it was.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(at("create", &lock_path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StartError::FolderInUse {
                folder: root.clone(),
            },
            TryLockError::Error(source) => at("lock", &lock_path)(source),
        })?;

        // Half-written files of a process that died.
        let temporary = root.join("tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(at("clear", &temporary))?;
        }
        for part in [
            "tmp",
            "buckets",
            "attributes",
            "uploads",
            "batch",
            "notices",
            "queues",
            "accepted",
            "hosts",
            "logs/lambda",
        ] {
            make(root.join(part))?;
        }
        let starts_path = root.join("starts");
        let starts = match fs::read_to_string(&starts_path) {
            Ok(text) => text.trim().parse().unwrap_or(0) + 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 1,
            Err(source) => return Err(at("read", &starts_path)(source)),
        };
        let folder = Self {
            root,
            starts,
            writes: AtomicU64::new(0),
            _lock: lock,
        };
        folder
            .write(&starts_path, starts.to_string().as_bytes())
            .map_err(at("write", &starts_path))?;
        Ok(folder)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the folder.
    pub(crate) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.root.join(inside)
    }

    /// Writes a file whole: readers see the old bytes or the new ones, also when the process dies in between.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.stage(bytes)?.place(path)
    }

    /// A file that has no name yet.
    pub(crate) fn stage(&self, bytes: &[u8]) -> io::Result<Staged> {
        let staged = self.unnamed();
        fs::write(&staged.at, bytes)?;
        Ok(staged)
    }

    /// The place of a file that is still to be written, on the disk of all others.
    pub(crate) fn unnamed(&self) -> Staged {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        Staged {
            at: self.root.join("tmp").join(number.to_string()),
        }
    }
}

/// A file that gets its name when it is whole; removed if it never does.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) at: PathBuf,
}

impl Staged {
    /// Gives it its name.
    pub(crate) fn place(self, path: &Path) -> io::Result<()> {
        match fs::rename(&self.at, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::rename(&self.at, path)
            }
            done => done,
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It has its name, most often, and is not here any more.
        let _ = fs::remove_file(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_refused_leaves_the_lock_as_it_was() {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let _held = Folder::open(place.path()).expect("a fresh folder opens");
        let lock = place.path().join("lock");
        fs::write(&lock, "whoever holds it").expect("a lock does not keep writers out");

        let second = Folder::open(place.path());

        assert!(
            matches!(second, Err(StartError::FolderInUse { .. })),
            "{second:?}"
        );
        let kept = fs::read_to_string(&lock).expect("the lock file is there");
        assert_eq!(kept, "whoever holds it");
    }

    #[test]
    fn a_folder_is_held_by_one_cloud_at_a_time() {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let held = Folder::open(place.path()).expect("a fresh folder opens");

        let second = Folder::open(place.path());
        assert!(
            matches!(second, Err(StartError::FolderInUse { .. })),
            "{second:?}"
        );

        drop(held);
        let after = Folder::open(place.path()).expect("a released folder opens");
        assert_eq!(after.starts, 2);
    }
}
