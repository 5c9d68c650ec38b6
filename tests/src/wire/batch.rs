//! Batch as it answers: REST with JSON, two kinds of errors.

use serde::Deserialize;
use serde_json::{Value, json};
use trainspot_edge::Jobs as _;
use trainspot_edge::World as _;
use trainspot_edge::jobs::{JobRequest, JobsError, SubmitError};
use trainspot_edge::memory::MemoryEdge;
use trainspot_shared::batch_event::{ArrayRole, AttemptSeen, JobSeen};
use trainspot_shared::identity::JobName;

use super::answer::{Answer, Response};
use super::request::Request;

const ARN: &str = "arn:aws:batch:us-east-1:123456789012:job/";
/// Batch may give fewer than were asked for: a client that reads one page is wrong here.
const PAGE: usize = 1;

pub(super) async fn answer(sight: &MemoryEdge, request: &Request) -> Answer {
    let body = request.body.as_slice();
    match request.path.as_str() {
        "v1/submitjob" => submit(sight, parsed(body)).await,
        "v1/describejobs" => describe(sight, parsed(body)).await,
        "v1/listjobs" => list(sight, parsed(body)).await,
        "v1/terminatejob" => terminate(sight, parsed(body)).await,
        other => panic!("Batch is asked {other}"),
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap_or_else(|error| {
        panic!("Batch is sent {}: {error}", String::from_utf8_lossy(body));
    })
}

/// Every member that the product sends, and no other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubmitJob {
    job_name: String,
    job_queue: String,
    job_definition: String,
    container_overrides: Overrides,
    timeout: Timeout,
    array_properties: Option<Array>,
    share_identifier: String,
    scheduling_priority_override: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Overrides {
    #[serde(default)]
    command: Vec<String>,
    environment: Vec<Named>,
    resource_requirements: Vec<Need>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Need {
    r#type: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timeout {
    attempt_duration_seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Array {
    size: u32,
}

impl SubmitJob {
    fn request(self) -> JobRequest {
        let needs = |kind: &str| {
            let needs = &self.container_overrides.resource_requirements;
            let need = needs.iter().find(|need| need.r#type == kind);
            need.map_or(0, |need| need.value.parse().expect("a number of something"))
        };
        let variables = &self.container_overrides.environment;
        let [Named { name, value }] = variables.as_slice() else {
            panic!("{} variables", variables.len());
        };
        assert_eq!(name, "TRAINSPOT_JOB");
        JobRequest {
            gpus: needs("GPU"),
            vcpus: needs("VCPU"),
            memory_mib: needs("MEMORY"),
            name: self
                .job_name
                .parse()
                .expect("only our own jobs are submitted"),
            queue: self.job_queue,
            definition: self.job_definition,
            job_document: value.clone(),
            command: self.container_overrides.command,
            timeout_s: self.timeout.attempt_duration_seconds,
            array_size: self.array_properties.map(|array| array.size),
            share: self.share_identifier,
            priority: self.scheduling_priority_override,
        }
    }
}

async fn submit(sight: &MemoryEdge, asked: SubmitJob) -> Answer {
    let name = asked.job_name.clone();
    match sight.submit(&asked.request()).await {
        Ok(id) => ok(&json!({"jobArn": format!("{ARN}{id}"), "jobId": id, "jobName": name})),
        Err(SubmitError::Throttled { .. }) => refusal(Refusal::TooManyRequests),
        Err(SubmitError::Refused { .. }) => {
            refusal(Refusal::Client("JobDefinition trainspot is not ACTIVE"))
        }
        Err(SubmitError::Unclear { .. }) => unanswered(sight),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribeJobs {
    jobs: Vec<String>,
}

async fn describe(sight: &MemoryEdge, asked: DescribeJobs) -> Answer {
    assert!(asked.jobs.len() <= 100, "{} jobs at once", asked.jobs.len());
    match sight.describe(&asked.jobs).await {
        Ok(jobs) => {
            let jobs: Vec<Value> = jobs.iter().map(described).collect();
            ok(&json!({ "jobs": jobs }))
        }
        Err(error) => trouble(sight, &error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListJobs {
    job_queue: String,
    filters: Vec<Filter>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    name: String,
    values: Vec<String>,
}

async fn list(sight: &MemoryEdge, asked: ListJobs) -> Answer {
    let [Filter { name, values }] = asked.filters.as_slice() else {
        panic!("{} filters", asked.filters.len());
    };
    assert_eq!(name, "JOB_NAME");
    let [value] = values.as_slice() else {
        panic!("{} values of a filter", values.len());
    };
    let job: JobName = value.parse().expect("only our own jobs are looked for");
    let found = match sight.find(&asked.job_queue, &job).await {
        Ok(found) => found,
        Err(error) => return trouble(sight, &error),
    };
    // Jobs are never forgotten within a week, so that a place in the list is one.
    let from = asked.next_token.map_or(0, |token| {
        token.parse().expect("a token comes back as it was given")
    });
    let until = found.len().min(from + PAGE);
    let page: Vec<Value> = found[from..until]
        .iter()
        .map(|job| {
            json!({"jobArn": format!("{ARN}{}", job.id), "jobId": job.id, "jobName": value, "createdAt": job.created_at_ms})
        })
        .collect();
    let next = (until < found.len()).then(|| until.to_string());
    ok(&json!({"jobSummaryList": page, "nextToken": next}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TerminateJob {
    job_id: String,
    reason: String,
}

async fn terminate(sight: &MemoryEdge, asked: TerminateJob) -> Answer {
    match sight.terminate(&asked.job_id, &asked.reason).await {
        Ok(()) => ok(&json!({})),
        Err(error) => trouble(sight, &error),
    }
}

/// As `DescribeJobs` prints a job, as far as the product looks at it.
fn described(job: &JobSeen) -> Value {
    let array = job.array.as_ref().map(|role| match role {
        ArrayRole::Parent { size, summary } => json!({"size": size, "statusSummary": summary}),
        ArrayRole::Child { index } => json!({"index": index}),
    });
    let attempts: Vec<Value> = job.attempts.iter().map(attempt).collect();
    json!({
        "jobArn": format!("{ARN}{}", job.id), "jobId": job.id, "jobName": job.name,
        "jobQueue": job.queue, "status": job.status, "statusReason": job.status_reason,
        "attempts": attempts, "createdAt": job.created_at_ms, "startedAt": job.started_at_ms,
        "stoppedAt": job.stopped_at_ms, "isTerminated": job.is_terminated,
        "isCancelled": job.is_cancelled, "arrayProperties": array,
        "jobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/trainspot:1",
    })
}

fn attempt(attempt: &AttemptSeen) -> Value {
    json!({
        "container": {
            "exitCode": attempt.exit_code, "reason": attempt.reason,
            "logStreamName": attempt.log_stream, "networkInterfaces": [],
        },
        "startedAt": attempt.started_at_ms, "stoppedAt": attempt.stopped_at_ms,
        "statusReason": attempt.status_reason,
    })
}

fn ok(body: &Value) -> Answer {
    Response::new(200, "application/json", body.to_string()).into()
}

/// What Batch says no with.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    TooManyRequests,
    Client(&'static str),
    Server,
}

fn refusal(refusal: Refusal) -> Answer {
    let (status, code, message) = match refusal {
        Refusal::TooManyRequests => (429, "TooManyRequestsException", "Too Many Requests"),
        Refusal::Client(message) => (400, "ClientException", message),
        Refusal::Server => (500, "ServerException", "Internal server error"),
    };
    let body = json!({ "message": message }).to_string();
    Response::new(status, "application/json", body)
        .with("x-amzn-errortype", code)
        .into()
}

fn trouble(sight: &MemoryEdge, error: &JobsError) -> Answer {
    match error.why.as_str() {
        "throttled" => refusal(Refusal::TooManyRequests),
        "unanswered" => unanswered(sight),
        _ => refusal(Refusal::Client("Job does not exist or may not be touched")),
    }
}

fn unanswered(sight: &MemoryEdge) -> Answer {
    match sight.chance() {
        ..0.35 => Answer::Reset,
        ..0.7 => Answer::Silence,
        _ => refusal(Refusal::Server),
    }
}
