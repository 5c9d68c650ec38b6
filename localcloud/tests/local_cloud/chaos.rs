//! What goes wrong on purpose, each kind alone and always, so that what it does is seen.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use trainspot_localcloud::{Chaos, Happening};

use super::place::Place;

async fn with(chaos: &str) -> Place {
    let chaos = Chaos::parse(chaos, 7).expect("a chaos file");
    Place::with(|settings| settings.chaos = Some(chaos)).await
}

async fn until_struck(place: &mut Place, kind: &str) {
    place
        .until(kind, |happening| {
            matches!(happening, Happening::Struck { kind: struck, .. } if *struck == kind)
        })
        .await;
}

/// A FAILED event that `FailedFunction` takes, and counts.
fn event(place: &Place, count: &PathBuf) -> Value {
    json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": { "status": "FAILED", "jobQueue": place.cloud.physical("SpotQueue") },
        "count_in": count,
    })
}

fn counted(count: &PathBuf) -> Option<String> {
    std::fs::read_to_string(count).ok()
}

#[tokio::test]
async fn a_dropped_event_never_comes() {
    let mut place = with("[events]\ndrop = 100\n").await;
    let count = place.scratch("count");

    place.cloud.put_event(event(&place, &count)).await;
    until_struck(&mut place, "event dropped").await;

    place.cloud.calm();
    let after = place.scratch("after");
    place.cloud.put_event(event(&place, &after)).await;
    place
        .until_true("the next one comes", || {
            counted(&after).as_deref() == Some("1")
        })
        .await;
    place.cloud.stop().await;
    assert_eq!(counted(&count), None);
}

#[tokio::test]
async fn a_doubled_event_comes_twice_and_a_delayed_one_later() {
    let mut place = with("[events]\nduplicate = 100\ndelay = 100\ndelay_max_s = 0.2\n").await;
    let count = place.scratch("count");

    place.cloud.put_event(event(&place, &count)).await;

    until_struck(&mut place, "event delayed").await;
    until_struck(&mut place, "event duplicated").await;
    for _ in 0..2 {
        place
            .until("a delivery", |happening| {
                matches!(happening, Happening::InvocationEnded { function, error: None, .. } if function == "FailedFunction")
            })
            .await;
    }
}

#[tokio::test]
async fn an_event_out_of_order_comes_behind_another_one() {
    let mut place = with("[events]\nreorder = 100\n").await;
    let count = place.scratch("count");

    place.cloud.put_event(event(&place, &count)).await;
    until_struck(&mut place, "event reordered").await;
    assert_eq!(counted(&count), None, "it waits for another one");
    place.cloud.calm();
    let other = place.scratch("other");
    place.cloud.put_event(event(&place, &other)).await;

    place
        .until_true("it comes behind", || {
            counted(&count).as_deref() == Some("1")
        })
        .await;
    assert_eq!(counted(&other).as_deref(), Some("1"));
}

#[tokio::test]
async fn a_delayed_event_outlives_a_stop() {
    let mut place = with("[events]\ndelay = 100\ndelay_max_s = 86400\n").await;
    let count = place.scratch("count");
    place.cloud.put_event(event(&place, &count)).await;
    until_struck(&mut place, "event delayed").await;

    place = place.again().await;

    place
        .until_true("it comes", || counted(&count).as_deref() == Some("1"))
        .await;
}

#[tokio::test]
async fn a_function_is_killed_at_its_call_before_or_after_the_effect() {
    let mut place = with("[functions]\nkill = 100\nkill_within_calls = 1\n").await;
    let bucket = place.cloud.physical("ResultsBucket").expect("it is there");
    let mut effects = Vec::new();

    for n in 0..12 {
        let path = format!("{bucket}/killed-{n}");
        let answer = place
            .cloud
            .invoke("AskFunction", json!({ "put": path }))
            .await;
        let answer = answer.expect("the template has the function");
        assert_eq!(
            answer.payload["errorType"], "Runtime.ExitError",
            "{answer:?}"
        );
        until_struck(&mut place, "function killed").await;
        effects.push(place.folder.join("buckets").join(path).exists());
    }

    assert!(
        effects.contains(&true) && effects.contains(&false),
        "{effects:?}"
    );
    place.cloud.calm();
    let path = format!("{bucket}/spared");
    let answer = place
        .cloud
        .invoke("AskFunction", json!({ "put": path }))
        .await;
    assert_eq!(answer.expect("the template has it").function_error, None);
}

/// Puts an object as a job does, and gives what came back.
async fn put_as_job(place: &Place, key: &str) -> (String, PathBuf) {
    let bucket = place.cloud.physical("ResultsBucket").expect("it is there");
    let address = place
        .cloud
        .endpoint_url()
        .trim_start_matches("http://")
        .to_owned();
    let request = format!(
        "PUT /{bucket}/{key} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 3\r\nauthorization: AWS4-HMAC-SHA256 Credential=LOCAL.job.1/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\nput",
    );
    let mut stream = tokio::net::TcpStream::connect(&address)
        .await
        .expect("the door is open");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the request goes out");
    let mut answer = Vec::new();
    // A connection that is cut may end by a reset as well as by its end.
    let _ = stream.read_to_end(&mut answer).await;
    let file = place.folder.join("buckets").join(bucket).join(key);
    (String::from_utf8_lossy(&answer).into_owned(), file)
}

#[tokio::test]
async fn a_lost_answer_leaves_the_effect_and_a_cut_call_nothing() {
    let place = with("[calls]\nlose_answer = 100\n").await;
    let (answer, file) = put_as_job(&place, "lost").await;
    assert_eq!((answer.as_str(), file.exists()), ("", true));

    let place = with("[calls]\ncut = 100\n").await;
    let (answer, file) = put_as_job(&place, "cut").await;
    assert_eq!((answer.as_str(), file.exists()), ("", false));
    place.cloud.calm();
    let (answer, file) = put_as_job(&place, "calm").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && file.exists(),
        "{answer}"
    );
}

#[tokio::test]
async fn an_effect_may_land_after_its_caller_was_cut_off() {
    let mut place = with("[calls]\nlate = 100\nlate_max_s = 0.3\n").await;

    let (answer, file) = put_as_job(&place, "late").await;

    assert_eq!(answer, "");
    until_struck(&mut place, "effect late").await;
    place.until_true("it lands", || file.exists()).await;
}

#[tokio::test]
async fn a_throttled_call_is_told_so_in_the_services_words() {
    let place = with("[calls]\nthrottle = 100\n").await;

    let (answer, file) = put_as_job(&place, "throttled").await;

    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("<Code>SlowDown</Code>"),
        "{answer}"
    );
    assert!(!file.exists());
}

#[tokio::test]
async fn a_lost_host_takes_every_attempt_with_it() {
    let mut place = with("[hosts]\nlose = 100\nwithin_s = 0\n").await;

    let job = place.submit("struck", "while :; do sleep 1; done").await;

    let seen = place.until_job(&job, "FAILED").await;
    assert_eq!(seen.attempts_ended, 4, "as many as the definition allows");
    let reason = seen.status_reason.unwrap_or_default();
    assert!(reason.starts_with("Host EC2 (instance i-"), "{reason}");
}

#[tokio::test]
async fn a_reclaimed_host_is_told_and_on_demand_is_never_struck() {
    let mut place = with("[hosts]\nreclaim = 100\nwithin_s = 0\nnotice_s = 0.05\n").await;
    let spared = place.submit_to("on-demand", "spared", "exit 0").await;
    place.until_job(&spared, "SUCCEEDED").await;

    place
        .submit("told", "trap 'exit 75' TERM; while :; do sleep 0.05; done")
        .await;

    until_struck(&mut place, "host reclaimed").await;
    place
        .until("the notice", |happening| {
            matches!(
                happening,
                Happening::Reclaimed {
                    notice_until: Some(_),
                    ..
                }
            )
        })
        .await;
}

#[tokio::test]
async fn capacity_that_was_withheld_comes_back() {
    let mut place = with("[capacity]\nwithhold = 100\nwithhold_max_s = 0.2\n").await;

    let job = place.submit("waits", "exit 0").await;

    until_struck(&mut place, "capacity withheld").await;
    place.until_job(&job, "SUCCEEDED").await;
}
