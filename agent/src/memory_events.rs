//! The kernel's own count of out-of-memory kills in this container.

use std::fs;
use std::path::{Path, PathBuf};

/// The counter at the beginning, to be compared at the end.
#[derive(Debug, Clone)]
pub(crate) struct OomKills {
    file: Option<PathBuf>,
    at_start: u64,
}

impl OomKills {
    /// Reads the counter of this process's control group; without one nothing is ever told.
    pub(crate) fn begin() -> Self {
        let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::begin_at(Path::new("/sys/fs/cgroup"), &group)
    }

    fn begin_at(root: &Path, own_group: &str) -> Self {
        let file = candidates(root, own_group)
            .into_iter()
            .find(|file| file.is_file());
        let at_start = file.as_deref().and_then(read).unwrap_or_default();
        Self { file, at_start }
    }

    /// Whether the kernel has killed for memory since.
    pub(crate) fn rose(&self) -> bool {
        self.file
            .as_deref()
            .and_then(read)
            .is_some_and(|now| now > self.at_start)
    }
}

/// Version 2 first; a container usually sees its own group as the root.
fn candidates(root: &Path, own_group: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own_group.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next(), parts.next(), parts.next());
        let path = path.unwrap_or_default().trim_start_matches('/');
        match controllers {
            Some("") => files.push(root.join(path).join("memory.events")),
            Some("memory") => files.push(root.join("memory").join(path).join("memory.oom_control")),
            _ => {}
        }
    }
    files.push(root.join("memory.events"));
    files.push(root.join("memory/memory.oom_control"));
    files
}

/// Both versions have a line `oom_kill <n>`.
fn read(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_after_the_start_is_told_and_an_older_one_is_not() {
        let root = tempfile::tempdir().expect("a folder for the test");
        let file = root.path().join("memory.events");
        fs::write(&file, "low 0\noom 1\noom_kill 1\noom_group_kill 0\n").expect("it is writable");

        let kills = OomKills::begin_at(root.path(), "0::/\n");
        let before = kills.rose();
        fs::write(&file, "low 0\noom 2\noom_kill 2\noom_group_kill 0\n").expect("it is writable");

        assert!(!before);
        assert!(kills.rose());
    }

    #[test]
    fn without_a_counter_nothing_is_told() {
        let root = tempfile::tempdir().expect("a folder for the test");

        assert!(!OomKills::begin_at(root.path(), "").rose());
    }
}
