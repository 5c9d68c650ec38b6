//! What a command tells a person when it cannot go on: one sentence, a hint, and an exit code.
//! Printed once, in `main`; nothing else prints an error.

use std::process::ExitCode;

use trainspot_edge::cas::CasError;
use trainspot_edge::store::StoreError;

use crate::credentials;

/// Exit codes that scripts may rely on. Usage errors are clap's own 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked about ended badly: a run failed, a check did not hold.
    EndedBadly = 1,
    /// The run that was asked for was skipped at once. (2 is a usage error's.)
    Skipped = 3,
    /// A spec, an argument or the template is wrong.
    Configuration = 64,
    /// A dataset is wrong.
    Data = 65,
    /// The store or a function does not answer.
    Unreachable = 69,
    /// Nobody foresaw this.
    Unforeseen = 70,
    /// Somebody else holds the folder: try later.
    InUse = 75,
    /// The store or Lambda says no.
    Denied = 77,
    /// Ended by Ctrl-C.
    Interrupted = 130,
}

/// An error for a person.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Problem {
    /// What the process exits with.
    pub(crate) exit: Exit,
    /// What, where, and what is wrong; at most three lines.
    pub(crate) sentence: String,
    /// The next step, if there is one.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// Without a hint.
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self {
            exit,
            sentence: sentence.into(),
            hint: None,
        }
    }

    /// With the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unreachable { what, source } => {
                if let Some(problem) = credentials::trouble(source.as_ref()) {
                    return problem;
                }
                Self::new(Exit::Unreachable, format!("no answer from the store for `{what}`: {}", root(source.as_ref())))
                    .hint("check AWS_ENDPOINT_URL, region and credentials; `trainspot local serve` keeps a local cloud running")
            }
            StoreError::Denied { what } => {
                Self::new(Exit::Denied, format!("the store denies `{what}`"))
                    .hint("check whose credentials these are, and the bucket's policy")
            }
            StoreError::NoBucket { what } => Self::new(
                Exit::Configuration,
                format!("there is no such bucket: `{what}`"),
            )
            .hint("give the results bucket by --bucket or TRAINSPOT_RESULTS_BUCKET"),
            StoreError::Malformed { key, why } => Self::new(
                Exit::Data,
                format!("document `{key}` cannot be read: {why}"),
            ),
            StoreError::Changed { .. } | StoreError::Moving { .. } => {
                Self::new(Exit::Data, error.to_string())
            }
            StoreError::Garbled { .. } | StoreError::NoUpload { .. } => {
                Self::new(Exit::Unreachable, error.to_string()).hint("try again")
            }
            StoreError::Refused(_) | StoreError::DiskFull { .. } => {
                Self::new(Exit::Configuration, error.to_string())
            }
            StoreError::File { what, source } => Self::new(
                Exit::Configuration,
                format!("local file for `{what}`: {source}"),
            ),
        }
    }
}

impl From<CasError> for Problem {
    fn from(error: CasError) -> Self {
        match error {
            CasError::Store(error) => error.into(),
            CasError::Contended { .. } => {
                Self::new(Exit::InUse, error.to_string()).hint("try again in a minute")
            }
        }
    }
}

/// The innermost cause, in one line: the outer ones only say that a call failed.
pub(crate) fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
        .to_string()
        .lines()
        .next()
        .unwrap_or("no reason given")
        .to_owned()
}

/// Prints what went wrong, in at most five lines, and says what to exit with.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let problem = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Problem>());
    eprintln!("error: {error:#}");
    if let Some(hint) = problem.and_then(|problem| problem.hint.as_ref()) {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(problem.map_or(Exit::Unforeseen, |problem| problem.exit) as u8)
}
