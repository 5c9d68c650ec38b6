//! The program's own word on how far it is, and whether it gets on.
//!
//! Only a program with a heartbeat can be said to stand still: others may be silent for hours and
//! well. What counts as getting on is more than the step: a word on what it does, a metric, a
//! checkpoint.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use trainspot_shared::layout::file::{METRICS_LINES, PROGRESS, TRAINING};
use trainspot_shared::progress::Progress;

/// Follows `progress.json` and what else shows that the program gets on.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    output_dir: PathBuf,
    checkpoint_dir: PathBuf,
    latest: Option<Progress>,
    signs: Signs,
    moved_at: Duration,
    /// Whoever writes it in another shape hears of it, once.
    has_complained: bool,
}

/// What changes while a program gets on. The time in its heartbeat and its rate are none of it: a
/// thread of its own may go on writing them while the work stands still.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Signs {
    heartbeat: Option<(u64, u64, String)>,
    metrics: Option<Change>,
    checkpoints: Option<Change>,
}

/// Size and time of a file; of a folder, when something in it was last made, renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change(u64, i64, i64);

impl Change {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self(
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        ))
    }
}

impl Heartbeat {
    /// Of the program that begins now, at this uptime, and writes into these folders.
    pub(crate) fn of(output_dir: &Path, checkpoint_dir: &Path, now: Duration) -> Self {
        Self {
            output_dir: output_dir.to_owned(),
            checkpoint_dir: checkpoint_dir.to_owned(),
            latest: None,
            signs: Signs::default(),
            moved_at: now,
            has_complained: false,
        }
    }

    /// Looks again. A heartbeat that cannot be read is as good as unchanged: the program writes by
    /// rename, but a foreign one may not.
    pub(crate) fn look(&mut self, now: Duration) {
        if let Ok(body) = fs::read(self.output_dir.join(PROGRESS)) {
            match serde_json::from_slice(&body) {
                Ok(progress) => self.latest = Some(progress),
                Err(error) if self.latest.is_none() && !self.has_complained => {
                    self.has_complained = true;
                    tracing::warn!(
                        "`{PROGRESS}` must be {{\"step\": n, \"total\": n}}, put in place by rename: {error}; \
                         until it is, no heartbeat is seen"
                    );
                }
                Err(_) => {}
            }
        }
        let heartbeat =
            |progress: &Progress| (progress.step, progress.total, progress.detail.clone());
        let signs = Signs {
            heartbeat: self.latest.as_ref().map(heartbeat),
            metrics: Change::of(&self.output_dir.join(METRICS_LINES)),
            checkpoints: Change::of(&self.checkpoint_dir),
        };
        self.take(signs, now);
    }

    fn take(&mut self, signs: Signs, now: Duration) {
        if self.signs != signs {
            self.signs = signs;
            self.moved_at = now;
        }
    }

    /// The newest one.
    pub(crate) fn latest(&self) -> Option<&Progress> {
        self.latest.as_ref()
    }

    /// Whether there was a heartbeat and nothing has moved for `limit`.
    pub(crate) fn is_stalled(&self, now: Duration, limit: Duration) -> bool {
        self.latest.is_some() && now.saturating_sub(self.moved_at) >= limit
    }
}

/// The part of `training.json` that an output's step comes from.
#[derive(Deserialize)]
struct Training {
    steps: u64,
}

/// The last step of finished work: training's own count, else the heartbeat's, else 0.
pub(crate) fn final_step(output_dir: &Path, heartbeat: &Heartbeat) -> u64 {
    fs::read(output_dir.join(TRAINING))
        .ok()
        .and_then(|body| serde_json::from_slice::<Training>(&body).ok())
        .map(|training| training.steps)
        .or_else(|| heartbeat.latest().map(|progress| progress.step))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(10);

    const fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    struct Folders(tempfile::TempDir);

    impl Folders {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder for the test");
            for name in ["output", "checkpoints"] {
                fs::create_dir(folder.path().join(name)).expect("it is writable");
            }
            Self(folder)
        }

        fn heartbeat(&self) -> Heartbeat {
            let folder = self.0.path();
            Heartbeat::of(&folder.join("output"), &folder.join("checkpoints"), at(0))
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).expect("it is writable");
        }

        fn progress(&self, text: &str) {
            self.write("output/progress.json", text);
        }
    }

    #[test]
    fn steps_that_do_not_move_are_a_stall_and_moving_ones_are_not() {
        let folders = Folders::new();
        let mut heartbeat = folders.heartbeat();
        for (second, step) in [(0, 1), (500, 2), (1_000, 2)] {
            let time = format!("2026-11-23T02:{:02}:00Z", second / 60 % 60);
            folders.progress(&format!(
                r#"{{"step":{step},"total":9,"rate":{second},"at":"{time}"}}"#
            ));
            heartbeat.look(at(second));
        }

        assert!(!heartbeat.is_stalled(at(1_099), LIMIT));
        assert!(heartbeat.is_stalled(at(1_100), LIMIT));
    }

    #[test]
    fn whatever_shows_that_it_gets_on_is_no_stall() {
        type Sign = fn(&Folders);
        let signs: [(&str, Sign); 4] = [
            ("another word", |folders| {
                folders.progress(r#"{"step":1,"total":9,"detail":"scoring popularity"}"#);
            }),
            ("a metric", |folders| {
                folders.write("output/metrics.jsonl", "{}\n");
            }),
            ("a checkpoint begun", |folders| {
                fs::create_dir(folders.0.path().join("checkpoints/7.partial")).expect("writable");
            }),
            ("another total", |folders| {
                folders.progress(r#"{"step":1,"total":10}"#);
            }),
        ];
        for (what, sign) in signs {
            let folders = Folders::new();
            let mut heartbeat = folders.heartbeat();
            folders.progress(r#"{"step":1,"total":9}"#);
            heartbeat.look(at(0));
            sign(&folders);
            heartbeat.look(at(599));

            assert!(!heartbeat.is_stalled(at(600), LIMIT), "{what}");
            assert!(heartbeat.is_stalled(at(1_199), LIMIT), "{what}");
        }
    }

    #[test]
    fn a_program_without_heartbeat_never_stalls() {
        let folders = Folders::new();
        let mut heartbeat = folders.heartbeat();
        folders.write("output/metrics.jsonl", "{}\n");
        heartbeat.look(at(0));

        assert!(!heartbeat.is_stalled(at(1_000_000), LIMIT));
    }

    #[test]
    fn a_heartbeat_needs_no_more_than_a_step() {
        let folders = Folders::new();
        let mut heartbeat = folders.heartbeat();
        folders.progress(r#"{"step":3}"#);
        heartbeat.look(at(0));

        assert_eq!(heartbeat.latest().map(|progress| progress.step), Some(3));
    }
}
