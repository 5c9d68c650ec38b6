//! A results bucket in a local cloud, with ledgers as a test wants them, and the command over it.

use std::path::Path;
use std::process::{Command, Output};

use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::{Builder, tls};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use trainspot_edge::aws::Aws;
use trainspot_edge::store::{Condition, Store as _};
use trainspot_edge::world::RealWorld;
use trainspot_localcloud::{Image, LocalCloud, Settings};
use trainspot_shared::batch_event::{JobSeen, JobStatus};
use trainspot_shared::identity::{Market, RunId, Stage};
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::{Origin, PipelineHead};
use trainspot_shared::run::{End, NewRun, Phase, Run, SubmissionRecord};

pub(crate) const SPEC: &str = "name = \"nightly\"\n[train]\nprogram = [\"true\"]\n\
    [evaluate]\nprogram = [\"true\"]\n[evaluate.gate]\nmetric = \"ndcg_at_10\"\npromote = \"ask\"\n";

pub(crate) struct Place {
    pub(crate) cloud: LocalCloud,
    store: Aws<RealWorld>,
    bucket: String,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let [home, binaries] = ["folder", "binaries"].map(|name| folder.path().join(name));
        let mut settings = Settings::new(template, home, binaries, Image::default());
        let image = format!("i@sha256:{}", "0".repeat(64));
        settings.parameters.insert("ImageUri".to_owned(), image);
        let cloud = LocalCloud::start(settings)
            .await
            .expect("a free folder and port");
        let bucket = cloud
            .physical("ResultsBucket")
            .expect("the template has it");
        let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(Builder::new().tls_provider(ring).build_https())
            .endpoint_url(cloud.endpoint_url())
            .region(Region::new("us-east-1"))
            .test_credentials()
            .load()
            .await;
        let place = Self {
            store: Aws::with(&config, "", RealWorld),
            cloud,
            bucket,
            _folder: folder,
        };
        let nightly: trainspot_shared::identity::PipelineName = "nightly".parse().expect("a name");
        let head = PipelineHead::first(nightly.clone(), Timestamp::UNIX_EPOCH, "w".to_owned());
        place.put(&layout::pipeline_head(&nightly), &head).await;
        place
    }

    pub(crate) async fn put(&self, key: &str, document: &impl Serialize) {
        let body = serde_json::to_vec(document).expect("a document");
        let put = self.store.put(&self.bucket, key, body, Condition::Always);
        put.await.expect("the store takes everything");
    }

    pub(crate) async fn ledger(&self, run: &Run) {
        self.put(&layout::ledger(&run.id), run).await;
    }

    /// The command, its exit code, and what it said on each stream.
    pub(crate) fn trainspot(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_trainspot"))
            .args(arguments)
            .env_clear()
            .envs(self.cloud.sdk_environment())
            .env("TRAINSPOT_RESULTS_BUCKET", &self.bucket)
            .output()
            .expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (status.code(), text(stdout), text(stderr))
    }

    /// The one document that it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let (_, stdout, stderr) = self.trainspot(arguments);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
    }
}

/// A run that was asked for so many seconds after its tick; live, or over.
pub(crate) fn run(id: &str, after_s: i64, end: Option<End>) -> Run {
    let id: RunId = id.parse().expect("an id");
    let created_at = id.tick().start() + jiff::SignedDuration::from_secs(after_s);
    let new = NewRun {
        id,
        origin: Origin::Tick,
        created_by: "submit-training 7f3e".to_owned(),
        created_at,
        spec_text: SPEC,
        write_id: "w".to_owned(),
    };
    let mut run = Run::new(new, Phase::WaitingForData, end).expect("the spec is right");
    run.is_reviewed = run.is_final();
    run
}

/// Its training has a job, in this state.
pub(crate) fn trains(run: &mut Run, status: JobStatus) {
    let job = JobSeen {
        id: "job-1".to_owned(),
        name: format!("{}--train-1", run.id),
        queue: "q".to_owned(),
        status,
        status_reason: None,
        attempts: Vec::new(),
        created_at_ms: None,
        started_at_ms: None,
        stopped_at_ms: None,
        is_terminated: false,
        is_cancelled: false,
        array: None,
    };
    let record = run.stages.entry(Stage::Train).or_default();
    record.submissions.push(SubmissionRecord {
        number: 1,
        market: Market::Spot,
        queue: "q".to_owned(),
        memory_mib: 1024,
        shards: None,
        asked_at: run.created_at,
        job_id: Some("job-1".to_owned()),
        not_submitted: None,
        blocked: None,
        children_wait_since: None,
        jobs: vec![job],
        verdict: None,
        is_decided: false,
        records: Vec::new(),
    });
    if !run.is_final() {
        run.phase = Phase::Training;
    }
}

/// An attempt of that job worked for an hour, on a host of this type.
pub(crate) fn worked(run: &mut Run, attempt: u32, instance_type: Option<&str>) {
    let record = serde_json::json!({
        "schema": 1, "run_id": run.id, "stage": "train", "submission": 1, "attempt": attempt, "job_id": "job-1",
        "started_at": "2026-11-23T02:00:00Z", "ended_at": "2026-11-23T03:00:00Z", "outcome": "done",
        "exit_code": 0, "instance_type": instance_type, "life_cycle": "spot",
    });
    let record = serde_json::from_value(record).expect("a record");
    let submissions = run
        .stages
        .get_mut(&Stage::Train)
        .map(|s| &mut s.submissions);
    let newest = submissions.and_then(|all| all.last_mut()).expect("a job");
    newest.records.push(record);
}
