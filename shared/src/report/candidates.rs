//! What evaluate measured: every candidate by every metric, the differences, and the segments.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::ReportInput;
use super::interval_plot::{Row, interval_plot};
use super::page::why_missing;
use crate::identity::Stage;
use crate::metrics::{ChampionScores, Estimate, Metrics, Paired, Protocol, Scores, Segment};
use crate::notice::spell::{change, grouped, number};

/// These first, in this order; others after them by name.
const METRICS_FIRST: [&str; 6] = [
    "ndcg_at_10",
    "hr_at_10",
    "mrr_at_10",
    "recall_at_20",
    "coverage",
    "popularity_lift",
];

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let Some(metrics) = input.metrics else {
        return html! { p.missing { (why_missing(input.run, Stage::Evaluate, "metrics.json")) } };
    };
    let gate_metric = gate_metric(input, metrics);
    let mut protocols: Vec<(&String, &Protocol)> = metrics.protocols.iter().collect();
    protocols.sort_by_key(|(name, _)| **name != metrics.gate_protocol);
    html! {
        p {
            "Best candidate: " strong { (metrics.best) } ". "
            @match &metrics.champion {
                Some(champion) => {
                    "Champion, scored again on the same split: " strong { (champion.candidate) } " of " code { (champion.run_id) }
                    "; the best candidate is " (change(champion.relative_gain)) " against it in " code { (champion.paired.metric) } "."
                }
                None => "No champion was scored on this split.",
            }
        }
        @if protocols.is_empty() { p.missing { "metrics.json has no protocol." } }
        @for (place, (name, protocol)) in protocols.iter().enumerate() {
            @let is_gate = **name == metrics.gate_protocol;
            (one_protocol(place, name, protocol, is_gate, metrics, &gate_metric))
        }
    }
}

fn gate_metric(input: &ReportInput<'_>, metrics: &Metrics) -> String {
    let of_spec = input
        .run
        .pipeline()
        .ok()
        .and_then(|pipeline| pipeline.evaluate)
        .map(|e| e.gate.metric);
    let of_champion = || {
        metrics
            .champion
            .as_ref()
            .map(|champion| champion.paired.metric.clone())
    };
    of_spec
        .or_else(of_champion)
        .unwrap_or_else(|| METRICS_FIRST[0].to_owned())
}

fn one_protocol(
    place: usize,
    name: &str,
    protocol: &Protocol,
    is_gate: bool,
    metrics: &Metrics,
    gate_metric: &str,
) -> Markup {
    // The champion was scored by the gate's protocol only.
    let champion = metrics.champion.as_ref().filter(|_| is_gate);
    let mut ranked: Vec<(&String, &Scores)> = protocol.candidates.iter().collect();
    let mean = |scores: &Scores| {
        scores
            .get(gate_metric)
            .map_or(f64::NEG_INFINITY, |e| e.mean)
    };
    ranked.sort_by(|(_, a), (_, b)| mean(b).total_cmp(&mean(a)));
    let best = |candidate: &str| is_gate && candidate == metrics.best;
    let mut rows: Vec<Row> = ranked
        .iter()
        .filter_map(|(candidate, scores)| {
            let mark = best(candidate).then_some("★ best");
            Some(Row {
                name: (*candidate).clone(),
                mark,
                estimate: *scores.get(gate_metric)?,
            })
        })
        .collect();
    let champion_scores: Scores = champion.map(scores_of).unwrap_or_default();
    if let (Some(champion), Some(estimate)) = (champion, champion_scores.get(gate_metric)) {
        rows.push(Row {
            name: champion.candidate.clone(),
            mark: Some("♛ champion"),
            estimate: *estimate,
        });
    }
    let columns = columns(protocol, &champion_scores);
    let line_at = champion_scores
        .get(gate_metric)
        .map(|estimate| (estimate.mean, "the champion's mean"));
    html! {
        h3 { (name) @if is_gate { " " span.pill { "the gate goes by this" } } }
        p.note { (grouped(protocol.users)) " users. " (protocol.description) }
        @if protocol.candidates.is_empty() { p.missing { "No candidate was scored by this protocol." } }
        (interval_plot(&format!("candidates-{place}"), &format!("{gate_metric} of every candidate by {name}"), &rows, line_at))
        @if !rows.is_empty() { p.note { code { (gate_metric) } ", mean over users with its 95 % bootstrap interval." } }
        @if !protocol.candidates.is_empty() { div.scroll { table {
            thead { tr { th { "Candidate" } @for column in &columns { th.n { code { (column) } } } } }
            tbody {
                @for (candidate, scores) in &ranked {
                    tr.marked[best(candidate)] {
                        th scope="row" { (candidate) @if best(candidate) { " " span.pill { "★ best" } } }
                        @for column in &columns { td.n { (cell(scores.get(column))) } }
                    }
                }
                @if let Some(champion) = champion {
                    tr.champion {
                        th scope="row" { (champion.candidate) " " span.pill { "♛ champion" } }
                        @for column in &columns { td.n { (cell(champion_scores.get(column))) } }
                    }
                }
            }
        } } }
        (differences(place, &protocol.paired, champion, metrics, gate_metric))
        (segments(&protocol.segments, gate_metric))
        @if let Some(champion) = champion { (champion_segments(champion)) }
    }
}

/// The champion's own scores: evaluate writes some of them as an estimate and some as a bare number.
fn scores_of(champion: &ChampionScores) -> Scores {
    champion
        .scores
        .iter()
        .filter_map(|(metric, value)| {
            let estimate = match value {
                Value::Number(mean) => Estimate {
                    mean: mean.as_f64()?,
                    low: None,
                    high: None,
                },
                _ => serde_json::from_value(value.clone()).ok()?,
            };
            Some((metric.clone(), estimate))
        })
        .collect()
}

fn columns(protocol: &Protocol, champion: &Scores) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for metric in protocol
        .candidates
        .values()
        .chain([champion])
        .flat_map(BTreeMap::keys)
    {
        if !columns.contains(metric) {
            columns.push(metric.clone());
        }
    }
    columns.sort_by_key(|metric| {
        let place = METRICS_FIRST.iter().position(|first| first == metric);
        (place.unwrap_or(METRICS_FIRST.len()), metric.clone())
    });
    columns
}

fn cell(estimate: Option<&Estimate>) -> Markup {
    html! {
        @match estimate {
            Some(estimate) => {
                (number(estimate.mean))
                @if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
                    br; small { (number(low)) " – " (number(high)) }
                }
            }
            None => "–",
        }
    }
}

/// What an interval of differences says.
fn said(low: f64, high: f64) -> &'static str {
    if low > 0.0 {
        "better"
    } else if high < 0.0 {
        "worse"
    } else {
        "within chance"
    }
}

fn differences(
    place: usize,
    paired: &[Paired],
    champion: Option<&ChampionScores>,
    metrics: &Metrics,
    gate_metric: &str,
) -> Markup {
    let mut rows: Vec<Row> = Vec::new();
    if let Some(champion) = champion {
        let of = &champion.paired;
        rows.push(Row {
            name: format!("{} − {} (champion)", metrics.best, champion.candidate),
            mark: Some(said(of.low, of.high)),
            estimate: Estimate {
                mean: of.mean,
                low: Some(of.low),
                high: Some(of.high),
            },
        });
    }
    rows.extend(
        paired
            .iter()
            .filter(|pair| pair.metric == gate_metric)
            .map(|pair| Row {
                name: format!("{} − {}", pair.candidate, pair.against),
                mark: Some(said(pair.low, pair.high)),
                estimate: Estimate {
                    mean: pair.mean,
                    low: Some(pair.low),
                    high: Some(pair.high),
                },
            }),
    );
    html! {
        @if !rows.is_empty() {
            h4 { "Differences, user by user" }
            (interval_plot(&format!("differences-{place}"), &format!("Differences in {gate_metric}"), &rows, Some((0.0, "no difference"))))
            p.note { "In " code { (gate_metric) } "; the dashed line is no difference. An interval that crosses it may be chance." }
        }
        @if !paired.is_empty() {
            details {
                summary { "Differences in every metric" }
                div.scroll { table {
                    thead { tr { th { "Candidate" } th { "against" } th { "Metric" } th.n { "Difference" } th.n { "95 % interval" } th { "" } } }
                    tbody { @for pair in paired { tr {
                        td { (pair.candidate) } td { (pair.against) } td { code { (pair.metric) } }
                        td.n { (number(pair.mean)) }
                        td.n { (number(pair.low)) " – " (number(pair.high)) }
                        td { (said(pair.low, pair.high)) }
                    } } }
                } }
            }
        }
    }
}

fn segments(segments: &[Segment], gate_metric: &str) -> Markup {
    let mut names: Vec<&String> = Vec::new();
    for name in segments
        .iter()
        .flat_map(|segment| segment.candidates.keys())
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    html! {
        @if !segments.is_empty() {
            h4 { "By segment, in " code { (gate_metric) } }
            div.scroll { table {
                thead { tr { th { "Segment" } th.n { "Users" } @for name in &names { th.n { (name) } } } }
                tbody { @for segment in segments { tr {
                    th scope="row" { (segment.name) }
                    td.n { (grouped(segment.users)) br; small { (number_percent(segment.share)) } }
                    @for name in &names {
                        td.n { (cell(segment.candidates.get(*name).and_then(|scores| scores.get(gate_metric)))) }
                    }
                } } }
            } }
        }
    }
}

fn number_percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1} %", share * 100.0)
    } else {
        "–".to_owned()
    }
}

/// Challenger against champion, by segment, as evaluate writes them; what it did not write is a dash.
fn champion_segments(champion: &ChampionScores) -> Markup {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    html! {
        @if !champion.segments.is_empty() {
            h4 { "Challenger against champion, by segment" }
            div.scroll { table {
                thead { tr { th { "Segment" } th.n { "Users" } th.n { "Champion" } th.n { "Challenger" } th.n { "Change" } } }
                tbody { @for row in &champion.segments { tr {
                    th scope="row" { (row.name) }
                    td.n { (row.users.map_or_else(|| "–".to_owned(), grouped)) }
                    td.n { (shown(row.champion)) }
                    td.n { (shown(row.challenger)) }
                    td.n { (row.relative_change.map_or_else(|| "–".to_owned(), change)) }
                } } }
            } }
        }
    }
}
