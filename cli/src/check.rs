//! `trainspot check`: are the specs right? Reads files only; touches no cloud.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use trainspot_shared::identity::Stage;
use trainspot_shared::pipeline::Pipeline;

use crate::output;
use crate::problem::{Exit, Problem};
use crate::spec_file::SpecFile;

/// Where specs lie when nobody says.
const DEFAULT_FOLDER: &str = "pipelines";

/// Checks every file and says what each is; all of them are looked at before the first error counts.
pub(crate) fn check(files: &[PathBuf]) -> anyhow::Result<()> {
    let files = if files.is_empty() {
        specs_in(Path::new(DEFAULT_FOLDER))?
    } else {
        files.to_vec()
    };
    let mut lines = Vec::new();
    let mut wrong = Vec::new();
    for file in &files {
        match SpecFile::read(file) {
            Ok(spec) => lines.push(format!(
                "OK {}: {}",
                file.display(),
                summary(&spec.pipeline)
            )),
            Err(problem) => wrong.push(problem),
        }
    }
    if !lines.is_empty() {
        output::print(&lines.join("\n"))?;
    }
    let n_wrong = wrong.len();
    match wrong.into_iter().next() {
        None => Ok(()),
        Some(problem) if n_wrong == 1 => Err(problem.into()),
        Some(first) => {
            let sentence = format!("{} (and {} more wrong files)", first.sentence, n_wrong - 1);
            Err(Problem { sentence, ..first }.into())
        }
    }
}

fn specs_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Problem::new(
            Exit::Configuration,
            format!("folder `{}` cannot be read: {error}", folder.display()),
        )
        .hint("run it where `pipelines/` is, or name the files")
    })?;
    let mut specs = Vec::new();
    for entry in entries {
        let path = entry.context("read the folder of specs")?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            specs.push(path);
        }
    }
    specs.sort();
    if specs.is_empty() {
        let sentence = format!("folder `{}` holds no *.toml", folder.display());
        return Err(Problem::new(Exit::Configuration, sentence).into());
    }
    Ok(specs)
}

/// One line: name and stages.
fn summary(pipeline: &Pipeline) -> String {
    let stages: Vec<_> = Stage::ALL
        .into_iter()
        .filter(|stage| pipeline.stage(*stage).is_some())
        .map(Stage::as_str)
        .collect();
    format!("pipeline `{}`, {}", pipeline.name, stages.join(" > "))
}
