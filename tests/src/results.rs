//! What the programs of the stories write: enough for the gates to read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::file;

/// How good the work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Results {
    /// The challenger's lead over the champion, as a share of the champion's score.
    pub gain: f64,
    /// What gather says.
    pub is_verified: bool,
}

impl Default for Results {
    fn default() -> Self {
        Self {
            gain: 0.05,
            is_verified: true,
        }
    }
}

impl Results {
    /// The files of a stage's output.
    pub(crate) fn files(
        self,
        stage: Stage,
        params: &BTreeMap<String, Value>,
    ) -> Vec<(&'static str, Value)> {
        match stage {
            Stage::Train => vec![(file::TRAINING, json!({"step": 100}))],
            Stage::Evaluate => vec![(file::METRICS, self.metrics(params))],
            Stage::Recommend => vec![("part.json", json!({"users": 25}))],
            Stage::Gather => {
                vec![(
                    file::RECOMMENDATIONS,
                    json!({"verified": self.is_verified, "users": 100}),
                )]
            }
        }
    }

    fn metrics(self, params: &BTreeMap<String, Value>) -> Value {
        let champion = params.get("champion_run_id").map(|run| {
            json!({
                "run_id": run,
                "candidate": params.get("champion_candidate"),
                "relative_gain": self.gain,
                "paired": {"metric": "ndcg_at_10", "mean": self.gain, "low": self.gain / 2.0, "high": self.gain * 2.0},
            })
        });
        json!({
            "schema": 1,
            "gate_protocol": "p2_rolling",
            "best": "network",
            "protocols": {"p2_rolling": {"users": 100, "candidates": {
                "network": {"ndcg_at_10": {"mean": 0.11}},
            }}},
            "champion": champion,
        })
    }
}
