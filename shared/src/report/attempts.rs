//! Every attempt of a run, from its agent's record or, where there is none, from what Batch saw.

use jiff::Timestamp;

use crate::attempt::{AttemptOutcome, AttemptRecord};
use crate::batch_event::AttemptSeen;
use crate::identity::{Market, Stage};
use crate::notice::spell::{clock, duration, seconds_between};
use crate::run::{Run, SubmissionRecord};

/// How an attempt came out; told by a word and a sign too, never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It did its work.
    Good,
    /// It was interrupted or stood aside.
    Interrupted,
    /// It failed.
    Bad,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// Of which stage.
    pub(super) stage: Stage,
    /// Which shard.
    pub(super) shard: Option<u32>,
    /// The submission.
    pub(super) submission: u32,
    /// From 1.
    pub(super) number: u32,
    /// Where it ran.
    pub(super) market: Market,
    /// Such as `g4dn.xlarge`.
    pub(super) instance_type: Option<String>,
    /// Such as `us-east-1a`.
    pub(super) zone: Option<String>,
    /// When it began to wait: submitted, or the attempt before it ended.
    pub(super) waits_from: Timestamp,
    /// When the container began.
    pub(super) started_at: Timestamp,
    /// When the program began.
    pub(super) program_started_at: Option<Timestamp>,
    /// When it was told to go.
    pub(super) notice_at: Option<Timestamp>,
    /// It was a Spot notice.
    pub(super) is_reclaim: bool,
    /// When it ended.
    pub(super) ended_at: Timestamp,
    /// How it came out.
    pub(super) tone: Tone,
    /// In a few words.
    pub(super) outcome: String,
    /// Where it resumed and what it published, in a few words.
    pub(super) steps: Vec<String>,
    /// The notice that it got, or what Batch says, in a line.
    pub(super) remark: Option<String>,
}

impl Attempt {
    /// `train 1, attempt 2`.
    pub(super) fn name(&self) -> String {
        let shard = self
            .shard
            .map_or_else(String::new, |shard| format!(" shard {shard}"));
        format!(
            "{} {}{shard}, attempt {}",
            self.stage, self.submission, self.number
        )
    }
}

/// All attempts, stage by stage, in order of time within a stage.
pub(super) fn attempts(run: &Run) -> Vec<Attempt> {
    let mut all = Vec::new();
    for (stage, record) in &run.stages {
        let mut of_stage = Vec::new();
        for submission in &record.submissions {
            of_stage.extend(
                submission
                    .records
                    .iter()
                    .map(|record| recorded(record, submission)),
            );
            of_stage.extend(unrecorded(*stage, submission));
        }
        of_stage.sort_by_key(|attempt: &Attempt| {
            (
                attempt.started_at,
                attempt.shard,
                attempt.submission,
                attempt.number,
            )
        });
        wait_for_each_other(&mut of_stage);
        all.extend(of_stage);
    }
    all
}

/// A retry waits from the end of the attempt before it, not from when the job was asked for.
fn wait_for_each_other(of_stage: &mut [Attempt]) {
    for place in 0..of_stage.len() {
        let (earlier, rest) = of_stage.split_at_mut(place);
        let Some(attempt) = rest.first_mut() else {
            continue;
        };
        let before = earlier
            .iter()
            .rfind(|e| (e.shard, e.submission) == (attempt.shard, attempt.submission));
        if let Some(before) = before {
            attempt.waits_from = before.ended_at.min(attempt.started_at);
        }
    }
}

fn recorded(record: &AttemptRecord, submission: &SubmissionRecord) -> Attempt {
    let is_reclaim = record.notice.as_deref() == Some("spot_notice");
    let market = match record.life_cycle.as_deref() {
        Some("spot") => Market::Spot,
        Some(_) => Market::OnDemand,
        None => submission.market,
    };
    let (tone, outcome) = outcome(record, is_reclaim);
    Attempt {
        stage: record.stage,
        shard: record.shard,
        submission: record.submission,
        number: record.attempt,
        market,
        instance_type: record.instance_type.clone(),
        zone: record.availability_zone.clone(),
        waits_from: submission.asked_at.min(record.started_at),
        started_at: record.started_at,
        program_started_at: record.program_started_at,
        notice_at: record.notice_at,
        is_reclaim,
        ended_at: record.ended_at.max(record.started_at),
        tone,
        outcome,
        steps: steps(record),
        remark: record.notice_at.map(|at| {
            let word = if is_reclaim { "Spot notice" } else { "SIGTERM" };
            let later = duration(seconds_between(at, record.ended_at));
            format!("{word} at {}, gone {later} later", clock(at))
        }),
    }
}

fn outcome(record: &AttemptRecord, is_reclaim: bool) -> (Tone, String) {
    let interrupted = if is_reclaim {
        "reclaimed"
    } else {
        "told to go"
    };
    match record.outcome {
        AttemptOutcome::Done => (Tone::Good, "done".to_owned()),
        AttemptOutcome::AlreadyDone => (Tone::Good, "found the work done".to_owned()),
        AttemptOutcome::PreemptedPublished => (Tone::Interrupted, interrupted.to_owned()),
        AttemptOutcome::PreemptedUnpublished => (
            Tone::Interrupted,
            format!("{interrupted}, nothing new published"),
        ),
        AttemptOutcome::NotOwner => (Tone::Interrupted, "stood aside: not the owner".to_owned()),
        AttemptOutcome::Running => (Tone::Bad, "not heard of again".to_owned()),
        AttemptOutcome::Failed => {
            let why = match (
                record.out_of_memory,
                record.program_signal,
                record.exit_code,
            ) {
                (true, ..) => ": out of memory".to_owned(),
                (_, Some(signal), _) => format!(": signal {signal}"),
                (.., Some(code)) => format!(": exit code {code}"),
                _ => String::new(),
            };
            (Tone::Bad, format!("failed{why}"))
        }
    }
}

fn steps(record: &AttemptRecord) -> Vec<String> {
    let resumed = record.resumed_from.map(|step| format!("resumed at {step}"));
    let published = record
        .published_step
        .map(|step| format!("published {step}"));
    resumed.into_iter().chain(published).collect()
}

/// What Batch counted and no agent told of: a host that went before it could.
fn unrecorded(stage: Stage, submission: &SubmissionRecord) -> Vec<Attempt> {
    let mut found = Vec::new();
    for job in submission.jobs.iter().filter(|job| job.array.is_none()) {
        for (place, seen) in job.attempts.iter().enumerate() {
            let number = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let is_recorded = submission
                .records
                .iter()
                .any(|r| r.job_id == job.id && r.attempt == number);
            if let Some(attempt) = (!is_recorded)
                .then(|| seen_only(stage, submission, number, seen))
                .flatten()
            {
                found.push(attempt);
            }
        }
    }
    found
}

fn seen_only(
    stage: Stage,
    submission: &SubmissionRecord,
    number: u32,
    seen: &AttemptSeen,
) -> Option<Attempt> {
    let at = |ms: Option<i64>| ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let ended_at = at(seen.stopped_at_ms).or_else(|| at(seen.started_at_ms))?;
    let started_at = at(seen.started_at_ms).unwrap_or(ended_at).min(ended_at);
    let why = seen
        .status_reason
        .as_deref()
        .or(seen.reason.as_deref())
        .unwrap_or("Batch gives no reason");
    let tone = if seen.exit_code == Some(0) {
        Tone::Good
    } else {
        Tone::Bad
    };
    Some(Attempt {
        stage,
        shard: None,
        submission: submission.number,
        number,
        market: submission.market,
        instance_type: None,
        zone: None,
        waits_from: submission.asked_at.min(started_at),
        started_at,
        // Nobody knows how much of it was work.
        program_started_at: Some(started_at),
        notice_at: None,
        is_reclaim: false,
        ended_at,
        tone,
        outcome: "left no record".to_owned(),
        steps: Vec::new(),
        remark: Some(crate::notice::mask::mask(why)),
    })
}
