//! How patient the agent is and where it works: everything that is not the job itself.

use std::path::PathBuf;
use std::time::Duration;

use crate::mask::Secrets;
use crate::time_left::TimeLeft;

/// A program with a heartbeat that shows no progress for this long is stalled.
const STALL_AFTER: Duration = Duration::from_mins(10);
/// GPUs that do nothing for this long while the stage trains are a stall.
const GPU_IDLE_AFTER: Duration = Duration::from_mins(10);
/// How often finished checkpoints and changed files are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long an unreachable store is tried again before the agent gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// After a Spot notice the host lives two minutes: most of them are the program's, the rest is for shipping,
/// and ten seconds are kept for the attempt's record.
const AFTER_NOTICE: TimeLeft = TimeLeft {
    program: Duration::from_secs(90),
    shipping: Duration::from_secs(110),
};
/// ECS kills a container so long after SIGTERM, unless its host is configured otherwise.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// For a program whose work nobody wants any more.
const GRACE_AFTER_STOP: Duration = Duration::from_secs(10);

/// The agent's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the attempt's own folder is made; it is removed at the end.
    pub work_dir: PathBuf,
    /// What to run; when empty, the job document's program.
    pub program: Vec<String>,
    /// Whether to wait for SIGTERM after a Spot notice before ending, so that a host without
    /// draining does not take the next job to its grave.
    pub linger: bool,
    /// For tests only: works and publishes whatever the heads say.
    pub ignore_heads: bool,
    /// What is never to be seen in a record.
    pub secrets: Secrets,
    /// The program knows the exit codes 64 to 80, though it wrote no file that says so.
    pub contract: bool,
    /// See `STALL_AFTER`.
    pub stall_after: Duration,
    /// See `GPU_IDLE_AFTER`.
    pub gpu_idle_after: Duration,
    /// See `SWEEP_EVERY`.
    pub sweep_every: Duration,
    /// See `PATIENCE`.
    pub patience: Duration,
    /// See `AFTER_NOTICE`.
    pub after_notice: TimeLeft,
    /// Of a container that is stopped; see `STOP_TIMEOUT`.
    pub after_sigterm: TimeLeft,
    /// See `GRACE_AFTER_STOP`.
    pub grace_after_stop: Duration,
}

impl Settings {
    /// The defaults, working under `work_dir`.
    pub fn in_folder(work_dir: PathBuf) -> Self {
        Self {
            work_dir,
            program: Vec::new(),
            linger: false,
            ignore_heads: false,
            secrets: Secrets::default(),
            contract: false,
            stall_after: STALL_AFTER,
            gpu_idle_after: GPU_IDLE_AFTER,
            sweep_every: SWEEP_EVERY,
            patience: PATIENCE,
            after_notice: AFTER_NOTICE,
            after_sigterm: TimeLeft::of_stop(STOP_TIMEOUT),
            grace_after_stop: GRACE_AFTER_STOP,
        }
    }

    /// From the variables that `variable` looks up: `TRAINSPOT_WORK_DIR`, `TRAINSPOT_LINGER`,
    /// `TRAINSPOT_CONTRACT`, `TRAINSPOT_STALL_S`, `TRAINSPOT_GPU_IDLE_S`, `TRAINSPOT_STOP_TIMEOUT_S` and, for
    /// tests only, `TRAINSPOT_TEST_IGNORE_HEADS`. What cannot be parsed is left at its default and named.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>, program: Vec<String>) -> Self {
        let is_on = |name: &str| variable(name).as_deref() == Some("1");
        let work_dir = variable("TRAINSPOT_WORK_DIR")
            .filter(|dir| !dir.is_empty())
            .map_or_else(|| PathBuf::from("work"), PathBuf::from);
        Self {
            program,
            linger: is_on("TRAINSPOT_LINGER"),
            ignore_heads: is_on("TRAINSPOT_TEST_IGNORE_HEADS"),
            contract: is_on("TRAINSPOT_CONTRACT"),
            stall_after: seconds(&variable, "TRAINSPOT_STALL_S").unwrap_or(STALL_AFTER),
            gpu_idle_after: seconds(&variable, "TRAINSPOT_GPU_IDLE_S").unwrap_or(GPU_IDLE_AFTER),
            after_sigterm: TimeLeft::of_stop(
                seconds(&variable, "TRAINSPOT_STOP_TIMEOUT_S").unwrap_or(STOP_TIMEOUT),
            ),
            ..Self::in_folder(work_dir)
        }
    }
}

/// A positive number of seconds; anything else is named and left out.
pub fn seconds(variable: impl Fn(&str) -> Option<String>, name: &str) -> Option<Duration> {
    let text = variable(name)?;
    let parsed = text
        .parse::<f64>()
        .ok()
        .filter(|&s| s > 0.0)
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    if parsed.is_none() {
        tracing::warn!(
            "`{name}` must be a positive number of seconds, received: `{text}`; the default holds"
        );
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_garbled_number_leaves_the_default() {
        let settings = Settings::from_variables(
            |name| (name == "TRAINSPOT_STALL_S").then(|| "-3".to_owned()),
            Vec::new(),
        );

        assert_eq!(settings, Settings::in_folder(PathBuf::from("work")));
    }

    #[test]
    fn heads_are_ignored_only_when_a_test_says_so() {
        let with = |value: &'static str| {
            Settings::from_variables(
                move |name| (name == "TRAINSPOT_TEST_IGNORE_HEADS").then(|| value.to_owned()),
                Vec::new(),
            )
        };

        assert!(with("1").ignore_heads);
        assert!(!with("0").ignore_heads);
        assert!(!with("").ignore_heads);
    }
}
