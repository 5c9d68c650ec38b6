//! `trainspot cancel`: asks supervise-runs to end a run. Changes no ledger itself.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use trainspot_shared::command;
use trainspot_shared::identity::RunId;

use crate::function::Function;
use crate::problem::{Exit, Problem};
use crate::results::Results;
use crate::{ledgers, output};

/// The variable that names the function when no argument does; `trainspot local serve` prints it.
pub(crate) const FUNCTION_VARIABLE: &str = "TRAINSPOT_SUPERVISE_FUNCTION";

/// What to end, and why.
#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// The run's id
    pub(crate) run: String,
    /// Why, for the ledger and the notice; one line
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    /// The function supervise-runs: its name or ARN, the stack's output `SuperviseRunsFunctionName`
    // The default is what a local cloud calls it; in AWS each stack draws an ending.
    #[arg(long, env = FUNCTION_VARIABLE, value_name = "NAME", default_value = "trainspot-local-SuperviseRunsFunction")]
    pub(crate) function: String,
    /// For scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// What supervise-runs answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Cancel(Cancel),
    Refused { because: String },
}

#[derive(Debug, Deserialize, Serialize)]
struct Cancel {
    run_id: RunId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Cancelled,
    Closing,
    AlreadyOver,
    TooLate,
    UnknownRun,
}

/// The command. With a bucket, a run that does not exist is answered with those that do.
pub(crate) async fn cancel(
    arguments: &CancelArguments,
    bucket: Option<String>,
) -> anyhow::Result<()> {
    let because = arguments
        .because
        .as_deref()
        .map(command::reason)
        .transpose()
        .map_err(|error| Problem::new(Exit::Configuration, error.to_string()))?;
    let run_id = match bucket.filter(|name| !name.is_empty()) {
        Some(bucket) => {
            let results = Results::open(Some(bucket)).await?;
            ledgers::find(&results.store, &results.bucket, &arguments.run)
                .await?
                .id
        }
        None => arguments
            .run
            .parse()
            .map_err(|error| Problem::new(Exit::Configuration, format!("{error}")))?,
    };
    let function = Function {
        name: &arguments.function,
        stands_for: "supervise-runs",
        variable: FUNCTION_VARIABLE,
        output: "SuperviseRunsFunctionName",
    };
    let payload = json!({ "cancel": { "run_id": run_id, "because": because } });
    let after = format!("`trainspot show {run_id}` tells; asking again does no harm");
    let answer = match function.ask::<Answer>(&payload, &after).await? {
        Answer::Cancel(answer) => answer,
        Answer::Refused { because } => {
            return Err(Problem::new(Exit::Configuration, format!("refused: {because}")).into());
        }
    };
    if arguments.json {
        output::print_json(&answer)?;
    }
    let told = told(&answer)?;
    if arguments.json {
        return Ok(());
    }
    output::print(&told)
}

/// One line, or why it was not done.
fn told(answer: &Cancel) -> Result<String, Problem> {
    let id = &answer.run_id;
    let state = answer.state.as_deref().unwrap_or("unknown");
    let not_done = |exit, why: String| Err(Problem::new(exit, why));
    match answer.outcome {
        Outcome::Cancelled => Ok(format!(
            "run {id}: cancelled; `trainspot show {id}` tells more"
        )),
        Outcome::Closing => Ok(format!(
            "run {id}: closing, and cancelled once its stage is closed; `trainspot show {id}` tells more"
        )),
        Outcome::AlreadyOver => not_done(
            Exit::EndedBadly,
            format!("run `{id}` is over already: {state}"),
        ),
        Outcome::TooLate => not_done(
            Exit::EndedBadly,
            format!("run `{id}` cannot be cancelled now: {state}"),
        )
        .map_err(|problem| problem.hint(format!("`trainspot show {id}` tells what it does"))),
        Outcome::UnknownRun => not_done(Exit::Configuration, format!("there is no run `{id}`"))
            .map_err(|problem| problem.hint("`trainspot runs` lists those there are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(outcome: Outcome, state: &str) -> Result<String, (u8, String)> {
        let answer = Cancel {
            run_id: "nightly-20261123T0200Z".parse().expect("a valid id"),
            outcome,
            state: Some(state.to_owned()),
        };
        told(&answer).map_err(|problem| (problem.exit as u8, problem.sentence))
    }

    #[test]
    fn what_became_of_the_wish_is_one_line_and_a_code() {
        let run = "run `nightly-20261123T0200Z`";

        assert!(
            say(Outcome::Cancelled, "cancelled").is_ok_and(|line| line.contains(": cancelled;"))
        );
        assert!(say(Outcome::Closing, "closing").is_ok_and(|line| line.contains(": closing,")));
        assert_eq!(
            say(Outcome::AlreadyOver, "succeeded"),
            Err((1, format!("{run} is over already: succeeded")))
        );
        assert_eq!(
            say(Outcome::TooLate, "promoting"),
            Err((1, format!("{run} cannot be cancelled now: promoting")))
        );
        assert_eq!(
            say(Outcome::UnknownRun, ""),
            Err((64, format!("there is no {run}")))
        );
    }
}
