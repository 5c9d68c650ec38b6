//! Functions, rules and schedules, with a real function binary.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trainspot_localcloud::{Happening, InvokeAnswer};

use super::place::Place;

async fn ask(place: &Place, payload: Value) -> InvokeAnswer {
    place
        .cloud
        .invoke("AskFunction", payload)
        .await
        .expect("the template has the function")
}

#[tokio::test]
async fn a_function_gets_its_event_and_the_templates_environment() {
    let place = Place::new().await;

    let answer = ask(&place, json!({"n": 1})).await;

    assert_eq!(answer.function_error, None);
    assert_eq!(answer.payload["event"], json!({"n": 1}));
    assert_eq!(answer.payload["request_id"], json!(answer.request_id));
    let environment = &answer.payload["environment"];
    assert_eq!(environment["OWN"], "mine");
    assert_eq!(environment["RESULTS"], "results-123456789012");
    assert_eq!(
        environment["QUEUE"],
        "arn:aws:batch:us-east-1:123456789012:job-queue/spot"
    );
    assert_eq!(
        environment["DEFINITION"],
        "arn:aws:batch:us-east-1:123456789012:job-definition/train:1"
    );
    assert_eq!(
        environment["TOPIC"],
        "arn:aws:sns:us-east-1:123456789012:trainspot-local-Topic"
    );
    assert_eq!(
        environment["SHARED"],
        "trainspot-local/arn:aws:s3:::results-123456789012/registry/trainer@sha256:0"
    );
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "256");
    assert_eq!(environment["CARGO_MANIFEST_DIR"], Value::Null);
}

#[tokio::test]
async fn an_idle_process_is_used_again_and_a_busy_one_is_not_waited_for() {
    let place = Place::new().await;
    let first = ask(&place, json!({})).await;
    let second = ask(&place, json!({})).await;
    assert_eq!(first.payload["process"], second.payload["process"]);

    let folder = place.scratch("meeting");
    std::fs::create_dir(&folder).expect("the folder can be made");
    let together = json!({"meet_in": folder, "of": 3});
    let (a, b, c) = tokio::join!(
        ask(&place, together.clone()),
        ask(&place, together.clone()),
        ask(&place, together)
    );

    let processes: BTreeSet<_> = [&a, &b, &c]
        .map(|answer| answer.payload["process"].as_u64())
        .into();
    assert_eq!(processes.len(), 3, "{a:?} {b:?} {c:?}");
    assert!(!processes.contains(&None));
}

#[tokio::test]
async fn errors_deaths_and_time_outs_are_told_apart_and_end_nothing_else() {
    let place = Place::new().await;
    let failed = ask(&place, json!({"fail": true})).await;
    assert_eq!(failed.function_error.as_deref(), Some("Unhandled"));
    assert_eq!(failed.payload["errorMessage"], "asked to fail");

    let died = ask(&place, json!({"exit": 7})).await;
    assert_eq!(died.payload["errorType"], "Runtime.ExitError");
    let hung = ask(&place, json!({"hang": true})).await;
    assert_eq!(hung.payload["errorType"], "Sandbox.Timedout");
    let message = hung.payload["errorMessage"].as_str().unwrap_or_default();
    assert!(
        message.ends_with("Task timed out after 2.00 seconds"),
        "{message}"
    );

    assert_eq!(ask(&place, json!({})).await.function_error, None);
}

#[tokio::test]
async fn a_failed_event_is_tried_three_times_and_then_kept() {
    let mut place = Place::new().await;
    let count = place.scratch("count");
    let event = json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": {"status": "FAILED", "jobQueue": place.cloud.physical("SpotQueue")},
        "fail": true,
        "count_in": count,
    });

    place.cloud.put_event(event.clone()).await;
    place.until("the dead letter", |happening| matches!(happening, Happening::DeadLettered { function, .. } if function == "FailedFunction")).await;

    assert_eq!(std::fs::read_to_string(count).ok().as_deref(), Some("3"));
    let queue = place.cloud.physical("DeadLetters").expect("it is there");
    let [letter] = place
        .cloud
        .letters(&queue)
        .try_into()
        .expect("there is one dead letter");
    let letter: Value = serde_json::from_str(&letter).expect("it is JSON");
    assert_eq!(letter["requestContext"]["approximateInvokeCount"], 3);
    assert_eq!(letter["requestPayload"]["fail"], true);
    assert_eq!(
        letter["requestPayload"]["account"], "123456789012",
        "what a sender may leave out is filled in"
    );
}

#[tokio::test]
async fn a_rule_takes_what_its_pattern_says_and_nothing_else() {
    let mut place = Place::new().await;
    let count = place.scratch("count");
    let event = |status: &str, queue: Option<String>, array: Value| {
        json!({
            "source": "aws.batch",
            "detail-type": "Batch Job State Change",
            "detail": {"status": status, "jobQueue": queue, "arrayProperties": array},
            "count_in": count,
        })
    };
    let ours = || place.cloud.physical("SpotQueue");

    for other in [
        event("SUCCEEDED", ours(), json!({})),
        event(
            "FAILED",
            Some("arn:aws:batch:us-east-1:123456789012:job-queue/foreign".into()),
            json!({}),
        ),
        event("FAILED", ours(), json!({"index": 0, "statusSummary": {}})),
    ] {
        place.cloud.put_event(other).await;
    }
    place
        .cloud
        .put_event(event(
            "FAILED",
            ours(),
            json!({"size": 3, "statusSummary": {"FAILED": 1}}),
        ))
        .await;
    place.until("the one that fits", |happening| matches!(happening, Happening::InvocationEnded { function, .. } if function == "FailedFunction")).await;

    place.cloud.stop().await;
    assert_eq!(std::fs::read_to_string(count).ok().as_deref(), Some("1"));
}

/// Invokes over the wire, as the `aws` command does.
async fn over_the_wire(place: &Place, kind: &str, payload: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = place
        .cloud
        .endpoint_url()
        .trim_start_matches("http://")
        .to_owned();
    let name = place
        .cloud
        .physical("AskFunction")
        .expect("the template has the function");
    let request = format!(
        "POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\nx-amz-invocation-type: {kind}\r\nauthorization: AWS4-HMAC-SHA256 Credential=K/20261123/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{payload}",
        payload.len()
    );
    let mut stream = tokio::net::TcpStream::connect(&address)
        .await
        .expect("the door is open");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the request goes out");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("the answer comes in");
    answer
}

#[tokio::test]
async fn the_invoke_api_answers_at_once_or_when_done() {
    let mut place = Place::new().await;

    let done = over_the_wire(&place, "RequestResponse", r#"{"n":1}"#).await;
    assert!(
        done.starts_with("HTTP/1.1 200") && done.contains(r#""event":{"n":1}"#),
        "{done}"
    );
    let failed = over_the_wire(&place, "RequestResponse", r#"{"fail":1}"#).await;
    assert!(
        failed.starts_with("HTTP/1.1 200") && failed.contains("x-amz-function-error: Unhandled"),
        "{failed}"
    );
    let accepted = over_the_wire(&place, "Event", r#"{"n":2}"#).await;
    assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    let request_id = accepted
        .lines()
        .find_map(|line| line.strip_prefix("x-amzn-requestid: "))
        .unwrap_or_default()
        .to_owned();
    place
        .until("the accepted invocation", |happening| {
            matches!(happening, Happening::InvocationEnded { request_id: id, error: None, .. } if *id == request_id)
        })
        .await;
    let garbage = over_the_wire(&place, "Event", "{").await;
    assert!(
        garbage.starts_with("HTTP/1.1 400") && garbage.contains("InvalidRequestContentException"),
        "{garbage}"
    );

    let calls = place.cloud.calls();
    let invokes: Vec<_> = calls
        .iter()
        .map(|call| (call.operation.as_str(), call.status, call.caller.as_str()))
        .collect();
    assert_eq!(
        invokes,
        [
            ("Invoke", 200, "person"),
            ("Invoke", 200, "person"),
            ("Invoke", 202, "person"),
            ("Invoke", 400, "person")
        ]
    );
}

/// Delivers a tick and checks what the function was sent.
async fn tick(place: &mut Place, rule: &str) {
    let at = "2026-11-23T02:00:00Z"
        .parse()
        .expect("the time is RFC 3339");
    let request_id = place
        .cloud
        .deliver_tick(rule, at)
        .await
        .expect("the template has the schedule");
    place
        .until("the tick's invocation", |happening| {
            matches!(happening, Happening::InvocationEnded { request_id: id, error: None, .. } if *id == request_id)
        })
        .await;
    let log = std::fs::read_to_string(place.folder.join("logs/lambda/AskFunction.log"))
        .expect("a function has a log");
    assert!(
        log.contains(r#"saw {"pipeline":"recommender","tick":"2026-11-23T02:00:00Z"}"#),
        "{log}"
    );
}

#[tokio::test]
async fn a_tick_comes_from_the_rule_or_the_schedule_that_the_condition_chooses() {
    let mut place = Place::new().await;
    tick(&mut place, "OnTick").await;
    let at = "2026-11-23T02:00:00Z"
        .parse()
        .expect("the time is RFC 3339");
    assert!(
        place.cloud.deliver_tick("OnTickInZone", at).await.is_err(),
        "its condition is false"
    );
    assert_eq!(place.cloud.physical("OnTickInZone"), None);

    let mut place = Place::with(|settings| {
        settings
            .parameters
            .insert("Zone".into(), "Asia/Seoul".into());
    })
    .await;
    tick(&mut place, "OnTickInZone").await;
    assert!(
        place.cloud.deliver_tick("OnTick", at).await.is_err(),
        "its condition is false"
    );
}

#[tokio::test]
async fn a_template_that_cannot_be_followed_names_the_place() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let template = folder.path().join("template.yaml");
    let small = std::fs::read_to_string(super::place::settings(folder.path()).template)
        .expect("the template is there");
    for (what, from, to, named) in [
        (
            "an unknown pattern",
            "status: [FAILED]",
            "status: [{anything-but: {prefix: F}}]",
            "FailedFunctionOnFailed.EventPattern",
        ),
        (
            "a bad schedule",
            "cron(0 2 ? * MON,FRI *)",
            "cron(0 2 * * MON *)",
            "OnTick.ScheduleExpression",
        ),
        (
            "an unknown reference",
            "!Ref GpuSpot",
            "!Ref Nothing",
            "SpotQueue.ComputeEnvironmentOrder",
        ),
        (
            "a broken line",
            "Transform: AWS",
            "Transform: [AWS",
            "line ",
        ),
    ] {
        std::fs::write(&template, small.replace(from, to)).expect("the template can be written");
        let mut settings = super::place::settings(&folder.path().join("state"));
        settings.template.clone_from(&template);

        let error = trainspot_localcloud::LocalCloud::start(settings)
            .await
            .err()
            .map(|error| error.to_string());

        assert!(
            error.as_ref().is_some_and(|error| error.contains(named)),
            "{what}: {error:?}"
        );
    }
}
