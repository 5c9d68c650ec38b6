//! One attempt of a job from the host's boot to its end: exit, time-out, termination, or the loss of the host.
//! Tells the engine how it ended; what follows from that is the engine's decision.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::engine::{Batch, Reclaim};
use super::host::Host;
use super::job::Placement;
use crate::template::Market;

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
    /// Its limit of memory ended it, with this code.
    OutOfMemory(Placement, i32),
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
    let started = host.start(&batch.hosts, &batch.folder, &job, &queue).await;
    let mut work = match started {
        Ok(work) => work,
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
    host.placement.process = work.process();
    host.placement.container = work.container_name();
    batch.running(job_id, &host.placement);

    let mut times_out = job.timeout_s.map(|seconds| {
        Instant::now() + Duration::from_secs(seconds).mul_f64(batch.hosts.time_scale)
    });
    let mut struck = Some(&batch.strikes)
        .filter(|_| queue.market == Market::Spot)
        .and_then(|strikes| strikes.host())
        .map(|(after, how)| (Instant::now() + after, how));
    let stop_timeout = queue.stop_timeout.mul_f64(batch.hosts.time_scale);
    let mut stopping: Option<Stopping> = None;
    let mut kill_at: Option<Instant> = None;
    let status = loop {
        tokio::select! {
            status = work.wait() => break status,
            order = orders.recv() => match order {
                Some(Order::Terminate(reason)) if stopping.is_none() => {
                    stopping = Some(Stopping::Terminated(reason));
                    times_out = None;
                    work.terminate();
                    kill_at = Some(Instant::now() + stop_timeout);
                }
                Some(Order::Terminate(_)) => {} // It is being stopped; the first reason stays.
                Some(Order::Reclaim(Reclaim::WithNotice(lead))) => {
                    let ends = give_notice(&host, lead);
                    host_ends = Some(host_ends.map_or(ends, |earlier: Instant| earlier.min(ends)));
                }
                Some(Order::Reclaim(Reclaim::WithoutNotice)) => {
                    stopping = Some(Stopping::HostLost);
                    work.kill();
                }
                Some(Order::Stop) | None => {
                    stopping = Some(Stopping::Abandoned);
                    work.kill();
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
                work.terminate();
                kill_at = Some(Instant::now() + stop_timeout);
            }
            () = at(host_ends) => {
                host_ends = None;
                times_out = None;
                stopping = Some(Stopping::HostLost);
                work.terminate();
                kill_at = Some(Instant::now() + SHUTDOWN);
            }
            () = at(kill_at) => {
                kill_at = None;
                work.kill();
            }
        }
    };
    let ended = work.clear(status).await;
    let home = host.home().to_owned();
    match tokio::task::spawn_blocking(move || std::fs::remove_dir_all(home)).await {
        Ok(Ok(())) => {}
        // What was just killed may write its last file; the next start clears the rest.
        Ok(Err(error)) => tracing::debug!(job_id, %error, "clear a host's folder"),
        Err(error) => tracing::warn!(job_id, %error, "clear a host"),
    }
    let end = match ended {
        Ok(end) => end,
        Err(reason) => return Ending::NotStarted(host.placement, reason),
    };
    match stopping {
        None if end.is_out_of_memory => Ending::OutOfMemory(host.placement, end.code),
        None => Ending::Exited(host.placement, end.code),
        Some(Stopping::Terminated(reason)) => Ending::Terminated(host.placement, reason, end.code),
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

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
