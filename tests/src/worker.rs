//! An agent on a host, as far as the heads can tell: it comes in, publishes, and leaves a record.
//!
//! It follows `StageHead`'s rules through the same compare-and-swap as the real one, and every step is a
//! story's to order: a worker whose host Batch has given up may go on as a zombie.

use jiff::Timestamp;
use serde_json::json;
use trainspot_edge::cas::{self, Decision};
use trainspot_edge::memory::{BatchJob, MemoryEdge};
use trainspot_edge::store::Condition;
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::{AttemptOutcome, AttemptRecord};
use trainspot_shared::batch_event::ArrayRole;
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::identity::Market;
use trainspot_shared::job::JobDocument;
use trainspot_shared::layout::{self, file};
use trainspot_shared::manifest::{Manifest, ManifestFile};
use trainspot_shared::stage_head::{self, Place, Publication, Published, StageHead};

use crate::results::Results;

/// The last step of a training.
const LAST_STEP: u64 = 100;
/// The attempt of a fan-out's job in the stage's head; its children count their own.
const ATTEMPT_OF_PARENT: u32 = 1;

/// What the heads say to a worker that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Work.
    Work,
    /// The output is there: exit 0.
    Done,
    /// Exit 79.
    NotOwner,
}

/// One attempt of one job on one host.
#[derive(Debug)]
pub struct Worker {
    edge: MemoryEdge,
    bucket: String,
    /// What it was told to do.
    pub document: JobDocument,
    /// Its share of a fan-out.
    pub shard: Option<u32>,
    /// Who it is on the head.
    pub me: stage_head::Worker,
    started_at: Timestamp,
    resumed_from: Option<u64>,
    published_step: Option<u64>,
}

impl Worker {
    /// A worker for the attempt that `job` is at; reads the job's document.
    pub async fn of(edge: MemoryEdge, job: &BatchJob) -> Self {
        let address = job
            .request
            .job_document
            .strip_prefix("s3://")
            .expect("an address in S3");
        let (bucket, key) = address.split_once('/').expect("a bucket and a key");
        let fetched = edge.get(bucket, key).await.expect("the store answers");
        let fetched = fetched.expect("a job document is written before its job is submitted");
        let document: JobDocument = serde_json::from_slice(&fetched.body).expect("a job document");
        let (parent, index) = match job.seen.array {
            Some(ArrayRole::Child { index }) => (
                job.seen.id.split(':').next().unwrap_or_default(),
                Some(index),
            ),
            _ => (job.seen.id.as_str(), None),
        };
        let me = stage_head::Worker {
            submission: document.submission,
            job_id: parent.to_owned(),
            attempt: u32::try_from(job.seen.attempts.len()).unwrap_or(u32::MAX) + 1,
        };
        Self {
            started_at: edge.now(),
            bucket: bucket.to_owned(),
            shard: document.shard_of(index),
            document,
            me,
            edge,
            resumed_from: None,
            published_step: None,
        }
    }

    /// Comes in on the heads, or is turned away.
    pub async fn arrive(&mut self) -> Arrival {
        if self.shard.is_some() {
            let parent = stage_head::Worker {
                attempt: ATTEMPT_OF_PARENT,
                ..self.me.clone()
            };
            let key = layout::stage_head(&self.document.run_id, self.document.stage, None);
            let (arrival, _) = self.come_in(&key, None, &parent).await;
            if arrival != Arrival::Work {
                return arrival;
            }
        }
        let absent = self
            .shard
            .map(|_| StageHead::absent_shard(self.document.base));
        let (arrival, from) = self.come_in(&self.head_key(), absent, &self.me).await;
        self.resumed_from = from;
        arrival
    }

    /// Publishes a checkpoint, if it may.
    pub async fn publish_checkpoint(&mut self, step: u64) -> bool {
        let (run, stage) = (&self.document.run_id, self.document.stage);
        let own = layout::checkpoints(run, stage, self.shard, self.me.submission, self.me.attempt);
        let prefix = format!("{own}{step}/");
        let files = vec![("weights", json!({"step": step}))];
        let published = self.lay_down(prefix, step, files).await;
        let is_published = self.publish(Publication::Checkpoint(published)).await;
        if is_published {
            self.published_step = Some(step);
        }
        is_published
    }

    /// Writes its output and publishes it, if it may.
    pub async fn publish_output(&mut self, results: Results) -> bool {
        let files = results.files(self.document.stage, &self.document.params);
        let published = self.lay_down(self.results_prefix(), LAST_STEP, files).await;
        let is_published = self.publish(Publication::Output(published)).await;
        if is_published {
            self.published_step = Some(LAST_STEP);
        }
        is_published
    }

    /// Leaves the attempt's record, as the agent does whatever happened.
    pub async fn leave_record(&self, outcome: AttemptOutcome, exit_code: i32) {
        let is_notice = matches!(outcome, AttemptOutcome::PreemptedPublished);
        let record = AttemptRecord {
            schema: 1,
            run_id: self.document.run_id.clone(),
            stage: self.document.stage,
            shard: self.shard,
            submission: self.me.submission,
            attempt: self.me.attempt,
            job_id: self.me.job_id.clone(),
            life_cycle: Some(
                match self.document.market {
                    Market::Spot => "spot",
                    Market::OnDemand => "on-demand",
                }
                .to_owned(),
            ),
            instance_type: Some("g4dn.xlarge".to_owned()),
            instance_id: Some("i-0123456789abcdef0".to_owned()),
            availability_zone: Some("us-east-1a".to_owned()),
            started_at: self.started_at,
            program_started_at: Some(self.started_at),
            ended_at: self.edge.now(),
            outcome,
            exit_code: Some(exit_code),
            program_exit_code: Some(exit_code),
            program_signal: None,
            notice_at: is_notice.then(|| self.edge.now()),
            notice: is_notice.then(|| "spot_notice".to_owned()),
            resumed_from: self.resumed_from,
            published_step: self.published_step,
            last_step: self.published_step,
            last_rate: Some(1.0),
            fetch_s: Some(1.0),
            cold_start: std::collections::BTreeMap::new(),
            out_of_memory: false,
            failure: None,
            error: None,
            log_tail: vec![format!("exit code {exit_code}")],
        };
        let body = serde_json::to_vec(&record).expect("a record is JSON");
        self.write(&format!("{}{}", self.results_prefix(), file::ATTEMPT), body)
            .await;
    }

    fn results_prefix(&self) -> String {
        let (run, stage) = (&self.document.run_id, self.document.stage);
        layout::results(run, stage, self.shard, self.me.submission, self.me.attempt)
    }

    fn head_key(&self) -> String {
        layout::stage_head(&self.document.run_id, self.document.stage, self.shard)
    }

    async fn come_in(
        &self,
        key: &str,
        absent: Option<StageHead>,
        worker: &stage_head::Worker,
    ) -> (Arrival, Option<u64>) {
        cas::change(
            &self.edge,
            &self.edge,
            &self.bucket,
            key,
            |seen: Option<&StageHead>, write_id| {
                let Some(head) = seen.cloned().or_else(|| absent.clone()) else {
                    return Decision::Leave((Arrival::NotOwner, None));
                };
                let from = head
                    .latest_checkpoint
                    .as_ref()
                    .map(|checkpoint| checkpoint.step);
                match head.place_for(worker, write_id) {
                    Place::Work(next) => Decision::Write(Box::new(next), (Arrival::Work, from)),
                    Place::Done => Decision::Leave((Arrival::Done, from)),
                    Place::NotOwner(_) => Decision::Leave((Arrival::NotOwner, from)),
                }
            },
        )
        .await
        .expect("the head can be changed")
    }

    async fn publish(&self, publication: Publication) -> bool {
        let key = self.head_key();
        cas::change(
            &self.edge,
            &self.edge,
            &self.bucket,
            &key,
            |seen: Option<&StageHead>, write_id| {
                let next = seen.map(|head| head.publish(&self.me, publication.clone(), write_id));
                match next {
                    Some(Ok(next)) => Decision::Write(Box::new(next), true),
                    _ => Decision::Leave(false),
                }
            },
        )
        .await
        .expect("the head can be changed")
    }

    async fn lay_down(
        &self,
        prefix: String,
        step: u64,
        files: Vec<(&'static str, serde_json::Value)>,
    ) -> Published {
        let mut listed = Vec::new();
        for (name, content) in files {
            let body = serde_json::to_vec(&content).expect("a value is JSON");
            listed.push(ManifestFile {
                path: name.to_owned(),
                size: body.len() as u64,
                sha256: sha256_hex(&body),
                crc32: Vec::new(),
            });
            self.write(&format!("{prefix}{name}"), body).await;
        }
        let manifest = serde_json::to_vec(&Manifest::of(step, listed)).expect("a manifest is JSON");
        let manifest_sha256 = sha256_hex(&manifest);
        self.write(&format!("{prefix}{}", file::MANIFEST), manifest)
            .await;
        Published {
            prefix,
            manifest_sha256,
            step,
            submission: self.me.submission,
            attempt: self.me.attempt,
            at: self.edge.now(),
        }
    }

    async fn write(&self, key: &str, body: Vec<u8>) {
        let put = self
            .edge
            .put(&self.bucket, key, body, Condition::Always)
            .await;
        put.expect("the store takes it");
    }
}
