//! Asks submit-training for a run, and tells what it answered. The run's id is in the question, so that a
//! question which is asked again stands for the same run.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use trainspot_edge::aws::{InvokeError, Invoker};
use trainspot_shared::identity::RunId;
use trainspot_shared::run::{End, Run};

use crate::problem::{Exit, Problem, root};
use crate::results::Results;
use crate::runs::state;
use crate::{ledgers, output};

/// The variable that names the function when no argument does; `trainspot local serve` prints it.
pub(crate) const FUNCTION_VARIABLE: &str = "TRAINSPOT_SUBMIT_FUNCTION";

/// Whom to ask, and how to tell.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// The function submit-training: its name or ARN, the stack's output `SubmitTrainingFunctionName`
    // The default is what a local cloud calls it; in AWS each stack draws an ending.
    #[arg(long, env = FUNCTION_VARIABLE, value_name = "NAME", default_value = "trainspot-local-SubmitTrainingFunction")]
    pub(crate) function: String,
    /// For scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// What submit-training answers.
#[derive(Debug, Deserialize, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    by: String,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Created,
    AlreadyThere,
    LostTheCreate,
    Refused,
}

/// Asks for `run_id` and prints the answer. With `results`, also how the run stands: one that was skipped
/// at once is not left for a notice to tell.
pub(crate) async fn ask(
    run_id: &RunId,
    force: bool,
    asking: &Asking,
    results: Option<&Results>,
) -> anyhow::Result<()> {
    let payload = json!({ "pipeline": run_id.pipeline(), "run_id": run_id, "force": force });
    let said = Invoker::from_environment()
        .await
        .invoke(&asking.function, &payload)
        .await
        .map_err(|error| no_answer(error, run_id))?;
    let answer: Answer = serde_json::from_value(said.clone()).map_err(|_| {
        let function = &asking.function;
        Problem::new(
            Exit::Configuration,
            format!("`{function}` does not answer as submit-training does: {said}"),
        )
        .hint(format!("check --function or {FUNCTION_VARIABLE}"))
    })?;
    if asking.json {
        output::print_json(&answer)?;
    }
    if answer.outcome == Outcome::Refused {
        return Err(refused(&answer).into());
    }
    if asking.json {
        return Ok(());
    }
    let run = match results {
        Some(results) => ledgers::ledger(&results.store, &results.bucket, run_id).await?,
        None => None,
    };
    output::print(&line(run_id, answer.outcome, run.as_ref()))
}

fn line(run_id: &RunId, outcome: Outcome, run: Option<&Run>) -> String {
    let became = match outcome {
        Outcome::AlreadyThere => "already there",
        // The same question, asked twice because an answer was lost, was entered by its other copy.
        Outcome::Created | Outcome::LostTheCreate | Outcome::Refused => "created",
    };
    let stands = match run {
        None => String::new(),
        Some(run) => match &run.end {
            Some(End::Skipped { because }) => format!(", and skipped: {because}"),
            _ => format!(", {}", state(run)),
        },
    };
    format!("run {run_id}: {became}{stands}; `trainspot show {run_id}` tells more")
}

fn refused(answer: &Answer) -> Problem {
    let why = answer.because.as_deref().unwrap_or("no reason given");
    Problem::new(Exit::Configuration, format!("refused: {why}"))
}

fn no_answer(error: InvokeError, run_id: &RunId) -> Problem {
    let sentence = error.to_string();
    match error {
        InvokeError::Unreachable { function, may_have_run, source } => {
            let problem = Problem::new(
                Exit::Unreachable,
                format!("no answer from function `{function}`: {}", root(source.as_ref())),
            );
            problem.hint(if may_have_run {
                format!("it may have started all the same: look with `trainspot show {run_id}` before asking again")
            } else {
                "check AWS_ENDPOINT_URL, region and credentials; `trainspot local serve` keeps a local cloud running".to_owned()
            })
        }
        InvokeError::Unknown { .. } => Problem::new(Exit::Configuration, sentence).hint(format!(
            "give --function or {FUNCTION_VARIABLE}: the stack's output SubmitTrainingFunctionName"
        )),
        InvokeError::Denied { .. } => Problem::new(Exit::Denied, sentence)
            .hint("check whose credentials these are; they need lambda:InvokeFunction"),
        InvokeError::NotInvoked { .. } => {
            Problem::new(Exit::Unreachable, sentence).hint("nothing was started; try again in a minute")
        }
        InvokeError::Failed { .. } => Problem::new(Exit::EndedBadly, sentence).hint(format!(
            "it may have started all the same: look with `trainspot show {run_id}` before asking again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RunId {
        "recommender-20261123T0200Z-r2".parse().expect("a valid id")
    }

    #[test]
    fn an_answer_is_one_line() {
        let told = |outcome| line(&id(), outcome, None);

        assert_eq!(
            told(Outcome::Created),
            "run recommender-20261123T0200Z-r2: created; `trainspot show recommender-20261123T0200Z-r2` tells more"
        );
        assert!(told(Outcome::AlreadyThere).contains(": already there;"));
        // Its twin made it: for whoever asked that is the same.
        assert_eq!(told(Outcome::LostTheCreate), told(Outcome::Created));
    }

    #[test]
    fn a_call_that_was_on_its_way_is_not_asked_again_blindly() {
        let unreachable = |may_have_run| {
            let error = InvokeError::Unreachable {
                function: "submit".to_owned(),
                may_have_run,
                source: "timed out".into(),
            };
            no_answer(error, &id()).hint.expect("there is a next step")
        };

        assert!(unreachable(true).contains("trainspot show recommender-20261123T0200Z-r2"));
        assert!(!unreachable(false).contains("trainspot show"));
    }
}
