//! The documents against the format's own rules, and that they are printed or not.

use std::collections::BTreeSet;

use super::*;
use crate::memory::MemoryEdge;

const RUN: &str = "recommender-20261123T0200Z";

fn run() -> RunId {
    RUN.parse().expect("an id")
}

fn at() -> Timestamp {
    "2026-11-23T05:12:08.250Z".parse().expect("a time")
}

fn measure(metric: Metric, value: f64) -> Measure {
    Measure { metric, value }
}

fn every_metric() -> Vec<Metric> {
    use Metric::{
        CheckpointAge, DollarsSaved, DollarsSpent, DollarsWasted, Goodput, MonthSpend,
        MovesToOnDemand, NoticesUndeliverable, OnDemandWait, QueueWait, Reclaims, RunsEnded,
        RunsStarted, SweepsFailed,
    };
    let outcome = "kept_champion";
    let all = vec![
        RunsStarted,
        RunsEnded { outcome },
        Reclaims,
        MovesToOnDemand,
        Goodput,
        DollarsSpent,
        DollarsSaved,
        DollarsWasted,
        MonthSpend,
        QueueWait,
        CheckpointAge,
        OnDemandWait,
        NoticesUndeliverable,
        SweepsFailed,
    ];
    for metric in &all {
        // A new one stops the compiler here, and belongs into the list.
        match metric {
            RunsStarted
            | RunsEnded { .. }
            | Reclaims
            | MovesToOnDemand
            | Goodput
            | DollarsSpent
            | DollarsSaved
            | DollarsWasted
            | MonthSpend
            | QueueWait
            | CheckpointAge
            | OnDemandWait
            | NoticesUndeliverable
            | SweepsFailed => {}
        }
    }
    all
}

/// The units that `CloudWatch` has, of those that anybody here may need.
const UNITS: [&str; 4] = ["Count", "Percent", "Seconds", "None"];

/// What the specification demands of a document: what is wrong with it, in a sentence.
fn check(line: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {line}"));
    let root: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if line.contains('\n') || !root.is_object() {
        return wrong("not one object on one line");
    }
    if !root["_aws"]["Timestamp"].is_i64() {
        return wrong("no time in whole milliseconds");
    }
    let Some(directives) = root["_aws"]["CloudWatchMetrics"].as_array() else {
        return wrong("no directives");
    };
    let mut seen = BTreeSet::new();
    for directive in directives {
        let members: Vec<_> = directive.as_object().into_iter().flatten().collect();
        let namespace = directive["Namespace"].as_str().unwrap_or_default();
        if members.len() != 3 || namespace.is_empty() || namespace.starts_with(':') {
            return wrong("a directive is namespace, dimensions and metrics");
        }
        let sets = directive["Dimensions"].as_array();
        if sets.is_none_or(Vec::is_empty) {
            return wrong("no dimension set");
        }
        for set in sets.into_iter().flatten() {
            for dimension in set.as_array().ok_or("a set is a list")? {
                let name = dimension.as_str().unwrap_or_default();
                let value = root[name].as_str().unwrap_or_default();
                if value.is_empty() || !value.is_ascii() || value.len() > 1024 {
                    return wrong("a dimension has no text of its own");
                }
            }
        }
        for metric in directive["Metrics"].as_array().ok_or("no metrics")? {
            let name = metric["Name"].as_str().unwrap_or_default();
            let unit = metric["Unit"].as_str().unwrap_or_default();
            let is_told = match &root[name] {
                Value::Array(values) => {
                    (1..=100).contains(&values.len()) && values.iter().all(Value::is_number)
                }
                value => value.is_number(),
            };
            if !is_told || !UNITS.contains(&unit) || !seen.insert(name.to_owned()) {
                return wrong("a metric without its numbers, or twice");
            }
        }
    }
    if seen.is_empty() {
        return wrong("nothing is told");
    }
    Ok(())
}

#[test]
fn a_document_is_what_the_format_asks_for() {
    let measures = [
        measure(Metric::QueueWait, 40.0),
        measure(Metric::RunsEnded { outcome: "failed" }, 1.0),
        measure(Metric::QueueWait, 61.5),
        measure(Metric::NoticesUndeliverable, 1.0),
    ];

    let document = document("trainspot/prod", Some(&run()), &measures, at());

    let expected = json!({
        "_aws": {
            "Timestamp": 1_795_410_728_250_i64,
            "CloudWatchMetrics": [
                {
                    "Namespace": "trainspot/prod",
                    "Dimensions": [["Pipeline"]],
                    "Metrics": [{"Name": "QueueWait", "Unit": "Seconds"}],
                },
                {
                    "Namespace": "trainspot/prod",
                    "Dimensions": [["Pipeline"], []],
                    "Metrics": [{"Name": "NoticesUndeliverable", "Unit": "Count"}],
                },
                {
                    "Namespace": "trainspot/prod",
                    "Dimensions": [["Pipeline"], ["Pipeline", "Outcome"]],
                    "Metrics": [{"Name": "RunsEnded", "Unit": "Count"}],
                },
            ],
        },
        "run.id": RUN,
        "Pipeline": "recommender",
        "Outcome": "failed",
        "QueueWait": [40.0, 61.5],
        "RunsEnded": 1.0,
        "NoticesUndeliverable": 1.0,
    });
    assert_eq!(document, expected);
    assert_eq!(check(&document.to_string()), Ok(()));
}

#[test]
fn every_metric_can_be_told_alone_and_with_all_others() {
    let all: Vec<Measure> = every_metric()
        .into_iter()
        .map(|metric| measure(metric, 2.5))
        .collect();

    assert_eq!(
        check(&document("n", Some(&run()), &all, at()).to_string()),
        Ok(())
    );
    for one in &all {
        let line = document("n", Some(&run()), std::slice::from_ref(one), at()).to_string();
        assert_eq!(check(&line), Ok(()));
    }
}

#[test]
fn no_metric_has_the_name_of_another_or_of_what_stands_beside_it() {
    let mut names: BTreeSet<_> = [PIPELINE, OUTCOME, "run.id", "_aws"].into();

    for metric in every_metric() {
        assert!(names.insert(metric.name()), "{}", metric.name());
    }
}

#[test]
fn what_breaks_a_rule_of_the_format_is_found() {
    let good = document(
        "n",
        Some(&run()),
        &[measure(Metric::RunsEnded { outcome: "failed" }, 1.0)],
        at(),
    );
    let broken = |pointer: &str, value: Value| {
        let mut document = good.clone();
        *document.pointer_mut(pointer).expect("it is there") = value;
        check(&document.to_string())
    };

    assert_eq!(check(&good.to_string()), Ok(()));
    assert!(broken("/_aws/Timestamp", json!("now")).is_err());
    assert!(broken("/_aws/CloudWatchMetrics/0/Namespace", json!("")).is_err());
    assert!(broken("/_aws/CloudWatchMetrics/0/Dimensions", json!([])).is_err());
    assert!(broken("/_aws/CloudWatchMetrics/0/Metrics/0/Unit", json!("Dollars")).is_err());
    assert!(broken("/Outcome", json!(1)).is_err());
    assert!(broken("/RunsEnded", Value::Null).is_err());
    assert!(broken("/RunsEnded", json!([])).is_err());
    assert!(check(&format!("{good:#}")).is_err());
}

fn settings(namespace: Option<&str>) -> Settings {
    Settings::read(|name| match name {
        "TRAINSPOT_FUNCTION_TIMEOUT_S" => Some("60".to_owned()),
        "TRAINSPOT_SCHEDULES" => Some("{}".to_owned()),
        "TRAINSPOT_METRICS_NAMESPACE" => namespace.map(str::to_owned),
        name => Some(name.to_lowercase()),
    })
    .expect("every variable is set")
}

#[test]
fn many_values_are_told_in_as_many_documents_as_the_format_needs() {
    let edge = MemoryEdge::new(1, at());
    let waits = vec![measure(Metric::QueueWait, 1.0); 201];

    tell(&edge, &settings(Some("n")), &run(), || waits);

    let printed = edge.take_printed();
    let counts: Vec<usize> = printed
        .iter()
        .map(|line| {
            assert_eq!(check(line), Ok(()));
            let document: Value = serde_json::from_str(line).expect("JSON");
            document["QueueWait"].as_array().map_or(1, Vec::len)
        })
        .collect();
    assert_eq!(counts, [100, 100, 1]);
}

#[test]
fn a_sweep_is_about_no_run_and_no_pipeline() {
    let edge = MemoryEdge::new(1, at());

    tell_of_sweep(
        &edge,
        &settings(Some("n")),
        measure(Metric::SweepsFailed, 1.0),
    );
    tell_of_sweep(&edge, &settings(None), measure(Metric::SweepsFailed, 1.0));

    let printed = edge.take_printed();
    let [line] = printed.as_slice() else {
        panic!("{printed:?}")
    };
    assert_eq!(check(line), Ok(()));
    let document: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        document["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([[]])
    );
}

#[test]
fn nothing_is_printed_when_nothing_was_measured() {
    let edge = MemoryEdge::new(1, at());

    tell(&edge, &settings(Some("n")), &run(), Vec::new);

    assert_eq!(edge.take_printed(), [""; 0]);
}

#[test]
fn without_a_namespace_nobody_even_measures() {
    let edge = MemoryEdge::new(1, at());

    for namespace in [None, Some("")] {
        tell(&edge, &settings(namespace), &run(), || {
            panic!("measured for nobody")
        });
    }

    assert_eq!(edge.take_printed(), [""; 0]);
}
