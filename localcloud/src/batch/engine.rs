//! The engine of Batch: holds every job under one lock, starts what may start, moves states, keeps records and
//! announces each change as AWS does.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::attempt::{self, Ending, Order};
use super::host::{self, HostSettings};
use super::job::{Attempt, Job, JobSnapshot, Placement, Role, Status};
use super::shape::{self, Summary};
use super::submit::{self, NotSubmitted, OVERRIDES_TOO_LONG};
use super::{records, retry};
use crate::errors::{Refused, StartError};
use crate::folder::Folder;
use crate::happening::{Happening, Watch};
use crate::ids::Ids;
use crate::locked::locked;
use crate::processes;
use crate::template::{Market, Queue, Stack};

const EXITED: &str = "Essential container in task exited";
const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
const NOT_STARTED: &str = "Task failed to start";
const CHILD_FAILED: &str = "Array Child Job failed";
/// AWS cuts a container's reason here.
const LONGEST_REASON: usize = 255;

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
    pub(super) stack: Arc<Stack>,
    pub(super) folder: Arc<Folder>,
    pub(super) ids: Arc<Ids>,
    pub(super) hosts: HostSettings,
    watch: Arc<Watch>,
    /// Where events go.
    events: UnboundedSender<Value>,
    state: Mutex<State>,
    attempts: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<String, Job>,
    /// Of array parents, by their id.
    summaries: HashMap<String, Summary>,
    sequence: u64,
    /// RUNNABLE jobs without a host, first to start first.
    waiting: BTreeSet<Turn>,
    /// Retried jobs go before all that wait: this counts down.
    front: i64,
    running: usize,
    live: HashMap<String, UnboundedSender<Order>>,
    /// ARNs of queues that get no hosts.
    withheld: HashSet<String>,
    /// Jobs that another process left on hosts; told about when events can be delivered.
    lost: Vec<String>,
    stopping: bool,
}

/// A job's place in the one line that all queues form on a laptop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    queue_priority: Reverse<i64>,
    scheduling_priority: Reverse<i64>,
    place: i64,
    index: u32,
    job_id: String,
}

impl Batch {
    /// Reads the records of earlier processes. Starts nothing and tells nobody before `begin`.
    pub(crate) fn open(
        stack: Arc<Stack>,
        folder: Arc<Folder>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
        hosts: HostSettings,
        events: UnboundedSender<Value>,
    ) -> Result<Arc<Self>, StartError> {
        let mut state = State::default();
        for job in records::load(&folder)? {
            state.sequence = state.sequence.max(job.sequence);
            if !job.status.is_final() && job.placement.is_some() {
                state.lost.push(job.id.clone());
            }
            state.jobs.insert(job.id.clone(), job);
        }
        state.lost.sort();
        // Children that nothing happened to have no record of their own.
        let mut children = Vec::new();
        for parent in state.jobs.values() {
            if let Role::Parent { size } = parent.role {
                let mut summary = Summary::default();
                for index in 0..size {
                    let known = state.jobs.get(&format!("{}:{index}", parent.id));
                    let status = known.map_or(Status::Runnable, |child| child.status);
                    if let Some(count) = summary.get_mut(status as usize) {
                        *count += 1;
                    }
                    if known.is_none() {
                        children.push(parent.child(index, size));
                    }
                }
                state.summaries.insert(parent.id.clone(), summary);
            }
        }
        state.jobs.extend(children.into_iter().map(|child| (child.id.clone(), child)));
        Ok(Arc::new(Self {
            stack,
            folder,
            ids,
            hosts,
            watch,
            events,
            state: Mutex::new(state),
            attempts: Mutex::default(),
        }))
    }

    /// Ends what an earlier process left on hosts, puts what waited back in line, and starts working.
    pub(crate) fn begin(self: &Arc<Self>) {
        let mut state = locked(&self.state);
        for job_id in std::mem::take(&mut state.lost) {
            let Some(placement) = state.jobs.get(&job_id).and_then(|job| job.placement.clone()) else { continue };
            if let Some((pid, tick)) = placement.process
                && processes::started_at(pid) == Some(tick)
            {
                processes::signal_group(pid, rustix::process::Signal::KILL);
            }
            processes::end_marked(&host::process_mark(&self.folder, &placement.instance_id));
            let attempt = ended_attempt(&state, &job_id, placement, None, None, None);
            self.finish(&mut state, &job_id, Status::Failed, Some(attempt), None);
        }
        let waiting: Vec<_> = state
            .jobs
            .values()
            .filter(|job| !job.status.is_final() && !matches!(job.role, Role::Parent { .. }))
            .map(|job| (job.id.clone(), job.sequence))
            .collect();
        for (job_id, sequence) in waiting {
            self.line_up(&mut state, &job_id, place(sequence));
        }
        self.fill(&mut state);
    }

    /// `SubmitJob`.
    pub(super) fn submit(self: &Arc<Self>, request: &Value, size: usize) -> Result<Value, NotSubmitted> {
        let mut state = locked(&self.state);
        let stamp = submit::Stamp { job_id: self.ids.uuid(), sequence: state.sequence + 1, now_ms: now_ms() };
        let accepted = submit::submission(request, size, &self.stack, stamp)?;
        state.sequence += 1;
        let job = accepted.job;
        let answer = json!({ "jobArn": job.arn, "jobId": job.id, "jobName": job.name });
        let (id, role, sequence) = (job.id.clone(), job.role.clone(), job.sequence);
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
                let Some(child) = state.jobs.get(&id).map(|parent| parent.child(index, size)) else { break };
                let child_id = child.id.clone();
                self.announce(&child, None);
                state.jobs.insert(child_id.clone(), child);
                self.line_up(&mut state, &child_id, place(sequence));
            }
        } else {
            self.enter(&mut state, &id, Status::Runnable, |_| {});
            self.line_up(&mut state, &id, place(sequence));
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
        let Some(job) = state.jobs.get_mut(job_id).filter(|job| !job.status.is_final()) else { return };
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
        let on_spot = self.stack.queue(&job.queue_arn).is_some_and(|queue| queue.market == Market::Spot);
        let notice_until = match how {
            Reclaim::WithNotice(_) if !on_spot => return Err(Refused::NotSpot(job_id.to_owned())),
            Reclaim::WithNotice(lead) => {
                let lead = jiff::SignedDuration::try_from(lead).unwrap_or(jiff::SignedDuration::MAX);
                Some(Timestamp::now().saturating_add(lead).unwrap_or(Timestamp::MAX))
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

    /// Calls `see` with a job and, for an array parent, its children's states.
    pub(super) fn see<T>(&self, job_id: &str, see: impl FnOnce(&Job, Option<&Summary>) -> T) -> Option<T> {
        let state = locked(&self.state);
        state.jobs.get(job_id).map(|job| see(job, state.summaries.get(job_id)))
    }

    /// A page of the jobs that `wanted` picks, newest first, after the job at `after`; and where the next page
    /// starts, if there is one. A place is a job's own, so that what is submitted meanwhile shifts no page.
    pub(super) fn select(
        &self,
        wanted: impl Fn(&Job) -> bool,
        after: Option<(u64, u32)>,
        page: usize,
    ) -> (Vec<Value>, Option<(u64, u32)>) {
        let key = |(sequence, index): (u64, u32)| (Reverse(sequence), index);
        let state = locked(&self.state);
        let mut jobs: Vec<&Job> = state
            .jobs
            .values()
            .filter(|job| wanted(job) && after.is_none_or(|after| key((job.sequence, index(job))) > key(after)))
            .collect();
        jobs.sort_by_key(|job| key((job.sequence, index(job))));
        let more = jobs.len() > page;
        jobs.truncate(page);
        let next = jobs.last().filter(|_| more).map(|job| (job.sequence, index(job)));
        (jobs.into_iter().map(|job| shape::summarised(job, state.summaries.get(&job.id))).collect(), next)
    }

    /// All jobs, oldest first.
    pub(crate) fn snapshots(&self) -> Vec<JobSnapshot> {
        let state = locked(&self.state);
        let mut jobs: Vec<&Job> = state.jobs.values().collect();
        jobs.sort_by_key(|job| (job.sequence, index(job)));
        jobs.into_iter().map(|job| self.snapshot(job)).collect()
    }

    fn snapshot(&self, job: &Job) -> JobSnapshot {
        let last = job.attempts.last();
        let stream = job.placement.as_ref().or(last.map(|attempt| &attempt.placement));
        JobSnapshot {
            job_id: job.id.clone(),
            job_name: job.name.clone(),
            queue: self.stack.queue(&job.queue_arn).map_or_else(|| job.queue_arn.clone(), |queue| queue.name.clone()),
            status: job.status.word().to_owned(),
            status_reason: job.status_reason.clone(),
            attempts_ended: job.attempts.len(),
            exit_code: last.and_then(|attempt| attempt.exit_code),
            instance_id: job.placement.as_ref().map(|placement| placement.instance_id.clone()),
            on_spot: self.stack.queue(&job.queue_arn).is_some_and(|queue| queue.market == Market::Spot),
            created_at_ms: job.created_at,
            started_at_ms: job.started_at,
            stopped_at_ms: job.stopped_at,
            log_file: stream.map(|placement| host::log_file(&self.folder, &placement.log_stream)),
        }
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
        let mut attempts = std::mem::take(&mut *locked(&self.attempts));
        while attempts.join_next().await.is_some() {}
    }

    pub(super) fn job_and_queue(&self, job_id: &str) -> Option<(Job, Queue)> {
        let job = locked(&self.state).jobs.get(job_id).cloned()?;
        let queue = self.stack.queue(&job.queue_arn)?.clone();
        Some((job, queue))
    }

    pub(super) fn starting(&self, job_id: &str, placement: &Placement) {
        self.enter(&mut locked(&self.state), job_id, Status::Starting, |job| job.placement = Some(placement.clone()));
    }

    pub(super) fn running(&self, job_id: &str, placement: &Placement) {
        self.enter(&mut locked(&self.state), job_id, Status::Running, |job| {
            job.placement = Some(placement.clone());
            job.started_at = Some(now_ms());
        });
    }

    /// An attempt has ended: what follows.
    pub(super) fn ended(self: &Arc<Self>, job_id: &str, ending: Ending) {
        let mut state = locked(&self.state);
        state.live.remove(job_id);
        state.running = state.running.saturating_sub(1);
        let failed = Status::Failed;
        match ending {
            Ending::Abandoned => return,
            Ending::Withdrawn(reason) => self.fail(&mut state, job_id, &reason, |job| job.is_terminated = true),
            Ending::NoHost(reason) => {
                self.watch.broken("start a job", &reason);
                self.fail(&mut state, job_id, &reason, |_| {});
            }
            Ending::Terminated(placement, reason, code) => {
                let attempt = ended_attempt(&state, job_id, placement, Some(code), None, Some(&reason));
                if let Some(job) = state.jobs.get_mut(job_id) {
                    job.is_terminated = true;
                }
                self.finish(&mut state, job_id, failed, Some(attempt), None);
            }
            Ending::TimedOut(placement) => {
                let attempt = ended_attempt(&state, job_id, placement, None, None, Some(TIMED_OUT));
                self.finish(&mut state, job_id, failed, Some(attempt), None);
            }
            Ending::Exited(placement, 0) => {
                let attempt = ended_attempt(&state, job_id, placement, Some(0), None, Some(EXITED));
                self.finish(&mut state, job_id, Status::Succeeded, Some(attempt), None);
            }
            Ending::Exited(placement, code) => {
                let attempt = ended_attempt(&state, job_id, placement, Some(code), None, Some(EXITED));
                self.retry_or_fail(&mut state, job_id, attempt);
            }
            Ending::HostLost(placement) => {
                let attempt = ended_attempt(&state, job_id, placement, None, None, None);
                self.retry_or_fail(&mut state, job_id, attempt);
            }
            Ending::NotStarted(placement, reason) => {
                let reason = reason.chars().take(LONGEST_REASON).collect();
                let attempt = ended_attempt(&state, job_id, placement, None, Some(reason), Some(NOT_STARTED));
                self.retry_or_fail(&mut state, job_id, attempt);
            }
        }
        self.fill(&mut state);
    }

    fn retry_or_fail(&self, state: &mut State, job_id: &str, attempt: Attempt) {
        let Some(job) = state.jobs.get(job_id) else { return };
        // An array whose parent was terminated starts nothing more.
        let parent_ended = match &job.role {
            Role::Child { parent, .. } => state.jobs.get(parent).is_some_and(|parent| parent.is_terminated),
            _ => false,
        };
        debug_assert!(job.attempts.len() < job.attempts_allowed() || job.attempts.is_empty());
        if parent_ended || !retry::retries(job.retry.as_ref(), &attempt, job.attempts.len() + 1) {
            self.finish(state, job_id, Status::Failed, Some(attempt), None);
            return;
        }
        self.enter(state, job_id, Status::Runnable, |job| {
            job.attempts.push(attempt);
            job.placement = None;
        });
        state.front -= 1;
        let place = state.front;
        self.line_up(state, job_id, place);
    }

    /// A job that fails without an attempt.
    fn fail(&self, state: &mut State, job_id: &str, reason: &str, change: impl FnOnce(&mut Job)) {
        if let Some(job) = state.jobs.get_mut(job_id) {
            change(job);
        }
        self.finish(state, job_id, Status::Failed, None, Some(reason));
    }

    fn finish(&self, state: &mut State, job_id: &str, status: Status, attempt: Option<Attempt>, reason: Option<&str>) {
        let stopped_at = attempt.as_ref().map_or_else(now_ms, |attempt| attempt.stopped_at);
        let reason = attempt.as_ref().map(|attempt| attempt.status_reason.clone()).or(reason.map(str::to_owned));
        self.enter(state, job_id, status, |job| {
            job.status_reason = reason;
            job.stopped_at = Some(stopped_at);
            job.placement = None;
            job.attempts.extend(attempt);
        });
        let parent = match state.jobs.get(job_id).map(|job| &job.role) {
            Some(Role::Child { parent, size, .. }) => (parent.clone(), *size),
            _ => return,
        };
        let (parent_id, size) = parent;
        let count = |status: Status| state.summaries.get(&parent_id).and_then(|summary| summary.get(status as usize)).copied().unwrap_or(0);
        let failed = count(Status::Failed);
        if failed + count(Status::Succeeded) < size {
            return;
        }
        let status = if failed == 0 { Status::Succeeded } else { Status::Failed };
        self.enter(state, &parent_id, status, |parent| {
            parent.stopped_at = Some(stopped_at);
            if status == Status::Failed && parent.status_reason.is_none() {
                parent.status_reason = Some(CHILD_FAILED.to_owned());
            }
        });
    }

    /// The only place where a state changes.
    fn enter(&self, state: &mut State, job_id: &str, status: Status, change: impl FnOnce(&mut Job)) {
        let Some(job) = state.jobs.get_mut(job_id) else { return };
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
            self.watch.broken(&format!("write the record of job {}", job.id), &error);
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
        let event = json!({
            "version": "0",
            "id": self.ids.uuid(),
            "detail-type": "Batch Job State Change",
            "source": "aws.batch",
            "account": crate::template::ACCOUNT,
            "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": crate::template::REGION,
            "resources": [job.arn],
            "detail": shape::event_detail(job, summary),
        });
        // Fails only when the local cloud is ending.
        let _ = self.events.send(event);
    }

    fn line_up(&self, state: &mut State, job_id: &str, place: i64) {
        let Some(job) = state.jobs.get(job_id) else { return };
        let turn = Turn {
            queue_priority: Reverse(self.stack.queue(&job.queue_arn).map_or(0, |queue| queue.priority)),
            scheduling_priority: Reverse(job.scheduling_priority.unwrap_or(0)),
            place,
            index: index(job),
            job_id: job_id.to_owned(),
        };
        state.waiting.insert(turn);
    }

    /// Starts what may start.
    fn fill(self: &Arc<Self>, state: &mut State) {
        while !state.stopping && state.running < self.hosts.max_running {
            let next = state.waiting.iter().find(|turn| {
                let job = state.jobs.get(&turn.job_id);
                job.is_some_and(|job| job.status.is_final() || !state.withheld.contains(&job.queue_arn))
            });
            let Some(turn) = next.cloned() else { return };
            state.waiting.remove(&turn);
            if state.jobs.get(&turn.job_id).is_some_and(|job| job.status.is_final()) {
                continue;
            }
            state.running += 1;
            let (orders, received) = unbounded_channel();
            state.live.insert(turn.job_id.clone(), orders);
            let mut attempts = locked(&self.attempts);
            while attempts.try_join_next().is_some() {}
            attempts.spawn(attempt::run(Arc::clone(self), turn.job_id, received));
        }
    }
}

/// Without a status reason the attempt ended because its host was lost.
fn ended_attempt(
    state: &State,
    job_id: &str,
    placement: Placement,
    exit_code: Option<i32>,
    reason: Option<String>,
    status_reason: Option<&str>,
) -> Attempt {
    let job = state.jobs.get(job_id);
    let has_run = job.is_some_and(|job| job.status == Status::Running);
    Attempt {
        started_at: job.and_then(|job| job.started_at).filter(|_| has_run),
        stopped_at: now_ms(),
        exit_code,
        reason,
        status_reason: status_reason
            .map_or_else(|| format!("Host EC2 (instance {}) terminated.", placement.instance_id), str::to_owned),
        placement,
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

fn place(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn index(job: &Job) -> u32 {
    match job.role {
        Role::Child { index, .. } => index,
        _ => 0,
    }
}
