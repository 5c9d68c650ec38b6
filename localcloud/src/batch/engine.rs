//! The engine of Batch: holds every job under one lock, starts what may start, moves states, keeps records and
//! announces each change as AWS does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::attempt::{self, Order};
use super::host::HostSettings;
use super::job::{Job, Placement, Role, Status};
use super::records;
use super::shape::{self, Summary};
use super::state::{State, place};
use super::submit::{self, NotSubmitted, OVERRIDES_TOO_LONG};
use crate::chaos::Strikes;
use crate::errors::Refused;
use crate::folder::Folder;
use crate::happening::{Happening, Watch};
use crate::ids::Ids;
use crate::locked::locked;
use crate::template::{Market, Stack};

/// How a host is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// The host is told, and ends after this time.
    WithNotice(Duration),
    /// The host is gone at once.
    WithoutNotice,
}

/// AWS Batch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) stack: Arc<Stack>,
    pub(super) folder: Arc<Folder>,
    pub(super) ids: Arc<Ids>,
    pub(super) hosts: HostSettings,
    pub(super) watch: Arc<Watch>,
    pub(super) strikes: Arc<Strikes>,
    /// Where events go.
    pub(super) events: UnboundedSender<Value>,
    pub(super) state: Mutex<State>,
    pub(super) attempts: Mutex<JoinSet<()>>,
    /// Ends of times without hosts.
    pub(super) timers: Mutex<JoinSet<()>>,
}

impl Batch {
    /// `SubmitJob`.
    pub(super) fn submit(
        self: &Arc<Self>,
        request: &Value,
        size: usize,
    ) -> Result<Value, NotSubmitted> {
        let mut state = locked(&self.state);
        let stamp = submit::Stamp {
            job_id: self.ids.uuid(),
            sequence: state.sequence + 1,
            now_ms: now_ms(),
        };
        let accepted = submit::submission(request, size, &self.stack, stamp)?;
        state.sequence += 1;
        let job = accepted.job;
        let answer = json!({ "jobArn": job.arn, "jobId": job.id, "jobName": job.name });
        let (id, role, sequence) = (job.id.clone(), job.role.clone(), job.sequence);
        self.starve(&mut state, &job.queue_arn);
        self.save(&job);
        self.report(&job);
        state.jobs.insert(id.clone(), job);
        if accepted.overrides_too_long {
            self.fail(&mut state, &id, OVERRIDES_TOO_LONG, |_| {});
            return Ok(answer);
        }
        if let Role::Parent { size } = role {
            let mut summary = Summary::default();
            if let Some(count) = summary.get_mut(Status::Runnable as usize) {
                *count = size;
            }
            state.summaries.insert(id.clone(), summary);
            self.enter(&mut state, &id, Status::Pending, |_| {});
            for index in 0..size {
                let Some(child) = state.jobs.get(&id).map(|parent| parent.child(index, size))
                else {
                    break;
                };
                let child_id = child.id.clone();
                self.announce(&child, None);
                state.jobs.insert(child_id.clone(), child);
                state.line_up(&self.stack, &child_id, place(sequence));
            }
        } else {
            self.enter(&mut state, &id, Status::Runnable, |_| {});
            state.line_up(&self.stack, &id, place(sequence));
        }
        self.fill(&mut state);
        Ok(answer)
    }

    /// `TerminateJob`. Answers before anything has changed, and unknown and final jobs too.
    pub(super) fn terminate(self: &Arc<Self>, job_id: &str, reason: &str) {
        let mut state = locked(&self.state);
        self.terminate_one(&mut state, job_id, reason);
        let size = match state.jobs.get(job_id).map(|job| &job.role) {
            Some(Role::Parent { size }) => *size,
            _ => 0,
        };
        for index in 0..size {
            self.terminate_one(&mut state, &format!("{job_id}:{index}"), reason);
        }
        self.fill(&mut state);
    }

    fn terminate_one(&self, state: &mut State, job_id: &str, reason: &str) {
        let Some(job) = state
            .jobs
            .get_mut(job_id)
            .filter(|job| !job.status.is_final())
        else {
            return;
        };
        if matches!(job.role, Role::Parent { .. }) {
            // Ends when its children have, with this reason.
            job.is_terminated = true;
            job.status_reason = Some(reason.to_owned());
            let job = job.clone();
            self.save(&job);
        } else if let Some(orders) = state.live.get(job_id) {
            // Fails only when the attempt has just ended: then the end it found stands.
            let _ = orders.send(Order::Terminate(reason.to_owned()));
        } else {
            // Its turn, if it waits, is passed over.
            self.fail(state, job_id, reason, |job| job.is_terminated = true);
        }
    }

    /// Takes a job's host back.
    pub(crate) fn reclaim(&self, job_id: &str, how: Reclaim) -> Result<(), Refused> {
        let state = locked(&self.state);
        let no_host = || Refused::NoHost(job_id.to_owned());
        let job = state.jobs.get(job_id).ok_or_else(no_host)?;
        let orders = state.live.get(job_id).ok_or_else(no_host)?;
        let placement = job.placement.as_ref().ok_or_else(no_host)?;
        let on_spot = self
            .stack
            .queue(&job.queue_arn)
            .is_some_and(|queue| queue.market == Market::Spot);
        let notice_until = match how {
            Reclaim::WithNotice(_) if !on_spot => return Err(Refused::NotSpot(job_id.to_owned())),
            Reclaim::WithNotice(lead) => {
                let lead =
                    jiff::SignedDuration::try_from(lead).unwrap_or(jiff::SignedDuration::MAX);
                Some(
                    Timestamp::now()
                        .saturating_add(lead)
                        .unwrap_or(Timestamp::MAX),
                )
            }
            Reclaim::WithoutNotice => None,
        };
        orders.send(Order::Reclaim(how)).map_err(|_| no_host())?;
        self.watch.report(Happening::Reclaimed {
            job_id: job_id.to_owned(),
            instance_id: placement.instance_id.clone(),
            notice_until,
        });
        Ok(())
    }

    /// Whether a queue (by ARN) gets hosts from now on; what runs goes on.
    pub(crate) fn withhold(self: &Arc<Self>, queue_arn: &str, withheld: bool) {
        let mut state = locked(&self.state);
        if withheld {
            state.withheld.insert(queue_arn.to_owned());
        } else {
            state.withheld.remove(queue_arn);
        }
        self.fill(&mut state);
    }

    /// Takes a Spot queue's hosts away for a while if that was drawn for this submission.
    fn starve(self: &Arc<Self>, state: &mut State, queue_arn: &str) {
        let queue = self
            .stack
            .queue(queue_arn)
            .filter(|queue| queue.market == Market::Spot);
        let Some(long) = queue.and_then(|queue| self.strikes.capacity(&queue.name)) else {
            return;
        };
        *state.starved.entry(queue_arn.to_owned()).or_default() += 1;
        let (this, queue_arn) = (Arc::clone(self), queue_arn.to_owned());
        let mut timers = locked(&self.timers);
        while timers.try_join_next().is_some() {}
        timers.spawn(async move {
            tokio::time::sleep(long).await;
            let mut state = locked(&this.state);
            if let Some(times) = state.starved.get_mut(&queue_arn) {
                *times = times.saturating_sub(1);
            }
            this.fill(&mut state);
        });
    }

    /// Ends every child process and waits for them. Records stay as they are: the next start finds these jobs lost.
    pub(crate) async fn stop(&self) {
        {
            let mut state = locked(&self.state);
            state.stopping = true;
            for orders in state.live.values() {
                // Fails only for an attempt that is ending by itself.
                let _ = orders.send(Order::Stop);
            }
        }
        let mut timers = std::mem::take(&mut *locked(&self.timers));
        timers.shutdown().await;
        let mut attempts = std::mem::take(&mut *locked(&self.attempts));
        while attempts.join_next().await.is_some() {}
    }

    pub(super) fn starting(&self, job_id: &str, placement: &Placement) {
        self.enter(&mut locked(&self.state), job_id, Status::Starting, |job| {
            job.placement = Some(placement.clone());
        });
    }

    pub(super) fn running(&self, job_id: &str, placement: &Placement) {
        self.enter(&mut locked(&self.state), job_id, Status::Running, |job| {
            job.placement = Some(placement.clone());
            job.started_at = Some(now_ms());
        });
    }

    /// The only place where a state changes.
    pub(super) fn enter(
        &self,
        state: &mut State,
        job_id: &str,
        status: Status,
        change: impl FnOnce(&mut Job),
    ) {
        let Some(job) = state.jobs.get_mut(job_id) else {
            return;
        };
        let before = job.status;
        change(job);
        job.status = status;
        if let Role::Child { parent, .. } = &job.role
            && let Some(summary) = state.summaries.get_mut(parent)
        {
            if let Some(count) = summary.get_mut(before as usize) {
                *count = count.saturating_sub(1);
            }
            if let Some(count) = summary.get_mut(status as usize) {
                *count += 1;
            }
        }
        self.save(job);
        self.announce(job, state.summaries.get(job_id));
    }

    fn save(&self, job: &Job) {
        if let Err(error) = records::save(&self.folder, job) {
            self.watch
                .broken(&format!("write the record of job {}", job.id), &error);
        }
    }

    fn report(&self, job: &Job) {
        let seen = self.snapshot(job);
        self.watch.report(Happening::JobChanged {
            job_id: seen.job_id,
            job_name: seen.job_name,
            queue: seen.queue,
            status: seen.status,
            attempts: seen.attempts_ended,
            status_reason: seen.status_reason,
        });
    }

    fn announce(&self, job: &Job, summary: Option<&Summary>) {
        self.report(job);
        let detail = shape::event_detail(job, summary);
        self.emit("Batch Job State Change", &[&job.arn], &detail);
    }

    pub(super) fn emit(&self, detail_type: &str, resources: &[&str], detail: &Value) {
        let event = json!({
            "version": "0",
            "id": self.ids.uuid(),
            "detail-type": detail_type,
            "source": "aws.batch",
            "account": crate::template::ACCOUNT,
            "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": crate::template::REGION,
            "resources": resources,
            "detail": detail,
        });
        // Fails only when the local cloud is ending.
        let _ = self.events.send(event);
    }

    /// Starts what may start.
    pub(super) fn fill(self: &Arc<Self>, state: &mut State) {
        self.tell_blocked(state);
        while !state.stopping && state.running < self.hosts.max_running {
            let Some(job_id) = state.next_turn() else {
                return;
            };
            state.running += 1;
            let (orders, received) = unbounded_channel();
            state.live.insert(job_id.clone(), orders);
            let mut attempts = locked(&self.attempts);
            while attempts.try_join_next().is_some() {}
            attempts.spawn(attempt::run(Arc::clone(self), job_id, received));
        }
    }
}

pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
