//! Queues whose first job cannot start.

use aws_sdk_batch::types::{ContainerOverrides, ResourceRequirement, ResourceType};
use serde_json::Value;
use trainspot_localcloud::Happening;

use super::place::Place;

/// Submits `exit 0` to the queue whose largest host has 4 vCPUs, 16 GiB and one GPU.
async fn submit(place: &Place, name: &str, kind: ResourceType, value: &str) -> String {
    let requirement = ResourceRequirement::builder()
        .r#type(kind)
        .value(value)
        .build();
    let overrides = ContainerOverrides::builder()
        .command("exit 0")
        .resource_requirements(requirement)
        .build();
    let submitted = place
        .batch()
        .submit_job()
        .job_name(name)
        .job_queue("narrow")
        .job_definition("train")
        .container_overrides(overrides)
        .send()
        .await
        .expect("the job is accepted");
    submitted.job_id.expect("an accepted job has an id")
}

/// The event that the function was woken with.
async fn blocked(place: &mut Place) -> Value {
    place
        .until("the event", |happening| {
            matches!(happening, Happening::InvocationEnded { function, error: None, .. } if function == "AskFunction")
        })
        .await;
    let log = std::fs::read_to_string(place.folder.join("logs/lambda/AskFunction.log"))
        .expect("a function has a log");
    let last = log
        .lines()
        .filter_map(|line| line.strip_prefix("saw "))
        .next_back()
        .expect("it saw an event");
    serde_json::from_str(last).expect("an event is JSON")
}

#[tokio::test]
async fn a_job_that_fits_on_no_host_blocks_its_queue_until_the_time_limit_ends_it() {
    // Ten minutes are 600 ms.
    let mut place = Place::with(|settings| settings.job_time_scale = 0.001).await;
    let wide = submit(&place, "wide", ResourceType::Gpu, "4").await;
    let behind = submit(&place, "behind", ResourceType::Gpu, "1").await;

    let event = blocked(&mut place).await;

    assert_eq!(event["detail-type"], "Batch Job Queue Blocked");
    assert_eq!(event["detail"]["jobId"], wide.as_str());
    assert_eq!(event["detail"]["status"], "RUNNABLE");
    assert_eq!(
        event["resources"][1],
        "arn:aws:batch:us-east-1:123456789012:job-queue/narrow"
    );
    let reason = event["detail"]["statusReason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - "),
        "{reason}"
    );
    assert_eq!(place.job(&behind).status, "RUNNABLE");

    let ended = place.until_job(&wide, "FAILED").await;
    assert_eq!(
        ended.status_reason.as_deref(),
        Some(
            "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
        )
    );
    assert_eq!(ended.attempts_ended, 0);
    place.until_job(&behind, "SUCCEEDED").await;
}

#[tokio::test]
async fn more_vcpus_than_the_environment_may_have_is_another_reason() {
    let mut place = Place::new().await;
    submit(&place, "wide", ResourceType::Vcpu, "9").await;

    let event = blocked(&mut place).await;

    let reason = event["detail"]["statusReason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - "),
        "{reason}"
    );
}

#[tokio::test]
async fn a_queue_without_hosts_is_told_once_and_again_when_it_happens_again() {
    let mut place = Place::new().await;
    let withhold = async |place: &Place, withheld| {
        let done = place.cloud.withhold_capacity("NarrowQueue", withheld).await;
        done.expect("the template has the queue");
    };
    withhold(&place, true).await;
    let first = submit(&place, "first", ResourceType::Gpu, "1").await;
    let second = submit(&place, "second", ResourceType::Gpu, "1").await;

    let event = blocked(&mut place).await;

    assert_eq!(event["detail"]["jobId"], first.as_str());
    let reason = event["detail"]["statusReason"].as_str().unwrap_or_default();
    assert_eq!(
        reason,
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [g5.xlarge]"
    );
    withhold(&place, false).await;
    place.until_job(&second, "SUCCEEDED").await;

    withhold(&place, true).await;
    let third = submit(&place, "third", ResourceType::Gpu, "1").await;
    assert_eq!(blocked(&mut place).await["detail"]["jobId"], third.as_str());
}
