//! `job-<n>.json`: all that a submission needs to know, written once before it is submitted.
//!
//! The job itself gets one variable, `TRAINSPOT_JOB`, with this document's address: Batch limits
//! the text of overrides to 8,192 characters, and what lies in S3 can be read after the fact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::{Market, RunId, Stage};

/// The variable that holds `s3://<results bucket>/<key of the job document>`.
pub const JOB_VARIABLE: &str = "TRAINSPOT_JOB";

/// A document in the results bucket, by key and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// In the results bucket.
    pub key: String,
    /// Of its bytes, lowercase hexadecimal.
    pub sha256: String,
}

/// An earlier stage's output, laid into `TRAINSPOT_INPUT_DIR/<name>/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The folder's name: `train`, `evaluate`, `champion`, `recommend/<shard>`.
    pub name: String,
    /// Where it lies in the results bucket, ending with `/`; it has a `MANIFEST.json`.
    pub prefix: String,
    /// SHA-256 of that manifest.
    pub manifest_sha256: String,
    /// The output of a fan-out: not one prefix but one for each of so many shards, named by their heads
    /// (`layout::stage_head(run, stage, Some(shard))`); each is laid into `<name>/<shard>/`. Left to the
    /// agent, so that the functions make the same few requests for 10,000 shards as for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
}

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDocument {
    /// Format of this document.
    pub schema: u32,
    /// The run.
    pub run_id: RunId,
    /// The stage.
    pub stage: Stage,
    /// The n-th submission of the stage.
    pub submission: u32,
    /// The stage's first submission: owner of shards without a head.
    pub base: u32,
    /// Which queue it was meant for.
    pub market: Market,
    /// What the agent runs.
    pub program: Vec<String>,
    /// Written to the file that `TRAINSPOT_PARAMS` names.
    pub params: BTreeMap<String, Value>,
    /// The pinned dataset; absent for a stage that needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Pinned>,
    /// Earlier stages' outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// How many shards the stage has; absent when it is not a fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// Which shard each array index works on, when only some are submitted again; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_of_index: Option<Vec<u32>>,
}

impl JobDocument {
    /// The shard of an array index, or of a plain job (`None`) in a fan-out with one child.
    pub fn shard_of(&self, array_index: Option<u32>) -> Option<u32> {
        self.shards?;
        let index = array_index.unwrap_or(0);
        match &self.shard_of_index {
            Some(list) => list.get(index as usize).copied(),
            None => Some(index),
        }
    }
}
