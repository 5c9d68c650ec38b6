//! One thing in which template, pipelines and code do not agree.

use std::fmt;

/// Whether it stops anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It will not work as it stands.
    Wrong,
    /// It may be meant so.
    Note,
}

/// Where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disagreement {
    pub(crate) weight: Weight,
    /// The file to mend; `None` is the template.
    pub(crate) file: Option<String>,
    /// The resource, the variable, the stage.
    pub(crate) place: String,
    /// One sentence without an end.
    pub(crate) what: String,
    /// The next step.
    pub(crate) todo: String,
}

impl Disagreement {
    /// In the template.
    pub(crate) fn new(
        place: impl Into<String>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            weight: Weight::Wrong,
            file: None,
            place: place.into(),
            what: what.into(),
            todo: todo.into(),
        }
    }

    /// In another file.
    #[must_use]
    pub(crate) fn in_file(mut self, file: &std::path::Path) -> Self {
        self.file = Some(file.display().to_string());
        self
    }

    /// One that may be meant so.
    #[must_use]
    pub(crate) fn note(mut self) -> Self {
        self.weight = Weight::Note;
        self
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.weight {
            Weight::Wrong => "WRONG",
            Weight::Note => "NOTE",
        };
        let file = self.file.as_deref().unwrap_or("template");
        write!(
            f,
            "{word} {file}, {}: {}\n  do: {}",
            self.place, self.what, self.todo
        )
    }
}
