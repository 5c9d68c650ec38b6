//! Signals to child processes that the local cloud started, by their ids and never by a name.

use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Signals a process group; one that is gone is no error.
pub(crate) fn signal_group(leader: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(leader)
        && let Err(error) = kill_process_group(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(leader, %error, "signal a process group");
    }
}

/// Signals one process; one that is gone is no error.
pub(crate) fn signal_one(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid)
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::debug!(%error, "a program ended before it was told to");
    }
}

/// The clock tick at which a process started: with its id it names one process for good.
pub(crate) fn started_at(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold anything; the start is the 22nd field.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// Ends what is left of a host whose main process is gone or about to go: every process whose environment
/// at its start held this mark, which only processes of that host were given. A program that left the
/// group (a daemon, a session of its own) dies with its host all the same.
pub(crate) fn end_marked(mark: &str) {
    let Ok(entries) = fs::read_dir("/proc") else {
        return;
    };
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(environment) = fs::read(entry.path().join("environ")) else {
            continue;
        };
        let is_marked = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        if is_marked && let Some(pid) = Pid::from_raw(pid) {
            // It may have ended by itself in between.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
