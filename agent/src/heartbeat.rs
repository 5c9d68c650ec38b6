//! The program's own word on how far it is, and whether that still moves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use trainspot_shared::layout::file::{PROGRESS, TRAINING};
use trainspot_shared::progress::Progress;

use crate::patience::between;

/// Follows `progress.json`.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    file: PathBuf,
    latest: Option<Progress>,
    moved_at: Option<Timestamp>,
    /// Whoever writes it in another shape hears of it, once.
    has_complained: bool,
}

impl Heartbeat {
    /// Of the program that writes into `output_dir`.
    pub(crate) fn of(output_dir: &Path) -> Self {
        Self {
            file: output_dir.join(PROGRESS),
            latest: None,
            moved_at: None,
            has_complained: false,
        }
    }

    /// Reads it again. What cannot be read is as good as unchanged: the program writes by rename,
    /// but a foreign one may not.
    pub(crate) fn look(&mut self, now: Timestamp) {
        let Ok(body) = fs::read(&self.file) else {
            return;
        };
        match serde_json::from_slice(&body) {
            Ok(progress) => self.take(progress, now),
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

    fn take(&mut self, progress: Progress, now: Timestamp) {
        if self
            .latest
            .as_ref()
            .is_none_or(|latest| latest.step != progress.step)
        {
            self.moved_at = Some(now);
        }
        self.latest = Some(progress);
    }

    /// The newest one.
    pub(crate) fn latest(&self) -> Option<&Progress> {
        self.latest.as_ref()
    }

    /// Whether there was a heartbeat and its step has not moved for `limit`.
    pub(crate) fn is_stalled(&self, now: Timestamp, limit: Duration) -> bool {
        self.moved_at
            .is_some_and(|moved_at| between(moved_at, now) >= limit)
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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a valid time")
    }

    fn progress(step: u64) -> Progress {
        Progress {
            step,
            total: 100,
            rate: 1.0,
            detail: String::new(),
            at: Some(at(0)),
        }
    }

    #[test]
    fn steps_that_do_not_move_are_a_stall_and_moving_ones_are_not() {
        let limit = Duration::from_mins(10);
        let mut heartbeat = Heartbeat::of(Path::new("/nowhere"));
        heartbeat.take(progress(1), at(0));
        heartbeat.take(progress(2), at(500));
        heartbeat.take(progress(2), at(1_000));

        assert!(!heartbeat.is_stalled(at(1_099), limit));
        assert!(heartbeat.is_stalled(at(1_100), limit));
    }

    #[test]
    fn a_program_without_heartbeat_never_stalls() {
        let mut heartbeat = Heartbeat::of(Path::new("/nowhere"));
        heartbeat.look(at(0));

        assert!(!heartbeat.is_stalled(at(1_000_000), Duration::from_mins(10)));
    }
}
