//! What a start finds in the records of earlier processes.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::engine::Batch;
use super::host::{self, HostSettings};
use super::job::{Role, Status};
use super::outcome::ended_attempt;
use super::records;
use super::shape::Summary;
use super::state::{State, place};
use crate::chaos::Strikes;
use crate::errors::StartError;
use crate::folder::Folder;
use crate::happening::Watch;
use crate::ids::Ids;
use crate::locked::locked;
use crate::processes;
use crate::template::Stack;

impl Batch {
    /// Reads the records of earlier processes. Starts nothing and tells nobody before `begin`.
    pub(crate) fn open(
        stack: Arc<Stack>,
        folder: Arc<Folder>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
        strikes: Arc<Strikes>,
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
        state
            .jobs
            .extend(children.into_iter().map(|child| (child.id.clone(), child)));
        Ok(Arc::new(Self {
            stack,
            folder,
            ids,
            hosts,
            watch,
            strikes,
            events,
            state: Mutex::new(state),
            attempts: Mutex::default(),
            timers: Mutex::default(),
        }))
    }

    /// Ends what an earlier process left on hosts, puts what waited back in line, and starts working.
    pub(crate) fn begin(self: &Arc<Self>) {
        let mut state = locked(&self.state);
        for job_id in std::mem::take(&mut state.lost) {
            let Some(placement) = state
                .jobs
                .get(&job_id)
                .and_then(|job| job.placement.clone())
            else {
                continue;
            };
            if let Some((pid, tick)) = placement.process
                && processes::started_at(pid) == Some(tick)
            {
                processes::signal_group(pid, rustix::process::Signal::KILL);
            }
            if let Some(container) = &placement.container
                && let Err(error) = container.remove_left()
            {
                self.watch.broken("remove a container of before", &error);
            }
            processes::end_marked(&host::process_mark(&self.folder, &placement.instance_id));
            let attempt = ended_attempt(&state, &job_id, placement, None, None, None);
            self.finish(&mut state, &job_id, Status::Failed, Some(attempt), None);
        }
        // The hosts of earlier processes are gone, and their disks with them.
        match std::fs::remove_dir_all(self.folder.path("hosts")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                self.watch.broken("clear the hosts of before", &error);
            }
            _ => {}
        }
        let waiting: Vec<_> = state
            .jobs
            .values()
            .filter(|job| !job.status.is_final() && !matches!(job.role, Role::Parent { .. }))
            .map(|job| (job.id.clone(), job.sequence))
            .collect();
        for (job_id, sequence) in waiting {
            state.line_up(&self.stack, &job_id, place(sequence));
        }
        self.fill(&mut state);
    }
}
