//! `attempt.json`: what the agent saw of one attempt, written whatever happened.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::{RunId, Stage};

/// How many log lines an attempt record keeps.
pub const LOG_TAIL_LINES: usize = 200;

/// What a program said of its own failure, in `failure.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was wrong.
    pub reason: String,
    /// What to do.
    #[serde(default)]
    pub hint: String,
}

/// How an attempt ended, as far as the agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Still at work when this was written.
    Running,
    /// Output published.
    Done,
    /// The output was there before it came.
    AlreadyDone,
    /// Told to go; the newest checkpoint is published.
    PreemptedPublished,
    /// Told to go; nothing new could be published.
    PreemptedUnpublished,
    /// Somebody else owns the stage.
    NotOwner,
    /// The program or the agent gave up; see the exit code.
    Failed,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Format of this document.
    pub schema: u32,
    /// The run.
    pub run_id: RunId,
    /// The stage.
    pub stage: Stage,
    /// The shard, in a fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// The submission.
    pub submission: u32,
    /// From 1.
    pub attempt: u32,
    /// Batch's id.
    pub job_id: String,
    /// `spot` or `on-demand`, as the host says; absent where there is no instance metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_cycle: Option<String>,
    /// Such as `g4dn.xlarge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Such as `i-0123456789abcdef0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Such as `us-east-1a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// When the agent began.
    pub started_at: Timestamp,
    /// When the program began; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_started_at: Option<Timestamp>,
    /// When this was written.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The agent's own exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The program's exit code; absent if a signal ended it or it never began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_exit_code: Option<i32>,
    /// The signal that ended the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_signal: Option<i32>,
    /// When the Spot notice or SIGTERM came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_at: Option<Timestamp>,
    /// `spot_notice` or `sigterm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The checkpoint it began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
    /// The newest step it published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_step: Option<u64>,
    /// The last step its heartbeat told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<u64>,
    /// Its rate then, in steps a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rate: Option<f64>,
    /// Seconds from start to dataset, inputs and checkpoint in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_s: Option<f64>,
    /// Seconds of each part of the program's own start, as its heartbeat tells them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cold_start: BTreeMap<String, f64>,
    /// Whether the kernel's control group counted an out-of-memory kill.
    #[serde(default)]
    pub out_of_memory: bool,
    /// What the program said of its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// One sentence of the agent's own when it gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last lines of the program, secrets masked, newest last.
    #[serde(default)]
    pub log_tail: Vec<String>,
}
