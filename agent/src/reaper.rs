//! Reaps what the program's children left behind.
//!
//! As process 1, or as a child subreaper under an init, the agent inherits orphans; unreaped they
//! fill the container's process table. The program itself is left to whoever waits for it. Only for
//! a process that starts nothing else: it reaps any child that it finds dead.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// Makes this process inherit orphans and reaps them until the process ends.
pub fn reap_orphans(leader: Arc<AtomicI32>) -> std::io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let mut children = signal(SignalKind::child())?;
    tokio::spawn(async move {
        while children.recv().await.is_some() {
            for id in dead_children() {
                if id != leader.load(Ordering::SeqCst) {
                    reap(id);
                }
            }
        }
    });
    Ok(())
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

/// Dead and unreaped children of this process. Waiting for any child would take the program's own
/// status away from whoever waits for it.
fn dead_children() -> Vec<i32> {
    let me = getpid().as_raw_pid();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| {
            fs::read_to_string(format!("/proc/{id}/stat"))
                .is_ok_and(|stat| is_dead_child_of(&stat, me))
        })
        .collect()
}

/// `<pid> (<name>) <state> <parent> …`; the name may hold spaces and parentheses.
fn is_dead_child_of(stat: &str, parent: i32) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = rest.split_ascii_whitespace();
    fields.next() == Some("Z") && fields.next().and_then(|p| p.parse().ok()) == Some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ones_own_dead_children_are_reaped() {
        assert!(is_dead_child_of("12 (sh) Z 7 12 7 0 -1", 7));
        assert!(is_dead_child_of("12 (a) S 1 (b) Z 7 12 7", 7));
        assert!(!is_dead_child_of("12 (sh) S 7 12 7 0 -1", 7));
        assert!(!is_dead_child_of("12 (sh) Z 8 12 7 0 -1", 7));
        assert!(!is_dead_child_of("garbled", 7));
    }
}
