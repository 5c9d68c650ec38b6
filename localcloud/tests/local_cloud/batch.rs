//! Batch over the wire, with shell programs as jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_batch::error::ProvideErrorMetadata;
use aws_sdk_batch::types::{
    ArrayProperties, ContainerOverrides, JobDetail, JobStatus, KeyValuePair, KeyValuesPair,
};
use serde_json::Value;
use trainspot_localcloud::{Happening, Reclaim};

use super::place::Place;

async fn described(place: &Place, job_id: &str) -> JobDetail {
    let answer = place
        .batch()
        .describe_jobs()
        .jobs(job_id)
        .send()
        .await
        .expect("the call works");
    answer
        .jobs
        .unwrap_or_default()
        .pop()
        .expect("the job is known")
}

#[tokio::test]
async fn a_job_runs_with_what_a_container_is_told() {
    let mut place = Place::new().await;
    let out = place.scratch("env");
    let overrides = ContainerOverrides::builder()
        .command(format!("env > {}; pwd; exit 0", out.display()))
        .environment(
            KeyValuePair::builder()
                .name("TRAINSPOT_JOB")
                .value("s3://x/job-1.json")
                .build(),
        )
        .build();

    let submitted = place
        .batch()
        .submit_job()
        .job_name("recommender-20261123T0200Z--train-1")
        .job_queue(
            place
                .cloud
                .physical("SpotQueue")
                .expect("the template has the queue"),
        )
        .job_definition(
            place
                .cloud
                .physical("Definition")
                .expect("the template has the definition"),
        )
        .share_identifier("recommender")
        .container_overrides(overrides)
        .send()
        .await
        .expect("the job is accepted");
    let job_id = submitted.job_id.expect("it has an id");
    let job = place.until_job(&job_id, "SUCCEEDED").await;

    let environment = std::fs::read_to_string(out).expect("the program wrote it");
    let environment: BTreeMap<&str, &str> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    for (name, value) in [
        ("AWS_BATCH_JOB_ID", job_id.as_str()),
        ("AWS_BATCH_JOB_ATTEMPT", "1"),
        ("AWS_BATCH_JQ_NAME", "spot"),
        ("AWS_BATCH_CE_NAME", "trainspot-local-GpuSpot"),
        ("FROM_DEFINITION", "yes"),
        ("TRAINSPOT_JOB", "s3://x/job-1.json"),
        ("AWS_ENDPOINT_URL", place.cloud.endpoint_url()),
    ] {
        assert_eq!(environment.get(name), Some(&value), "{name}");
    }
    assert!(environment.contains_key("AWS_EC2_METADATA_SERVICE_ENDPOINT"));
    assert!(
        !environment.contains_key("CARGO_MANIFEST_DIR"),
        "a container does not see its caller's environment"
    );
    let log = std::fs::read_to_string(job.log_file.expect("an attempt has a log"))
        .expect("the log is a file");
    assert!(log.contains("/hosts/i-"), "{log}");
    let detail = described(&place, &job_id).await;
    assert_eq!(
        detail.status_reason(),
        Some("Essential container in task exited")
    );
    assert_eq!(
        detail
            .container()
            .and_then(aws_sdk_batch::types::ContainerDetail::exit_code),
        Some(0)
    );
}

#[tokio::test]
async fn exit_75_is_retried_on_another_host_and_1_is_not() {
    let mut place = Place::new().await;
    let script =
        "echo $AWS_BATCH_JOB_ATTEMPT $HOSTNAME; [ $AWS_BATCH_JOB_ATTEMPT = 3 ] && exit 1; exit 75";

    let job_id = place.submit("retried", script).await;
    place.until_job(&job_id, "FAILED").await;

    let detail = described(&place, &job_id).await;
    let codes: Vec<_> = detail
        .attempts()
        .iter()
        .map(|attempt| {
            attempt
                .container()
                .and_then(aws_sdk_batch::types::AttemptContainerDetail::exit_code)
        })
        .collect();
    assert_eq!(codes, [Some(75), Some(75), Some(1)]);
    let hosts: std::collections::BTreeSet<_> = detail
        .attempts()
        .iter()
        .filter_map(|attempt| attempt.container()?.container_instance_arn())
        .collect();
    assert_eq!(hosts.len(), 3);
}

#[tokio::test]
async fn a_reclaimed_program_sees_the_notice_and_goes_on_elsewhere() {
    let mut place = Place::new().await;
    let ready = place.scratch("ready");
    // IMDSv2 with nothing but a shell: the program waits for the notice, then exits 75.
    let script = format!(
        r#"[ $AWS_BATCH_JOB_ATTEMPT = 2 ] && exit 0
        python3 - <<'END'
import os, time, urllib.request, urllib.error
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
def call(method, path, **headers):
    request = urllib.request.Request(base + path, method=method, headers={{k.replace("_", "-"): v for k, v in headers.items()}})
    try:
        with urllib.request.urlopen(request) as answer: return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error: return error.code, ""
action = "/latest/meta-data/spot/instance-action"
assert call("GET", action)[0] == 401
token = call("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")[1]
get = lambda path: call("GET", path, X_aws_ec2_metadata_token=token)
assert get("/latest/meta-data/instance-id")[1] == os.environ["HOSTNAME"]
assert get("/latest/meta-data/instance-life-cycle")[1] == "spot"
assert get(action)[0] == 404
open("{ready}", "w").close()
while get(action)[0] != 200: time.sleep(0.005)
print(get(action)[1])
END
        [ $? = 0 ] && exit 75; exit 1"#,
        ready = ready.display()
    );

    let job_id = place.submit("reclaimed", &script).await;
    place
        .until_true("the program looked for a notice", || ready.exists())
        .await;
    place
        .cloud
        .reclaim(&job_id, Reclaim::WithNotice(Duration::from_mins(1)))
        .await
        .expect("the job has a Spot host");
    place.until_job(&job_id, "SUCCEEDED").await;

    let detail = described(&place, &job_id).await;
    let first = detail
        .attempts()
        .first()
        .and_then(|attempt| attempt.container())
        .expect("an attempt ended");
    assert_eq!(first.exit_code(), Some(75));
    let log = place.folder.join("logs").join(format!(
        "{}.log",
        first.log_stream_name().expect("an attempt has a stream")
    ));
    let log = std::fs::read_to_string(log).expect("the log is a file");
    assert!(log.contains(r#"{"action":"terminate","time":"2"#), "{log}");
}

#[tokio::test]
async fn a_program_that_ignores_the_notice_dies_with_its_host_and_leaves_no_exit_code() {
    let mut place = Place::new().await;
    let (ready, orphan) = (place.scratch("ready"), place.scratch("orphan"));
    let script = format!(
        "[ $AWS_BATCH_JOB_ATTEMPT = 2 ] && exit 3; trap '' TERM; setsid sh -c 'echo $$ > {o}; while :; do sleep 1; done' & touch {r}; while :; do sleep 1; done",
        r = ready.display(),
        o = orphan.display()
    );
    let job_id = place.submit("stubborn", &script).await;
    place
        .until_true("the program runs", || {
            ready.exists()
                && std::fs::read_to_string(&orphan).is_ok_and(|text| text.ends_with('\n'))
        })
        .await;

    place
        .cloud
        .reclaim(&job_id, Reclaim::WithNotice(Duration::from_millis(20)))
        .await
        .expect("the job has a Spot host");
    place.until_job(&job_id, "FAILED").await;

    let detail = described(&place, &job_id).await;
    let first = detail.attempts().first().expect("an attempt ended");
    let reason = first.status_reason().unwrap_or_default();
    assert!(
        reason.starts_with("Host EC2 (instance i-") && reason.ends_with(") terminated."),
        "{reason}"
    );
    assert_eq!(
        first
            .container()
            .and_then(aws_sdk_batch::types::AttemptContainerDetail::exit_code),
        None
    );
    let pid = std::fs::read_to_string(&orphan).expect("it wrote its id");
    let gone = || {
        !std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    };
    place
        .until_true("what left the group died with the host", gone)
        .await;
}

#[tokio::test]
async fn a_host_can_vanish_without_a_word_but_only_spot_hosts_get_a_notice() {
    let mut place = Place::new().await;
    let job_id = place
        .submit_to(
            "on-demand",
            "lost",
            "[ $AWS_BATCH_JOB_ATTEMPT = 2 ] && exit 0; while :; do sleep 1; done",
        )
        .await;
    place.until_job(&job_id, "RUNNING").await;

    let refused = place
        .cloud
        .reclaim(&job_id, Reclaim::WithNotice(Duration::from_secs(1)))
        .await;
    assert!(refused.is_err_and(|error| error.to_string().contains("on-demand")));
    place
        .cloud
        .reclaim(&job_id, Reclaim::WithoutNotice)
        .await
        .expect("the job has a host");
    place.until_job(&job_id, "SUCCEEDED").await;

    assert!(
        place
            .cloud
            .reclaim(&job_id, Reclaim::WithoutNotice)
            .await
            .is_err(),
        "an ended job has no host"
    );
}

#[tokio::test]
async fn a_failure_reaches_the_function_that_the_rule_names_and_twice_when_asked() {
    let mut place = Place::with(|settings| settings.duplicate_events = true).await;

    let job_id = place.submit("failing", "exit 1").await;
    for _ in 0..2 {
        place
            .until("an invocation that ended", |happening| {
                matches!(happening, Happening::InvocationEnded { function, error: None, .. } if function == "FailedFunction")
            })
            .await;
    }

    let log = std::fs::read_to_string(place.folder.join("logs/lambda/FailedFunction.log"))
        .expect("a function has a log");
    let events: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("saw ")?).ok())
        .collect();
    assert_eq!(events.len(), 2, "{log}");
    assert_eq!(events[0], events[1], "a second delivery is the same event");
    assert_eq!(events[0]["detail"]["jobId"], job_id.as_str());
    assert_eq!(
        events[0]["detail"]["status"], "FAILED",
        "and nothing before it was sent"
    );
}

#[tokio::test]
async fn termination_keeps_the_reason_and_is_never_retried() {
    let mut place = Place::new().await;
    let ready = place.scratch("ready");
    let job_id = place
        .submit(
            "terminated",
            &format!(
                "trap 'exit 75' TERM; touch {}; while :; do sleep 0.01; done",
                ready.display()
            ),
        )
        .await;
    place
        .until_true("the program runs", || ready.exists())
        .await;

    let reason = "trainspot: superseded by 2";
    place
        .batch()
        .terminate_job()
        .job_id(&job_id)
        .reason(reason)
        .send()
        .await
        .expect("the call works");
    place.until_job(&job_id, "FAILED").await;

    let detail = described(&place, &job_id).await;
    assert_eq!(
        (detail.status_reason(), detail.is_terminated()),
        (Some(reason), Some(true))
    );
    assert_eq!(detail.attempts().len(), 1);
}

#[tokio::test]
async fn a_job_without_capacity_waits_and_can_be_terminated_while_it_does() {
    let mut place = Place::new().await;
    place
        .cloud
        .withhold_capacity("SpotQueue", true)
        .await
        .expect("the queue exists");
    let first = place.submit("waits", "exit 0").await;
    let second = place.submit("goes", "exit 0").await;
    let other = place.submit_to("on-demand", "other", "exit 0").await;
    place.until_job(&other, "SUCCEEDED").await;

    place
        .batch()
        .terminate_job()
        .job_id(&first)
        .reason("not needed")
        .send()
        .await
        .expect("the call works");
    let ended = place.until_job(&first, "FAILED").await;
    assert_eq!(
        (ended.attempts_ended, ended.status_reason.as_deref()),
        (0, Some("not needed"))
    );
    assert_eq!(place.job(&second).status, "RUNNABLE");
    place
        .cloud
        .withhold_capacity("SpotQueue", false)
        .await
        .expect("the queue exists");
    place.until_job(&second, "SUCCEEDED").await;
}

#[tokio::test]
async fn a_time_out_stops_a_program_in_two_steps_and_is_never_retried() {
    // One AWS second is a millisecond: the definition's hour is 3.6 s, the grace 30 ms.
    let mut place = Place::with(|settings| settings.job_time_scale = 0.001).await;
    let job_id = place
        .submit("slow", "trap '' TERM; while :; do sleep 1; done")
        .await;
    place.until_job(&job_id, "FAILED").await;

    let detail = described(&place, &job_id).await;
    assert_eq!(
        detail.status_reason(),
        Some("Job attempt duration exceeded timeout")
    );
    assert_eq!(detail.attempts().len(), 1);
    assert_eq!(
        detail
            .container()
            .and_then(aws_sdk_batch::types::ContainerDetail::exit_code),
        None
    );
}

#[tokio::test]
async fn an_array_ends_when_its_last_child_does() {
    let mut place = Place::new().await;
    let submit = |script: &str, size: i32| {
        place
            .batch()
            .submit_job()
            .job_name("shards")
            .job_queue("spot")
            .job_definition("train:1")
            .share_identifier("tests")
            .array_properties(ArrayProperties::builder().size(size).build())
            .container_overrides(ContainerOverrides::builder().command(script).build())
            .send()
    };

    let good = submit(
        "[ $AWS_BATCH_JOB_ARRAY_SIZE = 5 ] || exit 1; echo $AWS_BATCH_JOB_ARRAY_INDEX",
        5,
    )
    .await
    .expect("accepted");
    let bad = submit("[ $AWS_BATCH_JOB_ARRAY_INDEX = 1 ] && exit 9; exit 0", 3)
        .await
        .expect("accepted");
    let too_small = submit("exit 0", 1)
        .await
        .expect_err("arrays have at least two children");
    assert_eq!(too_small.code(), Some("ClientException"));
    let (good, bad) = (
        good.job_id.expect("it has an id"),
        bad.job_id.expect("it has an id"),
    );
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < 2 {
        let happening = place
            .until("the parents' ends", |happening| {
                matches!(happening, Happening::JobChanged { job_id, status, .. } if (*job_id == good || *job_id == bad) && (status == "SUCCEEDED" || status == "FAILED"))
            })
            .await;
        if let Happening::JobChanged { job_id, .. } = happening {
            ended.insert(job_id);
        }
    }

    let parent = described(&place, &good).await;
    assert_eq!(parent.status(), Some(&JobStatus::Succeeded));
    let summary = parent
        .array_properties()
        .and_then(|array| array.status_summary())
        .cloned()
        .unwrap_or_default();
    assert_eq!(summary.get("SUCCEEDED"), Some(&5));
    let parent = described(&place, &bad).await;
    assert_eq!(parent.status_reason(), Some("Array Child Job failed"));
    let child = described(&place, &format!("{bad}:1")).await;
    assert_eq!(
        child
            .array_properties()
            .and_then(aws_sdk_batch::types::ArrayPropertiesDetail::index),
        Some(1)
    );
    assert_eq!(
        child
            .container()
            .and_then(aws_sdk_batch::types::ContainerDetail::exit_code),
        Some(9)
    );
    let listed = place
        .batch()
        .list_jobs()
        .array_job_id(&good)
        .job_status(JobStatus::Succeeded)
        .send()
        .await
        .expect("the call works");
    assert_eq!(listed.job_summary_list().len(), 5);
}

#[tokio::test]
async fn submissions_are_held_to_the_rules() {
    let place = Place::new().await;
    let batch = place.batch();
    let submit = || {
        batch
            .submit_job()
            .job_name("ok")
            .job_queue("spot")
            .job_definition("train")
            .share_identifier("s")
    };
    let wide = |size: usize| {
        ContainerOverrides::builder()
            .environment(
                KeyValuePair::builder()
                    .name("X")
                    .value("x".repeat(size))
                    .build(),
            )
            .build()
    };

    for (what, request) in [
        ("a name with a dot", submit().job_name("no.dots")),
        ("a name that begins with a hyphen", submit().job_name("-a")),
        ("a name of 129", submit().job_name("a".repeat(129))),
        ("an unknown queue", submit().job_queue("none")),
        ("an unknown definition", submit().job_definition("none")),
        (
            "no share on a fair-share queue",
            submit().set_share_identifier(None),
        ),
        ("a share on another", submit().job_queue("on-demand")),
        (
            "a reserved variable",
            submit().container_overrides(
                ContainerOverrides::builder()
                    .environment(
                        KeyValuePair::builder()
                            .name("AWS_BATCH_X")
                            .value("1")
                            .build(),
                    )
                    .build(),
            ),
        ),
        (
            "an empty word",
            submit().container_overrides(ContainerOverrides::builder().command("").build()),
        ),
        ("31 KiB", submit().container_overrides(wide(31 * 1024))),
    ] {
        let error = request.send().await.expect_err(what);
        assert_eq!(error.code(), Some("ClientException"), "{what}");
        assert_eq!(
            error
                .raw_response()
                .map(|response| response.status().as_u16()),
            Some(400),
            "{what}"
        );
    }
    assert!(place.cloud.jobs().is_empty());

    // Accepted, and failed afterwards.
    let long = submit()
        .container_overrides(wide(9000))
        .send()
        .await
        .expect("it is accepted")
        .job_id
        .expect("it has an id");
    let detail = described(&place, &long).await;
    assert_eq!(
        detail.status_reason(),
        Some("Container Overrides length must be at most 8192")
    );
    // No idempotency: the same request twice is two jobs.
    let twice = [submit().send().await, submit().send().await]
        .map(|answer| answer.expect("it is accepted").job_id);
    assert_ne!(twice[0], twice[1]);
}

#[tokio::test]
async fn jobs_are_listed_by_status_or_by_name() {
    let mut place = Place::new().await;
    let mut last = String::new();
    for n in 0..5 {
        last = place.submit(&format!("Name-{}", n % 2), "exit 0").await;
        place.until_job(&last, "SUCCEEDED").await;
    }
    let batch = place.batch();
    let named = |pattern: &str| {
        batch.list_jobs().job_queue("spot").filters(
            KeyValuesPair::builder()
                .name("JOB_NAME")
                .values(pattern)
                .build(),
        )
    };

    let running = batch
        .list_jobs()
        .job_queue("spot")
        .send()
        .await
        .expect("the call works");
    assert_eq!(
        running.job_summary_list().len(),
        0,
        "without a status only RUNNING ones come back"
    );
    let exact = named("name-1").send().await.expect("the call works");
    assert_eq!(
        exact.job_summary_list().len(),
        2,
        "in any case, in any state"
    );
    let mut pages = named("NAME-*").max_results(2).into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page comes");
        assert!(page.job_summary_list().len() <= 2);
        seen.extend(
            page.job_summary_list()
                .iter()
                .filter_map(|job| job.job_id.clone()),
        );
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(seen.first(), Some(&last), "newest first");
    let queues = batch
        .describe_job_queues()
        .job_queues("spot")
        .send()
        .await
        .expect("the call works");
    assert_eq!(
        queues
            .job_queues()
            .first()
            .and_then(aws_sdk_batch::types::JobQueueDetail::priority),
        Some(10)
    );
    let definitions = batch
        .describe_job_definitions()
        .job_definition_name("train")
        .send()
        .await
        .expect("the call works");
    assert_eq!(
        definitions
            .job_definitions()
            .first()
            .and_then(aws_sdk_batch::types::JobDefinition::revision),
        Some(1)
    );
}

#[tokio::test]
async fn the_queue_with_the_higher_priority_goes_first() {
    let mut place = Place::with(|settings| settings.max_running_jobs = 1).await;
    let gate = place.scratch("gate");
    let blocker = place
        .submit(
            "blocker",
            &format!("while [ ! -e {} ]; do sleep 0.01; done", gate.display()),
        )
        .await;
    place.until_job(&blocker, "RUNNING").await;
    let low = place.submit("low", "exit 0").await;
    let high = place.submit_to("on-demand", "high", "exit 0").await;

    std::fs::write(&gate, "").expect("the gate can be opened");
    place.until_job(&high, "SUCCEEDED").await;
    let low_then = place.job(&low).status;
    place.until_job(&low, "SUCCEEDED").await;

    assert_ne!(low_then, "SUCCEEDED");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let mut place =
        Place::with(|settings| settings.image.entrypoint = vec!["/no/such/program".into()]).await;
    let job_id = place.submit("unstartable", "x").await;
    place.until_job(&job_id, "FAILED").await;

    let detail = described(&place, &job_id).await;
    assert_eq!(detail.status_reason(), Some("Task failed to start"));
    let reason = detail
        .container()
        .and_then(|container| container.reason())
        .unwrap_or_default()
        .to_owned();
    assert!(
        reason.starts_with("CannotStartContainerError: /no/such/program"),
        "{reason}"
    );
}
