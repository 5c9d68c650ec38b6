//! A request that became a run which was skipped: `start` and `retry` do not call that a success.

use std::process::Command;

use serde_json::{Value, json};
use trainspot_shared::run::{End, Run};

use crate::place::run;

#[path = "../credentials/fake_aws.rs"]
mod fake_aws;

use fake_aws::FakeAws;

const RUN: &str = "nightly-20261123T0200Z";

/// An endpoint whose function says that it made a run, and whose bucket has that run's ledger.
fn asks(end: Option<End>, arguments: &[&str]) -> (Option<i32>, String, String) {
    let stands: Run = run(RUN, 3, end);
    let aws = FakeAws::start(move |path| {
        let answer = if path.contains("/invocations") {
            json!({ "run_id": RUN, "by": "submit-training/1", "outcome": "created" })
        } else if path.contains("-r2") && path.contains("run.json") {
            return (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned());
        } else {
            serde_json::to_value(&stands).expect("a document")
        };
        (200, answer.to_string())
    });
    let output = Command::new(env!("CARGO_BIN_EXE_trainspot"))
        .args(arguments)
        .env_clear()
        .env("AWS_ENDPOINT_URL", &aws.url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "somebody")
        .env("AWS_SECRET_ACCESS_KEY", "somebody")
        .output()
        .expect("the command runs");
    assert!(!aws.keys().is_empty(), "nobody was asked");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn skipped() -> End {
    End::Skipped {
        because: "the run before is still live".to_owned(),
    }
}

#[test]
fn a_skipped_request_has_a_code_of_its_own_and_says_why_to_scripts() {
    let asked = ["start", "nightly", "--json", "--bucket", "results"];
    let (exit, stdout, stderr) = asks(Some(skipped()), &asked);

    let answer: Value = serde_json::from_str(&stdout).expect("one document");
    assert_eq!(answer["outcome"], "created");
    assert_eq!(answer["state"], "skipped");
    assert_eq!(answer["because"], "the run before is still live");
    assert_eq!(exit, Some(3), "{stderr}");
    assert!(stderr.contains("the run before is still live"), "{stderr}");

    let (exit, _, stderr) = asks(
        Some(skipped()),
        &["start", "nightly", "--bucket", "results"],
    );
    assert_eq!(exit, Some(3), "{stderr}");
    assert!(
        stderr.contains("skipped: the run before is still live"),
        "{stderr}"
    );
}

#[test]
fn a_request_that_became_a_live_run_is_a_success_with_its_state() {
    let asked = ["start", "nightly", "--json", "--bucket", "results"];
    let (exit, stdout, stderr) = asks(None, &asked);

    let answer: Value = serde_json::from_str(&stdout).expect("one document");
    assert_eq!(exit, Some(0), "{stderr}");
    assert_eq!(answer["state"], "waiting_for_data");
    assert_eq!(answer["because"], Value::Null);
}

#[test]
fn without_a_bucket_the_state_is_unknown_and_not_made_up() {
    let (exit, stdout, stderr) = asks(Some(skipped()), &["start", "nightly", "--json"]);

    let answer: Value = serde_json::from_str(&stdout).expect("one document");
    assert_eq!(exit, Some(0), "{stderr}");
    assert_eq!(answer.get("state"), Some(&Value::Null));
}
