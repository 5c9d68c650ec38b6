//! What people are told, through SNS: one text for a person, one document for a machine.

pub(crate) mod bill;
mod body;
mod cause;
mod compose;
pub(crate) mod culprit;
pub(crate) mod deeds;
#[cfg(test)]
pub(crate) mod ledgers;
pub(crate) mod mask;
pub(crate) mod spell;
pub(crate) mod what_happened;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use bill::{Bill, Known};
pub use cause::{explain, next_step};
pub use compose::compose;

/// How loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something was moved, lost or kept; no hurry.
    Warning,
    /// A person should act.
    Error,
}

impl Severity {
    /// The word in the message attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A message, ready to be published. The same notice has the same id however often it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Deterministic: run and kind.
    pub id: String,
    /// Under 100 ASCII characters, no line breaks.
    pub subject: String,
    /// For a person.
    pub text: String,
    /// For a machine.
    pub machine: serde_json::Value,
    /// Message attributes: `pipeline`, `kind`, `class`, `severity`.
    pub attributes: BTreeMap<String, String>,
}

/// SNS refuses subjects of 100 characters and more.
const SUBJECT_MAX: usize = 99;

/// A subject that SNS takes: printable ASCII, at most 99 characters.
pub fn subject(text: &str) -> String {
    let clean = text.chars().map(|c| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    });
    clean.take(SUBJECT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_subject_fits(text in "\\PC*") {
            let subject = subject(&text);

            prop_assert!(subject.len() < 100);
            prop_assert!(subject.bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
    }
}
