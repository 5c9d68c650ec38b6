//! The checkpoint folder as the program writes it: `<step>.partial/`, renamed to `<step>/`.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::AgentError;
use crate::folder;

/// Kept on the local disk: the newest, and the one before it in case the newest is no good.
const KEPT: usize = 2;

/// A finished checkpoint folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) step: u64,
    pub(crate) path: PathBuf,
    /// Tells a step that was written again from the one that was there.
    inode: u64,
    modified_ns: i64,
    modified_s: i64,
}

impl Finished {
    fn of(step: u64, path: PathBuf) -> Option<Self> {
        let seen = fs::symlink_metadata(&path).ok()?;
        seen.is_dir().then(|| Self {
            step,
            path,
            inode: seen.ino(),
            modified_s: seen.mtime(),
            modified_ns: seen.mtime_nsec(),
        })
    }

    /// Whether it lies there as it was, and not another one, or less of it.
    pub(crate) fn is_there(&self) -> bool {
        Self::of(self.step, self.path.clone()).is_some_and(|now| now == *self)
    }
}

/// Which finished folders have been dealt with.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// Shipped, restored or overtaken ones that still lie there, oldest first.
    dealt_with: VecDeque<Finished>,
}

impl Shelf {
    /// With what lies there before the program begins: nothing of it is news.
    pub(crate) fn before_program(folder: &Path) -> Result<Self, AgentError> {
        Ok(Self {
            dealt_with: finished(folder)?.into(),
        })
    }

    /// The newest one that is news. A program that went back to an earlier step is believed: it
    /// judged the restored one itself.
    pub(crate) fn newest(&self, folder: &Path) -> Result<Option<Finished>, AgentError> {
        let mut all = finished(folder)?;
        all.retain(|one| !self.dealt_with.contains(one));
        Ok(all.pop())
    }

    /// `shipped` is published: removes all older ones but one, also what it overtook.
    pub(crate) fn shipped(&mut self, folder: &Path, shipped: Finished) -> Result<(), AgentError> {
        let there = finished(folder)?;
        self.dealt_with.retain(|one| there.contains(one));
        for one in there {
            if one.step < shipped.step && !self.dealt_with.contains(&one) {
                self.dealt_with.push_back(one);
            }
        }
        self.dealt_with.push_back(shipped);
        while self.dealt_with.len() > KEPT {
            // The newer one is published all the same.
            if let Some(old) = self.dealt_with.pop_front()
                && let Err(error) = folder::remove(&old.path)
            {
                tracing::warn!("an old checkpoint stays: {}", error.sentence());
            }
        }
        Ok(())
    }
}

/// Finished folders by step. One that vanishes meanwhile was removed by the program: not there.
fn finished(folder: &Path) -> Result<Vec<Finished>, AgentError> {
    let failed = |source| AgentError::local("list folder", folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(step) = name.to_str().and_then(step_of) else {
            continue;
        };
        found.extend(Finished::of(step, entry.path()));
    }
    found.sort_by_key(|one| one.step);
    Ok(found)
}

/// Digits only: `40.partial`, `40.restoring` and `tmp` are not finished.
fn step_of(name: &str) -> Option<u64> {
    name.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for name in names {
            fs::create_dir(folder.path().join(name)).expect("it is writable");
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("it is there")
            .map(|entry| {
                entry
                    .expect("it is readable")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_finished_one_is_news_and_a_partial_one_is_not() {
        let folder = folder_with(&["9", "10", "11.partial", "tmp"]);
        let shelf = Shelf::default();

        let newest = shelf.newest(folder.path()).expect("it is readable");

        assert_eq!(newest.map(|one| one.step), Some(10));
    }

    #[test]
    fn what_was_restored_is_no_news_but_the_same_step_written_again_is() {
        let folder = folder_with(&["40"]);
        let shelf = Shelf::before_program(folder.path()).expect("it is readable");

        let restored = shelf.newest(folder.path()).expect("it is readable");
        fs::create_dir(folder.path().join("40.partial")).expect("it is writable");
        fs::remove_dir(folder.path().join("40")).expect("it is there");
        fs::rename(folder.path().join("40.partial"), folder.path().join("40"))
            .expect("it is writable");
        let again = shelf.newest(folder.path()).expect("it is readable");

        assert_eq!(restored, None);
        assert_eq!(again.map(|one| one.step), Some(40));
    }

    #[test]
    fn a_program_that_went_back_is_believed() {
        let folder = folder_with(&["40"]);
        let shelf = Shelf::before_program(folder.path()).expect("it is readable");
        fs::create_dir(folder.path().join("10")).expect("it is writable");

        let newest = shelf.newest(folder.path()).expect("it is readable");

        assert_eq!(newest.map(|one| one.step), Some(10));
    }

    #[test]
    fn two_are_kept_and_newer_ones_are_never_touched() {
        let folder = folder_with(&["1", "2", "3", "4"]);
        let mut shelf = Shelf::default();
        let four = shelf
            .newest(folder.path())
            .expect("it is readable")
            .expect("four is there");
        fs::create_dir(folder.path().join("5")).expect("it is writable");

        shelf
            .shipped(folder.path(), four)
            .expect("old ones can be removed");

        assert_eq!(names(folder.path()), ["3", "4", "5"]);
        assert_eq!(
            shelf
                .newest(folder.path())
                .expect("it is readable")
                .map(|one| one.step),
            Some(5)
        );
    }
}
