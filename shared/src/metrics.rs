//! `metrics.json`: what evaluate measured. The trainer writes it, the gate and the report read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the reference trainer writes of every candidate user by user: what a gate may go by.
pub const OF_THE_REFERENCE_TRAINER: [&str; 4] =
    ["ndcg_at_10", "hr_at_10", "mrr_at_10", "recall_at_20"];

/// A mean with its bootstrap interval, where one was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Over users.
    pub mean: f64,
    /// Lower end of the 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// Metric name → estimate.
pub type Scores = BTreeMap<String, Estimate>;

/// One candidate against another, user by user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The one.
    pub candidate: String,
    /// The other.
    pub against: String,
    /// Which metric.
    pub metric: String,
    /// Mean difference.
    pub mean: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A part of the users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Such as `history 1-10`.
    pub name: String,
    /// How many users.
    pub users: u64,
    /// Of all users, 0 to 1.
    pub share: f64,
    /// By candidate.
    pub candidates: BTreeMap<String, Scores>,
}

/// One way of splitting and asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Users that were scored.
    pub users: u64,
    /// In one sentence.
    #[serde(default)]
    pub description: String,
    /// Every candidate that was scored.
    pub candidates: BTreeMap<String, Scores>,
    /// Differences.
    #[serde(default)]
    pub paired: Vec<Paired>,
    /// Parts.
    #[serde(default)]
    pub segments: Vec<Segment>,
}

/// A difference in the gate's metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which metric.
    pub metric: String,
    /// Mean difference, challenger minus champion.
    pub mean: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How the gate's metric changes for a part of the users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentChange {
    /// Such as `history 1-10`.
    pub name: String,
    /// Of all users, 0 to 1.
    pub share: f64,
    /// How many users.
    #[serde(default)]
    pub users: Option<u64>,
    /// The champion's score.
    #[serde(default)]
    pub champion: Option<f64>,
    /// The challenger's.
    #[serde(default)]
    pub challenger: Option<f64>,
    /// The challenger's score less the champion's, as a share of the champion's; absent where that is 0.
    #[serde(default)]
    pub relative_change: Option<f64>,
}

/// The champion, scored again on the same split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChampionScores {
    /// Its run.
    pub run_id: String,
    /// Its candidate.
    pub candidate: String,
    /// Best candidate minus champion.
    pub paired: Difference,
    /// That difference as a share of the champion's score.
    pub relative_gain: f64,
    /// The best candidate against the champion, part by part of the users.
    #[serde(default)]
    pub segments: Vec<SegmentChange>,
    /// The champion's scores.
    #[serde(flatten)]
    pub scores: BTreeMap<String, serde_json::Value>,
}

/// What recommending for all users would take, as evaluate estimates it from the data it has read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FanOut {
    /// Who get recommendations.
    pub users: u64,
    /// Of which they are chosen.
    pub items: u64,
    /// By candidate: seconds of one core for all users, without the start of a child.
    pub core_s: BTreeMap<String, f64>,
}

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Format of this document.
    pub schema: u32,
    /// Of the data that was scored.
    #[serde(default)]
    pub dataset_fingerprint: String,
    /// The protocol that the gate goes by.
    pub gate_protocol: String,
    /// The best candidate by the gate's metric.
    pub best: String,
    /// By name.
    pub protocols: BTreeMap<String, Protocol>,
    /// Absent when there is none yet.
    #[serde(default)]
    pub champion: Option<ChampionScores>,
    /// Absent where the program estimates nothing.
    #[serde(default)]
    pub fan_out: Option<FanOut>,
}

impl ChampionScores {
    /// The champion's own value of a metric: an estimate's mean, or a bare number.
    pub fn estimate(&self, metric: &str) -> Option<f64> {
        let score = self.scores.get(metric)?;
        score.get("mean").unwrap_or(score).as_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test of the trainer (`tests/test_fan_out.py`) holds what it writes against the same file.
    #[test]
    fn the_golden_file_has_an_estimate_and_one_without_it_is_read_too() {
        let golden = include_str!("../golden/metrics.json");
        let read: Metrics = serde_json::from_str(golden).expect("it is well-formed");
        let fan_out = read.fan_out.expect("it has one");

        assert_eq!((fan_out.users, fan_out.items), (1_000_000, 12_000));
        assert_eq!(fan_out.core_s.get("sequential-rules"), Some(&82.0));

        let scores = read.protocols[&read.gate_protocol].candidates[&read.best].clone();
        let by_user: Vec<_> = scores
            .iter()
            .filter(|(_, estimate)| estimate.low.is_some())
            .map(|(metric, _)| metric.as_str())
            .collect();
        let mut known = OF_THE_REFERENCE_TRAINER;
        known.sort_unstable();
        assert_eq!(by_user, known);

        let mut older: serde_json::Value = serde_json::from_str(golden).expect("well-formed");
        older
            .as_object_mut()
            .and_then(|fields| fields.remove("fan_out"));
        let read: Metrics = serde_json::from_value(older).expect("an older trainer writes none");
        assert_eq!(read.fan_out, None);
    }
}
