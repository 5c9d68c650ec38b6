//! What was seen. Facts only: what they mean is decided in `apply`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Outcome, PinnedDataset, ProgressSeen, ShardSums};
use crate::attempt::AttemptRecord;
use crate::batch_event::{JobSeen, JobStatus};
use crate::champion::Champion;
use crate::failure::{Class, Verdict};
use crate::host_shape::Wants;
use crate::identity::Stage;
use crate::metrics::Metrics;
use crate::pipeline_head::Admission;
use crate::stage_head::StageHead;

/// The champion when the gate looked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChampionSeen {
    /// Its document's version.
    pub etag: String,
    /// The document.
    pub champion: Champion,
}

/// The data bucket when it was looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum DataSeen {
    /// Pinned: its document is written.
    Pinned {
        /// What lies there.
        dataset: PinnedDataset,
        /// What the last run that ended well had seen, by now.
        last_success: Option<String>,
    },
    /// The pipeline needs none.
    NotNeeded,
    /// Nothing under the prefix, or no `_READY` that counts for this run.
    NotThere {
        /// In one sentence.
        why: String,
    },
    /// The store says no to whoever looks, and has said so for longer than the run waits for a person to mend it.
    Refused {
        /// What that makes of the run.
        class: Class,
        /// In one sentence.
        why: String,
    },
}

/// A stage whose current submission came to an end.
#[derive(Debug, Clone, PartialEq)]
pub struct StageEnd {
    /// Which.
    pub stage: Stage,
    /// Its head; none if no grant was ever written.
    pub head: Option<StageHead>,
    /// Of a failed attempt whose end Batch's own words do not explain: what its agent left.
    pub record: Option<AttemptRecord>,
    /// In a fan-out that failed: the shards without output.
    pub missing_shards: Option<Vec<u32>>,
    /// In a fan-out that failed: why the first of them did.
    pub child_verdict: Option<Verdict>,
    /// The evaluate stage's metrics, or why they could not be read.
    pub metrics: Option<Result<Metrics, String>>,
    /// The champion, looked up when the training is done: evaluate scores it on the same split.
    pub champion: Option<ChampionSeen>,
    /// The gather stage says that everything was verified.
    pub is_verified: Option<bool>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// A job's state, from an event or from `DescribeJobs`.
    Job(Box<JobSeen>),
    /// What the pipeline's head says of this run; none when it has no entry.
    Admission(Option<Admission>),
    /// The dataset.
    Data(DataSeen),
    /// A stage's end.
    StageEnded(Box<StageEnd>),
    /// What the attempts of a fan-out came to that are not kept one by one; comes before the others' records.
    ShardsSummed {
        /// Of which stage.
        stage: Stage,
        /// The sums.
        sums: ShardSums,
    },
    /// All attempts' records, after the end.
    Records(Vec<AttemptRecord>),
    /// An action was carried out, or not.
    Carried {
        /// The action's id.
        id: String,
        /// The nonce of the claim under which it was.
        nonce: String,
        /// What came of it.
        outcome: Outcome,
    },
    /// The queue could not run a job when this was told; the event may be old.
    QueueBlocked {
        /// Batch's id; of an array the child's.
        job_id: String,
        /// Its state now.
        status: JobStatus,
        /// The whole status reason.
        reason: String,
        /// What the job asks for.
        wants: Wants,
    },
    /// How the current job is getting on.
    Progress(ProgressSeen),
    /// A person wants it ended.
    Cancel {
        /// The reason they gave.
        because: String,
    },
    /// Supervision came by; time passes.
    Swept {
        /// Now.
        at: Timestamp,
    },
}
