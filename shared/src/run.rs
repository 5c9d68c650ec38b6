//! The ledger: one run's document, and every decision about it as a pure function.
//!
//! [`Run::apply`] takes what was seen and gives what is to be done; [`Run::needs`] says what must be
//! looked at first. Neither reads a clock or calls anybody. Phases never move back from a final one.

mod action;
mod apply;
mod before;
mod by_hand;
mod carried;
mod closing;
mod ending;
mod facts;
mod gating;
mod host_time;
mod needs;
mod observation;
mod pending;
mod platform;
mod remedy;
mod risk;
mod shard_sums;
mod stage_end;
mod submission;
mod submitting;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use action::{Action, Outcome, Promotion, Submit};
pub use before::SeenBefore;
pub use by_hand::{ByHand, NotPromotable};
pub use facts::{Repeated, Totals};
pub use host_time::HostLine;
pub use needs::Need;
pub use observation::{ChampionSeen, DataSeen, Observation, StageEnd};
pub use pending::{Claim, Pending, SUBMIT_TAKE_OVER_AFTER_S};
pub use platform::{Definitions, Platform};
pub use remedy::{Remedy, Situation, remedy};
pub use risk::{ProgressSeen, Risk, RiskKind, Watch};
pub use shard_sums::{Gaps, SHARDS_ITEMISED, ShardSums, is_last_of_its_child};
pub use submission::{BlockedSeen, StageRecord, SubmissionRecord};

use crate::dataset::Dataset;
use crate::failure::Class;
use crate::gate::GateResult;
use crate::identity::{RunId, Stage};
use crate::job::Pinned;
use crate::pipeline::{Pipeline, SpecError};
use crate::pipeline_head::Origin;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for the run before.
    Queued,
    /// Waits for the dataset.
    WaitingForData,
    /// The train stage is at work.
    Training,
    /// The evaluate stage is at work.
    Evaluating,
    /// The recommend stage is at work.
    Recommending,
    /// The gather stage is at work.
    Gathering,
    /// All stages are done; the champion is being changed.
    Promoting,
    /// A stage is being ended: its head is closed before any end is recorded.
    Closing,
    /// Over; see the ledger's `end`.
    Final,
}

/// How a run ended. Final is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum End {
    /// The stages are done and, where there is a gate, the challenger was promoted.
    Succeeded,
    /// The stages are done and the old champion stays.
    KeptChampion {
        /// In one sentence.
        because: String,
    },
    /// Nothing was run.
    Skipped {
        /// In one sentence.
        because: String,
    },
    /// Given up.
    Failed {
        /// Which stage gave up; none when it was the data that never came.
        stage: Option<Stage>,
        /// The class of the failure.
        class: Class,
        /// The string or code that the class rests on.
        evidence: String,
    },
    /// A person ended it.
    Cancelled {
        /// The reason they gave.
        because: String,
    },
}

impl End {
    /// The word for tables and attributes.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::KeptChampion { .. } => "kept_champion",
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

/// The dataset that the run is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedDataset {
    /// The document.
    pub document: Pinned,
    /// How many objects.
    pub objects: usize,
    /// All of them together.
    pub size_bytes: u64,
    /// Of dataset, spec and images.
    pub fingerprint: String,
    /// When the `_READY` beside it was written, by S3's clock; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
}

impl PinnedDataset {
    /// What the ledger keeps of `dataset`, whose document is `document`.
    pub fn of(
        dataset: &Dataset,
        document: Pinned,
        fingerprint: String,
        ready_at: Option<Timestamp>,
    ) -> Self {
        Self {
            document,
            objects: dataset.objects.len(),
            size_bytes: dataset.size_bytes(),
            fingerprint,
            ready_at,
        }
    }
}

/// The pipeline as it was when the run was made. The text itself is in the ledger: every decision
/// needs it, and a second document would be one more request an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedSpec {
    /// Of the text.
    pub sha256: String,
    /// TOML.
    pub text: String,
}

/// One line of what happened and what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// When it was decided, by the deciding host's clock.
    pub at: Timestamp,
    /// In one sentence.
    pub what: String,
}

/// Older lines of a history that grew beyond this are dropped, the first ones kept.
const HISTORY_MAX: usize = 200;

/// The document `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Format of this document.
    pub schema: u32,
    /// Rises with every write.
    pub version: u64,
    /// Random per write.
    pub write_id: String,
    /// The run.
    pub id: RunId,
    /// How it was asked for.
    pub origin: Origin,
    /// When the ledger was made.
    pub created_at: Timestamp,
    /// The function and request id that made it: exactly one, however often the tick came.
    pub created_by: String,
    /// Where it stands.
    pub phase: Phase,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The whole run should be over by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The pipeline as it was.
    pub spec: PinnedSpec,
    /// What the last success had seen when this run's data was pinned, for skip-if-unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_fingerprint: Option<String>,
    /// The data as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<PinnedDataset>,
    /// What the run's jobs are made of, from its first submission on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definitions: Option<Definitions>,
    /// What was submitted, and what came of it.
    #[serde(default)]
    pub stages: std::collections::BTreeMap<Stage, StageRecord>,
    /// The champion as the gate saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion_seen: Option<ChampionSeen>,
    /// What the gate said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateResult>,
    /// The stage being ended, and as what the run will end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<Closing>,
    /// A person wants it ended, and why: kept until it is, should its stage be done before it can be closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_wanted: Option<String>,
    /// All attempt records were read after the end.
    #[serde(default)]
    pub is_reviewed: bool,
    /// Jobs that were told to end did not in time: the review waits for them no longer.
    #[serde(default)]
    pub is_review_due: bool,
    /// People were told that the deadline passed.
    #[serde(default)]
    pub is_late: bool,
    /// What people were warned of while it was live, once each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<Risk>,
    /// What is still to be done.
    #[serde(default)]
    pub pending: Vec<Pending>,
    /// Notices that SNS took, by id, and those that it never will.
    #[serde(default)]
    pub notices: Vec<ToldNotice>,
    /// What happened and what was decided, in order.
    #[serde(default)]
    pub history: Vec<HistoryLine>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A stage on its way to a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Which.
    pub stage: Stage,
    /// Recorded once the head is closed.
    pub end: End,
}

/// A notice that left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldNotice {
    /// The notice's id.
    pub id: String,
    /// When SNS answered.
    pub at: Timestamp,
    /// Its words if it refused for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeliverable: Option<String>,
}

/// All that makes a ledger.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// The run.
    pub id: RunId,
    /// How it was asked for.
    pub origin: Origin,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// The spec's text.
    pub spec_text: &'a str,
    /// Random.
    pub write_id: String,
}

impl Run {
    /// A new ledger. `end`: a run that was refused or skipped at admission gets a ledger with that end.
    pub fn new(new: NewRun<'_>, phase: Phase, end: Option<End>) -> Result<Self, SpecError> {
        let pipeline = Pipeline::parse(new.spec_text)?;
        let mut run = Self {
            schema: 1,
            version: 1,
            write_id: new.write_id,
            deadline: pipeline.deadline_after(new.id.tick()),
            id: new.id,
            origin: new.origin,
            created_at: new.created_at,
            created_by: new.created_by,
            phase,
            end: None,
            ended_at: None,
            spec: PinnedSpec {
                sha256: crate::digest::sha256_hex(new.spec_text.as_bytes()),
                text: new.spec_text.to_owned(),
            },
            previous_fingerprint: None,
            dataset: None,
            definitions: None,
            stages: std::collections::BTreeMap::new(),
            champion_seen: None,
            gate: None,
            closing: None,
            cancel_wanted: None,
            is_reviewed: false,
            is_review_due: false,
            is_late: false,
            risks: Vec::new(),
            pending: Vec::new(),
            notices: Vec::new(),
            history: Vec::new(),
            unknown: Map::new(),
        };
        run.note(new.created_at, format!("asked for by {}", run.created_by));
        if let Some(end) = end {
            run.finish(end, new.created_at);
        }
        Ok(run)
    }

    /// The pipeline it was made with. A ledger is never written with a spec that does not parse.
    pub fn pipeline(&self) -> Result<Pipeline, SpecError> {
        Pipeline::parse(&self.spec.text)
    }

    /// Whether nothing about its end can change any more.
    pub fn is_final(&self) -> bool {
        self.phase == Phase::Final
    }

    /// Whether nothing at all is left to do: final, everything carried out, every job at its end.
    pub fn is_settled(&self) -> bool {
        self.is_final()
            && self.is_reviewed
            && self.pending.is_empty()
            && self
                .stages
                .values()
                .flat_map(|s| &s.submissions)
                .all(SubmissionRecord::is_over)
    }

    /// The stage that is at work, if one is.
    pub fn current_stage(&self) -> Option<Stage> {
        match self.phase {
            Phase::Training => Some(Stage::Train),
            Phase::Evaluating => Some(Stage::Evaluate),
            Phase::Recommending => Some(Stage::Recommend),
            Phase::Gathering => Some(Stage::Gather),
            Phase::Closing => self.closing.as_ref().map(|closing| closing.stage),
            _ => None,
        }
    }

    /// Adds a line to the history.
    pub(crate) fn note(&mut self, at: Timestamp, what: String) {
        if self.history.len() < HISTORY_MAX {
            self.history.push(HistoryLine { at, what });
        }
    }
}

impl Phase {
    /// The phase in which `stage` is at work.
    pub const fn of(stage: Stage) -> Self {
        match stage {
            Stage::Train => Self::Training,
            Stage::Evaluate => Self::Evaluating,
            Stage::Recommend => Self::Recommending,
            Stage::Gather => Self::Gathering,
        }
    }
}
