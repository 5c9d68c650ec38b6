//! Calling a function for a person, and what to tell when there is no answer.

use serde::de::DeserializeOwned;
use serde_json::Value;
use trainspot_edge::aws::{InvokeError, Invoker};

use crate::credentials;
use crate::problem::{Exit, Problem, root};

/// A function as a person names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function<'a> {
    /// Name or ARN.
    pub(crate) name: &'a str,
    /// Which of ours it stands for.
    pub(crate) stands_for: &'static str,
    /// The variable that names it.
    pub(crate) variable: &'static str,
    /// The stack's output that names it.
    pub(crate) output: &'static str,
}

impl Function<'_> {
    /// Invokes it and reads its answer. `after` is the next step when the call may have had its effect.
    pub(crate) async fn ask<A: DeserializeOwned>(
        &self,
        payload: &Value,
        after: &str,
    ) -> Result<A, Problem> {
        let said = Invoker::from_environment()
            .await
            .invoke(self.name, payload)
            .await
            .map_err(|error| self.no_answer(error, after))?;
        serde_json::from_value(said.clone()).map_err(|_| {
            let (name, stands_for) = (self.name, self.stands_for);
            Problem::new(
                Exit::Configuration,
                format!("`{name}` does not answer as {stands_for} does: {said}"),
            )
            .hint(format!("check --function or {}", self.variable))
        })
    }

    fn no_answer(&self, error: InvokeError, after: &str) -> Problem {
        let sentence = error.to_string();
        let may_have_run = || format!("it may have had its effect all the same: {after}");
        match error {
            InvokeError::Unreachable {
                function,
                may_have_run: may,
                source,
            } => {
                if let Some(problem) = credentials::trouble(source.as_ref()) {
                    return problem;
                }
                let problem = Problem::new(
                    Exit::Unreachable,
                    format!(
                        "no answer from function `{function}`: {}",
                        root(source.as_ref())
                    ),
                );
                problem.hint(if may {
                    may_have_run()
                } else {
                    "check AWS_ENDPOINT_URL, region and credentials; `trainspot local serve` keeps a local cloud running".to_owned()
                })
            }
            InvokeError::Unknown { .. } => {
                Problem::new(Exit::Configuration, sentence).hint(format!(
                    "give --function or {}: the stack's output {}",
                    self.variable, self.output
                ))
            }
            InvokeError::Denied { .. } => Problem::new(Exit::Denied, sentence)
                .hint("check whose credentials these are; they need lambda:InvokeFunction"),
            InvokeError::NotInvoked { .. } => Problem::new(Exit::Unreachable, sentence)
                .hint("nothing was started; try again in a minute"),
            InvokeError::Failed { .. } => {
                Problem::new(Exit::EndedBadly, sentence).hint(may_have_run())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_on_its_way_is_not_asked_again_blindly() {
        let function = Function {
            name: "submit",
            stands_for: "submit-training",
            variable: "V",
            output: "O",
        };
        let hint = |may_have_run| {
            let error = InvokeError::Unreachable {
                function: "submit".to_owned(),
                may_have_run,
                source: "timed out".into(),
            };
            let problem = function.no_answer(error, "look before asking again");
            problem.hint.expect("there is a next step")
        };

        assert!(hint(true).contains("look before asking again"));
        assert!(!hint(false).contains("look before"));
    }
}
