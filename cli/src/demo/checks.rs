//! What a story must have come to, check by check: what was expected, and what was seen.

use std::fmt;
use std::fmt::{Display, Write as _};

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    what: String,
    expected: String,
    seen: String,
    holds: bool,
}

impl Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected: {}, seen: {}",
            self.what, self.expected, self.seen
        )
    }
}

/// All of a story, in order.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// `seen` must be `expected`.
    pub(crate) fn equal<T: Display + PartialEq>(&mut self, what: &str, expected: T, seen: T) {
        let holds = expected == seen;
        self.holds(what, expected, seen, holds);
    }

    /// Whatever `holds` says, with the words for both sides.
    pub(crate) fn holds(
        &mut self,
        what: &str,
        expected: impl Display,
        seen: impl Display,
        holds: bool,
    ) {
        let what = what.to_owned();
        self.0.push(Check {
            what,
            expected: expected.to_string(),
            seen: seen.to_string(),
            holds,
        });
    }

    /// Every check.
    pub(crate) fn all(&self) -> &[Check] {
        &self.0
    }

    /// Those that do not hold.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Check> {
        self.0.iter().filter(|check| !check.holds)
    }

    /// One line each.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for check in &self.0 {
            // Writing to a string cannot fail.
            let _ = if check.holds {
                writeln!(text, "  ok      {}: {}", check.what, check.seen)
            } else {
                writeln!(text, "  FAILED  {check}")
            };
        }
        text
    }
}

/// What may be absent, in words.
pub(crate) fn or_none<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_fails_says_what_was_expected_and_seen() {
        let mut checks = Checks::default();
        checks.equal("jobs", 1, 1);
        checks.equal("exit code of the twin", 79, 0);

        let failed: Vec<_> = checks.failed().map(ToString::to_string).collect();

        assert_eq!(failed, ["exit code of the twin: expected: 79, seen: 0"]);
        assert_eq!(
            checks.render(),
            "  ok      jobs: 1\n  FAILED  exit code of the twin: expected: 79, seen: 0\n"
        );
    }
}
