//! SNS as it answers: the query protocol.

use std::collections::BTreeMap;

use serde_json::Value;
use trainspot_edge::memory::MemoryEdge;
use trainspot_edge::topic::PublishError;
use trainspot_edge::{Topic as _, World as _};
use trainspot_shared::notice::Notice;

use super::TOPIC;
use super::answer::{Answer, Response, xml};
use super::request::Request;

/// In bytes, for subject, message and attributes.
const LARGEST_MESSAGE: usize = 262_144;

pub(super) async fn answer(sight: &MemoryEdge, request: &Request) -> Answer {
    assert!(request.body.len() < LARGEST_MESSAGE);
    let form: BTreeMap<String, String> =
        form_urlencoded::parse(&request.body).into_owned().collect();
    let notice = notice(&form);
    match sight.publish(&notice).await {
        Ok(()) => {
            let id = "00000000-0000-4000-8000-000000000000";
            let body = format!(
                "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>{id}</MessageId></PublishResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></PublishResponse>"
            );
            Response::new(200, "text/xml", body).into()
        }
        Err(PublishError::Refused { .. }) => match sight.chance() {
            ..0.2 => refusal(
                400,
                "Sender",
                "InvalidParameter",
                "Invalid parameter: TopicArn",
            ),
            ..0.4 => refusal(
                400,
                "Sender",
                "ParameterValueInvalid",
                "Invalid parameter value",
            ),
            ..0.6 => refusal(
                403,
                "Sender",
                "AuthorizationError",
                "not authorized to publish",
            ),
            ..0.8 => refusal(400, "Sender", "KMSAccessDenied", "no access to the key"),
            _ => refusal(400, "Sender", "KMSDisabled", "the key is disabled"),
        },
        Err(PublishError::Later { .. }) => match sight.chance() {
            ..0.3 => Answer::Reset,
            ..0.6 => Answer::Silence,
            ..0.7 => refusal(429, "Sender", "Throttled", "Rate exceeded"),
            ..0.8 => refusal(400, "Sender", "KMSThrottling", "Rate exceeded"),
            _ => refusal(500, "Receiver", "InternalError", "Internal server error"),
        },
    }
}

/// The notice that the message was made of.
fn notice(form: &BTreeMap<String, String>) -> Notice {
    let field = |name: &str| {
        form.get(name)
            .cloned()
            .unwrap_or_else(|| panic!("SNS is sent no {name}: {form:?}"))
    };
    assert_eq!(field("Action"), "Publish");
    assert_eq!(field("TopicArn"), TOPIC);
    assert_eq!(field("MessageStructure"), "json");
    let message: Value = serde_json::from_str(&field("Message")).expect("a message by protocol");
    let text = |protocol: &str| {
        let text = message[protocol].as_str();
        text.unwrap_or_else(|| panic!("nothing for {protocol}"))
    };
    let machine: Value = serde_json::from_str(text("sqs")).expect("JSON for machines");
    let attributes = (1..=form.len())
        .map(|n| format!("MessageAttributes.entry.{n}"))
        .take_while(|entry| form.contains_key(&format!("{entry}.Name")))
        .map(|entry| {
            assert_eq!(field(&format!("{entry}.Value.DataType")), "String");
            (
                field(&format!("{entry}.Name")),
                field(&format!("{entry}.Value.StringValue")),
            )
        })
        .collect();
    Notice {
        id: machine["id"]
            .as_str()
            .expect("a notice has an id")
            .to_owned(),
        subject: field("Subject"),
        text: text("default").to_owned(),
        machine,
        attributes,
    }
}

fn refusal(status: u16, kind: &str, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{}</Message></Error><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>",
        xml(message)
    );
    Response::new(status, "text/xml", body).into()
}
