//! SQS on the wire: JSON 1.0, with the operation in a header.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::letters::{Letter, Letters};
use crate::front::{Answer, Request, json_error, json_response};

/// A queue's own default, which the template does not change.
const HIDDEN: u64 = 30;
/// SQS's limits: twelve hours, ten messages, twenty seconds.
const LONGEST_HIDDEN: u64 = 43_200;
const MOST_MESSAGES: u64 = 10;
const LONGEST_WAIT: u64 = 20;

/// An answer's body, or code and sentence of a refusal.
type Done = Result<Value, (&'static str, String)>;

/// Answers one request to SQS.
pub(crate) async fn handle(letters: &Arc<Letters>, request: &Request) -> Answer {
    let target = request
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .and_then(|target| target.strip_prefix("AmazonSQS."))
        .unwrap_or("an unnamed action");
    let known = [
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
        "GetQueueUrl",
    ];
    if !known.contains(&target) {
        let message = format!("{target} does not exist here");
        return Answer::not_implemented(
            target,
            json_error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &message),
        );
    }
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(error) => {
            let response = json_error(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValue",
                &error.to_string(),
            );
            return Answer::new(target, "", response);
        }
    };
    let wanted = text(&body, "QueueUrl").or(text(&body, "QueueName"));
    let wanted = wanted.unwrap_or_default();
    let done = match letters.queue(wanted).map(|queue| queue.name.clone()) {
        None => Err((
            "QueueDoesNotExist",
            "The specified queue does not exist.".to_owned(),
        )),
        Some(queue) => match target {
            "ReceiveMessage" => receive(letters, &queue, &body).await,
            "DeleteMessage" => receipt(&body).map(|receipt| {
                letters.delete(&queue, receipt);
                json!({})
            }),
            "ChangeMessageVisibility" => hide(letters, &queue, &body),
            "GetQueueAttributes" => Ok(attributes(letters, &queue, &body)),
            _ => Ok(json!({ "QueueUrl": letters.queue(&queue).map(|queue| &queue.url) })),
        },
    };
    let response = match done {
        Ok(value) => json_response(StatusCode::OK, &value),
        Err((code, message)) => refused(code, &message),
    };
    Answer::new(target, wanted, response)
}

async fn receive(letters: &Arc<Letters>, queue: &str, body: &Value) -> Done {
    let most = number(body, "MaxNumberOfMessages", 1, 1..=MOST_MESSAGES)?;
    let hidden = number(body, "VisibilityTimeout", HIDDEN, 0..=LONGEST_HIDDEN)?;
    let wait = number(body, "WaitTimeSeconds", 0, 0..=LONGEST_WAIT)?;
    let until = Instant::now() + Duration::from_secs(wait);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    loop {
        // Made before the look, so that a message in between is not missed.
        let arrived = letters.arrived.notified();
        let received = letters.receive(queue, most, Duration::from_secs(hidden));
        if !received.is_empty() {
            let messages: Vec<_> = received
                .iter()
                .map(|letter| message(letter, body))
                .collect();
            return Ok(json!({ "Messages": messages }));
        }
        tokio::select! {
            () = arrived => {}
            // Also what becomes visible by itself is then looked for once more, by whoever asks again.
            () = tokio::time::sleep_until(until.into()) => return Ok(json!({})),
        }
    }
}

fn message(letter: &Letter, body: &Value) -> Value {
    let mut message = Map::new();
    message.insert("MessageId".into(), json!(letter.message_id));
    message.insert("ReceiptHandle".into(), json!(letter.receipt()));
    let digest = hex::encode(Md5::digest(letter.body.as_bytes()));
    message.insert("MD5OfBody".into(), json!(digest));
    message.insert("Body".into(), json!(letter.body));
    let system = [
        ("SentTimestamp", letter.sent_at_ms.to_string()),
        ("ApproximateReceiveCount", letter.received.to_string()),
    ];
    let system: Map<_, _> = system
        .into_iter()
        .filter(|(name, _)| {
            asks(body, "MessageSystemAttributeNames", name) || asks(body, "AttributeNames", name)
        })
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    let own: Map<_, _> = letter
        .attributes
        .iter()
        .filter(|(name, _)| asks(body, "MessageAttributeNames", name))
        .map(|(name, value)| {
            let value = json!({ "DataType": "String", "StringValue": value });
            (name.clone(), value)
        })
        .collect();
    for (name, values) in [("Attributes", system), ("MessageAttributes", own)] {
        if !values.is_empty() {
            message.insert(name.into(), Value::Object(values));
        }
    }
    Value::Object(message)
}

fn hide(letters: &Letters, queue: &str, body: &Value) -> Done {
    let receipt = receipt(body)?;
    let hidden = number(body, "VisibilityTimeout", HIDDEN, 0..=LONGEST_HIDDEN)?;
    if letters.hide(queue, receipt, Duration::from_secs(hidden)) {
        return Ok(json!({}));
    }
    Err((
        "MessageNotInflight",
        "The specified message isn't in flight.".to_owned(),
    ))
}

fn attributes(letters: &Letters, queue: &str, body: &Value) -> Value {
    let (visible, hidden) = letters.count(queue);
    let arn = letters.queue(queue).map(|queue| queue.arn.clone());
    let known = [
        ("QueueArn", arn.unwrap_or_default()),
        ("ApproximateNumberOfMessages", visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", hidden.to_string()),
    ];
    let wanted: Map<_, _> = known
        .into_iter()
        .filter(|(name, _)| asks(body, "AttributeNames", name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    json!({ "Attributes": wanted })
}

/// Clients know some refusals by the names that they had in the older protocol.
fn refused(code: &str, message: &str) -> Response<Body> {
    let mut response = json_error(StatusCode::BAD_REQUEST, code, message);
    let older = match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
        code => code,
    };
    if let Ok(value) = format!("{older};Sender").parse() {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

/// Whether a list of names has this one, or all.
fn asks(body: &Value, list: &str, name: &str) -> bool {
    let names = body.get(list).and_then(Value::as_array);
    names.into_iter().flatten().any(|asked| {
        let asked = asked.as_str().unwrap_or_default();
        asked == name || asked.eq_ignore_ascii_case("all")
    })
}

fn text<'b>(body: &'b Value, name: &str) -> Option<&'b str> {
    body.get(name).and_then(Value::as_str)
}

fn receipt(body: &Value) -> Result<&str, (&'static str, String)> {
    text(body, "ReceiptHandle")
        .filter(|receipt| receipt.contains('.'))
        .ok_or_else(|| {
            (
                "ReceiptHandleIsInvalid",
                "The input receipt handle is invalid.".to_owned(),
            )
        })
}

fn number(
    body: &Value,
    name: &str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, (&'static str, String)> {
    let Some(given) = body.get(name).filter(|value| !value.is_null()) else {
        return Ok(default);
    };
    let given_number = given.as_u64().filter(|number| range.contains(number));
    given_number.ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        let why = format!(
            "Value {given} for parameter {name} is invalid. Reason: Must be >= {low} and <= {high}, if provided."
        );
        ("InvalidParameterValue", why)
    })
}
