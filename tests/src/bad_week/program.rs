//! A program under the real agent, by script: steps, checkpoints, and an end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use trainspot_agent::Program;
use trainspot_agent::program::{Ended, Launch, Signal};
use trainspot_edge::World;
use trainspot_edge::memory::MemoryEdge;
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::file;

use crate::results::Results;

/// Between a signal and the end.
const CHECKPOINT_TAKES: SignedDuration = SignedDuration::from_secs(5);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// What a program does.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) steps: u64,
    pub(super) step_takes: Duration,
    /// A checkpoint after each so many steps.
    pub(super) checkpoint_every: u64,
    pub(super) results: Results,
    /// At this step it ends so instead.
    pub(super) fails: Option<(u64, Failing)>,
}

/// How a program fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// With this exit code and a word of its own.
    Exit(i32),
    /// The kernel kills it.
    Killed,
}

/// The program.
#[derive(Debug)]
pub(super) struct Scripted {
    edge: MemoryEdge,
    script: Script,
    folders: Option<Folders>,
    step: u64,
    checkpointed: u64,
    next_at: Timestamp,
    is_told_to_end: bool,
    wants_checkpoint: bool,
    ended: Option<Ended>,
}

#[derive(Debug)]
struct Folders {
    checkpoints: PathBuf,
    output: PathBuf,
    stage: Stage,
    params: BTreeMap<String, Value>,
}

impl Scripted {
    pub(super) fn of(edge: MemoryEdge, script: Script) -> Self {
        Self {
            next_at: edge.now(),
            edge,
            script,
            folders: None,
            step: 0,
            checkpointed: 0,
            is_told_to_end: false,
            wants_checkpoint: false,
            ended: None,
        }
    }

    fn after(&self, wait: SignedDuration) -> Timestamp {
        self.edge.now() + wait
    }

    /// One step, or the end.
    fn work(&mut self) -> io::Result<()> {
        let Some(folders) = &self.folders else {
            return Err(io::Error::other("it was not started"));
        };
        if self.is_told_to_end {
            if self.step > self.checkpointed {
                self.checkpointed = self.step;
                self.checkpoint(folders)?;
            }
            self.ended = Some(Ended::Signaled(SIGTERM));
            return Ok(());
        }
        if self.step >= self.script.steps {
            self.write_output(folders)?;
            self.ended = Some(Ended::Exited(0));
            return Ok(());
        }
        self.step += 1;
        if let Some((at, failing)) = self.script.fails
            && self.step >= at
        {
            self.ended = Some(match failing {
                Failing::Exit(code) => {
                    let failure = json!({"reason": format!("the story says {code}"), "hint": ""});
                    self.write(&folders.output.join(file::FAILURE), &failure)?;
                    Ended::Exited(code)
                }
                Failing::Killed => Ended::Signaled(SIGKILL),
            });
            return Ok(());
        }
        let progress = json!({"step": self.step, "total": self.script.steps, "rate": 1.0});
        self.write(&folders.output.join(file::PROGRESS), &progress)?;
        let is_due = self.step.is_multiple_of(self.script.checkpoint_every);
        if is_due || std::mem::take(&mut self.wants_checkpoint) {
            self.checkpoint(folders)?;
            self.checkpointed = self.step;
        }
        let wait = SignedDuration::try_from(self.script.step_takes).unwrap_or_default();
        self.next_at = self.after(wait);
        Ok(())
    }

    fn checkpoint(&self, folders: &Folders) -> io::Result<()> {
        let whole = folders.checkpoints.join(self.step.to_string());
        if whole.exists() {
            return Ok(());
        }
        let partial = folders.checkpoints.join(format!("{}.partial", self.step));
        fs::create_dir_all(&partial)?;
        fs::write(
            partial.join("weights"),
            json!({"step": self.step}).to_string(),
        )?;
        fs::rename(&partial, &whole)?;
        self.stamp(&whole)
    }

    fn write_output(&self, folders: &Folders) -> io::Result<()> {
        let files = self.script.results.files(folders.stage, &folders.params);
        for (name, content) in files {
            self.write(&folders.output.join(name), &content)?;
        }
        Ok(())
    }

    /// By rename, as the contract wants it.
    fn write(&self, path: &Path, content: &Value) -> io::Result<()> {
        let half = path.with_extension("half");
        fs::write(&half, content.to_string())?;
        fs::rename(&half, path)?;
        self.stamp(path)
    }

    /// The virtual time: by the real one the same seed would not be the same story.
    fn stamp(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.set_modified(SystemTime::from(self.edge.now()))
    }
}

impl Program for Scripted {
    async fn start(&mut self, launch: &Launch) -> io::Result<()> {
        let variable = |name: &str| {
            let found = launch.variables.iter().find(|(there, _)| *there == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let params = fs::read(variable("TRAINSPOT_PARAMS"))?;
        self.folders = Some(Folders {
            checkpoints: launch.checkpoint_dir.clone(),
            output: launch.output_dir.clone(),
            stage: variable("TRAINSPOT_STAGE")
                .parse()
                .map_err(io::Error::other)?,
            params: serde_json::from_slice(&params)?,
        });
        for entry in fs::read_dir(&launch.checkpoint_dir)? {
            let name = entry?.file_name();
            let step = name.to_str().and_then(|name| name.parse().ok());
            self.step = self.step.max(step.unwrap_or(0));
        }
        self.checkpointed = self.step;
        self.next_at = self.edge.now();
        Ok(())
    }

    async fn ended(&mut self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            let wait = self.next_at.duration_since(self.edge.now());
            if let Ok(wait) = Duration::try_from(wait)
                && !wait.is_zero()
            {
                self.edge.pause(wait).await;
            }
            self.work()?;
        }
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Kill => self.ended = Some(Ended::Signaled(SIGKILL)),
            Signal::Checkpoint => self.wants_checkpoint = true,
            Signal::Terminate | Signal::Interrupt | Signal::HangUp if !self.is_told_to_end => {
                self.is_told_to_end = true;
                self.next_at = self.after(CHECKPOINT_TAKES);
            }
            _ => {}
        }
    }

    async fn sweep_up(&mut self) {}

    fn log_tail(&self) -> Vec<String> {
        vec![format!("step {}", self.step)]
    }
}
