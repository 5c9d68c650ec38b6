//! A tick or a person asks for a run.
//!
//! The same tick is the same run: however often it comes, and to however many processes at once, one of
//! them makes the ledger and the others say that it was made. A repeat costs two requests.

use std::error::Error;

use serde::Serialize;
use serde_json::Value;
use trainspot_edge::chain::chain;
use trainspot_edge::drive::{AdmitError, Admitted, Edge, admit};
use trainspot_edge::function::Failed;
use trainspot_edge::settings::Settings;
use trainspot_shared::identity::{IdentityError, RunId, Tick};
use trainspot_shared::pipeline_head::Origin;
use trainspot_shared::request::{Request, RequestKind, is_of_a_schedule, tick_of};

/// What became of the request.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The run it stands for, if it could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Which invocation this is, as the ledger of a run that it made names it.
    pub by: String,
    /// In one word.
    pub outcome: Outcome,
    /// In one sentence, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// One word.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// This invocation made the ledger.
    Created,
    /// It was there.
    AlreadyThere,
    /// Another invocation made it at the same moment.
    LostTheCreate,
    /// A person asked, and it can never become a run as it stands; a retry would not help.
    Refused,
}

/// Enters a request. `Err` for what a retry may mend, and for a tick that is refused: nobody reads a schedule's
/// answer, so it has to be what Lambda tries again, keeps as a dead letter and rings an alarm for. A person's request
/// that is refused is an answer, which the person reads.
pub async fn handle<E: Edge>(
    edge: &E,
    settings: &Settings,
    payload: &Value,
    by: &str,
) -> Result<Answer, Failed> {
    let refused = |run_id: Option<RunId>, error: &dyn Error| {
        if is_of_a_schedule(payload) {
            return Err(Failed::new("TickRefused", error));
        }
        let because = chain(error);
        tracing::warn!(because, "request refused");
        Ok(Answer {
            run_id,
            by: by.to_owned(),
            outcome: Outcome::Refused,
            because: Some(because),
        })
    };
    let request = match Request::parse(payload) {
        Ok(request) => request,
        Err(error) => return refused(None, &error),
    };
    let (run_id, origin) = match run_of(edge, settings, &request, by) {
        Ok(run) => run,
        Err(error) => return refused(None, &error),
    };
    match admit(edge, settings, &run_id, origin, by).await {
        Ok(admitted) => {
            let outcome = match admitted {
                Admitted::Created => Outcome::Created,
                Admitted::AlreadyThere => Outcome::AlreadyThere,
                Admitted::LostTheCreate => Outcome::LostTheCreate,
            };
            tracing::info!(run.id = %run_id, ?outcome, "request taken");
            Ok(Answer {
                run_id: Some(run_id),
                by: by.to_owned(),
                outcome,
                because: None,
            })
        }
        Err(error @ (AdmitError::UnknownPipeline { .. } | AdmitError::Spec { .. })) => {
            refused(Some(run_id), &error)
        }
        Err(error) => Err(Failed::new("AdmitFailed", &error)),
    }
}

/// Which run a request stands for. A manual run's tick is its request time; its id is drawn once by the
/// cli, and for a bare invoke it is the request id, which Lambda keeps over its own retries.
fn run_of<E: Edge>(
    edge: &E,
    settings: &Settings,
    request: &Request,
    by: &str,
) -> Result<(RunId, Origin), IdentityError> {
    let pipeline = &request.pipeline;
    match &request.kind {
        RequestKind::Tick { at } => {
            let tick = tick_of(*at, settings.schedules.get(pipeline));
            Ok((RunId::scheduled(pipeline.clone(), tick), Origin::Tick))
        }
        RequestKind::Manual {
            run_id: Some(run_id),
            force,
        } => Ok((run_id.clone(), Origin::Manual { force: *force })),
        RequestKind::Manual {
            run_id: None,
            force,
        } => {
            let drawn = by.rsplit('/').next().unwrap_or_default();
            let tick = Tick::containing(edge.now());
            let run_id = RunId::manual(pipeline.clone(), tick, drawn)?;
            Ok((run_id, Origin::Manual { force: *force }))
        }
    }
}
