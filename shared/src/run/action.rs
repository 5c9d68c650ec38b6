//! What a decision asks for, and what came of it. An action holds all that is needed to carry it out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::champion::Champion;
use crate::cost::Usd;
use crate::failure::Class;
use crate::identity::{JobName, RunId, Stage};
use crate::job::JobDocument;
use crate::notice::Notice;
use crate::pipeline_head::{LastSuccess, TakenMarker};
use crate::stage_head::{GrantRefused, Published, StageHead};

/// To be done, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Write the job document, grant the head, submit.
    Submit(Box<Submit>),
    /// Close a stage's head, so that nothing more can be published on it.
    Close {
        /// Which.
        stage: Stage,
        /// The stage's first submission, should there be no head yet.
        base: u32,
        /// For whoever finds it closed.
        reason: String,
    },
    /// End a job.
    Terminate {
        /// Batch's id.
        job_id: String,
        /// Begins with `trainspot:`.
        reason: String,
    },
    /// All children ended well: make the stage's one output of the shards' outputs.
    PublishShards {
        /// Which.
        stage: Stage,
        /// The submission that ended.
        submission: u32,
        /// How many there are.
        shards: u32,
    },
    /// Make or keep the champion, with fresh recommendations.
    Promote(Box<Promotion>),
    /// Write the run's page.
    WriteReport,
    /// Tell people.
    Notify(Box<Notice>),
    /// Write cost, last success and marker into the pipeline's head.
    RecordEnd {
        /// What the run cost, as far as known.
        cost: Usd,
        /// If it ended well.
        success: Option<LastSuccess>,
        /// The one that said that its data was whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        marker: Option<TakenMarker>,
    },
}

/// A submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submit {
    /// The job's name.
    pub name: JobName,
    /// ARN.
    pub queue: String,
    /// ARN with revision.
    pub definition: String,
    /// GPUs.
    pub gpus: u32,
    /// vCPUs.
    pub vcpus: u32,
    /// MiB.
    pub memory_mib: u32,
    /// Seconds an attempt.
    pub timeout_s: u32,
    /// From 2; none for a plain job.
    pub array_size: Option<u32>,
    /// Fair share.
    pub share: String,
    /// 0 to 99.
    pub priority: u32,
    /// Written before.
    pub document: JobDocument,
}

/// A change of `champion.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// The new document, but for version and write id.
    pub champion: Champion,
    /// The version that the gate saw; none if there was no champion.
    pub over: Option<String>,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// There is a job.
    Submitted {
        /// Batch's id.
        job_id: String,
    },
    /// Batch will never take it.
    SubmitRefused {
        /// Its words.
        why: String,
    },
    /// The head would not have it.
    Withdrawn(GrantRefused),
    /// The head is closed.
    Closed,
    /// The head had output before it could be closed.
    HadOutput(Box<StageHead>),
    /// Batch was told.
    Terminated,
    /// Batch would not hear of it, however often it was told. Its job ends by its time-out.
    NotTerminated {
        /// Its words.
        why: String,
    },
    /// The stage has its output.
    Published(Published),
    /// The stage's head would not have it.
    NotPublished,
    /// `champion.json` says so now.
    Promoted,
    /// Somebody else changed it since the gate.
    ChampionChanged,
    /// The page is there.
    Reported,
    /// SNS has it.
    Told {
        /// When.
        at: Timestamp,
    },
    /// SNS will never take it.
    Undeliverable {
        /// Its words.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// The pipeline's head has it.
    Recorded,
    /// Nothing happened; try again from then on.
    Released {
        /// When.
        not_before: Timestamp,
        /// Why, if it is refused until a person mends something; none for what passes by itself.
        refused: Option<String>,
    },
    /// It was refused for so long that the run goes on without it.
    GivenUp {
        /// What that makes of a run which cannot.
        class: Class,
        /// The last refusal.
        why: String,
    },
    /// Not yet submitted: so many of the shards that it names have their new owner.
    Granted {
        /// From the first one on.
        shards: usize,
    },
    /// Nobody knows whether it happened: the claim stands until it is taken over.
    Unclear {
        /// What was seen.
        why: String,
    },
}

impl Action {
    /// The same action has the same id, so that it is pending at most once.
    pub fn id(&self, run: &RunId) -> String {
        match self {
            Self::Submit(submit) => format!("submit {}", submit.name),
            Self::Close { stage, .. } => format!("close {stage}"),
            Self::Terminate { job_id, .. } => format!("terminate {job_id}"),
            Self::PublishShards {
                stage, submission, ..
            } => format!("publish {stage} {submission}"),
            Self::Promote(_) => "promote".to_owned(),
            Self::WriteReport => "report".to_owned(),
            Self::Notify(notice) => format!("notify {}", notice.id),
            Self::RecordEnd { .. } => format!("record {run}"),
        }
    }
}
