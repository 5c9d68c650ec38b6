//! The function processes that are busy now, so that stopping can end them by their ids.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rustix::process::Signal;

use crate::locked::locked;
use crate::processes;

/// Process ids of busy functions.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Pids>);

#[derive(Debug, Default)]
struct Pids {
    busy: BTreeSet<i32>,
    stopped: bool,
}

impl Running {
    /// Notes a process before it gets work; `false` when no more work may begin.
    pub(super) fn begin(&self, pid: i32) -> bool {
        let mut pids = locked(&self.0);
        !pids.stopped && pids.busy.insert(pid)
    }

    /// Forgets a process whose work is done, before it can have ended and its id belong to another.
    pub(super) fn finish(&self, pid: i32) {
        locked(&self.0).busy.remove(&pid);
    }

    pub(super) fn is_stopped(&self) -> bool {
        locked(&self.0).stopped
    }

    /// Kills whatever is busy; from now on nothing begins.
    pub(super) fn stop(&self) {
        let mut pids = locked(&self.0);
        pids.stopped = true;
        for pid in std::mem::take(&mut pids.busy) {
            processes::signal_group(pid, Signal::KILL);
        }
    }
}
