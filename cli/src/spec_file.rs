//! A pipeline's spec as a file on this machine, and the two ways in which it can be wrong.

use std::path::Path;

use trainspot_shared::pipeline::Pipeline;

use crate::problem::{Exit, Problem};

/// What a spec is called that lies in a folder of its own, as in `examples/`.
const FOLDERS_OWN: &str = "pipeline";

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

    /// Reads and checks a spec that is, or will be, pushed: its file must be called like its pipeline, since a copy
    /// whose name was forgotten would take the place of what it was copied from. A file called `pipeline.toml`
    /// stands for its folder.
    pub(crate) fn read_named(path: &Path) -> Result<Self, Problem> {
        let spec = Self::read(path)?;
        let name = spec.pipeline.name.as_str();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.unwrap_or_default();
        if stem == name || stem == FOLDERS_OWN {
            return Ok(spec);
        }
        let file = path.display();
        let sentence = format!(
            "{file}: the file is called `{stem}` and its pipeline `{name}`: a copy would take `{name}`'s place, so rename the file to {name}.toml, or write `name = \"{stem}\"`"
        );
        Err(Problem::new(Exit::Configuration, sentence))
    }

    /// Checks a spec that is at hand.
    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, Problem> {
        let pipeline = Pipeline::parse_for_runs_to_come(&text).map_err(|error| {
            Problem::new(
                Exit::Configuration,
                format!("{}:{}: {}", path.display(), error.line, error.problem),
            )
        })?;
        Ok(Self { text, pipeline })
    }
}
