//! A program as a real process group of its own.
//!
//! Its output passes through to the agent's own; its last lines are kept.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use trainspot_shared::job::JOB_VARIABLE;

use crate::log_tail::{LogTail, Stream};
use crate::mask::Secrets;
use crate::program::{Ended, Launch, Program, Signal};
use crate::reaper::{Awaited, Spared};
use crate::stuck;

const PIECE_BYTES: usize = 16 * 1024;
/// A program that prints every step writes a thousand times in a second; each time would wake three
/// threads. What comes meanwhile is taken together; a full piece is followed at once.
const GATHER: Duration = Duration::from_millis(20);
/// A process that left the group may hold the pipes open for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(1);
/// What the agent runs itself with to start a program that dies with it; see [`crate::bound`].
pub const BOUND: &str = "--bound-to";

/// The process group.
#[derive(Debug, Default)]
pub struct Process {
    /// The agent's own binary, when the program shall be killed with it.
    agent: Option<PathBuf>,
    child: Option<Child>,
    group: Option<Pid>,
    tail: Arc<Mutex<LogTail>>,
    pumps: Vec<JoinHandle<()>>,
    awaited: Awaited,
    /// Nobody else reaps the program.
    spared: Option<Spared>,
}

impl Process {
    /// A program that outlives an agent that is killed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, killed with its agent: started through the agent's own binary.
    #[must_use]
    pub fn bound_to(self, agent: PathBuf) -> Self {
        Self {
            agent: Some(agent),
            ..self
        }
    }

    /// The same, with these secrets hidden in its last lines.
    #[must_use]
    pub fn hiding(self, secrets: Secrets) -> Self {
        Self {
            tail: Arc::new(Mutex::new(LogTail::hiding(secrets))),
            ..self
        }
    }

    /// The same, in a process that inherits the orphans it leaves and reaps whom nobody awaits.
    #[must_use]
    pub fn awaited_in(self, awaited: Awaited) -> Self {
        Self { awaited, ..self }
    }

    fn command(&self, launch: &Launch) -> io::Result<Command> {
        let (program, arguments) = launch
            .command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program"))?;
        let mut command = match &self.agent {
            Some(agent) => {
                let mut command = Command::new(agent);
                command
                    .arg(BOUND)
                    .arg(std::process::id().to_string())
                    .arg("--")
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(arguments)
            .env_remove(JOB_VARIABLE)
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        Ok(command)
    }

    fn pump(
        &mut self,
        from: impl AsyncRead + Unpin + Send + 'static,
        to: impl AsyncWrite + Unpin + Send + 'static,
    ) {
        let tail = Arc::clone(&self.tail);
        let stream = lock(&tail).stream();
        self.pumps
            .push(tokio::spawn(pass_through(from, to, tail, stream)));
    }
}

impl Program for Process {
    async fn start(&mut self, launch: &Launch) -> io::Result<()> {
        let mut child = self.command(launch)?.spawn()?;
        self.spared = Some(self.awaited.spare(child.id()));
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        self.group = id.and_then(Pid::from_raw);
        if let Some(stdout) = child.stdout.take() {
            self.pump(stdout, tokio::io::stdout());
        }
        if let Some(stderr) = child.stderr.take() {
            self.pump(stderr, tokio::io::stderr());
        }
        self.child = Some(child);
        Ok(())
    }

    async fn ended(&mut self) -> io::Result<Ended> {
        let Some(child) = &mut self.child else {
            return Err(io::Error::other("the program was never started"));
        };
        let status = child.wait().await?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Exited(code),
            (None, signal) => Ended::Signaled(signal.unwrap_or_default()),
        })
    }

    fn signal(&mut self, signal: Signal) {
        let Some(group) = self.group else { return };
        let number = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Checkpoint => rustix::process::Signal::USR1,
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::HangUp => rustix::process::Signal::HUP,
            Signal::Stacks => return stuck::ask_for_stacks(group),
            Signal::Kill => rustix::process::Signal::KILL,
        };
        match kill_process_group(group, number) {
            // Nobody is left to hear it.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!("could not signal the program: {error}"),
        }
    }

    async fn sweep_up(&mut self) {
        self.signal(Signal::Kill);
        self.awaited.end_orphans().await;
        for mut pump in self.pumps.drain(..) {
            if tokio::time::timeout(LAST_OUTPUT, &mut pump).await.is_err() {
                tracing::warn!("something that the program started holds its output open");
                pump.abort();
            }
        }
    }

    fn log_tail(&self) -> Vec<String> {
        lock(&self.tail).lines()
    }
}

fn lock(tail: &Mutex<LogTail>) -> MutexGuard<'_, LogTail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass_through(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tail: Arc<Mutex<LogTail>>,
    stream: Stream,
) {
    let mut piece = vec![0; PIECE_BYTES];
    let mut is_heard = true;
    loop {
        let n = match from.read(&mut piece).await {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) => {
                tracing::warn!("could not read the program's output: {error}");
                break;
            }
        };
        lock(&tail).take(stream, &piece[..n]);
        // With the log driver gone the program goes on: its pipe must be drained all the same.
        if is_heard && (to.write_all(&piece[..n]).await.is_err() || to.flush().await.is_err()) {
            is_heard = false;
            tracing::warn!("nobody reads the program's output any more");
        }
        if n < piece.len() {
            tokio::time::sleep(GATHER).await;
        }
    }
    lock(&tail).finish(stream);
}
