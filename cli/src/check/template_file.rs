//! The template as a file on this machine, and the ways in which it can stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use trainspot_localcloud::{Declared, StartError};

use crate::problem::{Exit, Problem};

/// Where the template lies when nobody says.
pub(crate) const DEFAULT_TEMPLATE: &str = "template.yaml";

/// The parameter that decides which of two resources keeps a pipeline's time, and a value that takes the
/// other one than the default.
const OTHER_WAY: (&str, &str) = ("ScheduleTimeZone", "Asia/Seoul");

/// The parameter without which nothing runs; it may be empty at the first deploy.
const IMAGE: &str = "ImageUri";

/// A template's text.
#[derive(Debug)]
pub(crate) struct TemplateFile {
    /// Its path, for messages.
    pub(crate) shown: String,
    pub(crate) text: String,
}

impl TemplateFile {
    /// The template that was named, or the one that is here; `None` when nobody named one and none is here.
    pub(crate) fn find(named: Option<&Path>) -> Result<Option<Self>, Problem> {
        let path = match named {
            Some(path) => path.to_owned(),
            None if Path::new(DEFAULT_TEMPLATE).is_file() => PathBuf::from(DEFAULT_TEMPLATE),
            None => return Ok(None),
        };
        Self::read(&path).map(Some)
    }

    /// Reads it.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(
                Exit::Configuration,
                format!("template `{shown}` cannot be read: {error}"),
            )
            .hint("run it where template.yaml is, or give --template")
        })?;
        Ok(Self { shown, text })
    }

    /// The names of the parameters that it declares.
    pub(crate) fn parameters(&self) -> Result<BTreeSet<String>, Problem> {
        let declared = Declared::parameters(&self.text).map_err(|error| self.wrong(&error))?;
        Ok(declared.into_iter().map(|(name, _)| name).collect())
    }

    /// With these parameters. One that has no default and is not given stands as an image that is nowhere:
    /// what is asked here does not hang on it.
    pub(crate) fn declared(&self, parameters: &[(String, String)]) -> Result<Declared, Problem> {
        let mut values: BTreeMap<String, String> = parameters.iter().cloned().collect();
        let declared = Declared::parameters(&self.text).map_err(|error| self.wrong(&error))?;
        for (name, declaration) in declared {
            if declaration.get("Default").is_none() {
                values.entry(name).or_insert_with(nowhere);
            }
        }
        Declared::parse(&self.text, &values).map_err(|error| self.wrong(&error))
    }

    /// As it stands with these parameters and an image, and, unless they say, in a zone and in UTC.
    pub(crate) fn ways(&self, parameters: &[(String, String)]) -> Result<Vec<Declared>, Problem> {
        let declared = self.parameters()?;
        let mut parameters = parameters.to_vec();
        let given = |parameters: &[(String, String)], name: &str| {
            let mut given = parameters.iter();
            given.any(|(given, value)| given == name && !value.is_empty())
        };
        // Without one the template stands still on purpose, until somebody has pushed one.
        if declared.contains(IMAGE) && !given(&parameters, IMAGE) {
            parameters.retain(|(name, _)| name != IMAGE);
            parameters.push((IMAGE.to_owned(), nowhere()));
        }
        let mut ways = vec![self.declared(&parameters)?];
        let (name, value) = OTHER_WAY;
        if declared.contains(name) && !given(&parameters, name) {
            parameters.push((name.to_owned(), value.to_owned()));
            ways.push(self.declared(&parameters)?);
        }
        Ok(ways)
    }

    fn wrong(&self, error: &StartError) -> Problem {
        Problem::new(Exit::Configuration, format!("{}: {error}", self.shown))
    }
}

/// An image that no registry has.
fn nowhere() -> String {
    format!("not-given@sha256:{}", "0".repeat(64))
}

/// `NAME=VALUE`.
pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE, such as MaxGpuVcpus=32".to_owned()),
    }
}
