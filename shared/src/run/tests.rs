//! A run's life as tables, and its invariants as properties.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::batch_event::{ArrayRole, AttemptSeen, JobSeen, JobStatus};
use crate::champion::Champion;
use crate::gate::GateResult;
use crate::host_shape::Wants;
use crate::identity::JobName;
use crate::job::Pinned;
use crate::metrics::Metrics;
use crate::stage_head::{Owner, Published, StageHead};

const SPEC: &str = r#"
name = "recommender"
[data]
prefix = "interactions/"
skip_if_unchanged = true
[train]
program = ["train"]
memory_gib = 4
max_memory_gib = 8
[evaluate]
program = ["evaluate"]
[recommend]
program = ["recommend"]
shards = 4
params = { top_k = 50 }
"#;

fn platform() -> Platform {
    Platform {
        spot_queue: "spot".to_owned(),
        on_demand_queue: "on-demand".to_owned(),
        post_processing_queue: "post".to_owned(),
        train_definition: "train:1".to_owned(),
        post_processing_definition: "post:1".to_owned(),
        image: "image@sha256:00".to_owned(),
        post_processing_image: "image@sha256:00".to_owned(),
        results_bucket: "results".to_owned(),
        gpu_instance_types: vec!["g4dn.xlarge".to_owned(), "g5.xlarge".to_owned()],
        cpu_instance_types: vec!["m6i.large".to_owned()],
    }
}

fn start() -> Timestamp {
    "2026-11-23T02:00:05Z".parse().expect("a valid time")
}

fn dataset() -> PinnedDataset {
    PinnedDataset {
        document: Pinned {
            key: "d".to_owned(),
            sha256: "00".to_owned(),
        },
        objects: 1,
        size_bytes: 10,
        fingerprint: "f1".to_owned(),
        ready_at: None,
    }
}

/// The dataset as it was pinned; the last success saw another one.
fn pinned(dataset: PinnedDataset) -> Observation {
    Observation::Data(DataSeen::Pinned {
        dataset,
        last_success: Some("f0".to_owned()),
    })
}

/// A ledger under test, with the actions that each fact led to.
struct Story {
    run: Run,
}

impl Story {
    fn new() -> Self {
        Self::of(SPEC)
    }

    fn of(spec_text: &str) -> Self {
        let new = NewRun {
            id: "recommender-20261123T0200Z".parse().expect("a valid id"),
            origin: Origin::Tick,
            created_by: "submit-training/1".to_owned(),
            created_at: start(),
            spec_text,
            write_id: "w".to_owned(),
        };
        Self {
            run: Run::new(new, Phase::WaitingForData, None).expect("a valid spec"),
        }
    }

    /// Applies a fact, holds what follows, and says it in words.
    fn see(&mut self, observation: &Observation) -> Vec<String> {
        let actions = self
            .run
            .apply(observation, &platform(), start())
            .expect("a valid spec");
        let told = actions
            .iter()
            .map(|action| action.id(&self.run.id))
            .collect();
        self.run.hold(actions);
        told
    }

    /// Carries the first pending action out with this outcome.
    fn carry(&mut self, outcome: Outcome) -> Vec<String> {
        let lease = SignedDuration::from_secs(180);
        let claimed = self.run.claim("n", "f", start(), lease);
        let id = claimed.first().expect("something is pending").id.clone();
        self.see(&Observation::Carried {
            id,
            nonce: "n".to_owned(),
            outcome,
        })
    }

    fn job(
        &self,
        stage: Stage,
        n: u32,
        status: JobStatus,
        attempt: Option<AttemptSeen>,
    ) -> Observation {
        let name = JobName {
            run: self.run.id.clone(),
            stage,
            submission: n,
        };
        Observation::Job(Box::new(JobSeen {
            id: format!("job-{stage}-{n}"),
            name: name.to_string(),
            queue: "spot".to_owned(),
            status,
            status_reason: attempt.as_ref().and_then(|a| a.status_reason.clone()),
            attempts: attempt.into_iter().collect(),
            created_at_ms: None,
            started_at_ms: None,
            stopped_at_ms: None,
            is_terminated: false,
            is_cancelled: false,
            array: None,
        }))
    }

    /// The stage's current job was submitted and then failed so.
    fn fails(&mut self, n: u32, attempt: AttemptSeen) -> Vec<String> {
        self.carry(Outcome::Submitted {
            job_id: format!("job-train-{n}"),
        });
        let failed = self.job(Stage::Train, n, JobStatus::Failed, Some(attempt));
        self.see(&failed);
        self.see(&ended(Stage::Train, n, None))
    }

    /// The stage was submitted, and published its output.
    fn succeeds(&mut self, stage: Stage, end: impl FnOnce(&mut StageEnd)) -> Vec<String> {
        self.carry(Outcome::Submitted {
            job_id: format!("job-{stage}-1"),
        });
        let succeeded = self.job(stage, 1, JobStatus::Succeeded, Some(exit(0)));
        self.see(&succeeded);
        let mut ended = stage_end(stage, 1, Some(output(stage)));
        end(&mut ended);
        self.see(&Observation::StageEnded(Box::new(ended)))
    }
}

fn exit(code: i32) -> AttemptSeen {
    AttemptSeen {
        exit_code: Some(code),
        status_reason: Some("Essential container in task exited".to_owned()),
        ..AttemptSeen::default()
    }
}

fn host_lost() -> AttemptSeen {
    AttemptSeen {
        status_reason: Some("Host EC2 (instance i-0123456789abcdef0) terminated.".to_owned()),
        ..AttemptSeen::default()
    }
}

impl Story {
    /// What the submission that is about to be made finds under `TRAINSPOT_INPUT_DIR`.
    fn inputs_of_the_pending(&self) -> Vec<String> {
        let Some(Action::Submit(submit)) = self.run.pending.first().map(|p| &p.action) else {
            panic!("a submission is pending, not {:?}", self.run.pending)
        };
        let inputs = submit.document.inputs.iter();
        inputs
            .map(|input| format!("{}: {}", input.name, input.prefix))
            .collect()
    }
}

fn output(stage: Stage) -> Published {
    Published {
        prefix: format!("results/{stage}/"),
        manifest_sha256: "00".to_owned(),
        step: 100,
        submission: 1,
        attempt: 1,
        at: start(),
    }
}

fn stage_end(stage: Stage, n: u32, output: Option<Published>) -> StageEnd {
    let mut head = StageHead::first(1, "w".to_owned());
    head.owner = Owner {
        submission: n,
        job_id: Some(format!("job-{stage}-{n}")),
        attempt: Some(1),
    };
    head.output = output;
    StageEnd {
        stage,
        head: Some(head),
        missing_shards: None,
        record: None,
        child_verdict: None,
        metrics: None,
        champion: None,
        is_verified: None,
    }
}

fn ended(stage: Stage, n: u32, output: Option<Published>) -> Observation {
    Observation::StageEnded(Box::new(stage_end(stage, n, output)))
}

fn metrics() -> Metrics {
    serde_json::from_value(json!({
        "schema": 1, "gate_protocol": "p2_rolling", "best": "sequential-rules",
        "protocols": {"p2_rolling": {"users": 301, "candidates": {
            "sequential-rules": {"ndcg_at_10": {"mean": 0.113}}}}},
    }))
    .expect("well-formed metrics")
}

fn to_training() -> Story {
    let mut story = Story::new();
    let told = story.see(&pinned(dataset()));
    assert_eq!(told, ["submit recommender-20261123T0200Z--train-1"]);
    story
}

#[test]
fn a_tick_becomes_a_champion() {
    let mut story = to_training();
    let mut told = story.succeeds(Stage::Train, |_| {});
    told.extend(story.succeeds(Stage::Evaluate, |end| end.metrics = Some(Ok(metrics()))));
    assert_eq!(
        story.inputs_of_the_pending(),
        ["train: results/train/", "evaluate: results/evaluate/"],
        "what evaluate fitted to serve is there for every shard"
    );
    story.carry(Outcome::Submitted {
        job_id: "job-recommend-1".to_owned(),
    });
    let children_done = story.job(Stage::Recommend, 1, JobStatus::Succeeded, None);
    story.see(&children_done);
    told.extend(story.see(&ended(Stage::Recommend, 1, None)));
    told.extend(story.carry(Outcome::Published(output(Stage::Recommend))));
    let gathered = story
        .run
        .pending
        .iter()
        .find_map(|pending| match &pending.action {
            Action::Submit(submit) => Some(submit.document.clone()),
            _ => None,
        });
    let gathered = gathered.expect("gather is submitted");
    assert_eq!(
        gathered.params["top_k"], 50,
        "recommend's params hold for gather too"
    );
    assert_eq!(gathered.inputs[0].shards, Some(4));
    told.extend(story.succeeds(Stage::Gather, |end| end.is_verified = Some(true)));
    story.carry(Outcome::Promoted);
    told.extend(story.see(&Observation::Records(Vec::new())));

    insta::assert_snapshot!(told.join("\n"), @r"
    submit recommender-20261123T0200Z--evaluate-1
    submit recommender-20261123T0200Z--recommend-1
    publish recommend 1
    submit recommender-20261123T0200Z--gather-1
    promote
    report
    notify recommender-20261123T0200Z/succeeded
    record recommender-20261123T0200Z
    ");
    assert_eq!(story.run.end, Some(End::Succeeded));
}

/// With `shards = "auto"`: how many children are asked for, and what the history says of it.
fn fans_out(estimate: &serde_json::Value) -> (Option<u32>, Option<u32>, String) {
    let mut story = Story::of(&SPEC.replace("shards = 4", "shards = \"auto\""));
    story.see(&pinned(dataset()));
    story.succeeds(Stage::Train, |_| {});
    let mut metrics = metrics();
    metrics.fan_out = serde_json::from_value(estimate.clone()).expect("well-formed");
    story.succeeds(Stage::Evaluate, |end| end.metrics = Some(Ok(metrics)));
    let submit = story
        .run
        .pending
        .iter()
        .find_map(|pending| match &pending.action {
            Action::Submit(submit) => Some(submit.clone()),
            _ => None,
        });
    let submit = submit.expect("recommend is submitted");
    let said = story
        .run
        .history
        .iter()
        .find(|line| line.what.starts_with("recommend: "));
    let said = said.map(|line| line.what.clone()).expect("it says why");
    (submit.document.shards, submit.array_size, said)
}

#[test]
fn shards_are_as_many_as_the_estimate_of_the_serving_candidate_asks_for() {
    let estimate = json!({
        "users": 1_000_000, "items": 100_000,
        "core_s": {"network": 24_000.0, "sequential-rules": 960.0},
    });

    assert_eq!(
        fans_out(&estimate),
        (
            Some(4),
            Some(4),
            "recommend: 4 shards: about 4.0 min each, for 1000000 users by 100000 items".to_owned()
        )
    );
}

#[test]
fn one_shard_is_a_plain_job() {
    let small = json!({"users": 943, "items": 1682, "core_s": {"sequential-rules": 0.5}});

    assert_eq!(
        fans_out(&small),
        (
            Some(1),
            None,
            "recommend: 1 shard: about 0 s each, for 943 users by 1682 items".to_owned()
        )
    );
    assert_eq!(
        fans_out(&json!(null)),
        (
            Some(1),
            None,
            "recommend: 1 shard: evaluate estimated no cost: one for each 32 MiB of the dataset"
                .to_owned()
        )
    );
}

#[test]
fn unchanged_data_is_a_receipt() {
    let mut story = Story::new();
    let unchanged = PinnedDataset {
        fingerprint: "f0".to_owned(),
        ..dataset()
    };

    let told = story.see(&pinned(unchanged));

    assert_eq!(told, Vec::<String>::new());
    assert!(matches!(story.run.end, Some(End::Skipped { .. })));
    assert!(story.run.stages.is_empty());
}

#[test]
fn a_bug_is_closed_before_it_is_recorded_and_is_not_tried_again() {
    let mut story = to_training();

    let told = story.fails(1, exit(70));

    assert_eq!(told, ["close train"]);
    assert_eq!((story.run.phase, &story.run.end), (Phase::Closing, &None));
    story.carry(Outcome::Closed);
    assert!(matches!(
        &story.run.end,
        Some(End::Failed {
            class: Class::Bug,
            ..
        })
    ));
}

#[test]
fn a_lost_host_after_all_attempts_moves_to_on_demand_and_tells() {
    let mut story = to_training();

    let told = story.fails(1, host_lost());

    assert_eq!(told[0], "submit recommender-20261123T0200Z--train-2");
    assert!(
        told[1].starts_with("notify recommender-20261123T0200Z/moved"),
        "{told:?}"
    );
    assert_eq!(
        story.run.stages[&Stage::Train].submissions[1].queue,
        "on-demand"
    );
}

#[test]
fn a_failed_job_with_complete_output_is_a_success() {
    let mut story = to_training();
    story.carry(Outcome::Submitted {
        job_id: "job-train-1".to_owned(),
    });
    let failed = story.job(Stage::Train, 1, JobStatus::Failed, Some(host_lost()));
    story.see(&failed);

    let told = story.see(&ended(Stage::Train, 1, Some(output(Stage::Train))));

    assert_eq!(told, ["submit recommender-20261123T0200Z--evaluate-1"]);
}

#[test]
fn success_without_output_is_tried_once_more_and_no_oftener() {
    let mut story = to_training();
    let succeed = |story: &mut Story, n: u32| {
        story.carry(Outcome::Submitted {
            job_id: format!("job-train-{n}"),
        });
        let done = story.job(Stage::Train, n, JobStatus::Succeeded, Some(exit(0)));
        story.see(&done);
        story.see(&ended(Stage::Train, n, None))
    };

    assert_eq!(
        succeed(&mut story, 1),
        ["submit recommender-20261123T0200Z--train-2"]
    );
    assert_eq!(succeed(&mut story, 2), ["close train"]);
}

#[test]
fn the_job_that_owns_the_head_is_waited_for_when_its_twin_ends() {
    let mut story = to_training();
    story.carry(Outcome::Submitted {
        job_id: "job-train-1".to_owned(),
    });
    let twin_ends = story.job(Stage::Train, 1, JobStatus::Failed, Some(exit(79)));
    story.see(&twin_ends);
    let mut end = stage_end(Stage::Train, 1, None);
    if let Some(head) = &mut end.head {
        head.owner.job_id = Some("job-other".to_owned());
    }

    let told = story.see(&Observation::StageEnded(Box::new(end)));

    assert_eq!(told, Vec::<String>::new());
    let current = story.run.stages[&Stage::Train]
        .current()
        .expect("submitted");
    assert_eq!(current.job_id.as_deref(), Some("job-other"));
    assert_eq!(story.run.phase, Phase::Training);
}

#[test]
fn a_blocked_queue_that_can_never_run_the_job_ends_it_at_once() {
    let mut story = to_training();
    story.carry(Outcome::Submitted {
        job_id: "job-train-1".to_owned(),
    });
    let reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.";

    let told = story.see(&Observation::QueueBlocked {
        job_id: "job-train-1".to_owned(),
        status: JobStatus::Runnable,
        reason: reason.to_owned(),
        wants: Wants {
            gpus: Some(4),
            ..Wants::default()
        },
    });
    let then = story.carry(Outcome::Closed);

    assert_eq!(told, ["close train"]);
    assert_eq!(then, ["terminate job-train-1"]);
    let Some(End::Failed {
        class, evidence, ..
    }) = &story.run.end
    else {
        panic!("it failed");
    };
    assert_eq!(*class, Class::Misconfigured);
    assert!(
        evidence.ends_with(
            "The job cannot run: it wants 4 GPU, and the largest, g4dn.xlarge, has 1 to give."
        ),
        "{evidence}"
    );
}

#[test]
fn a_blocked_queue_that_is_told_of_late_does_not_end_a_job_that_runs() {
    let blocked = |status| Observation::QueueBlocked {
        job_id: "job-train-1".to_owned(),
        status,
        reason:
            "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - Batch service role has a permission issue."
                .to_owned(),
        wants: Wants::default(),
    };
    let mut heard = at_training();
    heard.see(&heard.job(Stage::Train, 1, JobStatus::Running, None));
    let mut unheard = at_training();
    unheard.see(&unheard.job(Stage::Train, 1, JobStatus::Runnable, None));

    let told = [
        heard.see(&blocked(JobStatus::Runnable)),
        unheard.see(&blocked(JobStatus::Starting)),
    ];

    assert_eq!(told, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(heard.run.phase, Phase::Training);
    assert_eq!(unheard.run.phase, Phase::Training);
}

#[test]
fn a_queue_without_capacity_is_recorded_once_and_ends_nothing() {
    let mut story = to_training();
    story.carry(Outcome::Submitted {
        job_id: "job-train-1".to_owned(),
    });
    let blocked = Observation::QueueBlocked {
        job_id: "job-train-1".to_owned(),
        status: JobStatus::Runnable,
        reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [g5.xlarge]".to_owned(),
        wants: Wants::default(),
    };

    let told = story.see(&blocked);
    let once = story.run.clone();
    story.see(&blocked);

    assert_eq!(told, Vec::<String>::new());
    assert_eq!(story.run, once);
    let current = story.run.stages[&Stage::Train]
        .current()
        .expect("submitted");
    assert!(
        current
            .blocked
            .as_ref()
            .is_some_and(|b| b.reason.starts_with("CAPACITY"))
    );
    assert_eq!(story.run.phase, Phase::Training);
}

/// The train job in this state since `since_s` after the start, as Batch would tell it.
fn train_job(story: &Story, status: JobStatus, since_s: i64) -> Observation {
    let Observation::Job(mut job) = story.job(Stage::Train, 1, status, None) else {
        panic!("a job");
    };
    let since = (start() + SignedDuration::from_secs(since_s)).as_millisecond();
    job.created_at_ms = Some(since);
    job.started_at_ms = (status == JobStatus::Running).then_some(since);
    Observation::Job(job)
}

fn at_training() -> Story {
    let mut story = to_training();
    story.carry(Outcome::Submitted {
        job_id: "job-train-1".to_owned(),
    });
    story
}

impl Story {
    fn see_at(&mut self, seconds: i64, observation: &Observation) -> Vec<String> {
        let now = start() + SignedDuration::from_secs(seconds);
        let actions = self
            .run
            .apply(observation, &platform(), now)
            .expect("a valid spec");
        let told = actions.iter().map(|a| a.id(&self.run.id)).collect();
        self.run.hold(actions);
        told
    }

    fn sweep_at(&mut self, seconds: i64) -> Vec<String> {
        let at = start() + SignedDuration::from_secs(seconds);
        self.see_at(seconds, &Observation::Swept { at })
    }
}

const HOUR_S: i64 = 3600;

#[test]
fn a_job_that_waits_longer_than_the_spec_allows_is_told_of_once() {
    let mut story = at_training();
    let waits = train_job(&story, JobStatus::Runnable, 0);
    story.see_at(0, &waits);

    let early = story.sweep_at(2 * HOUR_S);
    let late = story.sweep_at(2 * HOUR_S + 60);
    let again = story.sweep_at(3 * HOUR_S);

    assert_eq!(early, Vec::<String>::new());
    assert_eq!(
        late,
        ["notify recommender-20261123T0200Z/at_risk-stuck-train-1-1"]
    );
    assert_eq!(again, Vec::<String>::new());
    assert_eq!(story.run.phase, Phase::Training);
}

/// A run whose fan-out was submitted at the start, and what Batch tells of its array: children by state.
fn at_fan_out() -> (Story, impl Fn(&[(&str, u32)]) -> Observation) {
    let mut story = to_training();
    story.succeeds(Stage::Train, |_| {});
    story.succeeds(Stage::Evaluate, |end| end.metrics = Some(Ok(metrics())));
    story.carry(Outcome::Submitted {
        job_id: "job-recommend-1".to_owned(),
    });
    let Observation::Job(job) = story.job(Stage::Recommend, 1, JobStatus::Pending, None) else {
        panic!("a job");
    };
    let parent = move |children: &[(&str, u32)]| {
        let mut job = job.clone();
        job.created_at_ms = Some(start().as_millisecond());
        let summary = children.iter().map(|(state, n)| ((*state).to_owned(), *n));
        job.array = Some(ArrayRole::Parent {
            size: 4,
            summary: summary.collect(),
        });
        Observation::Job(job)
    };
    (story, parent)
}

#[test]
fn a_fan_out_whose_children_all_wait_longer_than_the_spec_allows_is_told_of_once() {
    let (mut story, parent) = at_fan_out();
    story.see_at(0, &parent(&[("RUNNABLE", 4)]));

    let early = story.sweep_at(2 * HOUR_S);
    let late = story.sweep_at(2 * HOUR_S + 60);
    let again = story.sweep_at(3 * HOUR_S);

    assert_eq!(early, Vec::<String>::new());
    assert_eq!(
        late,
        ["notify recommender-20261123T0200Z/at_risk-stuck-recommend-1-1"]
    );
    assert_eq!(again, Vec::<String>::new());
}

#[test]
fn a_fan_out_that_gets_hosts_in_turns_is_not_stuck_until_it_gets_none() {
    let (mut story, parent) = at_fan_out();
    story.see_at(0, &parent(&[("RUNNABLE", 3), ("RUNNING", 1)]));
    let works = story.sweep_at(3 * HOUR_S);
    story.see_at(
        3 * HOUR_S,
        &parent(&[("RUNNABLE", 3), ("RUNNING", 0), ("SUCCEEDED", 1)]),
    );
    let waits = story.sweep_at(3 * HOUR_S);
    let is_stuck = story.sweep_at(5 * HOUR_S + 60);

    assert_eq!([works, waits], [Vec::<String>::new(), Vec::new()]);
    assert_eq!(
        is_stuck,
        ["notify recommender-20261123T0200Z/at_risk-stuck-recommend-1-1"]
    );
}

#[test]
fn a_fan_out_that_is_over_waits_for_nothing() {
    let (mut story, parent) = at_fan_out();
    story.see_at(0, &parent(&[("RUNNABLE", 4)]));
    story.sweep_at(HOUR_S);
    let failed = story.job(Stage::Recommend, 1, JobStatus::Failed, Some(exit(1)));
    story.see_at(HOUR_S, &failed);

    assert_eq!(story.sweep_at(3 * HOUR_S), Vec::<String>::new());
}

#[test]
fn checkpoints_and_heartbeats_that_stop_are_told_of_once_each() {
    let mut story = at_training();
    let works = train_job(&story, JobStatus::Running, 0);
    story.see_at(0, &works);
    let watch = story.run.watch().expect("it runs");
    let seen = |checkpoint_s: Option<i64>, heartbeat_s: i64| {
        let at = |s| start() + SignedDuration::from_secs(s);
        Observation::Progress(ProgressSeen {
            watch,
            checkpoint_at: checkpoint_s.map(at),
            heartbeat_at: Some(at(heartbeat_s)),
            has_output: false,
        })
    };

    let well = story.see_at(3 * HOUR_S, &seen(Some(2 * HOUR_S + 60), 3 * HOUR_S - 60));
    let overdue = story.see_at(4 * HOUR_S, &seen(Some(2 * HOUR_S), 4 * HOUR_S));
    let silent = story.see_at(4 * HOUR_S + 960, &seen(Some(2 * HOUR_S), 4 * HOUR_S));

    assert_eq!(well, Vec::<String>::new());
    assert_eq!(
        overdue,
        ["notify recommender-20261123T0200Z/at_risk-checkpoint_overdue-train-1-1"]
    );
    assert_eq!(
        silent,
        ["notify recommender-20261123T0200Z/at_risk-silent-train-1-1"]
    );
    assert!(story.run.history.iter().any(|line| line.what
        == "warned: train 1, attempt 1 has published no checkpoint for 2 h: a reclaim now would lose that much work"));
}

#[test]
fn an_end_is_named_by_what_the_agent_left() {
    let mut story = at_training();
    let killed = AttemptSeen {
        exit_code: Some(137),
        ..AttemptSeen::default()
    };
    story.see(&story.job(Stage::Train, 1, JobStatus::Failed, Some(killed)));
    let told_of = crate::notice::ledgers::failed_by_a_bug();
    let mut record = told_of.records()[0].clone();
    record.out_of_memory = true;
    let mut end = stage_end(Stage::Train, 1, None);
    end.record = Some(record);

    let told = story.see(&Observation::StageEnded(Box::new(end)));

    assert_eq!(told, ["submit recommender-20261123T0200Z--train-2"]);
    let stage = &story.run.stages[&Stage::Train];
    assert_eq!(stage.submissions[1].memory_mib, 8192);
    let verdict = stage.submissions[0].verdict.as_ref().expect("decided");
    assert_eq!(verdict.class, Class::OutOfMemory);
}

#[test]
fn a_worse_challenger_keeps_the_champion_with_fresh_recommendations() {
    let mut story = to_training();
    let model = Published {
        prefix: "results/of-the-champion/".to_owned(),
        ..output(Stage::Train)
    };
    let champion: Champion = serde_json::from_value(json!({
        "schema": 1, "version": 3, "write_id": "c", "run_id": "recommender-20261120T0200Z",
        "candidate": "network", "model": model, "metrics": {}, "promoted_at": start(),
    }))
    .expect("a champion");
    let seen = ChampionSeen {
        etag: "\"e\"".to_owned(),
        champion,
    };
    story.succeeds(Stage::Train, |end| end.champion = Some(seen.clone()));
    story.succeeds(Stage::Evaluate, |end| {
        let mut measured = metrics();
        measured.champion = serde_json::from_value(json!({
            "run_id": "recommender-20261120T0200Z", "candidate": "network", "relative_gain": 0.001,
            "paired": {"metric": "ndcg_at_10", "mean": 0.0, "low": -0.1, "high": 0.1},
        }))
        .ok();
        end.metrics = Some(Ok(measured));
        end.champion = Some(seen.clone());
    });

    let pending = &story.run.pending[0].action;

    let Action::Submit(submit) = pending else {
        panic!("recommend follows, not {pending:?}")
    };
    assert_eq!(submit.document.params["candidate"], "network");
    assert_eq!(
        story.inputs_of_the_pending(),
        [
            "train: results/of-the-champion/",
            "evaluate: results/evaluate/"
        ]
    );
    assert!(matches!(
        &story.run.gate,
        Some(GateResult {
            is_better: false,
            ..
        })
    ));
}

#[test]
fn evaluate_is_told_the_gates_metric_where_it_is_not_the_default() {
    let told = |gate: &str| {
        let mut story = Story::of(&SPEC.replace("[recommend]", &format!("{gate}[recommend]")));
        story.see(&pinned(dataset()));
        story.succeeds(Stage::Train, |_| {});
        let Some(Action::Submit(submit)) = story.run.pending.first().map(|p| &p.action) else {
            panic!("evaluate is submitted, not {:?}", story.run.pending)
        };
        assert_eq!(submit.name.stage, Stage::Evaluate);
        submit.document.params.get("gate_metric").cloned()
    };

    assert_eq!(
        told("[evaluate.gate]\nmetric = \"hr_at_10\"\n"),
        Some(json!("hr_at_10"))
    );
    assert_eq!(
        told("[evaluate.gate]\nmetric = \"ndcg_at_10\"\n"),
        None,
        "an image from before there was a choice would refuse the parameter"
    );
    assert_eq!(told(""), None);
}

#[test]
fn a_metric_that_evaluate_does_not_go_by_is_a_wrong_configuration_and_no_bug() {
    let mut story = Story::of(&SPEC.replace(
        "[recommend]",
        "[evaluate.gate]\nmetric = \"hr_at_10\"\n[recommend]",
    ));
    story.see(&pinned(dataset()));
    story.succeeds(Stage::Train, |_| {});

    story.succeeds(Stage::Evaluate, |end| end.metrics = Some(Ok(metrics())));

    let Some(End::Failed {
        class, evidence, ..
    }) = &story.run.end
    else {
        panic!("it cannot be judged: {:?}", story.run.end)
    };
    assert_eq!(*class, Class::BadConfiguration);
    assert!(
        evidence.contains("`hr_at_10`") && evidence.contains("`ndcg_at_10`"),
        "{evidence}"
    );
}

/// Any fact that may reach the ledger of a run at all.
fn any_fact() -> impl Strategy<Value = usize> {
    0..FACTS
}

const FACTS: usize = 14;

fn fact(story: &Story, which: usize) -> Observation {
    let pending = story
        .run
        .pending
        .first()
        .map_or_else(|| "none".to_owned(), |p| p.id.clone());
    let carried = |outcome| Observation::Carried {
        id: pending.clone(),
        nonce: "n".to_owned(),
        outcome,
    };
    let stage = story.run.current_stage().unwrap_or(Stage::Train);
    let n = story.run.stages.get(&stage).map_or(1, |s| {
        u32::try_from(s.submissions.len()).unwrap_or(1).max(1)
    });
    match which {
        0 => pinned(dataset()),
        1 => carried(Outcome::Submitted {
            job_id: format!("job-{stage}-{n}"),
        }),
        2 => story.job(stage, n, JobStatus::Running, None),
        3 => story.job(stage, n, JobStatus::Failed, Some(exit(70))),
        4 => story.job(stage, n, JobStatus::Failed, Some(host_lost())),
        5 => story.job(stage, n, JobStatus::Succeeded, Some(exit(0))),
        6 => ended(stage, n, None),
        7 => {
            let mut end = stage_end(stage, n, Some(output(stage)));
            end.metrics = Some(Ok(metrics()));
            end.is_verified = Some(true);
            Observation::StageEnded(Box::new(end))
        }
        8 => carried(Outcome::Closed),
        9 => Observation::Cancel {
            because: "a person".to_owned(),
        },
        10 => carried(Outcome::Published(output(stage))),
        11 => carried(Outcome::Promoted),
        12 => Observation::Records(Vec::new()),
        _ => Observation::Swept { at: start() },
    }
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_the_invariants_hold(facts in proptest::collection::vec(any_fact(), 1..60)) {
        let mut story = Story::new();
        let mut end_seen: Option<End> = None;
        for which in facts {
            let observation = fact(&story, which);
            story.see(&observation);
            let once = story.run.clone();
            let again = story.see(&observation);
            let run = &story.run;

            // The same fact again asks for nothing and changes nothing but what was carried out.
            if !matches!(observation, Observation::Carried { .. }) {
                let is_held = |id: &String| once.pending.iter().any(|p| p.id == *id);
                prop_assert!(again.iter().all(is_held), "{observation:?} asked twice for {again:?}");
                prop_assert_eq!(&once, run);
            }
            // Final is final.
            if let Some(end) = &end_seen {
                prop_assert_eq!(Some(end), run.end.as_ref());
                prop_assert!(run.is_final());
            }
            end_seen.clone_from(&run.end);
            // An end is recorded exactly when the phase is final.
            prop_assert_eq!(run.is_final(), run.end.is_some());
            // One pending submission at most, and only for the newest submission of a stage.
            let submits: Vec<_> = run.pending.iter().filter_map(|p| match &p.action {
                Action::Submit(submit) => Some(submit.name.clone()),
                _ => None,
            }).collect();
            prop_assert!(submits.len() <= 1, "{submits:?}");
            // Submissions are numbered in order.
            for record in run.stages.values() {
                for (place, submission) in record.submissions.iter().enumerate() {
                    prop_assert_eq!(submission.number as usize, place + 1);
                }
            }
            // What is written can be read.
            let text = serde_json::to_string(run).expect("a ledger is JSON");
            prop_assert_eq!(&serde_json::from_str::<Run>(&text).expect("and back"), run);
        }
    }
}

#[test]
fn a_cancel_that_finds_the_stage_done_ends_the_run_all_the_same() {
    let mut story = at_training();
    story.see(&Observation::Cancel {
        because: "no longer wanted".to_owned(),
    });
    let done = stage_end(Stage::Train, 1, Some(output(Stage::Train)));
    let head = done.head.clone().expect("a head");

    story.carry(Outcome::HadOutput(Box::new(head)));
    let succeeded = story.job(Stage::Train, 1, JobStatus::Succeeded, Some(exit(0)));
    story.see(&succeeded);
    let told = story.see(&Observation::StageEnded(Box::new(done)));

    assert_eq!(told, Vec::<String>::new());
    assert_eq!(
        story.run.end,
        Some(End::Cancelled {
            because: "no longer wanted".to_owned()
        })
    );
}

#[test]
fn what_a_cancelled_run_cost_is_asked_once_its_job_has_ended() {
    let mut story = at_training();
    let works = train_job(&story, JobStatus::Running, 0);
    story.see(&works);
    story.see(&Observation::Cancel {
        because: "no longer wanted".to_owned(),
    });

    let told = story.carry(Outcome::Closed);
    let before = story.run.needs();
    let failed = story.job(Stage::Train, 1, JobStatus::Failed, Some(exit(143)));
    story.see(&failed);

    assert_eq!(told, ["terminate job-train-1"]);
    assert_eq!(before, None);
    assert_eq!(story.run.needs(), Some(Need::Records));
    assert_eq!(story.run.pending, [], "what has ended need not be ended");
}

#[test]
fn a_job_that_never_ends_keeps_nobody_from_being_told() {
    let mut story = at_training();
    story.see(&Observation::Cancel {
        because: "no longer wanted".to_owned(),
    });
    story.carry(Outcome::Closed);
    story.sweep_at(10 * 60);
    let early = story.run.needs();

    story.sweep_at(16 * 60);

    assert_eq!(early, None);
    assert_eq!(story.run.needs(), Some(Need::Records));
}

#[test]
fn a_close_that_comes_back_after_the_end_changes_nothing() {
    let mut story = at_training();
    story.see(&Observation::Cancel {
        because: "no longer wanted".to_owned(),
    });
    let done = stage_end(Stage::Train, 1, Some(output(Stage::Train)));
    let head = done.head.clone().expect("a head");
    let lease = SignedDuration::from_secs(180);
    story.run.claim("n", "f", start(), lease);
    // Somebody else's round ended it meanwhile.
    story.run.phase = Phase::Training;
    let succeeded = story.job(Stage::Train, 1, JobStatus::Succeeded, Some(exit(0)));
    story.see(&succeeded);
    story.see(&Observation::StageEnded(Box::new(done)));
    assert!(story.run.is_final());

    story.see(&Observation::Carried {
        id: "close train".to_owned(),
        nonce: "n".to_owned(),
        outcome: Outcome::HadOutput(Box::new(head)),
    });

    assert!(story.run.is_final());
    assert_eq!(story.run.pending, []);
}

/// What the gate of a spec that asks says, where evaluate scored the champion so, or did not.
fn asked(relative_gain: Option<f64>) -> GateResult {
    let asks = "program = [\"evaluate\"]\n[evaluate.gate]\npromote = \"ask\"\n";
    let mut story = Story::of(&SPEC.replace("program = [\"evaluate\"]\n", asks));
    story.see(&pinned(dataset()));
    let champion = json!({
        "schema": 1, "version": 3, "write_id": "c", "run_id": "recommender-20261120T0200Z", "candidate": "network",
        "model": output(Stage::Train), "metrics": {}, "promoted_at": start(),
    });
    let seen = ChampionSeen {
        etag: "\"e\"".to_owned(),
        champion: serde_json::from_value(champion).expect("a champion"),
    };
    story.succeeds(Stage::Train, |end| end.champion = Some(seen));
    story.succeeds(Stage::Evaluate, |end| {
        let mut measured = metrics();
        measured.champion = relative_gain.and_then(|gain| {
            let scored = json!({
                "run_id": "recommender-20261120T0200Z", "candidate": "network", "relative_gain": gain,
                "paired": {"metric": "ndcg_at_10", "mean": 0.1, "low": 0.05, "high": 0.2},
            });
            serde_json::from_value(scored).ok()
        });
        end.metrics = Some(Ok(measured));
    });
    story.run.gate.expect("it came to the gate")
}

#[test]
fn a_person_is_waited_for_only_where_the_challenger_passed_every_check() {
    let (passed, missed, not_scored) = (asked(Some(0.2)), asked(Some(0.001)), asked(None));

    assert!(
        passed.is_left_to_a_person && !passed.is_better,
        "{passed:?}"
    );
    assert!(
        !missed.is_left_to_a_person && !missed.is_better,
        "{missed:?}"
    );
    assert!(
        !not_scored.is_left_to_a_person && !not_scored.is_better,
        "{not_scored:?}"
    );
}
