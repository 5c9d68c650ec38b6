//! What a check found: a verdict, what it saw, what to do, and the very command that it asked by.

use serde::Serialize;

use super::call::{Answer, Call};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// A run will fail, wait for ever, or tell nobody.
    Bad,
    /// Nobody may say.
    CouldNotCheck,
}

impl Verdict {
    /// The word in tables.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "BAD",
            Self::CouldNotCheck => "unknown",
        }
    }
}

/// One line of the table, and one object for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in a few words that stay the same.
    pub(crate) check: String,
    pub(crate) verdict: Verdict,
    /// What was seen.
    pub(crate) what: String,
    /// The next step, if there is one.
    #[serde(rename = "do")]
    pub(crate) todo: Option<String>,
    /// The command that a person can repeat; none for what needed no AWS.
    pub(crate) command: Option<String>,
}

impl Finding {
    fn new(verdict: Verdict, check: &str, what: String) -> Self {
        Self {
            check: check.to_owned(),
            verdict,
            what,
            todo: None,
            command: None,
        }
    }

    /// As it should be.
    pub(super) fn ok(check: &str, what: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, check, what.into())
    }

    /// Somebody should look.
    pub(super) fn warn(check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, check, what.into()).with(todo)
    }

    /// It will not work.
    pub(super) fn bad(check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Verdict::Bad, check, what.into()).with(todo)
    }

    /// Nobody may say.
    pub(super) fn unknown(check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Verdict::CouldNotCheck, check, what.into()).with(todo)
    }

    /// With the next step.
    #[must_use]
    pub(super) fn with(mut self, todo: impl Into<String>) -> Self {
        self.todo = Some(todo.into());
        self
    }

    /// With the command that it was asked by.
    #[must_use]
    pub(super) fn asked(mut self, call: &Call) -> Self {
        self.command = Some(call.shown());
        self
    }
}

/// The JSON of an answer; of any other, that the check could not be made, and why.
pub(super) fn json<'a>(
    check: &str,
    call: &Call,
    answer: &'a Answer,
) -> Result<&'a serde_json::Value, Finding> {
    match answer {
        Answer::Json(value) => Ok(value),
        other => Err(not_checked(check, call, other)),
    }
}

/// A check that could not be made, and why.
pub(super) fn not_checked(check: &str, call: &Call, answer: &Answer) -> Finding {
    let (what, todo) = match answer {
        Answer::Json(_) | Answer::Text(_) => (
            "AWS answered in another shape than its documentation has".to_owned(),
            "run the command and look".to_owned(),
        ),
        Answer::Absent { code, .. } => (
            format!("AWS says there is no such thing ({code})"),
            "compare the stack with the template; deploy again".to_owned(),
        ),
        Answer::Denied { action } => (
            format!("not allowed to look: {action} is missing"),
            format!("have somebody with {action} run it, or allow it to whoever asks here"),
        ),
        Answer::TimedOut { seconds } => (
            format!("no answer within {seconds} s"),
            "try again, or give a longer --time-limit".to_owned(),
        ),
        Answer::Failed { why } => (why.clone(), "run the command and look".to_owned()),
        Answer::Unreachable(gap) => (gap.sentence(), gap.hint().to_owned()),
    };
    Finding::unknown(check, what, todo).asked(call)
}
