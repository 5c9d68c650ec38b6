//! Asks `nvidia-smi` how busy the GPUs of this container are.
//!
//! The command rather than the driver's library: it is in every container that has a GPU and its
//! `utility` capability, and a driver that hangs takes a process along, not the agent.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;

use crate::host::Happening;
use crate::reaper::Awaited;

/// Which GPUs the container was given, as Docker and ECS tell it.
const DEVICES_VARIABLE: &str = "NVIDIA_VISIBLE_DEVICES";
/// Twenty looks in the ten minutes after which an idle GPU counts; each costs tens of milliseconds.
const EVERY: Duration = Duration::from_secs(30);
const EVERY_VARIABLE: &str = "TRAINSPOT_GPU_POLL_S";
/// A driver that is reset answers late; one that hangs, never.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many failures in a row, and it is no passing trouble.
const MOST_FAILURES: u32 = 3;

/// The command and how often it is asked.
#[derive(Debug, Clone)]
pub struct Gpus {
    every: Duration,
}

/// Why a look told nothing.
enum NoSample {
    /// There is no such command.
    Missing,
    /// It told nothing that can be used.
    Failed(String),
}

impl Gpus {
    /// From the variables that `variable` looks up; `None` where the container was given no GPU: a
    /// laptop's own is somebody else's.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let devices = variable(DEVICES_VARIABLE).unwrap_or_default();
        if matches!(devices.as_str(), "" | "none" | "void") {
            return None;
        }
        let every = crate::settings::seconds(&variable, EVERY_VARIABLE)
            .unwrap_or(EVERY)
            .min(EVERY);
        Some(Self { every })
    }

    /// Sends samples until nobody listens. Where the command is missing or tells nothing it says so
    /// once and ends: the program's heartbeat is watched all the same.
    pub async fn watch(self, happenings: mpsc::UnboundedSender<Happening>, awaited: Awaited) {
        let mut n_failures = 0;
        while !happenings.is_closed() {
            match sample(&awaited).await {
                Ok(busy) => {
                    n_failures = 0;
                    // Whoever listens may be gone; then the loop ends.
                    drop(happenings.send(Happening::GpusBusy(busy)));
                }
                Err(NoSample::Missing) => {
                    tracing::info!("no `nvidia-smi` here: an idle GPU is not noticed");
                    return;
                }
                Err(NoSample::Failed(why)) => {
                    n_failures += 1;
                    if n_failures == MOST_FAILURES {
                        tracing::warn!("an idle GPU is not noticed: `nvidia-smi`: {why}");
                        return;
                    }
                }
            }
            tokio::time::sleep(self.every).await;
        }
    }
}

async fn sample(awaited: &Awaited) -> Result<Vec<u8>, NoSample> {
    let failed = |error: io::Error| NoSample::Failed(error.to_string());
    let spawned = Command::new("nvidia-smi")
        .args([
            "--query-gpu=utilization.gpu",
            "--format=csv,noheader,nounits",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoSample::Missing),
        Err(error) => return Err(failed(error)),
    };
    let _spared = awaited.spare(child.id());
    let output = tokio::time::timeout(TIMEOUT, child.wait_with_output())
        .await
        .map_err(|_| NoSample::Failed("no answer".to_owned()))?
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(NoSample::Failed(format!("{}: {text}", output.status)));
    }
    parse(&text).ok_or_else(|| NoSample::Failed(format!("received: `{}`", text.trim())))
}

/// A line for each GPU, with a whole number of per cent; `[N/A]` where it is shared out by MIG.
fn parse(text: &str) -> Option<Vec<u8>> {
    let busy = text.lines().map(|line| line.trim().parse().ok());
    let busy: Vec<u8> = busy.collect::<Option<_>>()?;
    (!busy.is_empty()).then_some(busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_number_for_each_gpu_or_none() {
        assert_eq!(parse("0\n"), Some(vec![0]));
        assert_eq!(parse("97\n 3\n"), Some(vec![97, 3]));
        assert_eq!(parse("[N/A]\n"), None);
        assert_eq!(parse("12\n[Unknown Error]\n"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("No devices were found\n"), None);
    }

    #[test]
    fn only_a_container_that_was_given_gpus_is_asked() {
        let of = |devices: Option<&'static str>| {
            Gpus::from_variables(|name| {
                devices
                    .filter(|_| name == DEVICES_VARIABLE)
                    .map(str::to_owned)
            })
            .is_some()
        };

        assert!(of(Some("all")));
        assert!(of(Some("GPU-0f1e2d3c")));
        assert!(!of(Some("none")));
        assert!(!of(Some("void")));
        assert!(!of(Some("")));
        assert!(!of(None));
    }
}
