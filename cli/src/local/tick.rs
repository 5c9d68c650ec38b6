//! One tick of a pipeline, delivered as its schedule would, and the run that it became.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use trainspot_edge::store::Store;
use trainspot_localcloud::{Happening, InvokeAnswer, Refused};
use trainspot_shared::identity::{PipelineName, RunId};

use crate::ledgers;
use crate::local::cloud::Local;
use crate::problem::{Exit, Problem};

/// The template's name of the function that a tick wakes.
pub(crate) const SUBMIT_TRAINING: &str = "SubmitTrainingFunction";
/// A schedule in UTC is a rule of this name with the pipeline's; in another zone, with this ending as well.
const RULE: &str = "OnTickOf";
const RULE_IN_ZONE: &str = "InZone";
/// As often as Lambda tries an event that nobody waits for.
const TRIES: u32 = 3;
/// A rule may fire a little before its minute: such a tick is still the later one.
const EARLY: SignedDuration = SignedDuration::from_secs(30);

/// Delivers the tick: by the pipeline's schedule in the template if it has one, else to the function itself.
pub(crate) async fn deliver(
    local: &Local,
    store: &impl Store,
    pipeline: &PipelineName,
    at: Timestamp,
) -> Result<RunId, Problem> {
    let rule = rule_of(pipeline);
    let mut happenings = local.cloud.happenings();
    for rule in [rule.clone(), format!("{rule}{RULE_IN_ZONE}")] {
        match local.cloud.deliver_tick(&rule, at).await {
            Ok(request_id) => {
                wait_for(&mut happenings, &request_id).await?;
                return made_by(local, store, pipeline, at, &request_id).await;
            }
            Err(Refused::NoSuchRule(_)) => {}
            Err(error) => return Err(Problem::new(Exit::Configuration, error.to_string())),
        }
    }
    let mut tries = 1;
    loop {
        match invoke(local, pipeline, at).await {
            Ok(answer) => return run_of(&answer),
            // The same tick is the same run however often it comes, as when Lambda tries again.
            Err(_) if tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Invokes submit-training with a tick, and waits for its answer.
pub(crate) async fn invoke(
    local: &Local,
    pipeline: &PipelineName,
    at: Timestamp,
) -> Result<InvokeAnswer, Problem> {
    let payload = json!({ "pipeline": pipeline, "tick": at });
    let answer = local.cloud.invoke(SUBMIT_TRAINING, payload).await;
    let answer = answer.map_err(|error| Problem::new(Exit::Configuration, error.to_string()))?;
    if answer.function_error.is_some() {
        return Err(failed(&message(&answer.payload)));
    }
    Ok(answer)
}

/// The run that an answer names.
fn run_of(answer: &InvokeAnswer) -> Result<RunId, Problem> {
    let run_id = answer
        .payload
        .get("run_id")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    run_id.ok_or_else(|| failed(&format!("it answered {} and names no run", answer.payload)))
}

/// `OnTickOfRecommender` of `recommender`.
fn rule_of(pipeline: &PipelineName) -> String {
    let words = pipeline.as_str().split('-');
    let capitalised = words.filter_map(|word| {
        let mut letters = word.chars();
        let first = letters.next()?;
        Some(format!(
            "{}{}",
            first.to_ascii_uppercase(),
            letters.as_str()
        ))
    });
    std::iter::once(RULE.to_owned())
        .chain(capitalised)
        .collect()
}

async fn wait_for(
    happenings: &mut tokio::sync::broadcast::Receiver<Happening>,
    request: &str,
) -> Result<(), Problem> {
    loop {
        match happenings.recv().await {
            Ok(Happening::InvocationEnded {
                request_id,
                error: None,
                ..
            }) if request_id == request => return Ok(()),
            // Tried again twice; what it says the last time is the dead letter's error.
            Ok(Happening::DeadLettered { function, error }) if function == SUBMIT_TRAINING => {
                return Err(failed(&error));
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(failed("the local cloud ended")),
        }
    }
}

/// The run whose ledger this request made, or else the one that was there for the latest tick up to `at`.
async fn made_by(
    local: &Local,
    store: &impl Store,
    pipeline: &PipelineName,
    at: Timestamp,
    request_id: &str,
) -> Result<RunId, Problem> {
    let ids = ledgers::run_ids(store, &local.results, std::slice::from_ref(pipeline)).await?;
    let runs = ledgers::ledgers(store, &local.results, &ids).await?;
    let made = runs.iter().find(|run| run.created_by.contains(request_id));
    let is_up_to =
        |id: &RunId| !id.is_manual() && id.tick().start() <= at.saturating_add(EARLY).unwrap_or(at);
    let was_there = || runs.iter().find(|run| is_up_to(&run.id));
    made.or_else(was_there)
        .map(|run| run.id.clone())
        .ok_or_else(|| failed("it made no run"))
}

fn message(payload: &Value) -> String {
    payload
        .get("errorMessage")
        .and_then(Value::as_str)
        .map_or_else(|| payload.to_string(), str::to_owned)
}

fn failed(why: &str) -> Problem {
    Problem::new(
        Exit::EndedBadly,
        format!("submit-training did not start a run: {why}"),
    )
    .hint(format!(
        "its log is logs/lambda/{SUBMIT_TRAINING}.log in the local cloud's folder"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_rule_is_named_as_the_template_spells_it() {
        let rules: Vec<_> = ["recommender", "hourly-search-2"]
            .map(|name| rule_of(&name.parse().expect("a valid name")))
            .into();

        assert_eq!(rules, ["OnTickOfRecommender", "OnTickOfHourlySearch2"]);
    }
}
