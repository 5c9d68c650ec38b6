//! What a dead letter says: which function it was for, with what, and why it ended here. Pure.
//!
//! Lambda puts an envelope away that holds event and error; `EventBridge` the event as it came in, with the reasons
//! as attributes.

use std::collections::BTreeMap;

use serde_json::Value;
use trainspot_shared::identity::JobName;

/// A letter that can be sent again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Letter {
    /// Name or ARN.
    pub(crate) function: String,
    /// What the function was, or would have been, called with.
    pub(crate) payload: Value,
    /// Why it ended here, in one line.
    pub(crate) error: String,
    /// Which run, tick or sweep it is about.
    pub(crate) about: String,
}

impl Letter {
    /// Reads a message; `Err` says why it cannot be sent again.
    pub(crate) fn parse(body: &str, attributes: &BTreeMap<String, String>) -> Result<Self, String> {
        let body: Value =
            serde_json::from_str(body).map_err(|error| format!("its body is not JSON: {error}"))?;
        let of = |name: &str| attributes.get(name).map(String::as_str);
        if let Some(function) = of("TARGET_ARN") {
            if of("IS_PAYLOAD_TRUNCATED") == Some("true") {
                return Err("its event was cut off".to_owned());
            }
            let code = of("ERROR_CODE").unwrap_or("not delivered");
            let why = of("ERROR_MESSAGE").unwrap_or("no reason given");
            return Ok(Self {
                function: function.to_owned(),
                about: about(&body),
                error: one_line(&format!("{code}: {why}")),
                payload: body,
            });
        }
        let context = |name: &str| body.pointer(&format!("/requestContext/{name}"));
        let (Some(function), Some(payload)) = (
            context("functionArn").and_then(Value::as_str),
            body.get("requestPayload"),
        ) else {
            return Err("it is neither Lambda's nor EventBridge's".to_owned());
        };
        Ok(Self {
            function: function.to_owned(),
            payload: payload.clone(),
            error: one_line(&failure(&body)),
            about: about(payload),
        })
    }

    /// The function's name without the rest of its ARN.
    pub(crate) fn function_name(&self) -> &str {
        let name = self.function.split_once(":function:");
        let name = name.map_or(self.function.as_str(), |(_, name)| name);
        name.split(':').next().unwrap_or(name)
    }
}

/// The function's own error, or why it was never run.
fn failure(envelope: &Value) -> String {
    let text = |pointer: &str| envelope.pointer(pointer).and_then(Value::as_str);
    match (
        text("/responsePayload/errorType"),
        text("/responsePayload/errorMessage"),
    ) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (None, Some(message)) => message.to_owned(),
        _ => text("/requestContext/condition")
            .unwrap_or("no reason given")
            .to_owned(),
    }
}

fn about(payload: &Value) -> String {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
    if let Some(job) = text("/detail/jobName") {
        let status = text("/detail/status").unwrap_or("a job").to_lowercase();
        return match job.parse::<JobName>() {
            Ok(name) => format!("run {}: {} {status}", name.run, name.stage),
            Err(_) => format!("job {job} {status}, not one of ours"),
        };
    }
    if let Some(run) = text("/cancel/run_id") {
        return format!("cancel of run {run}");
    }
    if let Some(pipeline) = text("/pipeline") {
        return match (text("/tick"), text("/run_id")) {
            (Some(tick), _) => format!("tick of {pipeline} at {tick}"),
            (None, Some(run)) => format!("run {run}, asked for by a person"),
            (None, None) => format!("a run of {pipeline}, asked for by a person"),
        };
    }
    if text("/detail-type") == Some("Scheduled Event") {
        let rule = text("/resources/0").and_then(|arn| arn.rsplit('/').next());
        let at = text("/time").unwrap_or("an unknown time");
        return format!("schedule {} at {at}", rule.unwrap_or("without a name"));
    }
    "nothing that is known here".to_owned()
}

/// What a function's answer means for the letter: what it did, or why the letter stays.
pub(crate) fn judge(answer: &Value) -> Result<String, String> {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
    let because = |pointer: &str| text(pointer).unwrap_or("no reason given").to_owned();
    if answer.get("refused").is_some() {
        return Err(format!("refused: {}", because("/refused/because")));
    }
    if text("/outcome") == Some("refused") {
        return Err(format!("refused: {}", because("/because")));
    }
    if let Some(swept) = answer.get("swept") {
        let failures = swept.get("failures").and_then(Value::as_array);
        return match failures.and_then(|failures| failures.first()) {
            Some(first) => Err(format!("swept with failures: {}", plain(first))),
            None => Ok("swept".to_owned()),
        };
    }
    let outcome = ["/outcome", "/job/outcome", "/cancel/outcome"]
        .into_iter()
        .find_map(text);
    Ok(one_line(outcome.unwrap_or("answered")))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FUNCTION: &str =
        "arn:aws:lambda:us-east-1:123456789012:function:trainspot-FanOut-1A:$LATEST";

    fn envelope(payload: &Value, response: &Value) -> Letter {
        let body = json!({
            "version": "1.0",
            "requestContext": { "functionArn": FUNCTION, "condition": "RetriesExhausted" },
            "requestPayload": payload,
            "responsePayload": response,
        });
        Letter::parse(&body.to_string(), &BTreeMap::new()).expect("Lambda's envelope")
    }

    #[test]
    fn lambdas_envelope_holds_function_event_and_error() {
        let payload = json!({
            "source": "aws.batch", "detail-type": "Batch Job State Change",
            "detail": { "jobName": "recommender-20261123T0200Z--train-1", "status": "SUCCEEDED" },
        });

        let letter = envelope(
            &payload,
            &json!({ "errorType": "DriveFailed", "errorMessage": "put `run.json`:\n timed out" }),
        );

        assert_eq!(letter.function, FUNCTION);
        assert_eq!(letter.function_name(), "trainspot-FanOut-1A");
        assert_eq!(letter.payload, payload);
        assert_eq!(letter.error, "DriveFailed: put `run.json`: timed out");
        assert_eq!(
            letter.about,
            "run recommender-20261123T0200Z: train succeeded"
        );
    }

    #[test]
    fn an_event_that_lambda_never_ran_says_so() {
        let letter = envelope(&json!({}), &Value::Null);

        assert_eq!(letter.error, "RetriesExhausted");
        assert_eq!(letter.about, "nothing that is known here");
    }

    #[test]
    fn eventbridges_letter_has_its_reasons_beside_it() {
        let attributes = |truncated: &str| {
            BTreeMap::from(
                [
                    (
                        "RULE_ARN",
                        "arn:aws:events:us-east-1:123456789012:rule/trainspot-OnSweep",
                    ),
                    (
                        "TARGET_ARN",
                        "arn:aws:lambda:us-east-1:123456789012:function:supervise",
                    ),
                    ("ERROR_CODE", "NO_PERMISSIONS"),
                    ("ERROR_MESSAGE", "not authorized"),
                    ("IS_PAYLOAD_TRUNCATED", truncated),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            )
        };
        let event = json!({
            "source": "aws.events", "detail-type": "Scheduled Event", "time": "2026-11-23T02:00:00Z",
            "resources": ["arn:aws:events:us-east-1:123456789012:rule/trainspot-OnSweep"], "detail": {},
        });

        let letter =
            Letter::parse(&event.to_string(), &attributes("false")).expect("EventBridge's letter");
        assert_eq!(letter.function_name(), "supervise");
        assert_eq!(letter.payload, event);
        assert_eq!(letter.error, "NO_PERMISSIONS: not authorized");
        assert_eq!(
            letter.about,
            "schedule trainspot-OnSweep at 2026-11-23T02:00:00Z"
        );

        let cut = Letter::parse(&event.to_string(), &attributes("true"));
        assert_eq!(cut, Err("its event was cut off".to_owned()));
    }

    #[test]
    fn what_nobody_of_ours_put_away_is_not_sent_again() {
        let parse = |body: &str| Letter::parse(body, &BTreeMap::new());

        assert!(parse("{").is_err_and(|why| why.starts_with("its body is not JSON")));
        assert!(parse("{}").is_err_and(|why| why.contains("neither")));
    }

    #[test]
    fn requests_are_named_by_what_they_ask_for() {
        assert_eq!(
            about(&json!({ "pipeline": "p", "tick": "2026-11-23T02:00:00Z" })),
            "tick of p at 2026-11-23T02:00:00Z"
        );
        assert_eq!(
            about(&json!({ "pipeline": "p", "run_id": "p-20261123T0200Z-m0123456789" })),
            "run p-20261123T0200Z-m0123456789, asked for by a person"
        );
        assert_eq!(
            about(&json!({ "detail": { "jobName": "nightly", "status": "FAILED" } })),
            "job nightly failed, not one of ours"
        );
    }

    #[test]
    fn a_refusal_is_no_good_answer_and_a_duplicate_is() {
        assert_eq!(
            judge(&json!({ "outcome": "already_there" })),
            Ok("already_there".to_owned())
        );
        assert_eq!(
            judge(&json!({ "job": { "outcome": "training" } })),
            Ok("training".to_owned())
        );
        assert_eq!(
            judge(&json!({ "swept": { "failures": [] } })),
            Ok("swept".to_owned())
        );
        assert_eq!(
            judge(&json!({ "outcome": "refused", "because": "no such pipeline" })),
            Err("refused: no such pipeline".to_owned())
        );
        assert_eq!(
            judge(&json!({ "refused": { "because": "no event" } })),
            Err("refused: no event".to_owned())
        );
        assert_eq!(
            judge(&json!({ "swept": { "failures": ["nightly: no head"] } })),
            Err("swept with failures: nightly: no head".to_owned())
        );
    }
}
