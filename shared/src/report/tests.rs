//! What a page shows, and that nothing missing or odd keeps it from being made.

use proptest::prelude::*;
use serde_json::{Value, json};
use test_case::test_case;

use super::*;
use crate::attempt::AttemptOutcome;
use crate::cost::Usd;
use crate::failure::Class;
use crate::identity::{Market, Stage};
use crate::notice::ledgers::{self, Story};
use crate::run::End;

fn bare(run: &Run) -> ReportInput<'_> {
    ReportInput {
        run,
        metrics: None,
        curve: None,
        recommendations: None,
        results_bucket: "trainspot-results",
    }
}

fn estimate(mean: f64) -> Value {
    json!({"mean": mean, "low": mean * 0.94, "high": mean * 1.06})
}

fn scores(ndcg: f64) -> Value {
    json!({
        "ndcg_at_10": estimate(ndcg), "hr_at_10": estimate(ndcg * 1.9), "mrr_at_10": estimate(ndcg * 0.8),
        "recall_at_20": estimate(ndcg * 2.4), "coverage": {"mean": 0.61}, "popularity_lift": {"mean": 1.32},
    })
}

/// As evaluate writes them.
fn metrics() -> Metrics {
    let candidates = json!({
        "network": scores(0.0974), "popularity": scores(0.0312), "recent-popularity": scores(0.0409),
        "item-knn": scores(0.0868), "ease": scores(0.0931), "ials": scores(0.0790), "sequential-rules": scores(0.1132),
    });
    let against = |name: &str, metric: &str, mean: f64, half: f64| json!({"candidate": "sequential-rules", "against": name, "metric": metric, "mean": mean, "low": mean - half, "high": mean + half});
    let segment = |name: &str, users: u64, share: f64| {
        json!({"name": name, "users": users, "share": share, "candidates": {
            "network": {"ndcg_at_10": estimate(0.11)}, "sequential-rules": {"ndcg_at_10": estimate(0.12)},
        }})
    };
    serde_json::from_value(json!({
        "schema": 1, "dataset_fingerprint": "9f2c", "gate_protocol": "p2_rolling", "best": "sequential-rules",
        "protocols": {
            "p1": {"users": 11_873, "description": "Leave-one-out.", "candidates": {"network": scores(0.1), "ease": scores(0.2)},
                   "paired": [], "segments": []},
            "p2_rolling": {
                "users": 12_345, "description": "Fitted on the events before the time at which 80 % of all events lie.",
                "candidates": candidates,
                "paired": [
                    against("network", "ndcg_at_10", 0.0158, 0.006), against("ease", "ndcg_at_10", 0.0201, 0.007),
                    against("item-knn", "ndcg_at_10", 0.004, 0.009), against("network", "hr_at_10", 0.01, 0.004),
                ],
                "segments": [segment("history 0", 1_200, 0.097), segment("history 1-10", 8_400, 0.68)],
            },
        },
        "champion": {
            "run_id": "recommender-20261120T0200Z", "candidate": "network", "relative_gain": 0.162,
            "ndcg_at_10": estimate(0.0974), "coverage": 0.58, "popularity_lift": 1.4,
            "paired": {"metric": "ndcg_at_10", "mean": 0.0158, "low": 0.0041, "high": 0.0262},
            "segments": [{"name": "history 0", "users": 1_200, "share": 0.097, "champion": 0.04, "challenger": 0.05,
                          "relative_change": 0.25}],
        },
    }))
    .expect("metrics as evaluate writes them")
}

fn curve() -> Curve {
    let points = (1..=480_u32).map(|i| {
        let step = f64::from(i) * 2.0;
        let wiggle = (step * 0.7).sin() * 0.012;
        CurvePoint {
            step: u64::from(i) * 2,
            loss: 0.21 + 0.48 * (-step / 190.0).exp() + wiggle,
        }
    });
    Curve {
        points: points.collect(),
        resumed_from: vec![408, 640],
    }
}

fn recommendations() -> Value {
    let files: Vec<Value> = (0..4_u64)
        .map(|shard| json!({"shard": shard, "rows": 3_086 + shard, "sha256": format!("{shard}a7b0de9f2c1a77b0de").repeat(3)}))
        .collect();
    json!({"shards": 4, "users": 12_345, "rows": 12_345, "top_k": 50, "candidate": "sequential-rules",
           "files": files, "verified": true})
}

/// Reclaimed twice, once without a record, moved, and through all stages.
fn long_run() -> Run {
    let mut run = Story::begins()
        .notes("dataset pinned: 3 objects, 73400320 bytes, fingerprint 9f2c1a77b0de")
        .submits(Stage::Train, Market::Spot)
        .notes("recommender-20261123T0200Z--train-1 submitted as job job-train-1")
        .loses_its_host(Stage::Train, 640)
        .works(Stage::Train, 300, AttemptOutcome::PreemptedPublished, |record| {
            record.resumed_from = Some(408);
            record.last_step = Some(655);
            record.last_rate = Some(2.2);
            record.published_step = Some(640);
        })
        .ends_as(Stage::Train, Class::HostLost, "Host EC2 (instance i-0123456789abcdef0) terminated.")
        .notes("train ended as host_lost (Host EC2 (instance i-0123456789abcdef0) terminated.): MoveToOnDemand")
        .after(20)
        .submits(Stage::Train, Market::OnDemand)
        .works(Stage::Train, 200, AttemptOutcome::Done, |record| {
            record.resumed_from = Some(640);
            record.published_step = Some(960);
        })
        .completes(Stage::Train)
        .submits(Stage::Evaluate, Market::Spot)
        .works(Stage::Evaluate, 95, AttemptOutcome::Done, |record| record.instance_type = None)
        .completes(Stage::Evaluate)
        .faces_the_gate(true)
        .notes("gate: `sequential-rules` is promoted: `sequential-rules` passes every check against the champion")
        .submits(Stage::Recommend, Market::Spot)
        .works(Stage::Recommend, 60, AttemptOutcome::Done, |record| record.shard = Some(0))
        .works(Stage::Recommend, 64, AttemptOutcome::Done, |record| record.shard = Some(1))
        .completes(Stage::Recommend)
        .submits(Stage::Gather, Market::Spot)
        .works(Stage::Gather, 12, AttemptOutcome::Done, |_| {})
        .completes(Stage::Gather)
        .notes("succeeded")
        .ends(End::Succeeded);
    let lost = &mut run
        .stages
        .get_mut(&Stage::Train)
        .expect("trained")
        .submissions[0];
    lost.records.truncate(1);
    lost.jobs[0].attempts[1].status_reason =
        Some("Host EC2 (instance i-0123456789abcdef0) terminated.".to_owned());
    run
}

/// Left in the build folder, to be looked at.
fn keep(name: &str, page: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sample-reports");
    std::fs::create_dir_all(&folder).expect("the build folder can be written");
    std::fs::write(folder.join(name), page).expect("the build folder can be written");
}

#[test]
fn a_whole_page_shows_every_part() {
    let run = long_run();
    let (metrics, curve, recommendations) = (metrics(), curve(), recommendations());

    let page = render(&ReportInput {
        metrics: Some(&metrics),
        curve: Some(&curve),
        recommendations: Some(&recommendations),
        ..bare(&run)
    });
    keep("succeeded.html", &page);

    for shown in [
        "✓ succeeded",
        "kept, with",
        "reclaimed",
        "published 408",
        "resumed at 408",
        "Spot notice at 02:11:37, gone 6 s later",
        "left no record",
        "on-demand",
        "↻ resumed at 640",
        "♛ champion",
        "★ best",
        "within chance",
        "lower end of the paired 95 % interval",
        "✓ passed",
        "✓ verified",
        "0a7b0de9f2c1",
        "What was done twice",
        "MoveToOnDemand",
        "+25.0 %",
        "0.5800",
    ] {
        assert!(page.contains(shown), "no `{shown}`");
    }
    assert!(!page.contains("Not here"), "everything is there");
    assert!(!page.contains("What went wrong"), "nothing went wrong");
}

#[test]
fn a_page_stands_alone_and_every_drawing_has_words() {
    let run = long_run();
    let (metrics, curve) = (metrics(), curve());

    let page = render(&ReportInput {
        metrics: Some(&metrics),
        curve: Some(&curve),
        ..bare(&run)
    });

    for foreign in ["<script", "http://", "https://", "src=", "@import", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let drawings = page.matches("role=\"img\"").count();
    assert_eq!(
        drawings, 5,
        "time line, loss, candidates and differences of one protocol, candidates of the other"
    );
    assert_eq!(page.matches("<desc id=").count(), drawings);
    assert_eq!(
        page,
        render(&ReportInput {
            metrics: Some(&metrics),
            curve: Some(&curve),
            ..bare(&run)
        })
    );
}

#[test]
fn a_failure_is_told_first_and_without_its_secrets() {
    let mut run = ledgers::failed_by_a_bug();
    let record = &mut run
        .stages
        .get_mut(&Stage::Train)
        .expect("trained")
        .submissions[0]
        .records[0];
    record.log_tail.push("<script>alert(1)</script>".to_owned());

    let page = render(&bare(&run));
    keep("failed.html", &page);

    assert!(page.contains("✗ failed: bug"));
    assert!(
        page.contains("loss is no number at step 17")
            && page.contains("lower <code>learning_rate</code>")
    );
    assert!(page.contains("password=****") && !page.contains("hunter2"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    assert!(page.find("What went wrong") < page.find("History"));
}

#[test]
fn what_is_missing_is_told_with_its_reason() {
    let failed = render(&bare(&ledgers::failed_by_a_bug()));
    let unread = render(&bare(&long_run()));
    let skipped = render(&bare(&ledgers::skipped()));

    assert!(failed.contains("Not here: the train stage published no output."));
    assert!(failed.contains("Not here: the run did not come to its evaluate stage."));
    assert!(failed.contains("The run did not come to the gate."));
    assert!(unread.contains("Not here: the gather stage's output has no recommendations.json"));
    assert!(skipped.contains("no attempt was begun") && skipped.contains("nothing was paid"));
}

#[test_case(&[], "has no point with a number"; "empty")]
#[test_case(&[(1, f64::NAN), (2, f64::INFINITY)], "has no point with a number"; "no numbers")]
#[test_case(&[(7, 0.5)], "1 point."; "one point")]
#[test_case(&[(1, 0.5), (2, 0.5)], "2 points."; "flat")]
#[test_case(&[(1, 0.5), (2, f64::NAN), (3, 0.4)], "1 point without a number left out"; "a hole")]
#[test_case(&[(1, f64::MAX), (2, f64::MIN)], "too large to draw"; "too large")]
fn any_curve_makes_a_page(points: &[(u64, f64)], told: &str) {
    let points = points
        .iter()
        .map(|(step, loss)| CurvePoint {
            step: *step,
            loss: *loss,
        })
        .collect();
    let curve = Curve {
        points,
        resumed_from: vec![0, 9_999],
    };
    let run = long_run();

    let page = render(&ReportInput {
        curve: Some(&curve),
        ..bare(&run)
    });

    assert!(page.contains(told), "{told}");
    assert!(!page.contains("NaN") && !page.contains("inf%"));
}

#[test_case(&json!(null))]
#[test_case(&json!([1, 2]))]
#[test_case(&json!({"files": "many", "verified": 3}))]
#[test_case(&json!({"files": [null, {}, {"shard": -1, "sha256": 7}]}))]
fn any_recommendations_make_a_page(document: &Value) {
    let run = long_run();

    let page = render(&ReportInput {
        recommendations: Some(document),
        ..bare(&run)
    });

    assert!(page.contains("Not said whether verified"));
}

#[test]
fn metrics_without_protocols_or_numbers_make_a_page() {
    let run = long_run();
    let empty: Metrics = serde_json::from_value(json!({
        "schema": 1, "gate_protocol": "p", "best": "b", "protocols": {},
    }))
    .expect("metrics");
    let mut odd = metrics();
    for scores in odd
        .protocols
        .values_mut()
        .flat_map(|protocol| protocol.candidates.values_mut())
    {
        for estimate in scores.values_mut() {
            estimate.mean = f64::NAN;
        }
    }

    let page = |metrics| {
        render(&ReportInput {
            metrics: Some(metrics),
            ..bare(&run)
        })
    };
    assert!(page(&empty).contains("metrics.json has no protocol."));
    assert!(page(&odd).contains("no number"));
}

#[test]
fn a_wide_fan_out_draws_what_went_wrong_and_counts_the_rest() {
    let mut story = Story::begins().submits(Stage::Recommend, Market::Spot);
    for shard in 0..100 {
        let outcome = if shard == 77 {
            AttemptOutcome::Failed
        } else {
            AttemptOutcome::Done
        };
        story = story.works(Stage::Recommend, 30, outcome, |record| {
            record.shard = Some(shard);
        });
    }
    let run = story.ends(End::Succeeded);

    let page = render(&bare(&run));

    assert!(page.contains("60 more attempts of the fan-out went well"));
    assert!(page.contains("recommend 1 shard 77, attempt 78"));
}

#[test]
fn every_end_has_a_page() {
    let ends = [
        End::KeptChampion {
            because: "too small a gain".to_owned(),
        },
        End::Cancelled {
            because: "by hand".to_owned(),
        },
        End::Failed {
            stage: None,
            class: Class::BadData,
            evidence: "no _READY".to_owned(),
        },
    ];
    for end in ends {
        let run = Story::begins().ends(end);

        assert!(render(&bare(&run)).contains("Duration"));
    }
    assert!(render(&bare(&ledgers::moved())).contains("… not over"));
}

#[test]
fn the_trainer_s_curve_is_read() {
    let curve: Curve =
        serde_json::from_str(r#"{"points": [{"step": 3, "loss": 0.25}], "resumed_from": [2]}"#)
            .expect("a curve");

    assert_eq!(
        curve,
        Curve {
            points: vec![CurvePoint {
                step: 3,
                loss: 0.25
            }],
            resumed_from: vec![2]
        }
    );
}

proptest! {
    #[test]
    fn the_bill_adds_up_to_the_ledger_s_sums(
        attempts in proptest::collection::vec((0_i64..90_000, 0_usize..3, proptest::bool::ANY), 0..12),
    ) {
        let mut story = Story::begins().submits(Stage::Train, Market::Spot);
        for (seconds, kind, is_on_demand) in attempts {
            story = story.works(Stage::Train, seconds, AttemptOutcome::Failed, |record| {
                record.instance_type = [Some("g4dn.xlarge"), Some("g5.xlarge"), None][kind].map(str::to_owned);
                record.life_cycle = Some(if is_on_demand { "on-demand" } else { "spot" }.to_owned());
            });
        }
        let run = story.so_far();

        let (mut paid, mut full) = (Usd::ZERO, Usd::ZERO);
        for line in run.host_lines() {
            let (line_paid, line_full) = line.amounts.unwrap_or_default();
            paid += line_paid;
            full += line_full;
        }
        prop_assert_eq!((paid, full), (run.totals().cost, run.totals().on_demand_cost));
    }
}
