//! Waking the functions: which one the template's rules send something to, and the real handler's answer.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::{Value, json};
use trainspot_edge::drive::Edge;
use trainspot_edge::memory::MemoryEdge;
use trainspot_edge::settings::Settings;
use trainspot_shared::identity::RunId;

/// What wakes a function.
#[derive(Debug, Clone, PartialEq)]
pub enum Wake {
    /// submit-training, with this payload.
    Request(Value),
    /// Whichever function the template's rules route this event of Batch's to.
    Event(Value),
    /// supervise-runs, by its schedule.
    Sweep,
    /// supervise-runs, by a person who wants a run ended.
    Cancel {
        /// Which.
        run_id: RunId,
        /// Why.
        because: String,
    },
}

impl Wake {
    /// Which function the template's rules send it to; none if no rule takes it.
    pub fn door(&self) -> Option<&'static str> {
        let event = match self {
            Self::Request(_) => return Some("submit-training"),
            Self::Sweep | Self::Cancel { .. } => return Some("supervise-runs"),
            Self::Event(event) => event,
        };
        let detail = &event["detail"];
        if event["detail-type"] == "Batch Job Queue Blocked" {
            return Some("handle-failure");
        }
        if !detail["arrayProperties"]["index"].is_null() {
            return None;
        }
        match detail["status"].as_str()? {
            "SUCCEEDED" => Some("fan-out"),
            "FAILED" => Some("handle-failure"),
            "RUNNING" => Some("supervise-runs"),
            "RUNNABLE" => {
                let attempts = detail["attempts"].as_array()?;
                attempts
                    .iter()
                    .any(|a| a["statusReason"].is_string())
                    .then_some("supervise-runs")
            }
            _ => None,
        }
    }
}

/// The real handler's answer.
pub async fn answer(edge: &MemoryEdge, settings: &Settings, wake: &Wake) -> Result<Value, String> {
    answer_through(edge, settings, wake, edge.name()).await
}

/// The same through any edge; `by` is function and request id.
pub async fn answer_through<E: Edge>(
    edge: &E,
    settings: &Settings,
    wake: &Wake,
    by: &str,
) -> Result<Value, String> {
    let told = |answer: serde_json::Result<Value>| answer.map_err(|error| error.to_string());
    let failed = |failed: trainspot_edge::function::Failed| format!("{failed:?}");
    let event = |value: &Value| -> EventBridgeEvent<Value> {
        serde_json::from_value(value.clone()).expect("an event in EventBridge's envelope")
    };
    match (wake.door(), wake) {
        (_, Wake::Request(payload)) => {
            let answer = submit_training::handle(edge, settings, payload, by).await;
            told(serde_json::to_value(answer.map_err(failed)?))
        }
        (Some("fan-out"), Wake::Event(value)) => {
            let answer = fan_out::handle(edge, settings, &event(value), by).await;
            told(serde_json::to_value(answer.map_err(failed)?))
        }
        (Some("handle-failure"), Wake::Event(value)) => {
            let answer = handle_failure::handle(edge, settings, &event(value), by).await;
            told(serde_json::to_value(answer.map_err(failed)?))
        }
        (Some(_), Wake::Event(value)) => {
            let answer = supervise_runs::handle(edge, settings, &event(value), by).await;
            told(serde_json::to_value(answer.map_err(failed)?))
        }
        (None, Wake::Event(_)) => Ok(Value::Null),
        (_, Wake::Sweep) => {
            let scheduled = json!({
                "version": "0", "id": "00000000-0000-4000-8000-000000000000",
                "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
                "time": edge.now().to_string(), "region": "us-east-1", "resources": [], "detail": {},
            });
            let answer = supervise_runs::handle(edge, settings, &event(&scheduled), by).await;
            told(serde_json::to_value(answer.map_err(failed)?))
        }
        (_, Wake::Cancel { run_id, because }) => {
            let asked = json!({"cancel": {"run_id": run_id, "because": because}});
            let answer = supervise_runs::answer(edge, settings, &asked, by).await;
            told(serde_json::to_value(answer.map_err(failed)?))
        }
    }
}
