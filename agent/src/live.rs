//! What the program has written so far, off the host within seconds: for whoever watches, and for whoever looks
//! into an attempt whose host was lost. Nothing of it counts.
//!
//! The files that people watch go under their own names. Of the rest, small files are packed: thousands of them
//! are a handful of requests, and `tar` unpacks the packs in order. Larger ones go where they belong already,
//! and are not sent again at the end if they have not changed.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use trainspot_shared::layout::file::{CURVE, PROGRESS, UNPUBLISHED};

use crate::error::AgentError;
use crate::folder::LocalFile;

/// Appended to by the program.
pub(crate) const METRICS_LINES: &str = "metrics.jsonl";
/// The files that people watch.
pub(crate) const WATCHED: [&str; 3] = [PROGRESS, METRICS_LINES, CURVE];
/// How often one of them is shipped at most: PUTs cost money, and a person reads no faster.
const SHIP_EVERY: Duration = Duration::from_secs(4);
/// So fast a file that is written to all the time may take up the network, in bytes a second.
const PACE: u64 = 1 << 20;
/// Larger files wait for the end: a checkpoint must never wait for them.
const LARGEST_LIVE: u64 = 64 << 20;
/// Up to this size a request costs more than the bytes, and files are packed.
const SMALL: u64 = 1 << 20;
/// A pack's files, before it is full. It is held whole.
const PACK: u64 = 16 << 20;
/// Packs at one look: more wait for the next, so that a checkpoint does not.
const PACKS: usize = 8;

/// Size, inode and time: a file that has all three is the one that was shipped.
type Stamp = (u64, u64, i64, i64);

fn stamp(seen: &Metadata) -> Stamp {
    (seen.len(), seen.ino(), seen.mtime(), seen.mtime_nsec())
}

/// What was shipped, and when, in the world's time since its start.
#[derive(Debug, Default)]
pub(crate) struct Live {
    shipped: BTreeMap<String, (Stamp, Duration)>,
    looked_at: Option<Duration>,
    n_packs: u32,
}

/// What is to be shipped of a look at the output.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Each pack's files.
    pub(crate) packs: Vec<Vec<LocalFile>>,
    /// Files that go by themselves.
    pub(crate) alone: Vec<LocalFile>,
}

impl Live {
    /// The watched files that changed; with `all`, however recently they were shipped.
    pub(crate) fn watched(
        &mut self,
        folder: &Path,
        all: bool,
        now: Duration,
    ) -> Vec<(&'static str, Vec<u8>)> {
        let mut due = Vec::new();
        for name in WATCHED {
            let path = folder.join(name);
            let Ok(seen) = path.metadata() else {
                continue;
            };
            if seen.len() > LARGEST_LIVE || !self.is_due(name, &seen, all, now) {
                continue;
            }
            // Read at once: the program may append while it is on its way.
            if let Ok(body) = std::fs::read(&path) {
                self.shipped.insert(name.to_owned(), (stamp(&seen), now));
                due.push((name, body));
            }
        }
        due
    }

    /// A watched file was not shipped after all.
    pub(crate) fn failed(&mut self, name: &str) {
        self.shipped.remove(name);
    }

    /// Whether it is time to look at the whole output: thousands of files are not looked at every second.
    pub(crate) fn is_time(&mut self, all: bool, now: Duration) -> bool {
        let is_time = all
            || self
                .looked_at
                .is_none_or(|at| now.saturating_sub(at) >= SHIP_EVERY);
        if is_time {
            self.looked_at = Some(now);
        }
        is_time
    }

    /// What changed of everything else.
    pub(crate) fn due(&mut self, files: Vec<LocalFile>, all: bool, now: Duration) -> Due {
        let mut due = Due::default();
        let mut room = 0;
        for file in files {
            let Ok(seen) = file.path.metadata() else {
                continue;
            };
            let is_watched = WATCHED.contains(&file.name.as_str());
            if is_watched || seen.len() > LARGEST_LIVE || !self.is_due(&file.name, &seen, all, now)
            {
                continue;
            }
            if seen.len() > SMALL {
                due.alone.push(file);
                continue;
            }
            if seen.len() > room {
                if due.packs.len() == PACKS {
                    break;
                }
                due.packs.push(Vec::new());
                room = PACK;
            }
            room -= seen.len();
            if let Some(pack) = due.packs.last_mut() {
                pack.push(file);
            }
        }
        due
    }

    /// A file was shipped as it was when `seen`.
    pub(crate) fn shipped(&mut self, name: &str, seen: &Metadata, now: Duration) {
        self.shipped.insert(name.to_owned(), (stamp(seen), now));
    }

    /// The name of the next pack.
    pub(crate) fn next_pack(&mut self) -> String {
        self.n_packs += 1;
        format!("{UNPUBLISHED}{:06}.tar", self.n_packs)
    }

    fn is_due(&self, name: &str, seen: &Metadata, all: bool, now: Duration) -> bool {
        let every = SHIP_EVERY.max(Duration::from_secs(seen.len() / PACE));
        self.shipped.get(name).is_none_or(|(shipped, at)| {
            *shipped != stamp(seen) && (all || now.saturating_sub(*at) >= every)
        })
    }
}

/// A pack's bytes, and the names and stamps of the files in it.
pub(crate) type Packed<'f> = (Vec<u8>, Vec<(&'f str, Metadata)>);

/// The pack of these files, and which of them are in it as they were then. One that went away or was written
/// to meanwhile is left for the next one.
pub(crate) fn pack(files: &[LocalFile]) -> Result<Packed<'_>, AgentError> {
    let failed = |source| AgentError::Local {
        what: "pack output files".to_owned(),
        source,
    };
    let mut pack = tar::Builder::new(Vec::new());
    let mut packed = Vec::new();
    for file in files {
        let Ok(body) = std::fs::read(&file.path) else {
            continue;
        };
        let Ok(seen) = file.path.metadata() else {
            continue;
        };
        if seen.len() != body.len() as u64 {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(seen.len());
        header.set_mode(0o644);
        header.set_mtime(u64::try_from(seen.mtime()).unwrap_or_default());
        pack.append_data(&mut header, &file.name, body.as_slice())
            .map_err(failed)?;
        packed.push((file.name.as_str(), seen));
    }
    Ok((pack.into_inner().map_err(failed)?, packed))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::folder::files_below;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn folder(files: &[(&str, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for (name, size) in files {
            std::fs::write(folder.path().join(name), vec![b'x'; *size]).expect("it is writable");
        }
        folder
    }

    fn names(due: &Due) -> (Vec<Vec<&str>>, Vec<&str>) {
        fn of(files: &[LocalFile]) -> Vec<&str> {
            files.iter().map(|file| file.name.as_str()).collect()
        }
        (
            due.packs.iter().map(|pack| of(pack)).collect(),
            of(&due.alone),
        )
    }

    #[test]
    fn small_files_are_packed_and_larger_ones_go_alone() {
        let folder = folder(&[
            ("a", 10),
            ("b", 20),
            ("model", (1 << 20) + 1),
            (PROGRESS, 5),
        ]);
        let mut live = Live::default();
        let files = files_below(folder.path()).expect("it is readable");

        let due = live.due(files, false, at(0));

        assert_eq!(names(&due), (vec![vec!["a", "b"]], vec!["model"]));
    }

    #[test]
    fn thousands_of_files_are_a_handful_of_packs() {
        let files: Vec<_> = (0..5000).map(|n| (format!("{n:04}"), 10_000)).collect();
        let files: Vec<_> = files.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        let folder = folder(&files);
        let mut live = Live::default();

        let due = live.due(files_below(folder.path()).expect("readable"), false, at(0));

        assert_eq!(due.packs.iter().map(Vec::len).sum::<usize>(), 5000);
        assert_eq!(due.packs.len(), 3, "50 MB in packs of 16 MiB");
    }

    #[test]
    fn a_pack_unpacks_to_what_was_there_and_only_changes_come_into_the_next() {
        let folder = folder(&[("a", 10), ("b", 20)]);
        let mut live = Live::default();
        let files = || files_below(folder.path()).expect("it is readable");
        let due = live.due(files(), false, at(0));

        let (bytes, packed) = pack(&due.packs[0]).expect("they can be read");
        for (name, seen) in &packed {
            live.shipped(name, seen, at(0));
        }
        std::fs::write(folder.path().join("b"), "changed").expect("it is writable");
        let next = live.due(files(), false, at(5));

        let mut archive = tar::Archive::new(bytes.as_slice());
        let unpacked: Vec<_> = archive
            .entries()
            .expect("it is an archive")
            .map(|entry| {
                let mut entry = entry.expect("an entry is whole");
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("it is text");
                let path = entry.path().expect("it has a name");
                (path.display().to_string(), text.len())
            })
            .collect();
        assert_eq!(unpacked, [("a".to_owned(), 10), ("b".to_owned(), 20)]);
        assert_eq!(names(&next).0, [["b"]]);
    }

    #[test]
    fn a_file_that_is_written_all_the_time_is_shipped_at_its_pace() {
        let folder = folder(&[(METRICS_LINES, 10 << 20)]);
        let path = folder.path().join(METRICS_LINES);
        let mut live = Live::default();
        let mut shipped = Vec::new();

        for second in 0..25 {
            let size = (10 << 20) + usize::try_from(second).expect("small");
            std::fs::write(&path, vec![b'x'; size]).expect("it is writable");
            if !live.watched(folder.path(), false, at(second)).is_empty() {
                shipped.push(second);
            }
        }

        assert_eq!(shipped, [0, 10, 20]);
        assert_eq!(live.watched(folder.path(), true, at(25)).len(), 1);
    }
}
