//! The dashboard and the alarms of the template show what the functions measure: the same names, under sets
//! of dimensions that are told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use test_case::test_case;
use trainspot_localcloud::Declared;
use trainspot_shared::measure::Metric;

const METRICS: [Metric; 14] = [
    Metric::RunsStarted,
    Metric::RunsEnded {
        outcome: "succeeded",
    },
    Metric::Reclaims,
    Metric::MovesToOnDemand,
    Metric::Goodput,
    Metric::DollarsSpent,
    Metric::DollarsSaved,
    Metric::DollarsWasted,
    Metric::MonthSpend,
    Metric::QueueWait,
    Metric::CheckpointAge,
    Metric::OnDemandWait,
    Metric::NoticesUndeliverable,
    Metric::SweepsFailed,
];

/// A metric's name and its dimensions' names.
type Shown = (String, Vec<String>);

fn template(parameters: &[(&str, &str)]) -> Declared {
    let given: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let text = include_str!("../../../template.yaml");
    Declared::parse(text, &given).expect("the template is read")
}

fn namespace(template: &Declared) -> String {
    let mut told: BTreeSet<_> = template
        .functions()
        .map(|function| function.environment["TRAINSPOT_METRICS_NAMESPACE"].clone())
        .collect();
    let only = told.pop_first().expect("there are functions");
    assert!(told.is_empty(), "one namespace, not also {told:?}");
    only
}

fn dashboard(template: &Declared) -> Value {
    let (_, resource) = template
        .of_kind("AWS::CloudWatch::Dashboard")
        .next()
        .expect("a dashboard");
    let properties = resource.properties.as_ref().expect("it is evaluated");
    let body = properties["DashboardBody"].as_str().expect("a text");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("no JSON: {error}\n{body}"))
}

/// The metrics of `namespace` that one line of a widget shows: `SEARCH('{"space",A,B} MetricName="X"', …)`, or
/// the metric itself.
fn shown(line: &Value, namespace: &str) -> Option<Shown> {
    let parts = line.as_array().expect("a metric is a list");
    let Some(expression) = parts[0]["expression"].as_str() else {
        let words: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
        let [space, name, dimensions @ ..] = words.as_slice() else {
            panic!("neither metric nor expression: {line}")
        };
        let names = dimensions.iter().step_by(2).map(ToString::to_string);
        return (*space == namespace).then(|| ((*name).to_owned(), names.collect()));
    };
    let wanted = format!("SEARCH('{{\"{namespace}\"");
    let rest = expression
        .strip_prefix(&wanted)
        .unwrap_or_else(|| panic!("it must begin with {wanted}: {expression}"));
    let (dimensions, rest) = rest
        .split_once("} MetricName=\"")
        .expect("one metric's name");
    let (name, _) = rest.split_once('"').expect("a name in quotes");
    let dimensions = dimensions.split(',').filter(|name| !name.is_empty());
    Some((name.to_owned(), dimensions.map(str::to_owned).collect()))
}

fn told() -> BTreeSet<Shown> {
    let owned = |set: &&[&str]| set.iter().map(ToString::to_string).collect();
    METRICS
        .iter()
        .flat_map(|metric| {
            let sets = metric.dimension_sets().iter();
            sets.map(move |set| (metric.name().to_owned(), owned(set)))
        })
        .collect()
}

#[test]
fn the_dashboard_shows_every_metric_and_none_that_nobody_tells() {
    let template = template(&[]);
    let namespace = namespace(&template);
    let body = dashboard(&template);

    let widgets = body["widgets"].as_array().expect("widgets");
    let lines = widgets
        .iter()
        .filter_map(|widget| widget["properties"]["metrics"].as_array())
        .flatten();
    let shown: BTreeSet<_> = lines.filter_map(|line| shown(line, &namespace)).collect();

    let strange: Vec<_> = shown.difference(&told()).cloned().collect();
    assert_eq!(strange, [], "shown, and told by nobody");
    let names: BTreeSet<_> = shown.iter().map(|(name, _)| name.as_str()).collect();
    let all: BTreeSet<_> = METRICS.iter().map(|metric| metric.name()).collect();
    assert_eq!(names, all);
}

#[test_case("", "0", 4; "before there is an image, without a budget")]
#[test_case("", "150", 5; "before there is an image")]
#[test_case("yes", "0", 5; "without a budget")]
#[test_case("yes", "150", 6; "with everything")]
fn the_dashboard_lists_every_alarm_that_exists(image: &str, budget: &str, n_alarms: usize) {
    let image = match image {
        "" => String::new(),
        _ => format!("trainer@sha256:{}", "0".repeat(64)),
    };
    let template = template(&[("ImageUri", &image), ("MonthlyBudgetUsd", budget)]);

    let body = dashboard(&template);

    let listed = body["widgets"][0]["properties"]["alarms"].as_array();
    let listed = listed.expect("the first widget lists alarms").len();
    let exist = template.of_kind("AWS::CloudWatch::Alarm").count();
    assert_eq!((listed, exist), (n_alarms, n_alarms));
}

#[test]
fn an_alarm_on_a_metric_of_ours_names_one_that_is_told_without_dimensions() {
    let image = format!("trainer@sha256:{}", "0".repeat(64));
    let template = template(&[("ImageUri", &image), ("MonthlyBudgetUsd", "150")]);
    let namespace = namespace(&template);
    let told = told();
    let mut names = Vec::new();

    for (id, alarm) in template.of_kind("AWS::CloudWatch::Alarm") {
        let alarm = alarm.properties.as_ref().expect("it is evaluated");
        let description = alarm["AlarmDescription"].as_str().unwrap_or_default();
        assert!(
            description.contains("docs/operations.md") || description.contains("redrive"),
            "{id} must say what to do: {description}"
        );
        assert!(!alarm.to_string().contains("SEARCH("), "no alarm may");
        // An alarm has one metric, or an expression over several.
        let several = alarm["Metrics"].as_array().into_iter().flatten();
        let several = several.map(|metric| &metric["MetricStat"]["Metric"]);
        for metric in several.chain([alarm]) {
            if metric["Namespace"] != Value::String(namespace.clone()) {
                continue;
            }
            let name = metric["MetricName"].as_str().expect("a name").to_owned();
            assert!(told.contains(&(name.clone(), Vec::new())), "{id}: {name}");
            assert!(
                metric["Dimensions"].is_null(),
                "{id} must name no dimension"
            );
            names.push(name);
        }
    }

    names.sort_unstable();
    assert_eq!(
        names,
        [
            "MonthSpend",
            "NoticesUndeliverable",
            "OnDemandWait",
            "SweepsFailed"
        ]
    );
}
