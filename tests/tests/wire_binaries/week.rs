//! One week: ticks, time, and what lies around the functions. Idle time is skipped by moving the clock that
//! functions and agents go by; everything else takes as long as it takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use trainspot_edge::Store as _;
use trainspot_edge::aws::{Aws, behaviour};
use trainspot_edge::store::Condition;
use trainspot_edge::world::RealWorld;
use trainspot_localcloud::{Happening, LocalCloud};
use trainspot_shared::identity::{PipelineName, RunId, Tick};
use trainspot_shared::layout;
use trainspot_shared::run::End;

use crate::place::Place;
use crate::printed;
use crate::recorded;
use crate::watch::Watch;

/// A slow machine has minutes for a week; a fast one needs a quarter of one.
const PATIENCE: Duration = Duration::from_mins(5);
/// Trouble lasts so long, and in any case until the last tick has come.
const TROUBLE: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Nobody is at work for so long: time may be skipped.
const IDLE_FOR: Duration = Duration::from_millis(300);
/// Supervision comes by at least so often while others are at work.
const SWEEP_EVERY: Duration = Duration::from_secs(3);
/// So much at once, as often as supervision comes by in a real week.
const SKIP: SignedDuration = SignedDuration::from_mins(5);
/// Between a pipeline's two ticks.
const NEXT_TICK: SignedDuration = SignedDuration::from_mins(90);
/// Lambda tries an event that failed twice more.
const TRIES: usize = 3;

const PIPELINES: [(&str, &str); 2] = [("nightly", "skip"), ("hourly", "allow")];

/// What came of a week that held.
pub(crate) struct Told {
    pub(crate) summary: String,
    /// How often what struck.
    pub(crate) struck: BTreeMap<String, usize>,
}

/// A week under way.
pub(crate) struct Week {
    seed: u64,
    cloud: LocalCloud,
    happenings: Receiver<Happening>,
    store: Aws,
    results: String,
    data: String,
    logs: PathBuf,
    watch: Watch,
    clock: PathBuf,
    ahead: SignedDuration,
    begun: Instant,
    busy_at: Instant,
    swept_at: Instant,
    at_work: usize,
    struck: BTreeMap<String, usize>,
    late_submissions: usize,
    ticks: Vec<RunId>,
}

impl Week {
    /// Plays it to its end. Panics, with the story so far, when a rule does not hold.
    pub(crate) async fn play(place: &Place, seed: u64) -> Told {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut week = Self::begin(place, folder.path(), seed).await;
        let lived = std::panic::AssertUnwindSafe(week.live(place));
        let lived = futures::FutureExt::catch_unwind(lived).await;
        if let Err(panic) = lived {
            let kept = folder.keep();
            eprintln!(
                "SEED={seed} fails; struck: {:?}; kept {}\n{}",
                week.struck,
                kept.display(),
                week.watch.tell()
            );
            week.cloud.stop().await;
            std::panic::resume_unwind(panic);
        }
        let runs = week.watch.runs.values();
        let ends: Vec<String> = runs
            .map(|run| match &run.end {
                Some(End::Failed {
                    class, evidence, ..
                }) => {
                    format!("{} failed ({class}: {evidence})", run.id)
                }
                end => format!("{} {}", run.id, end.as_ref().map_or("", End::as_str)),
            })
            .collect();
        recorded::write(place, &week.cloud, &format!("week-{seed}"));
        let summary = format!(
            "week {seed}: {:.0?}, {} skipped: {}; {} jobs, {} notices",
            week.begun.elapsed(),
            week.ahead,
            ends.join(", "),
            week.cloud.jobs().len(),
            week.cloud.notices().len()
        );
        week.cloud.stop().await;
        Told {
            summary,
            struck: week.struck,
        }
    }

    async fn begin(place: &Place, folder: &Path, seed: u64) -> Self {
        let clock = folder.join("clock");
        std::fs::write(&clock, "0").expect("the test's own folder is writable");
        let settings = place.settings(folder, &clock, seed);
        let cloud = LocalCloud::start(settings).await.expect("it starts");
        let physical = |id: &str| cloud.physical(id).expect("the template has it");
        let (results, data) = (physical("ResultsBucket"), physical("DataBucket"));
        let now = Instant::now();
        Self {
            seed,
            happenings: cloud.happenings(),
            store: person(&cloud),
            watch: Watch::of(folder.join("cloud/buckets").join(&results)),
            logs: folder.join("cloud/logs"),
            results,
            data,
            cloud,
            clock,
            ahead: SignedDuration::ZERO,
            begun: now,
            busy_at: now,
            swept_at: now,
            at_work: 0,
            struck: BTreeMap::new(),
            late_submissions: 0,
            ticks: Vec::new(),
        }
    }

    async fn live(&mut self, place: &Place) {
        for (name, overlap) in PIPELINES {
            self.push(place, name, overlap).await;
            self.new_data(name, "first").await;
        }
        let first = self.now();
        let mut n_ticks = 0;
        let mut is_calm = false;
        loop {
            let is_due = n_ticks == 0 || (n_ticks == 1 && self.now() >= first + NEXT_TICK);
            if is_due {
                n_ticks += 1;
                for (name, _) in PIPELINES {
                    // Every other week the second tick finds the data of the first.
                    if n_ticks == 2 && self.seed.is_multiple_of(2) {
                        self.new_data(name, "second").await;
                    }
                    self.tick(name).await;
                }
            }
            if !is_calm && n_ticks == 2 && self.begun.elapsed() > TROUBLE {
                self.cloud.calm();
                is_calm = true;
            }
            self.hear();
            self.watch.look();
            if n_ticks == 2 && self.watch.is_settled(self.ticks.len()) && self.is_quiet() {
                break;
            }
            assert!(
                self.begun.elapsed() < PATIENCE,
                "it does not come to an end; logs: {}",
                self.logs.display()
            );
            self.let_time_pass().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (jobs, notices) = (self.cloud.jobs(), self.cloud.notices());
        self.watch
            .check_end(&self.ticks, &jobs, &notices, self.late_submissions);
        printed::check(&self.logs, &self.watch.runs);
    }

    fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }

    async fn put(&self, bucket: &str, key: &str, body: String) {
        let put = self
            .store
            .put(bucket, key, body.into_bytes(), Condition::Always);
        put.await.expect("people's calls are never struck");
    }

    async fn push(&self, place: &Place, name: &str, overlap: &str) {
        let program = place.program();
        let spec = format!(
            r#"
name = "{name}"
overlap = "{overlap}"
within = "24h"
[data]
prefix = "{name}/"
skip_if_unchanged = true
[train]
program = {program}
gpus = 1
vcpus = 4
memory_gib = 8
timeout = "1h"
[evaluate]
program = {program}
[evaluate.gate]
metric = "ndcg_at_10"
min_gain = 0.01
[recommend]
program = {program}
shards = 2
[gather]
program = {program}
[notify]
on = ["failed", "succeeded", "kept_champion", "moved", "skipped", "late", "cancelled"]
"#
        );
        let name: PipelineName = name.parse().expect("a valid name");
        let key = layout::pipeline_spec(&name);
        self.put(&self.results, &key, spec).await;
    }

    async fn new_data(&self, name: &str, content: &str) {
        let key = format!("{name}/part-0.parquet");
        self.put(&self.data, &key, content.to_owned()).await;
    }

    /// As an asynchronous invocation comes: again after a failure, and twice now and then.
    async fn tick(&mut self, name: &str) {
        let name: PipelineName = name.parse().expect("a valid name");
        let at = self.now();
        let run = RunId::scheduled(name.clone(), Tick::containing(at));
        let payload = json!({"pipeline": name, "tick": at});
        let deliveries = if self.seed.is_multiple_of(3) { 2 } else { 1 };
        for _ in 0..deliveries {
            for _ in 0..TRIES {
                let answer = self
                    .cloud
                    .invoke("SubmitTrainingFunction", payload.clone())
                    .await
                    .expect("the template has it");
                if answer.function_error.is_none() {
                    assert_eq!(answer.payload["run_id"], json!(run), "{answer:?}");
                    break;
                }
            }
        }
        self.ticks.push(run);
    }

    fn hear(&mut self) {
        loop {
            match self.happenings.try_recv() {
                Ok(Happening::InvocationStarted { .. }) => self.at_work += 1,
                Ok(Happening::InvocationEnded { .. }) => {
                    self.at_work -= 1;
                    self.busy_at = Instant::now();
                }
                Ok(Happening::Struck { kind, what }) => {
                    *self.struck.entry(kind.to_owned()).or_default() += 1;
                    let is_submission = what.contains("submitjob");
                    self.late_submissions += usize::from(kind == "effect late" && is_submission);
                    self.busy_at = Instant::now();
                }
                Ok(Happening::JobChanged { .. }) => self.busy_at = Instant::now(),
                Ok(Happening::NotImplemented { service, what }) => {
                    panic!("{service} is asked for {what}")
                }
                Ok(Happening::Broken { what }) => panic!("the local cloud failed: {what}"),
                Ok(_) => {}
                Err(TryRecvError::Empty) => return,
                Err(error) => panic!("happenings were missed: {error}"),
            }
        }
    }

    /// No function and no job is at work.
    fn is_quiet(&self) -> bool {
        let is_running = |status: &str| matches!(status, "STARTING" | "RUNNING");
        self.at_work == 0 && !self.cloud.jobs().iter().any(|job| is_running(&job.status))
    }

    /// Supervision comes by, and what would be idle is skipped.
    async fn let_time_pass(&mut self) {
        if !self.is_quiet() {
            self.busy_at = Instant::now();
        }
        let is_idle = self.busy_at.elapsed() > IDLE_FOR;
        if is_idle {
            self.ahead += SKIP;
            let next = self.clock.with_extension("next");
            std::fs::write(&next, self.ahead.as_secs().to_string()).expect("writable");
            std::fs::rename(&next, &self.clock).expect("writable");
        }
        if is_idle || self.swept_at.elapsed() > SWEEP_EVERY {
            self.swept_at = Instant::now();
            self.busy_at = self.swept_at;
            let swept = self.cloud.deliver_tick("OnSweep", self.now()).await;
            swept.expect("the template has it");
        }
    }
}

/// Somebody at a command line, whose calls are never struck.
pub(crate) fn person(cloud: &LocalCloud) -> Aws {
    let environment = cloud.sdk_environment();
    let variable = |name: &str| environment.get(name).cloned().unwrap_or_default();
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
        None,
        None,
        "person",
    );
    let config = SdkConfig::builder()
        .behavior_version(behaviour())
        .region(Region::new(variable("AWS_REGION")))
        .endpoint_url(cloud.endpoint_url())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .build();
    Aws::with(&config, "", RealWorld)
}
