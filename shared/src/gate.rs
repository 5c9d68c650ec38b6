//! The first gate: is the best candidate good enough to take the champion's place?
//!
//! Pure: same metrics, same rules, same answer. Every check is kept with its numbers, for the report.

use serde::{Deserialize, Serialize};

use crate::failure::Class;
use crate::metrics::Metrics;
use crate::pipeline::GateSpec;

/// The parameter by which evaluate is told the gate's metric.
pub const GATE_METRIC: &str = "gate_metric";

/// The challenger may cover at most this much less of the catalogue.
const COVERAGE_FLOOR: f64 = 0.9;
/// ... recommend at most this much more of what everybody buys.
const POPULARITY_CEILING: f64 = 1.1;

/// A part of at least this share of the users ...
const SEGMENT_SHARE: f64 = 0.05;
/// ... may lose at most this share of its score.
const SEGMENT_LOSS: f64 = 0.05;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// In words.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// What it is held against.
    pub bound: f64,
    /// Whether it holds.
    pub passed: bool,
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The best candidate.
    pub candidate: String,
    /// Whether it takes the champion's place.
    pub is_better: bool,
    /// It passed every check, and only the spec's `promote = "ask"` keeps it from the champion's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_left_to_a_person: bool,
    /// In one sentence.
    pub because: String,
    /// All checks.
    pub checks: Vec<Check>,
    /// The candidate's own value of the gate's metric.
    pub score: f64,
}

/// Why the gate cannot judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotJudge {
    /// The document contradicts itself: the program that wrote it is wrong.
    #[error("metrics.json: {0}")]
    Unreadable(String),
    /// The spec asks for a metric that evaluate did not go by; either of the two may be corrected.
    #[error(
        "`metric` in [evaluate.gate] of the spec is `{asked}`, but evaluate {did}: \
         write one that evaluate goes by, or let it go by its parameter `{}`",
        GATE_METRIC
    )]
    OtherMetric {
        /// The gate's.
        asked: String,
        /// What evaluate did instead, with the metrics that it went by.
        did: String,
    },
}

impl CannotJudge {
    /// As what the run fails.
    pub const fn class(&self) -> Class {
        match self {
            Self::Unreadable(_) => Class::Bug,
            Self::OtherMetric { .. } => Class::BadConfiguration,
        }
    }
}

/// Judges `metrics`. `has_champion`: somebody is champion now, whether or not evaluate scored it.
pub fn judge(
    metrics: &Metrics,
    gate: &GateSpec,
    has_champion: bool,
) -> Result<GateResult, CannotJudge> {
    let protocol = metrics
        .protocols
        .get(&metrics.gate_protocol)
        .ok_or_else(|| {
            CannotJudge::Unreadable(format!("no protocol named `{}`", metrics.gate_protocol))
        })?;
    let scores = protocol.candidates.get(&metrics.best).ok_or_else(|| {
        CannotJudge::Unreadable(format!(
            "no scores of the best candidate `{}`",
            metrics.best
        ))
    })?;
    let other_metric = |did: String| CannotJudge::OtherMetric {
        asked: gate.metric.clone(),
        did,
    };
    let score = scores.get(&gate.metric).map(|e| e.mean).ok_or_else(|| {
        let written: Vec<_> = scores.keys().map(|name| format!("`{name}`")).collect();
        other_metric(format!(
            "wrote {} of its best candidate, `{}`",
            written.join(", "),
            metrics.best
        ))
    })?;
    let result = |is_better: bool, because: String, checks: Vec<Check>| GateResult {
        candidate: metrics.best.clone(),
        is_better,
        is_left_to_a_person: false,
        because,
        checks,
        score,
    };
    if !score.is_finite() || score <= 0.0 {
        let check = Check {
            name: format!("{} above zero", gate.metric),
            value: score,
            bound: 0.0,
            passed: false,
        };
        return Ok(result(
            false,
            format!("`{}` scores nothing", metrics.best),
            vec![check],
        ));
    }
    let Some(champion) = &metrics.champion else {
        return Ok(if has_champion {
            result(
                false,
                "the champion was not scored on this split".to_owned(),
                Vec::new(),
            )
        } else {
            result(true, "there is no champion yet".to_owned(), Vec::new())
        });
    };
    if champion.paired.metric != gate.metric {
        return Err(other_metric(format!(
            "compared the champion by `{}`",
            champion.paired.metric
        )));
    }
    let mut checks = vec![
        Check {
            name: format!("gain in {} over the champion", gate.metric),
            value: champion.relative_gain,
            bound: gate.min_gain,
            passed: champion.relative_gain >= gate.min_gain,
        },
        Check {
            name: "lower end of the paired 95 % interval".to_owned(),
            value: champion.paired.low,
            bound: 0.0,
            passed: champion.paired.low > 0.0,
        },
    ];
    if let (Some(mine), Some(theirs)) = (
        scores.get("coverage").map(|e| e.mean),
        champion.estimate("coverage"),
    ) {
        checks.push(Check {
            name: "coverage of the catalogue against the champion's".to_owned(),
            value: mine,
            bound: theirs * COVERAGE_FLOOR,
            passed: mine >= theirs * COVERAGE_FLOOR,
        });
    }
    if let (Some(mine), Some(theirs)) = (
        scores.get("popularity_lift").map(|e| e.mean),
        champion.estimate("popularity_lift"),
    ) {
        checks.push(Check {
            name: "popularity of what is recommended against the champion's".to_owned(),
            value: mine,
            bound: theirs * POPULARITY_CEILING,
            passed: mine <= theirs * POPULARITY_CEILING,
        });
    }
    checks.extend(
        champion
            .segments
            .iter()
            .filter(|segment| segment.share >= SEGMENT_SHARE)
            .filter_map(|segment| {
                let change = segment.relative_change?;
                Some(Check {
                    name: format!("change for the users of `{}`", segment.name),
                    value: change,
                    bound: -SEGMENT_LOSS,
                    passed: change >= -SEGMENT_LOSS,
                })
            }),
    );
    let failed = checks.iter().find(|check| !check.passed);
    let because = failed.map_or_else(
        || format!("`{}` passes every check against the champion", metrics.best),
        |check| {
            format!(
                "{}: {:.4}, needs {:.4}",
                check.name, check.value, check.bound
            )
        },
    );
    Ok(result(failed.is_none(), because, checks))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::Promote;

    fn rules() -> GateSpec {
        GateSpec {
            metric: "ndcg_at_10".to_owned(),
            min_gain: 0.01,
            promote: Promote::Auto,
        }
    }

    fn metrics(champion: &serde_json::Value) -> Metrics {
        serde_json::from_value(json!({
            "schema": 1, "gate_protocol": "p2_rolling", "best": "sequential-rules",
            "protocols": {"p2_rolling": {"users": 300, "candidates": {
                "sequential-rules": {"ndcg_at_10": {"mean": 0.113, "low": 0.1, "high": 0.12}, "coverage": {"mean": 0.5}},
            }}},
            "champion": champion,
        }))
        .expect("well-formed metrics")
    }

    fn champion(gain: f64, low: f64, coverage: f64) -> serde_json::Value {
        json!({"run_id": "r", "candidate": "network", "relative_gain": gain, "coverage": {"mean": coverage},
               "paired": {"metric": "ndcg_at_10", "mean": 0.01, "low": low, "high": 0.02}})
    }

    #[test]
    fn the_first_run_is_promoted_on_its_own_merit() {
        let result = judge(&metrics(&json!(null)), &rules(), false).expect("readable");

        assert!(result.is_better);
        assert_eq!(result.candidate, "sequential-rules");
    }

    #[test]
    fn another_metric_than_the_gates_is_the_specs_to_correct_and_both_are_named() {
        let asks = |metric: &str| GateSpec {
            metric: metric.to_owned(),
            ..rules()
        };
        let mut by_hr = metrics(&champion(0.05, 0.001, 0.5));
        by_hr.champion.as_mut().expect("there is one").paired.metric = "hr_at_10".to_owned();

        let compared = judge(&by_hr, &rules(), true).expect_err("it was compared by another");
        let typo = judge(&metrics(&json!(null)), &asks("ndcg_at_ten"), false)
            .expect_err("nobody writes that");

        assert_eq!(compared.class(), Class::BadConfiguration);
        assert_eq!(
            compared.to_string(),
            "`metric` in [evaluate.gate] of the spec is `ndcg_at_10`, but evaluate compared the champion by \
             `hr_at_10`: write one that evaluate goes by, or let it go by its parameter `gate_metric`"
        );
        assert_eq!(typo.class(), Class::BadConfiguration);
        assert_eq!(
            typo.to_string(),
            "`metric` in [evaluate.gate] of the spec is `ndcg_at_ten`, but evaluate wrote `coverage`, \
             `ndcg_at_10` of its best candidate, `sequential-rules`: write one that evaluate goes by, or let it \
             go by its parameter `gate_metric`"
        );
    }

    #[test]
    fn metrics_that_contradict_themselves_are_a_bug() {
        let mut nobody = metrics(&json!(null));
        nobody.best = "ease".to_owned();

        let refused = judge(&nobody, &rules(), false).expect_err("it has no scores");

        assert_eq!(refused.class(), Class::Bug);
    }

    #[test]
    fn an_unscored_champion_is_never_replaced() {
        assert!(
            !judge(&metrics(&json!(null)), &rules(), true)
                .expect("readable")
                .is_better
        );
    }

    #[test]
    fn a_gain_within_chance_keeps_the_champion() {
        let chance =
            judge(&metrics(&champion(0.05, -0.001, 0.5)), &rules(), true).expect("readable");
        let small =
            judge(&metrics(&champion(0.005, 0.001, 0.5)), &rules(), true).expect("readable");
        let narrow =
            judge(&metrics(&champion(0.05, 0.001, 0.9)), &rules(), true).expect("readable");
        let good = judge(&metrics(&champion(0.05, 0.001, 0.5)), &rules(), true).expect("readable");

        assert!(!chance.is_better && !small.is_better && !narrow.is_better);
        assert!(good.is_better, "{good:?}");
    }

    #[test]
    fn a_part_of_the_users_that_loses_keeps_the_champion_if_it_is_large() {
        let with_segment = |share: f64, change: f64| {
            let mut scored = champion(0.05, 0.001, 0.5);
            // As the trainer writes them: bare numbers for the champion's own scores.
            scored["coverage"] = json!(0.5);
            scored["segments"] =
                json!([{"name": "history 1-10", "share": share, "relative_change": change}]);
            judge(&metrics(&scored), &rules(), true)
                .expect("readable")
                .is_better
        };

        assert!(!with_segment(0.2, -0.06));
        assert!(with_segment(0.2, -0.04));
        assert!(with_segment(0.04, -0.5));
    }
}
