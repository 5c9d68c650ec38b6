//! What an attempt runs on its host: a program of this machine that stands in for a container, or a container.
//! Starts it, signals it, waits for it, and leaves nothing of it behind.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::container_engine::{ContainerEngine, Ended};
use crate::processes;

/// A container by the engine that has it and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerName {
    pub(super) engine: ContainerEngine,
    pub(super) name: String,
}

/// Something that runs.
#[derive(Debug)]
pub(super) enum Work {
    Program {
        child: Child,
        pid: i32,
        /// The variable that every process of the host was started with, and no other.
        mark: String,
    },
    Container {
        /// Passes the container's output on, and ends with it.
        reader: Child,
        name: ContainerName,
    },
}

impl Work {
    /// Starts a program in a process group of its own.
    pub(super) fn program(mut command: Command, log: File, mark: String) -> io::Result<Self> {
        let child = into_log(&mut command, log)?.process_group(0).spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .ok_or_else(|| io::Error::other("it was gone at once"))?;
        Ok(Self::Program { child, pid, mark })
    }

    /// Makes and starts a container.
    pub(super) async fn container(
        name: ContainerName,
        arguments: &[String],
        log: File,
    ) -> io::Result<Self> {
        name.engine
            .create(arguments)
            .await
            .map_err(io::Error::other)?;
        let mut command = name.engine.attached(&name.name);
        // A Ctrl-C at the terminal is for the local cloud, which then ends the container itself.
        let reader =
            into_log(&mut command, log).and_then(|command| command.process_group(0).spawn());
        match reader {
            Ok(reader) => Ok(Self::Container { reader, name }),
            Err(error) => {
                name.remove().await;
                Err(error)
            }
        }
    }

    /// The program's process with the clock tick of its start, which tells it from a later one with its number.
    pub(super) fn process(&self) -> Option<(i32, u64)> {
        match self {
            Self::Program { pid, .. } => processes::started_at(*pid).map(|tick| (*pid, tick)),
            Self::Container { .. } => None,
        }
    }

    /// The container, if it is one.
    pub(super) fn container_name(&self) -> Option<ContainerName> {
        match self {
            Self::Program { .. } => None,
            Self::Container { name, .. } => Some(name.clone()),
        }
    }

    /// Only the main process is told, as a container engine does; it forwards what it wants.
    pub(super) fn terminate(&self) {
        match self {
            Self::Program { pid, .. } => processes::signal_one(*pid, Signal::TERM),
            Self::Container { name, .. } => name.signal("TERM"),
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        match self {
            Self::Program { pid, .. } => processes::signal_group(*pid, Signal::KILL),
            Self::Container { name, .. } => name.signal("KILL"),
        }
    }

    /// Until its main process has ended. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Program { child, .. } => child.wait().await,
            Self::Container { reader, .. } => reader.wait().await,
        }
    }

    /// How it ended, after `wait`, and the end of whatever else it started. An error is the container's reason
    /// in an engine's words.
    pub(super) async fn clear(self, status: io::Result<ExitStatus>) -> Result<Ended, String> {
        match self {
            Self::Program { pid, mark, .. } => {
                // A container ends with its main process, whatever else runs in it; a host with everything on it.
                processes::signal_group(pid, Signal::KILL);
                let cleared = tokio::task::spawn_blocking(move || processes::end_marked(&mark));
                if let Err(error) = cleared.await {
                    tracing::warn!(%error, "clear a host");
                }
                let status =
                    status.map_err(|error| format!("CannotInspectContainerError: {error}"))?;
                Ok(Ended {
                    code: exit_code(status),
                    is_out_of_memory: false,
                })
            }
            Self::Container { name, .. } => {
                let ended = name.engine.ended(&name.name).await;
                name.remove().await;
                ended
            }
        }
    }
}

impl ContainerName {
    /// Asks the engine, whose answer nobody waits for: what counts is the container's end.
    fn signal(&self, signal: &'static str) {
        let Self { engine, name } = self.clone();
        tokio::spawn(async move { engine.signal(&name, signal).await });
    }

    async fn remove(&self) {
        if let Err(why) = self.engine.remove(&self.name).await {
            tracing::warn!(container = self.name, why, "a container is left behind");
        }
    }

    /// Removes what an earlier process left; false when there is no such container any more.
    pub(super) fn remove_left(&self) -> io::Result<bool> {
        self.engine.remove_left(&self.name)
    }
}

fn into_log(command: &mut Command, log: File) -> io::Result<&mut Command> {
    Ok(command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true))
}

/// As container engines report it: 128 + n for signal n.
fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}
