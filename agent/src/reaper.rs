//! Reaps what the program's children left behind, and ends what is still running of it.
//!
//! As process 1, or as a child subreaper under an init, the agent inherits orphans; unreaped they
//! fill the container's process table. Children that somebody awaits are left to whoever does: the
//! program itself, and what the agent asks of the system.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// What is killed leaves its own children to the agent, so it takes rounds. Whatever survives so
/// many is in the kernel's hands.
const ROUNDS: u32 = 50;
const ROUND: Duration = Duration::from_millis(10);

/// The children of this process that somebody awaits. Only to be spared on the thread that starts
/// them, before it waits for anything: a child must not be reaped before it is spared.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    ids: Arc<Mutex<BTreeSet<i32>>>,
    /// Whether this process inherits what its descendants leave behind.
    inherits: bool,
}

/// Spares a child until it is dropped.
#[derive(Debug)]
pub(crate) struct Spared {
    awaited: Awaited,
    id: i32,
}

impl Drop for Spared {
    fn drop(&mut self) {
        self.awaited.lock().remove(&self.id);
    }
}

impl Awaited {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the child with this id alone.
    pub(crate) fn spare(&self, id: Option<u32>) -> Spared {
        let id = id.and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        self.lock().insert(id);
        Spared {
            awaited: self.clone(),
            id,
        }
    }

    /// Kills all children that nobody awaits, and theirs, until there are none. Nothing where this
    /// process inherits none: its other children would be somebody else's.
    pub(crate) async fn end_orphans(&self) {
        if !self.inherits {
            return;
        }
        for round in 0..ROUNDS {
            let orphans: Vec<i32> = children(|state| state != "Z")
                .into_iter()
                .filter(|id| !self.lock().contains(id))
                .collect();
            if orphans.is_empty() {
                return;
            }
            if round == 0 {
                tracing::warn!("ending what the program left running: {orphans:?}");
            }
            for pid in orphans.into_iter().filter_map(Pid::from_raw) {
                match kill_process(pid, Signal::KILL) {
                    Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                    Err(error) => tracing::warn!("could not end {pid:?}: {error}"),
                }
            }
            tokio::time::sleep(ROUND).await;
        }
        tracing::warn!("something that the program left running does not end");
    }
}

/// Makes this process inherit orphans and reaps them until the process ends.
pub fn reap_orphans() -> std::io::Result<Awaited> {
    rustix::process::set_child_subreaper(Some(getpid()))?;
    let awaited = Awaited {
        inherits: true,
        ..Awaited::default()
    };
    let spared = awaited.clone();
    let mut died = signal(SignalKind::child())?;
    tokio::spawn(async move {
        while died.recv().await.is_some() {
            for id in children(|state| state == "Z") {
                if !spared.lock().contains(&id) {
                    reap(id);
                }
            }
        }
    });
    Ok(awaited)
}

fn reap(id: i32) {
    let Some(pid) = Pid::from_raw(id) else { return };
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(Some(_)) => tracing::debug!("reaped orphan {id}"),
        // Reaped between the look and the wait.
        Ok(None) | Err(rustix::io::Errno::CHILD) => {}
        Err(error) => tracing::warn!("could not reap {id}: {error}"),
    }
}

/// Children of this process in a state. Waiting for any child would take the program's own status
/// away from whoever waits for it.
fn children(is_in: impl Fn(&str) -> bool) -> Vec<i32> {
    let me = getpid().as_raw_pid();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| {
            fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
                state_and_parent(&stat).is_some_and(|(state, parent)| parent == me && is_in(state))
            })
        })
        .collect()
}

/// `<pid> (<name>) <state> <parent> …`; the name may hold spaces and parentheses.
fn state_and_parent(stat: &str) -> Option<(&str, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_state_and_its_parent_whatever_its_name() {
        assert_eq!(state_and_parent("12 (sh) Z 7 12 7 0 -1"), Some(("Z", 7)));
        assert_eq!(state_and_parent("12 (a) S 1 (b) Z 7 12 7"), Some(("Z", 7)));
        assert_eq!(state_and_parent("12 (sh) S 8 12 7 0 -1"), Some(("S", 8)));
        assert_eq!(state_and_parent("garbled"), None);
    }

    #[test]
    fn a_child_is_spared_for_as_long_as_it_is_awaited() {
        let awaited = Awaited::default();

        let spared = awaited.spare(Some(7));
        let during = awaited.lock().contains(&7);
        drop(spared);

        assert!(during && !awaited.lock().contains(&7));
    }
}
