//! The program that the agent wraps, seen from the agent: started once, signalled, ended.
//!
//! Implemented by a real process group and, for proofs, by a script.

use std::io;
use std::path::PathBuf;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// What the agent tells a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Checkpoint now and end: `SIGTERM`.
    Terminate,
    /// Checkpoint now and go on: `SIGUSR1`.
    Checkpoint,
    /// `SIGINT`, passed on.
    Interrupt,
    /// `SIGHUP`, passed on.
    HangUp,
    /// It hangs: say where, if you can. `SIGQUIT`, only to processes that catch it.
    Stacks,
    /// `SIGKILL`.
    Kill,
}

/// Everything a program gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Added to the environment that the agent has itself.
    pub variables: Vec<(&'static str, String)>,
    /// `TRAINSPOT_CHECKPOINT_DIR`
    pub checkpoint_dir: PathBuf,
    /// `TRAINSPOT_OUTPUT_DIR`
    pub output_dir: PathBuf,
}

/// A program that can be run once.
pub trait Program: Send {
    /// Starts it. Never called twice.
    fn start(&mut self, launch: &Launch) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits for its end. May be dropped and called again.
    fn ended(&mut self) -> impl Future<Output = io::Result<Ended>> + Send;

    /// Signals it and everything it started; nothing if it has ended.
    fn signal(&mut self, signal: Signal);

    /// Ends whatever it left behind and takes in its last output. Called once, after its end.
    fn sweep_up(&mut self) -> impl Future<Output = ()> + Send;

    /// Its last lines, secrets masked, newest last.
    fn log_tail(&self) -> Vec<String>;
}
