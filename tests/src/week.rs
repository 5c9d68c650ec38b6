//! A world with one pipeline, and what lies around the functions in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use trainspot_edge::Store;
use trainspot_edge::drive::{DriveError, drive};
use trainspot_edge::memory::{AttemptEnd, BatchJob, CallKind, MemoryBatch, MemoryEdge};
use trainspot_edge::settings::Settings;
use trainspot_edge::store::Condition;
use trainspot_shared::attempt::AttemptOutcome;
use trainspot_shared::batch_event::{ArrayRole, JobStatus};
use trainspot_shared::champion::Champion;
use trainspot_shared::identity::{PipelineName, RunId, Stage};
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::{End, Observation, Platform, Run};
use trainspot_shared::schedule::Schedules;
use trainspot_shared::stage_head::{Published, StageHead};

use crate::deed::Deed;
use crate::results::Results;
use crate::spec::Spec;
use crate::turns::{Ended, run};
use crate::waking::{Wake, answer};
use crate::worker::{Arrival, Worker};

const DATA: &str = "trainspot-data";
const RESULTS: &str = "trainspot-results";
const QUEUE: &str = "arn:aws:batch:us-east-1:123456789012:job-queue/";
const DEFINITION: &str = "arn:aws:batch:us-east-1:123456789012:job-definition/";
/// How often supervision comes by.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// More rounds than any week needs: one that goes on for ever fails its story.
const ROUNDS_MAX: usize = 2_000;
/// Lambda tries an event that failed twice more.
const TRIES: usize = 3;

/// A moment, from text such as `2026-11-23T02:00:00Z`.
pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a story's times are valid")
}

/// So many minutes.
pub fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// The world.
pub struct Week {
    /// The services.
    pub edge: MemoryEdge,
    /// The functions' settings.
    pub settings: Settings,
    /// The one pipeline.
    pub pipeline: PipelineName,
    /// What the programs write.
    pub results: Results,
    scripts: BTreeMap<(Stage, Option<u32>), VecDeque<Deed>>,
    invoked: u32,
    next_sweep: Timestamp,
    retries: Vec<(Wake, usize)>,
    ends: BTreeMap<RunId, End>,
    outputs: BTreeMap<String, Published>,
    watched: BTreeMap<String, String>,
}

impl Week {
    /// Sunday night before Monday's tick, with the pipeline pushed and data in place.
    pub fn new(spec: &Spec) -> Self {
        Self::seeded(spec, 1)
    }

    /// The same with other chances and ids.
    pub fn seeded(spec: &Spec, seed: u64) -> Self {
        let begins_at = at("2026-11-23T00:00:00Z");
        let edge = MemoryEdge::new(seed, begins_at);
        let arn = |name: &str| format!("{QUEUE}trainspot-{name}");
        let settings = Settings {
            data_bucket: DATA.to_owned(),
            results_bucket: RESULTS.to_owned(),
            topic_arn: "arn:aws:sns:us-east-1:123456789012:trainspot".to_owned(),
            platform: Platform {
                spot_queue: arn("gpu-spot"),
                on_demand_queue: arn("gpu-on-demand"),
                post_processing_queue: arn("post-processing"),
                train_definition: format!("{DEFINITION}trainspot-gpu:3"),
                post_processing_definition: format!("{DEFINITION}trainspot-post:3"),
                image: "trainspot-trainer@sha256:00".to_owned(),
                post_processing_image: "trainspot-trainer@sha256:00".to_owned(),
                results_bucket: RESULTS.to_owned(),
                gpu_instance_types: vec!["g4dn.xlarge".to_owned()],
                cpu_instance_types: vec!["m6i.large".to_owned()],
            },
            schedules: Schedules::parse(
                r#"{"recommender":{"expression":"cron(0 2 ? * MON,FRI *)","time_zone":"UTC"}}"#,
            )
            .expect("the schedule is valid"),
            function_timeout: std::time::Duration::from_mins(1),
            metrics_namespace: Some("trainspot/stories".to_owned()),
            planted: trainspot_edge::planted::Planted::None,
        };
        let pipeline: PipelineName = "recommender".parse().expect("a valid name");
        let mut week = Self {
            edge,
            settings,
            results: Results::default(),
            scripts: BTreeMap::new(),
            invoked: 0,
            next_sweep: begins_at + SWEEP_EVERY,
            retries: Vec::new(),
            ends: BTreeMap::new(),
            outputs: BTreeMap::new(),
            watched: BTreeMap::new(),
            pipeline,
        };
        week.push(&spec.to_string());
        let head = PipelineHead::first(week.pipeline.clone(), begins_at, "pushed".to_owned());
        week.write_head(&head);
        week.new_data("first");
        week
    }

    // ---- what lies in the buckets

    /// Writes the dataset anew.
    pub fn new_data(&mut self, content: &str) {
        self.write(DATA, "interactions/part-0.parquet", content.as_bytes());
    }

    /// Writes the marker that a pipeline with `wait_for` waits for.
    pub fn data_is_ready(&mut self) {
        self.write(DATA, "interactions/_READY", b"");
    }

    /// Writes the pipeline's spec anew, as `trainspot push` of some version does.
    pub fn push(&mut self, spec: &str) {
        let key = layout::pipeline_spec(&self.pipeline);
        self.write(RESULTS, &key, spec.as_bytes());
    }

    /// Replaces the pipeline's head, as the cli's pause and push do.
    pub fn change_head(&mut self, change: impl FnOnce(&mut PipelineHead)) {
        let mut head = self.head();
        change(&mut head);
        head.version += 1;
        head.write_id = format!("by hand {}", head.version);
        self.write_head(&head);
    }

    /// Changes a document of the results bucket by hand, as a newer version of trainspot would write it.
    pub fn rewrite(&mut self, key: &str, change: impl FnOnce(&mut Value)) {
        let mut document: Value = self.read(key).expect("the document is there");
        change(&mut document);
        let body = serde_json::to_vec(&document).expect("JSON");
        self.write(RESULTS, key, &body);
    }

    /// Removes the pipeline's spec, as whoever ends a pipeline does; its schedule is gone before.
    pub fn remove_pipeline(&mut self) {
        self.settings.schedules = Schedules::default();
        let key = layout::pipeline_spec(&self.pipeline);
        self.edge.objects().remove(RESULTS, &key);
    }

    /// Removes a run's ledger, as if a kill had come before it was made.
    pub fn remove_ledger(&mut self, run: &RunId) {
        self.edge.objects().remove(RESULTS, &layout::ledger(run));
        self.watched.remove(&layout::ledger(run));
    }

    /// A document of the results bucket as it lies there.
    pub fn document(&self, key: &str) -> Value {
        self.read(key).expect("the document is there")
    }

    fn write_head(&mut self, head: &PipelineHead) {
        let body = serde_json::to_vec(head).expect("a head is JSON");
        self.write(RESULTS, &layout::pipeline_head(&self.pipeline), &body);
    }

    fn write(&mut self, bucket: &str, key: &str, body: &[u8]) {
        let store = self.edge.objects();
        let put = store.put(bucket, key, body.to_vec(), Condition::Always);
        let Ended::Answered(put) = run(&self.edge, put) else {
            panic!("nobody kills a story")
        };
        put.expect("a store in memory takes everything");
    }

    fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        let get = self.edge.objects().get(RESULTS, key);
        let Ended::Answered(fetched) = run(&self.edge, get) else {
            panic!("nobody kills a story")
        };
        let fetched = fetched.expect("a store in memory answers")?;
        Some(serde_json::from_slice(&fetched.body).expect("a document is what its key promises"))
    }

    /// The pipeline's head.
    pub fn head(&self) -> PipelineHead {
        self.read(&layout::pipeline_head(&self.pipeline))
            .expect("the pipeline was pushed")
    }

    /// The run of a tick such as `20261123T0200Z`.
    pub fn run_of(&self, tick: &str) -> RunId {
        format!("{}-{tick}", self.pipeline)
            .parse()
            .expect("a story's ticks are valid")
    }

    /// A ledger.
    pub fn ledger(&self, run: &RunId) -> Option<Run> {
        self.read(&layout::ledger(run))
    }

    /// Every ledger, by run.
    pub fn ledgers(&self) -> Vec<Run> {
        let keys = self.edge.objects().keys(RESULTS);
        keys.iter()
            .filter(|key| key.ends_with("/run.json"))
            .filter_map(|key| self.read(key))
            .collect()
    }

    /// How many ledgers there are.
    pub fn n_ledgers(&self) -> usize {
        let keys = self.edge.objects().keys(RESULTS);
        keys.iter().filter(|key| key.ends_with("/run.json")).count()
    }

    /// The end of a run, in one word, or where it stands.
    pub fn end_of(&self, run: &RunId) -> String {
        self.ledger(run).map_or_else(
            || "no ledger".to_owned(),
            |ledger| {
                ledger.end.as_ref().map_or_else(
                    || format!("{:?}", ledger.phase),
                    |end| match end {
                        End::Failed { class, .. } => format!("failed({class})"),
                        other => other.as_str().to_owned(),
                    },
                )
            },
        )
    }

    /// A stage's head, or a shard's.
    pub fn stage_head(&self, run: &RunId, stage: Stage, shard: Option<u32>) -> Option<StageHead> {
        self.read(&layout::stage_head(run, stage, shard))
    }

    /// The champion.
    pub fn champion(&self) -> Option<Champion> {
        self.read(&layout::champion(&self.pipeline))
    }

    /// Whether an object is in the results bucket.
    pub fn has_object(&self, key: &str) -> bool {
        self.edge
            .objects()
            .keys(RESULTS)
            .iter()
            .any(|there| there == key)
    }

    /// Ids of what SNS took, in order.
    pub fn told(&self) -> Vec<String> {
        self.edge
            .told()
            .into_iter()
            .map(|notice| notice.id)
            .collect()
    }

    // ---- waking the functions

    /// A payload for a tick.
    pub fn tick_payload(&self, time: &str) -> Wake {
        Wake::Request(json!({"pipeline": self.pipeline, "tick": time}))
    }

    /// The next invocation's sight of the world.
    pub fn caller(&mut self, wake: &Wake, skew: SignedDuration) -> MemoryEdge {
        self.invoked += 1;
        let name = format!("{}/{:08x}", wake.door().unwrap_or("nobody"), self.invoked);
        self.edge.caller(&name, skew)
    }

    /// Wakes a function and waits for it. `None`: killed. An event that no rule takes wakes nobody.
    pub fn wake(&mut self, wake: &Wake) -> Option<Result<Value, String>> {
        if wake.door().is_none() {
            return Some(Ok(Value::Null));
        }
        let edge = self.caller(wake, SignedDuration::ZERO);
        let settings = self.settings.clone();
        let ended = run(&edge, answer(&edge, &settings, wake));
        self.watch();
        match ended {
            Ended::Answered(answer) => Some(answer),
            Ended::Killed => None,
        }
    }

    /// As [`Week::wake`], and once more for each failure, as Lambda does: later, and twice at most.
    pub fn deliver(&mut self, wake: &Wake) {
        self.deliver_try(wake, 1);
    }

    fn deliver_try(&mut self, wake: &Wake, nth: usize) {
        let is_done = matches!(self.wake(wake), Some(Ok(_)));
        if !is_done && nth < TRIES {
            self.retries.push((wake.clone(), nth + 1));
        }
    }

    /// The tick comes at its time.
    pub fn tick(&mut self, time: &str) -> Option<Result<Value, String>> {
        let due = at(time);
        let until = due.duration_since(self.edge_now());
        if until.is_positive() {
            self.edge.advance(until);
        }
        let payload = self.tick_payload(time);
        self.wake(&payload)
    }

    /// Time passes and supervision comes by.
    pub fn sweep(&mut self) -> Option<Result<Value, String>> {
        let until = self.next_sweep.duration_since(self.edge_now());
        if until.is_positive() {
            self.edge.advance(until);
        }
        self.next_sweep = self.edge_now() + SWEEP_EVERY;
        self.wake(&Wake::Sweep)
    }

    /// Supervision comes by often enough for everything to settle that only time keeps.
    pub fn sweep_for(&mut self, time: SignedDuration) {
        let until = self.edge_now() + time;
        while self.edge_now() < until {
            self.sweep();
        }
    }

    /// A person ends a run, as the cli does.
    pub fn cancel(&mut self, run_id: &RunId) -> Result<Run, DriveError> {
        let edge = self.edge.caller("cli", SignedDuration::ZERO);
        let because = "no longer wanted".to_owned();
        let seen = vec![Observation::Cancel { because }];
        let settings = self.settings.clone();
        let Ended::Answered(answer) = run(&edge, drive(&edge, &settings, run_id, seen, "cli"))
        else {
            panic!("nobody kills the cli");
        };
        self.watch();
        answer
    }

    /// What Batch emitted since the last time; it is the story's now.
    pub fn take_events(&mut self) -> Vec<Wake> {
        self.edge
            .batch(MemoryBatch::take_events)
            .into_iter()
            .map(Wake::Event)
            .collect()
    }

    /// Everything on its way arrives, in order, until nothing is.
    pub fn deliver_all(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let retries = std::mem::take(&mut self.retries);
            let events = self.take_events();
            if retries.is_empty() && events.is_empty() {
                return;
            }
            for event in events {
                self.deliver(&event);
            }
            if !retries.is_empty() {
                self.edge.advance(minutes(1));
            }
            for (wake, nth) in retries {
                self.deliver_try(&wake, nth);
            }
        }
        panic!("events make events without end");
    }

    /// The current time.
    pub fn edge_now(&self) -> Timestamp {
        use trainspot_edge::World as _;
        self.edge.now()
    }

    // ---- the hosts

    /// What happens to the next attempts at a stage, in order; afterwards they finish.
    pub fn script(&mut self, stage: Stage, deeds: impl IntoIterator<Item = Deed>) {
        self.scripts.entry((stage, None)).or_default().extend(deeds);
    }

    /// The same for one shard.
    pub fn script_shard(&mut self, shard: u32, deeds: impl IntoIterator<Item = Deed>) {
        self.scripts
            .entry((Stage::Recommend, Some(shard)))
            .or_default()
            .extend(deeds);
    }

    /// Every job that was ever submitted, without array children.
    pub fn jobs(&self) -> Vec<BatchJob> {
        self.edge.batch(|batch| {
            let is_own = |job: &&BatchJob| !matches!(job.seen.array, Some(ArrayRole::Child { .. }));
            batch.jobs().filter(is_own).cloned().collect()
        })
    }

    /// Names of [`Week::jobs`], with their states.
    pub fn job_list(&self) -> Vec<String> {
        let name = |job: &BatchJob| {
            let (_, stage) = job.seen.name.rsplit_once("--").unwrap_or_default();
            format!(
                "{stage} {:?} in {}",
                job.seen.status,
                job.seen.queue.trim_start_matches(QUEUE)
            )
        };
        self.jobs().iter().map(name).collect()
    }

    /// Jobs and children that wait for a host.
    pub fn runnable(&self) -> Vec<String> {
        self.edge.batch(|batch| {
            let waits = |job: &&BatchJob| job.seen.status == JobStatus::Runnable;
            batch
                .jobs()
                .filter(waits)
                .map(|job| job.seen.id.clone())
                .collect()
        })
    }

    /// A host takes the job, and an agent starts on it.
    pub fn start(&mut self, id: &str) -> Worker {
        self.edge.batch(|batch| batch.start(id));
        let job = self
            .edge
            .batch(|batch| batch.job(id).cloned())
            .expect("the job is there");
        let sight = self
            .edge
            .caller(&format!("agent/{id}"), SignedDuration::ZERO);
        let Ended::Answered(worker) = run(&sight, Worker::of(sight.clone(), &job)) else {
            panic!("an agent's calls are not killed");
        };
        worker
    }

    /// The agent comes in.
    pub fn arrive(&mut self, worker: &mut Worker) -> Arrival {
        self.finished(worker.arrive())
    }

    /// The agent publishes its output. `true` if it counts.
    pub fn publish(&mut self, worker: &mut Worker) -> bool {
        let results = self.results;
        self.finished(worker.publish_output(results))
    }

    /// The attempt ends, for Batch.
    pub fn end(&mut self, id: &str, end: &AttemptEnd) {
        self.edge.batch(|batch| batch.end(id, end));
    }

    fn finished<T>(&mut self, work: impl Future<Output = T>) -> T {
        let Ended::Answered(answer) = run(&self.edge, work) else {
            panic!("an agent's calls are not killed");
        };
        self.watch();
        answer
    }

    /// One attempt of one job, as the script has it.
    pub fn work(&mut self, id: &str) {
        let mut worker = self.start(id);
        match self.arrive(&mut worker) {
            Arrival::NotOwner => {
                self.finished(worker.leave_record(AttemptOutcome::NotOwner, 79));
                return self.end(id, &AttemptEnd::exit(79));
            }
            Arrival::Done => {
                self.finished(worker.leave_record(AttemptOutcome::AlreadyDone, 0));
                return self.end(id, &AttemptEnd::exit(0));
            }
            Arrival::Work => {}
        }
        let place = (worker.document.stage, worker.shard);
        let deed = self.scripts.get_mut(&place).and_then(VecDeque::pop_front);
        self.edge.advance(minutes(10));
        match deed.unwrap_or(Deed::Finish) {
            Deed::Finish => self.finish(id, &mut worker, &AttemptEnd::exit(0)),
            Deed::FinishesThen(end) => self.finish(id, &mut worker, &end),
            Deed::Reclaimed { step } => {
                let end = if self.finished(worker.publish_checkpoint(step)) {
                    75
                } else {
                    79
                };
                self.finished(worker.leave_record(AttemptOutcome::PreemptedPublished, end));
                self.end(id, &AttemptEnd::exit(end));
            }
            Deed::LosesHost => self.end(id, &AttemptEnd::host_lost()),
            Deed::Ends(end) => {
                let code = end.exit_code.unwrap_or(1);
                self.finished(worker.leave_record(AttemptOutcome::Failed, code));
                self.end(id, &end);
            }
            Deed::ComesBackEmptyHanded => self.end(id, &AttemptEnd::exit(0)),
            Deed::Stays => {}
        }
    }

    fn finish(&mut self, id: &str, worker: &mut Worker, end: &AttemptEnd) {
        if self.publish(worker) {
            self.finished(worker.leave_record(AttemptOutcome::Done, end.exit_code.unwrap_or(0)));
            self.end(id, end);
        } else {
            self.finished(worker.leave_record(AttemptOutcome::NotOwner, 79));
            self.end(id, &AttemptEnd::exit(79));
        }
    }

    /// Everything that can go on goes on, events in order, hosts at once, until nothing is left to do.
    pub fn to_the_end(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.deliver_all();
            let runnable = self.runnable();
            for id in &runnable {
                self.work(id);
            }
            if runnable.is_empty() && self.n_ledgers() > 0 && self.head().entries.is_empty() {
                return;
            }
            if runnable.is_empty() {
                self.sweep();
            }
        }
        panic!("the week goes on for ever:\n{}", self.tell_all());
    }

    // ---- what must hold whatever happens

    /// Final is final, and an output never changes once it is published. Looked at after every move,
    /// in every document that the move changed.
    pub fn watch(&mut self) {
        let list = self.edge.objects().list(RESULTS, "state/");
        let Ended::Answered(Ok(objects)) = run(&self.edge, list) else {
            panic!("a store answers")
        };
        for object in objects {
            if self.watched.get(&object.key) == Some(&object.etag) {
                continue;
            }
            if object.key.ends_with("/run.json") {
                self.watch_ledger(&object.key);
            } else if object.key.ends_with("/head.json") {
                self.watch_head(&object.key);
            }
            self.watched.insert(object.key, object.etag);
        }
    }

    fn watch_ledger(&mut self, key: &str) {
        let Some(ledger) = self.read::<Run>(key) else {
            return;
        };
        if let Some(end) = ledger.end {
            let known = self
                .ends
                .entry(ledger.id.clone())
                .or_insert_with(|| end.clone());
            assert_eq!(*known, end, "{} ended twice", ledger.id);
        } else {
            assert!(
                !self.ends.contains_key(&ledger.id),
                "{} came back to life",
                ledger.id
            );
        }
    }

    fn watch_head(&mut self, key: &str) {
        let head = self.read::<Value>(key).unwrap_or_default();
        let output = head.get("output").cloned();
        let Some(output) =
            output.and_then(|output| serde_json::from_value::<Published>(output).ok())
        else {
            assert!(!self.outputs.contains_key(key), "{key} lost its output");
            return;
        };
        let known = self
            .outputs
            .entry(key.to_owned())
            .or_insert_with(|| output.clone());
        assert_eq!(*known, output, "{key} was published twice");
    }

    /// Every run came to its end, was told of, and left nothing behind.
    pub fn assert_all_ended_and_told(&self) {
        assert_eq!(self.head().entries, [], "entries are left");
        let told: BTreeSet<String> = self.told().into_iter().collect();
        for ledger in self.ledgers() {
            let end = ledger
                .end
                .as_ref()
                .unwrap_or_else(|| panic!("{} did not end", ledger.id));
            let id = format!("{}/{}", ledger.id, end.as_str());
            let is_refused = ledger
                .notices
                .iter()
                .any(|n| n.id == id && n.undeliverable.is_some());
            assert!(
                told.contains(&id) || is_refused,
                "nobody was told {id}; told: {told:?}"
            );
            assert!(ledger.is_settled(), "{} is not settled", ledger.id);
        }
        for job in self.jobs() {
            assert!(
                job.seen.status.is_terminal(),
                "{} is still {:?}",
                job.seen.name,
                job.seen.status
            );
        }
    }

    /// How many calls of a kind there were by functions whose name begins so.
    pub fn count(&self, kind: CallKind, what_contains: &str) -> usize {
        let is_it = |call: &&trainspot_edge::memory::Call| {
            call.kind == kind && call.what.contains(what_contains) && !call.by.starts_with("agent")
        };
        self.edge.calls().iter().filter(is_it).count()
    }
}
