//! One attempt of a job from the host's boot to its end: exit, time-out, termination, or the loss of the host.
//! Tells the engine how it ended; what follows from that is the engine's decision.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::engine::{Batch, Reclaim};
use super::host::Host;
use super::job::Placement;
use crate::processes;
use crate::template::Market;

/// ECS's default between SIGTERM and SIGKILL of a stopped task.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a program has left when its host shuts down under it.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// What can be asked of a running attempt.
#[derive(Debug)]
pub(super) enum Order {
    /// `TerminateJob`, with its reason.
    Terminate(String),
    /// The host is taken back.
    Reclaim(Reclaim),
    /// The local cloud ends: leave the record as it is.
    Stop,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Ending {
    Exited(Placement, i32),
    HostLost(Placement),
    TimedOut(Placement),
    /// Terminated with this reason while its program ran, which then ended with this code.
    Terminated(Placement, String, i32),
    /// The program could not be started, with the container's reason.
    NotStarted(Placement, String),
    /// Terminated before there was a container.
    Withdrawn(String),
    /// There was no host to be had, with the reason.
    NoHost(String),
    /// The local cloud ends.
    Abandoned,
}

/// Why a program was told to stop.
enum Stopping {
    Terminated(String),
    TimedOut,
    HostLost,
    Abandoned,
}

/// Runs an attempt of the job, whose place among the running ones is already taken.
pub(super) async fn run(batch: Arc<Batch>, job_id: String, mut orders: UnboundedReceiver<Order>) {
    let ending = attempt(&batch, &job_id, &mut orders).await;
    batch.ended(&job_id, ending);
}

async fn attempt(
    batch: &Arc<Batch>,
    job_id: &str,
    orders: &mut UnboundedReceiver<Order>,
) -> Ending {
    let Some((job, queue)) = batch.job_and_queue(job_id) else {
        return Ending::Abandoned;
    };
    let half_boot = batch.hosts.boot_delay / 2;
    let mut host = match Host::open(&batch.hosts, &batch.folder, &batch.ids, &job, &queue).await {
        Ok(host) => host,
        Err(error) => {
            return Ending::NoHost(format!("the local cloud could not make a host: {error}"));
        }
    };
    let booted = Instant::now() + half_boot;
    loop {
        tokio::select! {
            () = sleep_until(booted) => break,
            order = orders.recv() => match order {
                Some(Order::Terminate(reason)) => return Ending::Withdrawn(reason),
                Some(Order::Reclaim(_)) => {} // Not accepted in this state.
                Some(Order::Stop) | None => return Ending::Abandoned,
            },
        }
    }
    batch.starting(job_id, &host.placement);

    let mut host_ends = None;
    let started = Instant::now() + half_boot;
    loop {
        tokio::select! {
            () = sleep_until(started) => break,
            order = orders.recv() => match order {
                Some(Order::Terminate(reason)) => return Ending::Withdrawn(reason),
                Some(Order::Reclaim(Reclaim::WithNotice(lead))) => host_ends = Some(give_notice(&host, lead)),
                Some(Order::Reclaim(Reclaim::WithoutNotice)) => return Ending::HostLost(host.placement),
                Some(Order::Stop) | None => return Ending::Abandoned,
            },
        }
    }
    let mut child = match host.start(&batch.hosts, &job, &queue) {
        Ok(child) => child,
        Err(error) => {
            let what = batch
                .hosts
                .image
                .entrypoint
                .first()
                .cloned()
                .or_else(|| job.command().into_iter().next());
            let reason = format!(
                "CannotStartContainerError: {}: {error}",
                what.unwrap_or_default()
            );
            return Ending::NotStarted(host.placement, reason);
        }
    };
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
        return Ending::NotStarted(
            host.placement,
            "ContainerVanishedError: it was gone at once".into(),
        );
    };
    host.placement.process = processes::started_at(pid).map(|tick| (pid, tick));
    batch.running(job_id, &host.placement);

    let mut times_out = job.timeout_s.map(|seconds| {
        Instant::now() + Duration::from_secs(seconds).mul_f64(batch.hosts.time_scale)
    });
    let mut struck = Some(&batch.strikes)
        .filter(|_| queue.market == Market::Spot)
        .and_then(|strikes| strikes.host())
        .map(|(after, how)| (Instant::now() + after, how));
    let mut stopping: Option<Stopping> = None;
    let mut kill_at: Option<Instant> = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            order = orders.recv() => match order {
                Some(Order::Terminate(reason)) if stopping.is_none() => {
                    stopping = Some(Stopping::Terminated(reason));
                    times_out = None;
                    terminate(pid);
                    kill_at = Some(Instant::now() + STOP_TIMEOUT.mul_f64(batch.hosts.time_scale));
                }
                Some(Order::Terminate(_)) => {} // It is being stopped; the first reason stays.
                Some(Order::Reclaim(Reclaim::WithNotice(lead))) => {
                    let ends = give_notice(&host, lead);
                    host_ends = Some(host_ends.map_or(ends, |earlier: Instant| earlier.min(ends)));
                }
                Some(Order::Reclaim(Reclaim::WithoutNotice)) => {
                    stopping = Some(Stopping::HostLost);
                    processes::signal_group(pid, Signal::KILL);
                }
                Some(Order::Stop) | None => {
                    stopping = Some(Stopping::Abandoned);
                    processes::signal_group(pid, Signal::KILL);
                }
            },
            () = at(struck.map(|(when, _)| when)) => {
                if let Some((_, how)) = struck.take() {
                    batch.strikes.host_struck(&job.name, how);
                    // Comes back as an order; by then the attempt may be ending by itself.
                    if let Err(error) = batch.reclaim(job_id, how) {
                        tracing::debug!(%error, "a host ended before it was taken back");
                    }
                }
            }
            () = at(times_out) => {
                times_out = None;
                stopping = Some(Stopping::TimedOut);
                terminate(pid);
                kill_at = Some(Instant::now() + STOP_TIMEOUT.mul_f64(batch.hosts.time_scale));
            }
            () = at(host_ends) => {
                host_ends = None;
                times_out = None;
                stopping = Some(Stopping::HostLost);
                terminate(pid);
                kill_at = Some(Instant::now() + SHUTDOWN);
            }
            () = at(kill_at) => {
                kill_at = None;
                processes::signal_group(pid, Signal::KILL);
            }
        }
    };
    // A container ends with its main process, whatever else runs in it; a host with everything on it.
    processes::signal_group(pid, Signal::KILL);
    let (mark, home) = (host.process_mark(), host.home().to_owned());
    let cleared = tokio::task::spawn_blocking(move || {
        processes::end_marked(&mark);
        std::fs::remove_dir_all(home)
    });
    match cleared.await {
        Ok(Ok(())) => {}
        // What was just killed may write its last file; the next start clears the rest.
        Ok(Err(error)) => tracing::debug!(job_id, %error, "clear a host's folder"),
        Err(error) => tracing::warn!(job_id, %error, "clear a host"),
    }
    let code = match status {
        Ok(status) => exit_code(status),
        Err(error) => {
            return Ending::NotStarted(
                host.placement,
                format!("CannotInspectContainerError: {error}"),
            );
        }
    };
    match stopping {
        None => Ending::Exited(host.placement, code),
        Some(Stopping::Terminated(reason)) => Ending::Terminated(host.placement, reason, code),
        Some(Stopping::TimedOut) => Ending::TimedOut(host.placement),
        Some(Stopping::HostLost) => Ending::HostLost(host.placement),
        Some(Stopping::Abandoned) => Ending::Abandoned,
    }
}

fn give_notice(host: &Host, lead: Duration) -> Instant {
    let ends_at = jiff::SignedDuration::try_from(lead)
        .ok()
        .and_then(|lead| Timestamp::now().checked_add(lead).ok())
        .unwrap_or(Timestamp::MAX);
    host.mark(ends_at);
    Instant::now() + lead
}

/// Only the main process is told, as a container engine does; it forwards what it wants.
fn terminate(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid)
        && let Err(error) = rustix::process::kill_process(pid, Signal::TERM)
    {
        tracing::debug!(%error, "a program ended before it was told to");
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// As container engines report it: 128 + n for signal n.
fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}
