//! One run in one results bucket, and attempts at its stages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use trainspot_agent::host::{Channel, Happening};
use trainspot_agent::process::Process;
use trainspot_agent::{Assignment, Settings, work};
use trainspot_edge::store::Condition;
use trainspot_edge::world::RealWorld;
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::identity::{Market, RunId, Stage};
use trainspot_shared::job::JobDocument;
use trainspot_shared::layout;
use trainspot_shared::manifest::{Manifest, ManifestFile};
use trainspot_shared::stage_head::{Published, StageHead};

use crate::shelf::Shelf;

pub(crate) const BUCKET: &str = "results";
const DEADLINE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The run.
pub(crate) struct Bench {
    pub(crate) store: Shelf,
    pub(crate) settings: Settings,
    pub(crate) job: JobDocument,
    pub(crate) folder: TempDir,
}

/// A running attempt.
pub(crate) struct Attempt {
    pub(crate) host: UnboundedSender<Happening>,
    running: JoinHandle<u8>,
}

impl Attempt {
    pub(crate) async fn code(self) -> u8 {
        tokio::time::timeout(DEADLINE, self.running)
            .await
            .expect("an attempt ends")
            .unwrap()
    }

    pub(crate) fn tell(&self, happening: Happening) {
        self.host.send(happening).unwrap();
    }
}

pub(crate) fn count(total: u32, every: u32, mode: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/count.sh");
    ["bash", script, &total.to_string(), &every.to_string(), mode]
        .map(str::to_owned)
        .to_vec()
}

pub(crate) fn shell(text: &str) -> Vec<String> {
    ["bash", "-c", text].map(str::to_owned).to_vec()
}

impl Bench {
    /// Submission 1 of `stage` is granted and about to run `program`.
    pub(crate) fn of(stage: Stage, program: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::in_folder(folder.path().join("work"));
        settings.sweep_every = Duration::from_millis(20);
        settings.patience = Duration::from_millis(300);
        settings.grace_after_stop = Duration::from_millis(500);
        settings.after_sigterm.program = Duration::from_secs(2);
        settings.after_notice.program = Duration::from_secs(2);
        let job = JobDocument {
            schema: 1,
            run_id: "recommender-20261123T0200Z".parse::<RunId>().unwrap(),
            stage,
            submission: 1,
            base: 1,
            market: Market::Spot,
            program,
            params: BTreeMap::from([("epochs".to_owned(), Value::from(20))]),
            dataset: None,
            inputs: Vec::new(),
            shards: None,
            shard_of_index: None,
        };
        let bench = Self {
            store: Shelf::default(),
            settings,
            job,
            folder,
        };
        bench.put_head(None, &StageHead::first(1, "grant".to_owned()));
        bench
    }

    pub(crate) fn train(program: Vec<String>) -> Self {
        Self::of(Stage::Train, program)
    }

    /// A fan-out over `shards`.
    pub(crate) fn recommend(program: Vec<String>, shards: u32) -> Self {
        let mut bench = Self::of(Stage::Recommend, program);
        bench.job.shards = Some(shards);
        bench
    }

    pub(crate) fn job_key(&self) -> String {
        layout::job(&self.job.run_id, self.job.stage, self.job.submission)
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, body: &[u8]) -> String {
        self.store
            .write(bucket, key, body.to_vec(), &Condition::Always);
        self.store.read(bucket, key).unwrap().etag
    }

    pub(crate) fn put_job(&self) {
        self.put(
            BUCKET,
            &self.job_key(),
            &serde_json::to_vec(&self.job).unwrap(),
        );
    }

    pub(crate) fn put_head(&self, shard: Option<u32>, head: &StageHead) {
        let key = layout::stage_head(&self.job.run_id, self.job.stage, shard);
        self.put(BUCKET, &key, &serde_json::to_vec(head).unwrap());
    }

    pub(crate) fn head(&self, shard: Option<u32>) -> Option<StageHead> {
        let key = layout::stage_head(&self.job.run_id, self.job.stage, shard);
        let object = self.store.read(BUCKET, &key)?;
        Some(serde_json::from_slice(&object.body).unwrap())
    }

    pub(crate) fn change_head(&self, change: impl FnOnce(&mut StageHead)) {
        let mut head = self.head(None).unwrap();
        change(&mut head);
        head.version += 1;
        head.write_id = format!("test-{}", head.version);
        self.put_head(None, &head);
    }

    pub(crate) fn published_step(&self) -> Option<u64> {
        self.head(None)?
            .latest_checkpoint
            .map(|checkpoint| checkpoint.step)
    }

    pub(crate) fn results(&self, shard: Option<u32>, attempt: u32) -> String {
        layout::results(
            &self.job.run_id,
            self.job.stage,
            shard,
            self.job.submission,
            attempt,
        )
    }

    pub(crate) fn result(&self, attempt: u32, name: &str) -> Option<String> {
        let object = self
            .store
            .read(BUCKET, &format!("{}{name}", self.results(None, attempt)))?;
        Some(String::from_utf8(object.body).unwrap())
    }

    pub(crate) fn record(&self, attempt: u32) -> AttemptRecord {
        self.record_of(None, attempt)
    }

    pub(crate) fn record_of(&self, shard: Option<u32>, attempt: u32) -> AttemptRecord {
        let key = format!("{}attempt.json", self.results(shard, attempt));
        serde_json::from_slice(&self.store.read(BUCKET, &key).unwrap().body).unwrap()
    }

    pub(crate) fn assignment(&self, job_id: &str, attempt: u32) -> Assignment {
        Assignment {
            bucket: BUCKET.to_owned(),
            job_key: self.job_key(),
            job_id: job_id.to_owned(),
            attempt,
            array_index: None,
        }
    }

    /// Starts attempt `attempt` of job `job_id`.
    pub(crate) fn start(&self, job_id: &str, attempt: u32) -> Attempt {
        self.start_as(self.assignment(job_id, attempt))
    }

    pub(crate) fn start_as(&self, assignment: Assignment) -> Attempt {
        self.put_job();
        let (host, mut channel) = Channel::open();
        let (store, settings) = (self.store.clone(), self.settings.clone());
        let running = tokio::spawn(async move {
            let mut program = Process::new();
            work(
                &store,
                &RealWorld,
                &settings,
                &assignment,
                &mut program,
                &mut channel,
            )
            .await
        });
        Attempt { host, running }
    }

    /// Runs attempt `attempt` of the job `job` to its end.
    pub(crate) async fn run(&self, attempt: u32) -> u8 {
        self.start("job", attempt).code().await
    }

    /// Everything that a published set promises is there.
    pub(crate) fn verify(&self, published: &Published) -> Vec<String> {
        let at = |name: &str| {
            self.store
                .read(BUCKET, &format!("{}{name}", published.prefix))
                .unwrap()
                .body
        };
        let body = at("MANIFEST.json");
        assert_eq!(sha256_hex(&body), published.manifest_sha256);
        let manifest: Manifest = serde_json::from_slice(&body).unwrap();
        assert_eq!(manifest.step, published.step);
        for ManifestFile {
            path, size, sha256, ..
        } in &manifest.files
        {
            let body = at(path);
            assert_eq!(
                (body.len() as u64, sha256_hex(&body)),
                (*size, sha256.clone()),
                "{path}"
            );
        }
        manifest.files.into_iter().map(|file| file.path).collect()
    }

    /// A folder of the one attempt at work.
    pub(crate) fn own(&self, name: &str) -> Option<PathBuf> {
        let folder = self.leftovers().first()?.join(name);
        folder.is_dir().then_some(folder)
    }

    pub(crate) fn has_record(&self, attempt: u32) -> bool {
        self.result(attempt, "attempt.json").is_some()
    }

    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.settings.work_dir) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Waits for something that another process does.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(DEADLINE, waited)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
