//! Ledgers for tests: stories told attempt by attempt, on a clock of their own.

use jiff::{SignedDuration, Timestamp};

use crate::attempt::{AttemptOutcome, AttemptRecord, Failure};
use crate::batch_event::{AttemptSeen, JobSeen, JobStatus};
use crate::champion::Champion;
use crate::failure::{Class, Verdict};
use crate::gate::{Check, GateResult};
use crate::identity::{Market, Stage};
use crate::pipeline_head::Origin;
use crate::run::{ChampionSeen, End, HistoryLine, NewRun, Phase, Run, SubmissionRecord};
use crate::stage_head::Published;

const SPEC: &str = r#"
name = "recommender"
finish_by = "07:00"
time_zone = "Asia/Seoul"
[data]
prefix = "interactions/"
[train]
program = ["train"]
gpus = 1
[evaluate]
program = ["evaluate"]
[evaluate.gate]
metric = "ndcg_at_10"
min_gain = 0.01
[recommend]
program = ["recommend"]
[notify]
on = ["failed", "succeeded", "moved", "skipped"]
"#;

/// One attempt's record, of a host on Spot.
pub(crate) fn record(stage: Stage) -> AttemptRecord {
    let story = Story::begins().submits(stage, Market::Spot);
    let run = story.works(stage, 60, AttemptOutcome::Done, |_| {}).run;
    run.records().remove(0).clone()
}

/// A ledger under construction.
pub(crate) struct Story {
    pub(crate) run: Run,
    now: Timestamp,
}

impl Story {
    /// A run of the Monday tick that was asked for three seconds after it.
    pub(crate) fn begins() -> Self {
        let created_at: Timestamp = "2026-11-23T02:00:03Z".parse().expect("a time");
        let new = NewRun {
            id: "recommender-20261123T0200Z".parse().expect("an id"),
            origin: Origin::Tick,
            created_by: "submit-training 7f3e".to_owned(),
            created_at,
            spec_text: SPEC,
            write_id: "w".to_owned(),
        };
        Self {
            run: Run::new(new, Phase::WaitingForData, None).expect("a spec"),
            now: created_at,
        }
    }

    /// Time passes.
    pub(crate) fn after(mut self, seconds: i64) -> Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    /// A line in the history.
    pub(crate) fn notes(mut self, what: &str) -> Self {
        self.run.history.push(HistoryLine {
            at: self.now,
            what: what.to_owned(),
        });
        self
    }

    /// The next submission of a stage, taken by Batch at once.
    pub(crate) fn submits(mut self, stage: Stage, market: Market) -> Self {
        let record = self.run.stages.entry(stage).or_default();
        let number = u32::try_from(record.submissions.len()).expect("few") + 1;
        let id = format!("job-{stage}-{number}");
        let job = JobSeen {
            id: id.clone(),
            name: format!("{}--{stage}-{number}", self.run.id),
            queue: "q".to_owned(),
            status: JobStatus::Running,
            status_reason: None,
            attempts: Vec::new(),
            created_at_ms: Some(self.now.as_millisecond()),
            started_at_ms: None,
            stopped_at_ms: None,
            is_terminated: false,
            is_cancelled: false,
            array: None,
        };
        record.submissions.push(SubmissionRecord {
            number,
            market,
            queue: "q".to_owned(),
            memory_mib: 15_360,
            shards: None,
            asked_at: self.now,
            job_id: Some(id),
            not_submitted: None,
            blocked: None,
            children_wait_since: None,
            jobs: vec![job],
            verdict: None,
            is_decided: false,
            records: Vec::new(),
        });
        self.run.phase = Phase::of(stage);
        self
    }

    /// An attempt of the newest submission of `stage`: 40 s to get the host, 20 s to fetch, `work_s` of
    /// work; `change` tells the rest.
    pub(crate) fn works(
        mut self,
        stage: Stage,
        work_s: i64,
        outcome: AttemptOutcome,
        change: impl FnOnce(&mut AttemptRecord),
    ) -> Self {
        let submission = self.newest(stage);
        let (number, market) = (submission.number, submission.market);
        let attempt = u32::try_from(submission.jobs[0].attempts.len()).expect("few") + 1;
        let job_id = submission.jobs[0].id.clone();
        let started_at = self.now + SignedDuration::from_secs(40);
        let program_started_at = started_at + SignedDuration::from_secs(20);
        let ended_at = program_started_at + SignedDuration::from_secs(work_s);
        let mut record = AttemptRecord {
            schema: 1,
            run_id: self.run.id.clone(),
            stage,
            shard: None,
            submission: number,
            attempt,
            job_id,
            life_cycle: Some(
                if market == Market::Spot {
                    "spot"
                } else {
                    "on-demand"
                }
                .to_owned(),
            ),
            instance_type: Some("g4dn.xlarge".to_owned()),
            instance_id: Some("i-0123456789abcdef0".to_owned()),
            availability_zone: Some("us-east-1a".to_owned()),
            started_at,
            program_started_at: Some(program_started_at),
            ended_at,
            outcome,
            exit_code: Some(i32::from(outcome != AttemptOutcome::Done)),
            program_exit_code: None,
            program_signal: None,
            notice_at: None,
            notice: None,
            resumed_from: None,
            published_step: None,
            last_step: None,
            last_rate: None,
            fetch_s: Some(18.5),
            cold_start: std::collections::BTreeMap::new(),
            out_of_memory: false,
            failure: None,
            error: None,
            log_tail: Vec::new(),
        };
        change(&mut record);
        let seen = AttemptSeen {
            exit_code: record.exit_code,
            reason: None,
            status_reason: None,
            log_stream: Some(format!("recommender/default/{stage}{number}{attempt}")),
            started_at_ms: Some(started_at.as_millisecond()),
            stopped_at_ms: Some(ended_at.as_millisecond()),
        };
        let submission = self.newest(stage);
        submission.jobs[0].attempts.push(seen);
        submission.records.push(record);
        self.now = ended_at;
        self
    }

    /// An attempt that a Spot notice ended six seconds after it came, at step 412, with 408 published.
    pub(crate) fn loses_its_host(self, stage: Stage, work_s: i64) -> Self {
        self.works(
            stage,
            work_s,
            AttemptOutcome::PreemptedPublished,
            |record| {
                record.notice = Some("spot_notice".to_owned());
                record.notice_at = Some(record.ended_at - SignedDuration::from_secs(6));
                record.exit_code = Some(75);
                record.last_step = Some(412);
                record.last_rate = Some(2.2);
                record.published_step = Some(408);
            },
        )
    }

    /// The newest submission of `stage` came to that end.
    pub(crate) fn ends_as(mut self, stage: Stage, class: Class, evidence: &str) -> Self {
        let submission = self.newest(stage);
        submission.verdict = Some(Verdict::new(class, evidence));
        submission.is_decided = true;
        submission.jobs[0].status = JobStatus::Failed;
        self
    }

    /// The stage has its output.
    pub(crate) fn completes(mut self, stage: Stage) -> Self {
        let submission = self.newest(stage);
        submission.is_decided = true;
        submission.jobs[0].status = JobStatus::Succeeded;
        let output = published(&self.run, stage, self.now);
        self.run.stages.entry(stage).or_default().output = Some(output);
        self
    }

    /// The gate's answer, over an older champion.
    pub(crate) fn faces_the_gate(mut self, is_better: bool) -> Self {
        let gain = if is_better { 0.162 } else { 0.002 };
        let check = |name: &str, value: f64, bound: f64| Check {
            name: name.to_owned(),
            value,
            bound,
            passed: value >= bound,
        };
        self.run.gate = Some(GateResult {
            candidate: "sequential-rules".to_owned(),
            is_better,
            is_left_to_a_person: false,
            because: if is_better {
                "`sequential-rules` passes every check against the champion".to_owned()
            } else {
                "gain in ndcg_at_10 over the champion: 0.0020, needs 0.0100".to_owned()
            },
            checks: vec![
                check("gain in ndcg_at_10 over the champion", gain, 0.01),
                check("lower end of the paired 95 % interval", 0.0041, 0.0),
            ],
            score: 0.1132,
        });
        let model = published(&self.run, Stage::Train, self.now);
        self.run.champion_seen = Some(ChampionSeen {
            etag: "e".to_owned(),
            champion: Champion {
                schema: 1,
                version: 3,
                write_id: "c".to_owned(),
                run_id: "recommender-20261120T0200Z".parse().expect("an id"),
                candidate: "network".to_owned(),
                model,
                metrics: std::collections::BTreeMap::new(),
                recommendations: None,
                recommendations_run_id: None,
                promoted_at: self.now,
                previous: None,
                unknown: serde_json::Map::new(),
            },
        });
        self
    }

    /// The run is over and reviewed.
    pub(crate) fn ends(mut self, end: End) -> Run {
        self.run.phase = Phase::Final;
        self.run.end = Some(end);
        self.run.ended_at = Some(self.now);
        self.run.is_reviewed = true;
        self.run
    }

    /// As it stands.
    pub(crate) fn so_far(self) -> Run {
        self.run
    }

    fn newest(&mut self, stage: Stage) -> &mut SubmissionRecord {
        let record = self
            .run
            .stages
            .get_mut(&stage)
            .expect("the stage was submitted");
        record.submissions.last_mut().expect("it was submitted")
    }
}

fn published(run: &Run, stage: Stage, at: Timestamp) -> Published {
    Published {
        prefix: crate::layout::results(&run.id, stage, None, 1, 1),
        manifest_sha256: "0".repeat(64),
        step: 960,
        submission: 1,
        attempt: 1,
        at,
    }
}

/// A run that lost a host, went on, and made a new champion.
pub(crate) fn succeeded_with_a_reclaim() -> Run {
    Story::begins()
        .notes("dataset pinned: 3 objects, 73400320 bytes, fingerprint 9f2c1a77b0de")
        .submits(Stage::Train, Market::Spot)
        .notes("recommender-20261123T0200Z--train-1 submitted as job job-train-1")
        .loses_its_host(Stage::Train, 640)
        .works(Stage::Train, 820, AttemptOutcome::Done, |record| {
            record.resumed_from = Some(408);
            record.published_step = Some(960);
            record.last_step = Some(960);
            record.last_rate = Some(2.2);
        })
        .completes(Stage::Train)
        .notes("train is complete")
        .submits(Stage::Evaluate, Market::Spot)
        .works(Stage::Evaluate, 95, AttemptOutcome::Done, cpu)
        .completes(Stage::Evaluate)
        .faces_the_gate(true)
        .notes("gate: `sequential-rules` is promoted: `sequential-rules` passes every check against the champion")
        .submits(Stage::Recommend, Market::Spot)
        .works(Stage::Recommend, 60, AttemptOutcome::Done, |record| {
            cpu(record);
            record.shard = Some(0);
        })
        .completes(Stage::Recommend)
        .submits(Stage::Gather, Market::Spot)
        .works(Stage::Gather, 12, AttemptOutcome::Done, cpu)
        .completes(Stage::Gather)
        .notes("succeeded")
        .ends(End::Succeeded)
}

/// A run whose program has a bug and logs a password.
pub(crate) fn failed_by_a_bug() -> Run {
    let evidence = "exit code 70";
    Story::begins()
        .submits(Stage::Train, Market::Spot)
        .works(Stage::Train, 31, AttemptOutcome::Failed, |record| {
            record.exit_code = Some(70);
            record.program_exit_code = Some(70);
            record.last_step = Some(17);
            record.failure = Some(Failure {
                reason: "loss is no number at step 17".to_owned(),
                hint: "lower `learning_rate`, or look for empty rows in the data".to_owned(),
            });
            record.log_tail = [
                "connecting with password=hunter2 as trainer",
                "step 16 loss 0.6931",
                "step 17 loss nan",
                "FloatingPointError: loss is no number at step 17",
            ]
            .map(str::to_owned)
            .into();
        })
        .ends_as(Stage::Train, Class::Bug, evidence)
        .notes("train ended as bug (exit code 70): Stop")
        .ends(End::Failed {
            stage: Some(Stage::Train),
            class: Class::Bug,
            evidence: evidence.to_owned(),
        })
}

/// A run that Spot gave up on, and that goes on at the full price.
pub(crate) fn moved() -> Run {
    let evidence = "Host EC2 (instance i-0123456789abcdef0) terminated.";
    let mut run = Story::begins()
        .submits(Stage::Train, Market::Spot)
        .loses_its_host(Stage::Train, 640)
        .loses_its_host(Stage::Train, 300)
        .ends_as(Stage::Train, Class::HostLost, evidence)
        .submits(Stage::Train, Market::OnDemand)
        .so_far();
    // Records are read when the run is over; until then the ledger knows what Batch says.
    for submission in &mut run
        .stages
        .get_mut(&Stage::Train)
        .expect("trained")
        .submissions
    {
        submission.records.clear();
    }
    let newest = run
        .stages
        .get_mut(&Stage::Train)
        .and_then(|stage| stage.submissions.last_mut());
    let newest = newest.expect("two submissions");
    newest.job_id = None;
    newest.jobs.clear();
    run
}

/// A tick for which nothing had changed.
pub(crate) fn skipped() -> Run {
    let because = "data, spec and image are the same as in the last run that ended well";
    Story::begins().after(2).ends(End::Skipped {
        because: because.to_owned(),
    })
}

fn cpu(record: &mut AttemptRecord) {
    // A host without instance metadata: its price is not known.
    record.instance_type = None;
}
