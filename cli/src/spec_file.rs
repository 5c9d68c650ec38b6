//! A pipeline's spec as a file on this machine, and the two ways in which it can be wrong.

use std::path::Path;

use trainspot_shared::pipeline::Pipeline;

use crate::problem::{Exit, Problem};

/// A spec that was read and checked.
#[derive(Debug)]
pub(crate) struct SpecFile {
    /// Its bytes, as they are pushed.
    pub(crate) text: String,
    /// What it says.
    pub(crate) pipeline: Pipeline,
}

impl SpecFile {
    /// Reads and checks a spec.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(
                Exit::Configuration,
                format!("spec `{shown}` cannot be read: {error}"),
            )
            .hint("a spec is a TOML file such as pipelines/recommender.toml")
        })?;
        Self::parse(path, text)
    }

    /// Checks a spec that is at hand.
    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, Problem> {
        let pipeline = Pipeline::parse(&text).map_err(|error| {
            Problem::new(
                Exit::Configuration,
                format!("{}:{}: {}", path.display(), error.line, error.problem),
            )
        })?;
        Ok(Self { text, pipeline })
    }
}
