//! A program that dies with its agent.
//!
//! A killed agent (a lost host on a laptop, the kernel's own choice in a container without limits)
//! would leave the program working for nobody. The kernel kills a process with its parent when the
//! process asks for it, and the wish survives `exec`; so the agent's binary is started once more,
//! asks, and becomes the program. Only the program itself is bound, not what it starts.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::exit_code::{NOT_EXECUTABLE, NOT_FOUND};

/// Becomes `command`, bound to the process `agent`. Comes back only with the code to end with.
pub fn become_program(agent: &str, command: &[String]) -> u8 {
    let Some((program, arguments)) = command.split_first() else {
        return NOT_FOUND;
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        tracing::warn!("a killed agent will leave the program alone: {error}");
    }
    // It may have died before the wish was there.
    if getppid()
        .map(Pid::as_raw_pid)
        .map(|id| id.to_string())
        .as_deref()
        != Some(agent)
    {
        tracing::warn!("the agent is gone; `{program}` is not started");
        return NOT_EXECUTABLE;
    }
    let error = Command::new(program).args(arguments).exec();
    tracing::error!("run `{program}`: {error}");
    code_of(&error)
}

/// What a shell would end with.
pub(crate) fn code_of(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    }
}
