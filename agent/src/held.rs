//! A finished checkpoint, held as it was while it is shipped.
//!
//! The program may remove it meanwhile, since it keeps only its newest ones, or put another one in its place.
//! So its files get a second name first, in a folder of the agent's own: a hard link costs no bytes, and what
//! it names stays whole until it is shipped. Where there are none (another file system behind a link, or one
//! without hard links), the files are shipped from where they lie, and looked at again afterwards.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::checkpoints::Finished;
use crate::error::AgentError;
use crate::folder::{self, LocalFile};

/// Tells one content of a file from the next: inode, size, time.
type Stamp = (u64, u64, i64, i64);

fn stamp(seen: &Metadata) -> Stamp {
    (seen.ino(), seen.len(), seen.mtime(), seen.mtime_nsec())
}

/// The checkpoint.
#[derive(Debug)]
pub(crate) struct Held {
    /// By their names in the checkpoint; where they are now.
    files: Vec<LocalFile>,
    /// As it was when it was taken.
    look: Vec<(String, Stamp)>,
    /// The second names; removed with this.
    aside: PathBuf,
    has_all: bool,
}

impl Held {
    /// Takes hold of it, with second names in the folder `aside`. `None`: it went away under our hands.
    pub(crate) fn take(finished: &Finished, aside: &Path) -> Result<Option<Self>, AgentError> {
        let Some((files, look)) = look(finished)? else {
            return Ok(None);
        };
        folder::make(aside)?;
        let mut held = Self {
            files,
            look,
            aside: aside.to_owned(),
            has_all: true,
        };
        for (n, file) in held.files.iter_mut().enumerate() {
            let second = aside.join(n.to_string());
            // What a link names, and not the link.
            let linked = fs::canonicalize(&file.path).and_then(|path| fs::hard_link(path, &second));
            if linked.is_ok() {
                file.path = second;
            } else {
                held.has_all = false;
            }
        }
        Ok(held.is_as_it_was(finished)?.then_some(held))
    }

    /// What is to be shipped.
    pub(crate) fn files(&self) -> &[LocalFile] {
        &self.files
    }

    /// Whether what was shipped of it is what lay there when it was taken.
    pub(crate) fn is_still(&self, finished: &Finished) -> Result<bool, AgentError> {
        Ok(self.has_all || self.is_as_it_was(finished)?)
    }

    fn is_as_it_was(&self, finished: &Finished) -> Result<bool, AgentError> {
        Ok(look(finished)?.is_some_and(|(_, look)| look == self.look))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = folder::remove(&self.aside) {
            tracing::warn!("could not clean up: {}", error.sentence());
        }
    }
}

type Look = (Vec<LocalFile>, Vec<(String, Stamp)>);

/// The files of exactly this checkpoint, not of another one in its place.
fn look(finished: &Finished) -> Result<Option<Look>, AgentError> {
    let files = match folder::files_below(&finished.path) {
        Err(error) if error.is_missing_file() => return Ok(None),
        files => files?,
    };
    let look: Option<Vec<_>> = files
        .iter()
        .map(|file| {
            let seen = file.path.metadata().ok()?;
            Some((file.name.clone(), stamp(&seen)))
        })
        .collect();
    Ok(look
        .filter(|_| finished.is_there())
        .map(|look| (files, look)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::Shelf;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn with_checkpoint(names: &[&str]) -> (Self, Finished) {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let place = Self { folder };
            fs::create_dir(place.checkpoints()).expect("it is writable");
            for name in names {
                place.write(name, "old");
            }
            let newest = Shelf::default().newest(&place.checkpoints());
            let finished = newest.expect("it is readable").expect("one is there");
            (place, finished)
        }

        fn checkpoints(&self) -> PathBuf {
            self.folder.path().join("checkpoints")
        }

        fn aside(&self) -> PathBuf {
            self.folder.path().join("shipping")
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.checkpoints().join("40").join(name);
            fs::create_dir_all(path.parent().expect("it is below")).expect("it is writable");
            fs::write(path, text).expect("it is writable");
        }

        fn take(&self, finished: &Finished) -> Option<Held> {
            Held::take(finished, &self.aside()).expect("it is readable")
        }
    }

    fn contents(held: &Held) -> Vec<(String, String)> {
        let read = |file: &LocalFile| fs::read_to_string(&file.path).expect("it is held");
        held.files()
            .iter()
            .map(|file| (file.name.clone(), read(file)))
            .collect()
    }

    #[test]
    fn what_the_program_removes_is_held_until_it_is_shipped() {
        let (place, finished) = Place::with_checkpoint(&["state", "deep/step"]);
        let held = place.take(&finished).expect("it is there");

        fs::remove_dir_all(&finished.path).expect("it is there");

        let both = ["deep/step", "state"].map(|name| (name.to_owned(), "old".to_owned()));
        assert_eq!(contents(&held), both);
        assert!(held.is_still(&finished).expect("it is readable"));
        drop(held);
        assert!(!place.aside().exists());
    }

    #[test]
    fn another_one_in_its_place_is_not_taken() {
        let (place, finished) = Place::with_checkpoint(&["state"]);
        fs::rename(&finished.path, place.checkpoints().join("gone")).expect("it is there");
        place.write("state", "new");

        assert!(place.take(&finished).is_none());
        assert!(!place.aside().exists(), "nothing stays behind");
    }

    #[test]
    fn one_that_is_gone_or_half_gone_is_not_taken() {
        let (place, finished) = Place::with_checkpoint(&["state", "deep/step"]);
        let files = vec![("state".to_owned(), (0, 0, 0, 0))];
        let held = Held {
            files: Vec::new(),
            look: files,
            aside: place.aside(),
            has_all: false,
        };
        assert!(!held.is_still(&finished).expect("it is readable"));

        fs::remove_dir_all(&finished.path).expect("it is there");

        assert!(place.take(&finished).is_none());
    }

    #[test]
    fn a_file_behind_a_link_is_held_as_the_file() {
        let (place, finished) = Place::with_checkpoint(&["state"]);
        let table = place.folder.path().join("table");
        fs::write(&table, "frozen").expect("it is writable");
        std::os::unix::fs::symlink(&table, finished.path.join("table")).expect("it is writable");
        let newest = Shelf::default().newest(&place.checkpoints());
        let finished = newest.expect("it is readable").expect("one is there");

        let held = place.take(&finished).expect("it is there");
        fs::remove_file(&table).expect("it is there");

        assert_eq!(
            contents(&held)[1],
            ("table".to_owned(), "frozen".to_owned())
        );
    }
}
