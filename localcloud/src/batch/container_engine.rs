//! Asks a container engine, by its own command, for what it does with one container: make, start, signal, look
//! at, remove. Touches no container but those it is given by name.

use std::io;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::Command;

/// The engine's command, `docker` or `podman`, and which of the two it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerEngine {
    command: String,
    pub(super) is_podman: bool,
}

/// How a container, or what stands in for it, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    /// The limit of memory ended it.
    pub(super) is_out_of_memory: bool,
}

impl ContainerEngine {
    /// Asks the engine what it is; an error is for a person.
    pub(crate) async fn find(command: &str) -> Result<Self, String> {
        let mut engine = Self {
            command: command.to_owned(),
            is_podman: false,
        };
        let version = engine.ask(&["--version"]).await?;
        engine.is_podman = version.to_lowercase().contains("podman");
        Ok(engine)
    }

    /// A child process that starts the container, passes its output on and ends with it.
    pub(super) fn attached(&self, name: &str) -> Command {
        let mut command = Command::new(&self.command);
        command.args(["start", "--attach", name]);
        command
    }

    /// Makes a container from arguments as `container::arguments` gives them.
    pub(super) async fn create(&self, arguments: &[String]) -> Result<(), String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.ask(&words).await.map(drop)
    }

    /// Sends its main process a signal. One that has ended is no error.
    pub(super) async fn signal(&self, name: &str, signal: &str) {
        if let Err(why) = self.ask(&["kill", "--signal", signal, name]).await {
            tracing::debug!(name, signal, why, "a container ended before it was told to");
        }
    }

    /// How an ended container ended; an error is its reason in an engine's words.
    pub(super) async fn ended(&self, name: &str) -> Result<Ended, String> {
        let unknown = |why: String| format!("CannotInspectContainerError: {why}");
        let answer = self.ask(&["inspect", name]).await.map_err(unknown)?;
        let seen: Value =
            serde_json::from_str(&answer).map_err(|error| unknown(error.to_string()))?;
        let state = seen.pointer("/0/State").unwrap_or(&Value::Null);
        if state.get("Running").and_then(Value::as_bool) == Some(true) {
            return Err(unknown(
                "it runs, and nobody reads its output any more".to_owned(),
            ));
        }
        let started = state
            .get("StartedAt")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if started.is_empty() || started.starts_with("0001-") {
            let why = state
                .get("Error")
                .and_then(Value::as_str)
                .unwrap_or_default();
            return Err(format!("CannotStartContainerError: {why}"));
        }
        let code = state
            .get("ExitCode")
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok())
            .ok_or_else(|| unknown("the engine tells no exit code".to_owned()))?;
        Ok(Ended {
            code,
            is_out_of_memory: state.get("OOMKilled").and_then(Value::as_bool) == Some(true),
        })
    }

    /// Removes a container with its volumes, running or not.
    pub(super) async fn remove(&self, name: &str) -> Result<(), String> {
        self.ask(&["rm", "--force", "--volumes", name])
            .await
            .map(drop)
    }

    /// The same, for a start that finds what an earlier process left: waits without a runtime.
    pub(super) fn remove_left(&self, name: &str) -> io::Result<bool> {
        let mut command = std::process::Command::new(&self.command);
        command.args(["rm", "--force", "--volumes", name]);
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(status.success())
    }

    async fn ask(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.command)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| format!("`{}`: {error}", self.command))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let word = words.first().copied().unwrap_or_default();
        Err(format!("`{} {word}`: {}", self.command, last.trim()))
    }
}
