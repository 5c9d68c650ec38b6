//! `trainspot check`: are the specs right, and do template, pipelines and code agree? Reads files only;
//! touches no cloud.

mod disagreement;
mod doors;
mod hosts;
mod patterns;
mod retries;
mod schedules;
mod template_file;
mod variables;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use trainspot_shared::identity::Stage;
use trainspot_shared::pipeline::Pipeline;

pub(crate) use self::disagreement::{Disagreement, Weight};
pub(crate) use self::schedules::{Ticking, entry, ticks};
pub(crate) use self::template_file::{TemplateFile, parameter};
use crate::output;
use crate::problem::{Exit, Problem};
use crate::spec_file::SpecFile;

/// Where specs lie when nobody says.
const DEFAULT_FOLDER: &str = "pipelines";

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Spec files; all of pipelines/*.toml when none is named
    pub(crate) files: Vec<PathBuf>,
    /// The template they are compared with; template.yaml where there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// A parameter of the template as it will be deployed; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = template_file::parameter)]
    pub(crate) parameter: Vec<(String, String)>,
}

/// The specs that are compared with a template.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    /// With the file each came from.
    pub(crate) files: Vec<(PathBuf, SpecFile)>,
    /// Whether these are all there are, so that one which is not here is nowhere.
    pub(crate) is_all: bool,
}

/// Checks every file and says what each is; all of them are looked at before the first error counts.
pub(crate) fn check(arguments: &CheckArguments) -> anyhow::Result<()> {
    let is_all = arguments.files.is_empty();
    let files = if is_all {
        specs_in(Path::new(DEFAULT_FOLDER))?
    } else {
        arguments.files.clone()
    };
    let (read, wrong) = read_all(&files);
    let mut lines: Vec<String> = read
        .iter()
        .map(|(file, spec)| format!("OK {}: {}", file.display(), summary(&spec.pipeline)))
        .collect();
    let specs = Specs {
        files: read,
        is_all: is_all && wrong.is_empty(),
    };
    let template = TemplateFile::find(arguments.template.as_deref())?;
    let mut n_apart = 0;
    if let Some(template) = &template {
        let found = disagreements(template, &arguments.parameter, &specs)?;
        n_apart = found
            .iter()
            .filter(|found| found.weight == Weight::Wrong)
            .count();
        // What could not be read was compared with nothing.
        if n_apart == 0 && wrong.is_empty() {
            lines.push(format!(
                "OK {}: agrees with pipelines and code",
                template.shown
            ));
        }
        lines.extend(found.iter().map(ToString::to_string));
    }
    if !lines.is_empty() {
        output::print(&lines.join("\n"))?;
    }
    if !wrong.is_empty() {
        return Err(all_wrong(wrong).into());
    }
    if n_apart > 0 {
        let places = if n_apart == 1 { "place" } else { "places" };
        let sentence = format!("template, pipelines and code do not agree in {n_apart} {places}");
        return Err(Problem::new(Exit::Configuration, sentence).into());
    }
    Ok(())
}

/// One sentence for each file that is wrong.
fn all_wrong(wrong: Vec<Problem>) -> Problem {
    let sentences: Vec<&str> = wrong
        .iter()
        .map(|problem| problem.sentence.as_str())
        .collect();
    let sentence = match sentences.as_slice() {
        [one] => (*one).to_owned(),
        all => format!("{} specs are wrong\n  {}", all.len(), all.join("\n  ")),
    };
    let hint = wrong.into_iter().find_map(|problem| problem.hint);
    Problem {
        exit: Exit::Configuration,
        sentence,
        hint,
    }
}

/// Everything in which a template, specs and the code do not agree, each thing once.
pub(crate) fn disagreements(
    template: &TemplateFile,
    parameters: &[(String, String)],
    specs: &Specs,
) -> Result<Vec<Disagreement>, Problem> {
    let mut found: Vec<Disagreement> = Vec::new();
    // The template stands in more than one way; what is wrong in one of them only is wrong.
    for declared in template.ways(parameters)? {
        let here = [
            variables::disagreements(&declared),
            doors::disagreements(&declared),
            patterns::disagreements(&declared),
            retries::disagreements(&declared),
            schedules::disagreements(&declared, specs),
            hosts::disagreements(&declared, specs),
        ];
        for disagreement in here.into_iter().flatten() {
            if !found.contains(&disagreement) {
                found.push(disagreement);
            }
        }
    }
    for disagreement in &mut found {
        disagreement
            .file
            .get_or_insert_with(|| template.shown.clone());
    }
    Ok(found)
}

/// The specs that are right, and what is wrong with the others.
pub(crate) fn read_all(files: &[PathBuf]) -> (Vec<(PathBuf, SpecFile)>, Vec<Problem>) {
    let (mut read, mut wrong) = (Vec::new(), Vec::new());
    for file in files {
        match SpecFile::read_named(file) {
            Ok(spec) => read.push((file.clone(), spec)),
            Err(problem) => wrong.push(problem),
        }
    }
    (read, wrong)
}

/// Every `*.toml` of a folder, by name.
pub(crate) fn specs_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
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

#[cfg(test)]
mod tests;
