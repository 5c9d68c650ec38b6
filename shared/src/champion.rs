//! `champion.json`: the promoted model; the one key that consumers read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::gate::GateResult;
use crate::identity::RunId;
use crate::stage_head::Published;

/// A model that was promoted before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its run.
    pub run_id: RunId,
    /// When it was promoted.
    pub promoted_at: Timestamp,
}

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Champion {
    /// Format of this document.
    pub schema: u32,
    /// Rises with every write.
    pub version: u64,
    /// Random per write.
    pub write_id: String,
    /// The run that trained it.
    pub run_id: RunId,
    /// Which of that run's candidates it is.
    pub candidate: String,
    /// Where the train stage's output lies.
    pub model: Published,
    /// Its gate metric, by name, as measured when it was promoted.
    pub metrics: std::collections::BTreeMap<String, f64>,
    /// Where its newest recommendations are: the gather stage's output, of this or a later run. None
    /// where the pipeline makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendations: Option<Published>,
    /// The run that made those recommendations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendations_run_id: Option<RunId>,
    /// When.
    pub promoted_at: Timestamp,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Champion {
    /// The challenger of a run, judged by `metric`, in place of `before`; without recommendations, version and
    /// `write_id`, which are its writer's.
    pub(crate) fn of(
        run_id: RunId,
        gate: &GateResult,
        metric: String,
        model: Published,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Self {
        Self {
            schema: 1,
            version: 0,
            write_id: String::new(),
            run_id,
            candidate: gate.candidate.clone(),
            model,
            metrics: std::collections::BTreeMap::from([(metric, gate.score)]),
            recommendations: None,
            recommendations_run_id: None,
            promoted_at: now,
            previous: before.map(|before| Previous {
                run_id: before.run_id.clone(),
                promoted_at: before.promoted_at,
            }),
            unknown: Map::new(),
        }
    }
}
