//! Sixteen submitters race for one tick, two hundred times, on a third party's S3 and Batch: each time one
//! run, one ledger that names who made it, one job.
//!
//! Needs moto server, as `make test` installs it; without it says so and does nothing, unless
//! `TRAINSPOT_WHOLE_RUNS=1` makes that a failure.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use aws_config::{Region, SdkConfig};
use aws_sdk_batch::types::JobStatus;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use serde::Deserialize;
use serde_json::{Value, json};
use submit_training::{Answer, Outcome, handle};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use trainspot_edge::aws::{Aws, behaviour};
use trainspot_edge::settings::Settings;
use trainspot_edge::store::Condition;
use trainspot_edge::world::RealWorld;
use trainspot_edge::{Jobs as _, Store as _};
use trainspot_shared::identity::{JobName, PipelineName, RunId};
use trainspot_shared::layout;

const SUBMITTERS: usize = 16;
/// Of a pipeline's ticks the first races for the creation of its head, the other for its change.
const PIPELINES: usize = 100;
const TICKS: [&str; 2] = ["2026-11-23T02:00:00Z", "2026-11-27T02:00:00Z"];
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:trainspot";
/// Every run starts, so that each round has a job to submit.
const SPEC: &str = r#"
overlap = "allow"
[train]
program = ["true"]
gpus = 0
vcpus = 1
memory_gib = 2
timeout = "1h"
"#;

/// moto's process. It ends with its input, which ends with this.
struct Moto {
    child: Child,
    account: Account,
}

/// What the template would make in an account.
#[derive(Deserialize)]
struct Account {
    endpoint: String,
    bucket: String,
    queue: String,
    definition: String,
}

impl Moto {
    /// `Err`: what is missing.
    fn start() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let python = root.join(".venv-moto/bin/python");
        if !python.exists() {
            return Err(format!("`{}` is not there", python.display()));
        }
        let mut child = Command::new(python)
            .arg(root.join("tools/moto_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let said = child.stdout.take().expect("its output is a pipe");
        let mut line = String::new();
        BufReader::new(said)
            .read_line(&mut line)
            .expect("moto says where it listens, or ends");
        let account = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("moto did not start: {line:?}: {error}"));
        Ok(Self { child, account })
    }

    /// What the clients of one process are made of.
    fn config(&self) -> SdkConfig {
        // moto takes any key and tells services apart by the signature's scope.
        let credentials = Credentials::new("test", "test", None, None, "static");
        SdkConfig::builder()
            .behavior_version(behaviour())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&self.account.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .build()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is to be gone, and waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Account {
    fn settings(&self) -> Settings {
        let settings = Settings::read(|variable| {
            Some(match variable {
                "TRAINSPOT_RESULTS_BUCKET" => self.bucket.clone(),
                "TRAINSPOT_DATA_BUCKET" => "trainspot-data".to_owned(),
                "TRAINSPOT_TOPIC_ARN" => TOPIC.to_owned(),
                "TRAINSPOT_SCHEDULES" => "{}".to_owned(),
                "TRAINSPOT_FUNCTION_TIMEOUT_S" => "60".to_owned(),
                "TRAINSPOT_IMAGE" | "TRAINSPOT_POST_PROCESSING_IMAGE" => {
                    "trainspot-trainer@sha256:00".to_owned()
                }
                queue if queue.ends_with("_QUEUE") => self.queue.clone(),
                name if name.ends_with("_JOB_DEFINITION") => self.definition.clone(),
                _ => return None,
            })
        });
        settings.expect("every variable is set")
    }

    /// Ids and names of all jobs in the queue, whoever submitted them.
    async fn jobs(&self, config: &SdkConfig) -> BTreeMap<String, String> {
        let mut pages = aws_sdk_batch::Client::new(config)
            .list_jobs()
            .job_queue(&self.queue)
            .job_status(JobStatus::Succeeded)
            .into_paginator()
            .items()
            .send();
        let mut jobs = BTreeMap::new();
        while let Some(job) = pages.next().await {
            let job = job.expect("moto lists jobs");
            jobs.insert(
                job.job_id.expect("a job has an id"),
                job.job_name.expect("a job has a name"),
            );
        }
        jobs
    }
}

/// One round: all submitters at once. Their answers.
async fn race(
    submitters: &[Aws],
    settings: &Arc<Settings>,
    payload: &Value,
    round: usize,
) -> Vec<Answer> {
    let line = Arc::new(Barrier::new(submitters.len()));
    let mut running = JoinSet::new();
    for (n, aws) in submitters.iter().cloned().enumerate() {
        let (settings, payload, line) = (settings.clone(), payload.clone(), line.clone());
        running.spawn(async move {
            let by = format!("submit-training/{round:03}-{n:02}");
            line.wait().await;
            let answer = Box::pin(handle(&aws, &settings, &payload, &by)).await;
            answer.unwrap_or_else(|failed| panic!("{by}: {failed:?}"))
        });
    }
    running.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_submitters_on_motos_s3_one_makes_the_run_and_one_job() {
    let moto = match Moto::start() {
        Ok(moto) => moto,
        Err(missing) => {
            assert!(std::env::var("TRAINSPOT_WHOLE_RUNS").is_err(), "{missing}");
            eprintln!("skipped: {missing}; `make test` installs what this needs");
            return;
        }
    };
    let account = &moto.account;
    let settings = Arc::new(account.settings());
    // Each with a connector of its own, as processes have.
    let submitters: Vec<Aws> = (0..SUBMITTERS)
        .map(|_| Aws::with(&moto.config(), TOPIC, RealWorld))
        .collect();
    let store = &submitters[0];
    let begun = Instant::now();

    let mut outcomes: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut winners: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..PIPELINES * TICKS.len() {
        let pipeline: PipelineName = format!("race-{:02}", round / TICKS.len())
            .parse()
            .expect("a valid name");
        let spec = format!("name = \"{pipeline}\"\n{SPEC}");
        let key = layout::pipeline_spec(&pipeline);
        let pushed = store.put(&account.bucket, &key, spec.into_bytes(), Condition::Always);
        pushed.await.expect("moto takes a spec");
        let payload = json!({"pipeline": pipeline, "tick": TICKS[round % TICKS.len()]});

        let answers = race(&submitters, &settings, &payload, round).await;

        let run_id = answers[0].run_id.clone().expect("the tick is a run");
        let mut creators = Vec::new();
        for answer in &answers {
            assert_eq!(answer.run_id.as_ref(), Some(&run_id), "{answer:?}");
            let word = match answer.outcome {
                Outcome::Created => {
                    creators.push(&answer.by);
                    "created"
                }
                Outcome::AlreadyThere => "already there",
                Outcome::LostTheCreate => "lost the create",
                Outcome::Refused => panic!("{run_id}: {answer:?}"),
            };
            *outcomes.entry(word).or_default() += 1;
        }
        let [creator] = creators[..] else {
            panic!("{run_id} was created by {creators:?}");
        };
        let ledger = ledger(store, &account.bucket, &run_id).await;
        assert_eq!(ledger["created_by"], json!(creator), "{run_id}");
        assert_eq!(jobs_of(store, &account.queue, &run_id).await, 1, "{run_id}");
        let place = creator.rsplit('-').next().unwrap_or_default().to_owned();
        *winners.entry(place).or_default() += 1;
    }

    let took = begun.elapsed();
    let jobs = account.jobs(&moto.config()).await;
    let rounds = PIPELINES * TICKS.len();
    eprintln!("{rounds} rounds of {SUBMITTERS} in {took:.1?}: {outcomes:?}, won by {winners:?}");
    assert_eq!(jobs.len(), rounds, "one job for each run: {jobs:?}");
    assert_eq!(outcomes["created"], rounds);
    // Otherwise they came one after the other, and nothing was raced for.
    assert!(
        outcomes
            .get("lost the create")
            .is_some_and(|n| *n >= rounds),
        "{outcomes:?}"
    );
    assert!(winners.len() > 1, "{winners:?}");
}

async fn ledger(store: &Aws, bucket: &str, run: &RunId) -> Value {
    let object = store.get(bucket, &layout::ledger(run)).await;
    let object = object.expect("moto answers").expect("there is a ledger");
    serde_json::from_slice(&object.body).expect("a ledger is JSON")
}

async fn jobs_of(jobs: &Aws, queue: &str, run: &RunId) -> usize {
    let name: JobName = format!("{run}--train-1").parse().expect("a valid name");
    let found = jobs.find(queue, &name).await;
    found.expect("moto lists jobs").len()
}
