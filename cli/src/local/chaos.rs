//! `--chaos` and `--seed`: what goes wrong on purpose in a local cloud.

use std::path::PathBuf;

use clap::Args;
use trainspot_localcloud::Chaos;

use crate::problem::{Exit, Problem};

/// What goes wrong on purpose, and which of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChaosArguments {
    /// A TOML file that says how often events, functions, calls and hosts are struck (docs/operations.md, "Bad weeks")
    #[arg(long, value_name = "FILE")]
    pub(crate) chaos: Option<PathBuf>,
    /// Decides which of them are struck
    #[arg(long, default_value_t = 1, value_name = "N", requires = "chaos")]
    pub(crate) seed: u64,
}

impl ChaosArguments {
    /// Reads the file, if there is one.
    pub(crate) fn read(&self) -> Result<Option<Chaos>, Problem> {
        let Some(path) = &self.chaos else {
            return Ok(None);
        };
        let wrong = |why: String| {
            let sentence = format!("chaos file `{}`: {why}", path.display());
            Problem::new(Exit::Configuration, sentence)
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let chaos = Chaos::parse(&text, self.seed).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(chaos))
    }
}
