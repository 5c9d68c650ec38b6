//! A person wants a run ended. What that means for the run is decided where all is decided: in its ledger.

use serde::Serialize;
use trainspot_edge::drive::{DriveError, Edge, drive};
use trainspot_edge::function::Failed;
use trainspot_edge::settings::Settings;
use trainspot_shared::identity::RunId;
use trainspot_shared::run::{End, Observation, Phase, Run};

/// What became of the wish.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct CancelAnswer {
    /// The run.
    pub run_id: RunId,
    /// In one word.
    pub outcome: Cancelled,
    /// Where the run stands now: its end, or its phase; none if there is no such run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancelled {
    /// It is over, ended by a person: now, or when the same was asked before.
    Cancelled,
    /// Its stage is being closed, or was done before it could be; supervision sees to the rest.
    Closing,
    /// It ended otherwise before.
    AlreadyOver,
    /// It is on its way to another end, and too far for this one.
    TooLate,
    /// There is no such run.
    UnknownRun,
}

pub(crate) async fn cancel<E: Edge>(
    edge: &E,
    settings: &Settings,
    run_id: RunId,
    because: String,
    by: &str,
) -> Result<CancelAnswer, Failed> {
    let observations = vec![Observation::Cancel { because }];
    let run = match Box::pin(drive(edge, settings, &run_id, observations, by)).await {
        Ok(run) => run,
        Err(DriveError::NoRun(run_id)) => {
            return Ok(CancelAnswer {
                run_id,
                outcome: Cancelled::UnknownRun,
                state: None,
            });
        }
        Err(error) => return Err(Failed::new("DriveFailed", &error)),
    };
    let outcome = outcome(&run);
    tracing::info!(run.id = %run_id, ?outcome, "cancel taken");
    Ok(CancelAnswer {
        run_id,
        outcome,
        state: Some(state(&run)),
    })
}

fn outcome(run: &Run) -> Cancelled {
    let closes_so = |end: &End| matches!(end, End::Cancelled { .. });
    match &run.end {
        Some(end) if closes_so(end) => Cancelled::Cancelled,
        Some(_) => Cancelled::AlreadyOver,
        None => match &run.closing {
            Some(closing) if closes_so(&closing.end) => Cancelled::Closing,
            // Its stage was done before it could be closed: the next one is not begun.
            None if run.cancel_wanted.is_some() && run.phase != Phase::Promoting => {
                Cancelled::Closing
            }
            Some(_) | None => Cancelled::TooLate,
        },
    }
}

/// In the ledger's own words.
fn state(run: &Run) -> String {
    let phase = || {
        let phase = serde_json::to_value(run.phase).ok();
        let phase = phase.as_ref().and_then(serde_json::Value::as_str);
        phase.unwrap_or("live").to_owned()
    };
    run.end
        .as_ref()
        .map_or_else(phase, |end| end.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use trainspot_edge::memory::MemoryEdge;
    use trainspot_edge::settings::Settings;
    use trainspot_edge::store::{Condition, Store as _};
    use trainspot_shared::layout;

    const RUN: &str = "nightly-20261123T0200Z";
    const SPEC: &str = "name = \"nightly\"\n[data]\nprefix = \"clicks/\"\nwait_for = \"2h\"\n[train]\nprogram = [\"true\"]\n";

    fn settings() -> Settings {
        Settings::read(|name| {
            Some(match name {
                "TRAINSPOT_FUNCTION_TIMEOUT_S" => "60".to_owned(),
                "TRAINSPOT_SCHEDULES" => "{}".to_owned(),
                name => name.to_lowercase(),
            })
        })
        .expect("every variable is set")
    }

    /// A cloud with a pipeline, and a run that waits for its data.
    async fn with_run() -> (MemoryEdge, Settings) {
        let begins_at: Timestamp = "2026-11-23T02:00:00Z".parse().expect("a time");
        let (edge, settings) = (MemoryEdge::new(1, begins_at), settings());
        let name = "nightly".parse().expect("a name");
        edge.objects()
            .put(
                &settings.results_bucket,
                &layout::pipeline_spec(&name),
                SPEC.as_bytes().to_vec(),
                Condition::Always,
            )
            .await
            .expect("the store answers");
        let run: trainspot_shared::identity::RunId = RUN.parse().expect("a valid id");
        let origin = trainspot_shared::pipeline_head::Origin::Tick;
        trainspot_edge::drive::admit(&edge, &settings, &run, origin, "submit-training/1")
            .await
            .expect("the run is made");
        (edge, settings)
    }

    async fn ask(edge: &MemoryEdge, settings: &Settings, payload: Value) -> Value {
        let answer = crate::answer(edge, settings, &payload, "supervise-runs/1").await;
        serde_json::to_value(answer.expect("it is taken")).expect("an answer is JSON")
    }

    #[tokio::test]
    async fn a_cancelled_run_is_over_however_often_it_is_asked() {
        let (edge, settings) = with_run().await;
        let payload = json!({ "cancel": { "run_id": RUN, "because": "wrong data" } });
        let expected =
            json!({ "cancel": { "run_id": RUN, "outcome": "cancelled", "state": "cancelled" } });

        assert_eq!(ask(&edge, &settings, payload.clone()).await, expected);
        assert_eq!(ask(&edge, &settings, payload).await, expected);

        let ledger = edge
            .objects()
            .get(
                &settings.results_bucket,
                &layout::ledger(&RUN.parse().expect("a valid id")),
            )
            .await
            .expect("the store answers")
            .expect("the ledger is there");
        let ledger: Value = serde_json::from_slice(&ledger.body).expect("JSON");
        assert_eq!(
            ledger["end"],
            json!({ "kind": "cancelled", "because": "wrong data" })
        );
    }

    #[tokio::test]
    async fn a_run_that_ended_otherwise_stays_as_it_is() {
        let (edge, settings) = with_run().await;
        edge.advance(jiff::SignedDuration::from_hours(3));
        let run = RUN.parse().expect("a valid id");
        trainspot_edge::drive::drive(&edge, &settings, &run, Vec::new(), "supervise-runs/0")
            .await
            .expect("the run is driven");

        let answer = ask(&edge, &settings, json!({ "cancel": { "run_id": RUN } })).await;

        assert_eq!(
            answer,
            json!({ "cancel": { "run_id": RUN, "outcome": "already_over", "state": "failed" } })
        );
    }

    #[tokio::test]
    async fn an_unknown_run_and_a_payload_that_is_nothing_are_answers() {
        let (edge, settings) = with_run().await;
        let other = "nightly-20261127T0200Z";

        let unknown = ask(&edge, &settings, json!({ "cancel": { "run_id": other } })).await;
        let refused = ask(&edge, &settings, json!({ "stop": other })).await;

        assert_eq!(
            unknown,
            json!({ "cancel": { "run_id": other, "outcome": "unknown_run" } })
        );
        let because = refused["refused"]["because"].as_str().unwrap_or_default();
        assert!(
            because.starts_with("there is no command `stop`"),
            "{refused}"
        );
    }
}
