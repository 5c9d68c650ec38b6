//! Asks submit-training for a run, and tells what it answered. The run's id is in the question, so that a
//! question which is asked again stands for the same run.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use trainspot_shared::identity::RunId;
use trainspot_shared::run::{End, Run};

use crate::function::Function;
use crate::problem::{Exit, Problem};
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
/// at once is not left for a notice to tell, and ends with a code of its own.
pub(crate) async fn ask(
    run_id: &RunId,
    force: bool,
    asking: &Asking,
    results: Option<&Results>,
) -> anyhow::Result<()> {
    let payload = json!({ "pipeline": run_id.pipeline(), "run_id": run_id, "force": force });
    let function = Function {
        name: &asking.function,
        stands_for: "submit-training",
        variable: FUNCTION_VARIABLE,
        output: "SubmitTrainingFunctionName",
    };
    let after = format!("look with `trainspot show {run_id}` before asking again");
    let answer: Answer = function.ask(&payload, &after).await?;
    if answer.outcome == Outcome::Refused {
        if asking.json {
            output::print_json(&answer)?;
        }
        return Err(refused(&answer).into());
    }
    let run = match results {
        Some(results) => ledger(results, run_id).await,
        None => None,
    };
    if asking.json {
        output::print_json(&Stands::of(&answer, run.as_ref()))?;
    }
    if let Some(End::Skipped { because }) = run.as_ref().and_then(|run| run.end.as_ref()) {
        return Err(skipped(run_id, because).into());
    }
    if asking.json {
        return Ok(());
    }
    output::print(&line(run_id, answer.outcome, run.as_ref()))
}

/// The run's ledger. The run is there by now: that it cannot be looked at is no failure of the request.
async fn ledger(results: &Results, run_id: &RunId) -> Option<Run> {
    match ledgers::ledger(&results.store, &results.bucket, run_id).await {
        Ok(run) => run,
        Err(problem) => {
            tracing::warn!("how run {run_id} stands is not known: {problem}");
            None
        }
    }
}

/// The answer, and how the run stands; for scripts.
#[derive(Debug, Serialize)]
struct Stands<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    /// None where the ledger was not looked at, or could not be.
    state: Option<String>,
    /// Why a run that is over ended so.
    because: Option<&'a str>,
}

impl<'a> Stands<'a> {
    fn of(answer: &'a Answer, run: Option<&'a Run>) -> Self {
        let because = match run.and_then(|run| run.end.as_ref()) {
            Some(
                End::Skipped { because }
                | End::KeptChampion { because }
                | End::Cancelled { because },
            ) => Some(because.as_str()),
            Some(End::Failed { evidence, .. }) => Some(evidence.as_str()),
            Some(End::Succeeded) | None => None,
        };
        Self {
            answer,
            state: run.map(state),
            because,
        }
    }
}

fn skipped(run_id: &RunId, because: &str) -> Problem {
    Problem::new(
        Exit::Skipped,
        format!("run `{run_id}` was skipped: {because}"),
    )
    .hint(format!(
        "nothing runs for this request; `trainspot show {run_id}` tells more"
    ))
}

fn line(run_id: &RunId, outcome: Outcome, run: Option<&Run>) -> String {
    let became = match outcome {
        Outcome::AlreadyThere => "already there",
        // The same question, asked twice because an answer was lost, was entered by its other copy.
        Outcome::Created | Outcome::LostTheCreate | Outcome::Refused => "created",
    };
    let stands = run.map_or_else(String::new, |run| format!(", {}", state(run)));
    format!("run {run_id}: {became}{stands}; `trainspot show {run_id}` tells more")
}

fn refused(answer: &Answer) -> Problem {
    let why = answer.because.as_deref().unwrap_or("no reason given");
    Problem::new(Exit::Configuration, format!("refused: {why}"))
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
}
