//! A pipeline's name.

use std::fmt;
use std::str::FromStr;

use super::IdentityError;

/// `[a-z][a-z0-9-]{0,39}`: short enough that every job name made from it fits into Batch's 128.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineName(String);

impl PipelineName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its share in a fair-share queue: Batch takes letters and digits only. Two pipelines whose names
    /// differ by a `-` would share a share, which costs them some fairness and nothing else.
    pub fn share(&self) -> String {
        self.0.chars().filter(char::is_ascii_alphanumeric).collect()
    }
}

impl FromStr for PipelineName {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut letters = text.chars();
        let first_is_letter = letters.next().is_some_and(|c| c.is_ascii_lowercase());
        let rest_fits = letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if first_is_letter && rest_fits && text.len() <= 40 {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityError::PipelineName(text.to_owned()))
        }
    }
}

impl fmt::Display for PipelineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::serde_as_text!(PipelineName);
