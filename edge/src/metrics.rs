//! Measures as `CloudWatch` reads them out of the log: the embedded metric format, a JSON document a line.
//!
//! Nothing is asked of `CloudWatch`, so no function needs a right for it and none waits for it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use trainspot_shared::identity::RunId;
use trainspot_shared::measure::{Measure, Metric, OUTCOME, PIPELINE};

use crate::settings::Settings;
use crate::world::World;

/// A metric has at most so many values in one document.
const VALUES_MAX: usize = 100;

/// Prints what was measured of `run`. Without a namespace nobody asks what that is.
pub(crate) fn tell<W: World>(
    world: &W,
    settings: &Settings,
    run: &RunId,
    measures: impl FnOnce() -> Vec<Measure>,
) {
    let Some(namespace) = &settings.metrics_namespace else {
        return;
    };
    for measures in measures().chunks(VALUES_MAX) {
        let document = document(namespace, Some(run), measures, world.now());
        world.print(&document.to_string());
    }
}

/// Prints what was measured of a sweep, which is about no run.
pub(crate) fn tell_of_sweep<W: World>(world: &W, settings: &Settings, measure: Measure) {
    if let Some(namespace) = &settings.metrics_namespace {
        let document = document(namespace, None, &[measure], world.now());
        world.print(&document.to_string());
    }
}

/// One document. Which run it was stands beside the metrics, for whoever searches the log, and is no
/// dimension: each run would be a metric of its own, at a metric's price.
fn document(namespace: &str, run: Option<&RunId>, measures: &[Measure], at: Timestamp) -> Value {
    let mut root = Map::new();
    if let Some(run) = run {
        root.insert("run.id".to_owned(), json!(run));
        root.insert(PIPELINE.to_owned(), json!(run.pipeline()));
    }
    let mut metrics: Vec<Metric> = Vec::new();
    for Measure { metric, value } in measures {
        if let Metric::RunsEnded { outcome } = metric {
            root.insert(OUTCOME.to_owned(), json!(outcome));
        }
        match root.get_mut(metric.name()) {
            None => {
                metrics.push(*metric);
                root.insert(metric.name().to_owned(), json!(value));
            }
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    let about = json!({
        "Timestamp": at.as_millisecond(),
        "CloudWatchMetrics": directives(namespace, &metrics),
    });
    root.insert("_aws".to_owned(), about);
    Value::Object(root)
}

/// Metrics by the dimensions under which they are told.
fn directives(namespace: &str, metrics: &[Metric]) -> Vec<Value> {
    let mut kinds: Vec<_> = metrics.iter().map(|m| m.dimension_sets()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let directive = |sets: &[&[&str]]| {
        let those = metrics.iter().filter(|m| m.dimension_sets() == sets);
        let those: Vec<Value> = those
            .map(|metric| json!({"Name": metric.name(), "Unit": metric.unit()}))
            .collect();
        json!({"Namespace": namespace, "Dimensions": sets, "Metrics": those})
    };
    kinds.into_iter().map(directive).collect()
}

#[cfg(test)]
mod tests;
