//! A pipeline's spec: what to train, on what, by when, and what follows. One TOML file each.
//!
//! Parsed once, at the door, with messages that name the line; nothing behind it checks again.
//! A spec never says when a pipeline is due: the schedule is in the template.

mod build;
mod error;
mod section;
mod stage;

use std::collections::BTreeMap;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::SpecError;

use crate::identity::{PipelineName, Stage, Tick};

/// What a gate goes by when the spec does not say.
pub const DEFAULT_METRIC: &str = "ndcg_at_10";

/// What a tick does while an earlier run of the pipeline is live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped, with a notice.
    #[default]
    Skip,
    /// It waits; a newer one takes its place.
    Queue,
    /// It starts beside the other.
    Allow,
}

/// By when the whole run must be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// The first such time of day after the tick, in the pipeline's zone.
    FinishBy {
        /// Wall clock.
        time: Time,
    },
    /// So long after the tick.
    Within {
        /// More than 0.
        seconds: u64,
    },
}

/// The data a run works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSpec {
    /// In the data bucket; ends with `/`.
    pub prefix: String,
    /// How long after the tick a `_READY` object may take; absent = start at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_s: Option<u64>,
    /// Same data, same spec, same image: a receipt instead of a run.
    #[serde(default)]
    pub skip_if_unchanged: bool,
}

/// What one stage runs, and on how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSpec {
    /// Program and arguments; never empty, no empty word.
    pub program: Vec<String>,
    /// Whole GPUs; 0 = the CPU queue.
    pub gpus: u32,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// GiB of memory.
    pub memory_gib: u32,
    /// Cap for the one retry after an out-of-memory kill; at least `memory_gib`.
    pub max_memory_gib: u32,
    /// Longest time one attempt may take, in seconds; at least 60.
    pub timeout_s: u32,
    /// A job that waits longer for a host is told of, in seconds.
    pub max_queue_wait_s: u32,
    /// A newest checkpoint older than this is told of, in seconds.
    pub max_checkpoint_age_s: u32,
    /// Handed to the program as they are.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
}

/// Who promotes a challenger that passed the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// The run.
    #[default]
    Auto,
    /// A person: the run ends as `kept_champion`, and the report shows both.
    Ask,
}

/// When a challenger is better than the champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateSpec {
    /// A metric that evaluate writes; it is told which.
    pub metric: String,
    /// By what share of the champion's metric the challenger must lead: 0.01 is one per cent.
    pub min_gain: f64,
    /// Who promotes.
    pub promote: Promote,
}

/// The evaluate stage and its gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateSpec {
    /// What it runs.
    pub stage: StageSpec,
    /// When the challenger wins.
    pub gate: GateSpec,
}

/// How many shares the fan-out has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shards {
    /// As many as make children of about four minutes (`shard_plan`).
    #[default]
    Auto,
    /// So many, 1 to 10,000.
    Fixed(u32),
}

/// The fan-out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecommendSpec {
    /// What each shard runs.
    pub stage: StageSpec,
    /// How many there are.
    pub shards: Shards,
}

/// What a pipeline may spend, in dollars. Read and told, and not enforced yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Of one run, all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd_per_run: Option<f64>,
    /// Of all runs of a calendar month, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd_per_month: Option<f64>,
}

/// What a notice tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The run ended badly.
    Failed,
    /// The run ended well, with a new champion.
    Succeeded,
    /// The run ended well; the old champion stays.
    KeptChampion,
    /// Work went to another market.
    Moved,
    /// A tick did not become a run.
    Skipped,
    /// The deadline passed, or will.
    Late,
    /// A person ended the run.
    Cancelled,
    /// A live run that somebody should look at: it waits too long, its checkpoints or its heartbeat stopped.
    AtRisk,
}

impl NoticeKind {
    /// In the order of the documents.
    pub const ALL: [Self; 8] = [
        Self::Failed,
        Self::Succeeded,
        Self::KeptChampion,
        Self::Moved,
        Self::Skipped,
        Self::Late,
        Self::Cancelled,
        Self::AtRisk,
    ];

    /// The word in specs, ids and message attributes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::KeptChampion => "kept_champion",
            Self::Moved => "moved",
            Self::Skipped => "skipped",
            Self::Late => "late",
            Self::Cancelled => "cancelled",
            Self::AtRisk => "at_risk",
        }
    }
}

/// The spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name; the file is called the same.
    pub name: PipelineName,
    /// What a tick does while the last run is live.
    pub overlap: Overlap,
    /// By when a run must be over; absent = cheapest always wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// An IANA zone; only `finish_by` is read in it.
    pub time_zone: String,
    /// 0 to 99, within the fair-share queue; higher goes first.
    pub priority: u32,
    /// What it works on; absent for a pipeline that needs no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSpec>,
    /// The first stage.
    pub train: StageSpec,
    /// The second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<EvaluateSpec>,
    /// The third; only after evaluate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommend: Option<RecommendSpec>,
    /// The last; there whenever recommend is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gather: Option<StageSpec>,
    /// What it may spend.
    #[serde(default)]
    pub budget: Budget,
    /// What people want to hear of.
    pub notify_on: Vec<NoticeKind>,
}

impl Pipeline {
    /// Reads a spec; the error names the line and says what to write instead.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        build::pipeline(text)
    }

    /// Reads a spec that is to be used by runs yet to come, more strictly: refuses what the reference
    /// trainer would refuse after a training was paid for. Ledgers are read by [`Self::parse`]: a run that
    /// began with such a text must stay readable.
    pub fn parse_for_runs_to_come(text: &str) -> Result<Self, SpecError> {
        let pipeline = build::pipeline(text)?;
        build::refuse_before_it_runs(text, &pipeline)?;
        Ok(pipeline)
    }

    /// When a run for `tick` must be over; `None` without a deadline.
    ///
    /// A time of day that the clocks skip counts as the same distance after the gap; one that
    /// comes twice counts when it comes first.
    pub fn deadline_after(&self, tick: Tick) -> Option<Timestamp> {
        match self.deadline? {
            Deadline::Within { seconds } => {
                let seconds = i64::try_from(seconds).ok()?;
                tick.start()
                    .checked_add(SignedDuration::from_secs(seconds))
                    .ok()
            }
            Deadline::FinishBy { time } => {
                // `parse` refuses unknown zones; of a document that skipped it, UTC is the rule.
                let zone = TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC);
                let mut date = tick.start().to_zoned(zone.clone()).date();
                loop {
                    let at = zone
                        .to_ambiguous_timestamp(date.to_datetime(time))
                        .compatible()
                        .ok()?;
                    if at > tick.start() {
                        return Some(at);
                    }
                    date = date.tomorrow().ok()?;
                }
            }
        }
    }

    /// What a stage runs; `None` when the pipeline has no such stage.
    pub fn stage(&self, stage: Stage) -> Option<&StageSpec> {
        match stage {
            Stage::Train => Some(&self.train),
            Stage::Evaluate => self.evaluate.as_ref().map(|evaluate| &evaluate.stage),
            Stage::Recommend => self.recommend.as_ref().map(|recommend| &recommend.stage),
            Stage::Gather => self.gather.as_ref(),
        }
    }

    /// Whether people want to hear of this.
    pub fn notifies_on(&self, kind: NoticeKind) -> bool {
        self.notify_on.contains(&kind)
    }
}

#[cfg(test)]
mod tests;
