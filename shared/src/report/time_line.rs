//! The attempts on a time line: when each waited, prepared, worked and was told to go.

use maud::{Markup, html};

use super::ReportInput;
use super::attempts::{Attempt, Tone, attempts};
use super::axis::{TimeAxis, anchor, percent};
use crate::identity::Market;
use crate::notice::spell::{clock, counted, duration, one_line, second, seconds_between};
use crate::notice::what_happened::market;

/// A fan-out has thousands: the page shows those that did not go well first, and says how many it hides.
const ROWS_MAX: usize = 40;
const AXIS_PX: usize = 24;
const ROW_PX: usize = 54;
const REMARK_PX: usize = 15;
/// As much of a remark as fits a telephone; the table has it whole.
const REMARK_MAX: usize = 54;
const BAR_PX: usize = 14;
/// A stretch that would be narrower than this could not be seen.
const SEEN_PERCENT: f64 = 0.35;

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let all = attempts(input.run);
    if all.is_empty() {
        return html! { p.missing { "There is no time line: no attempt was begun, or none left a trace." } };
    }
    let (shown, hidden) = choose(&all);
    let from = input.run.created_at;
    let end = all
        .iter()
        .map(|attempt| attempt.ended_at)
        .chain(input.run.ended_at)
        .max()
        .unwrap_or(from);
    let axis = TimeAxis::new(from, end);
    html! {
        p.legend {
            span.key { i.swatch.wait {} " waits for a host" }
            span.key { i.swatch.fetch {} " starts and fetches" }
            span.key { i.swatch.spot {} " works on Spot" }
            span.key { i.swatch.full {} " works on-demand" }
            span.key { i.swatch.going {} " told to go, until gone" }
        }
        (drawing(&shown, axis))
        p.note { "Times are UTC, on " (from.strftime("%Y-%m-%d").to_string()) " and after." }
        @if hidden > 0 {
            p.note { (counted(hidden, "more attempt")) " of the fan-out went well and are not drawn." }
        }
        details {
            summary { "The same as a table" }
            (table(&shown))
        }
    }
}

/// At most [`ROWS_MAX`], in order; how many are left out.
fn choose(all: &[Attempt]) -> (Vec<&Attempt>, usize) {
    if all.len() <= ROWS_MAX {
        return (all.iter().collect(), 0);
    }
    let mut by_interest: Vec<usize> = (0..all.len()).collect();
    by_interest.sort_by_key(|place| {
        let went_well_in_a_shard = all
            .get(*place)
            .is_some_and(|attempt| attempt.shard.is_some() && attempt.tone == Tone::Good);
        (went_well_in_a_shard, *place)
    });
    by_interest.truncate(ROWS_MAX);
    by_interest.sort_unstable();
    (
        by_interest
            .iter()
            .filter_map(|place| all.get(*place))
            .collect(),
        all.len() - ROWS_MAX,
    )
}

fn drawing(shown: &[&Attempt], axis: TimeAxis) -> Markup {
    let mut height = AXIS_PX;
    let tops: Vec<usize> = shown
        .iter()
        .map(|attempt| {
            let top = height;
            height += ROW_PX
                + if attempt.remark.is_some() {
                    REMARK_PX
                } else {
                    0
                };
            top
        })
        .collect();
    let told: Vec<String> = shown.iter().map(|attempt| in_words(attempt)).collect();
    html! {
        svg.chart role="img" aria-labelledby="time-line-title time-line-text" width="100%" height=(height) {
            title id="time-line-title" { "Time line of " (counted(shown.len(), "attempt")) }
            desc id="time-line-text" { (told.join(" ")) }
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch-ground width="6" height="6" {}
                    line.hatch-line x1="0" y1="0" x2="0" y2="6" {}
                }
            }
            @for (x, label) in axis.ticks(5) {
                line.grid x1=(percent(x)) x2=(percent(x)) y1=(AXIS_PX - 6) y2=(height) {}
                text.tick x=(percent(x)) y="12" text-anchor=(anchor(x)) { (label) }
            }
            @for (attempt, top) in shown.iter().zip(tops) {
                (row(attempt, top, axis))
            }
        }
    }
}

fn row(attempt: &Attempt, top: usize, axis: TimeAxis) -> Markup {
    let bar = top + 20;
    let works_from = attempt.program_started_at.unwrap_or(attempt.ended_at);
    let goes_from = attempt
        .notice_at
        .unwrap_or(attempt.ended_at)
        .min(attempt.ended_at);
    let work = if attempt.market == Market::Spot {
        "spot"
    } else {
        "full"
    };
    let stretches = [
        ("wait", "waits", attempt.waits_from, attempt.started_at),
        (
            "fetch",
            "starts and fetches",
            attempt.started_at,
            works_from,
        ),
        (work, "works", works_from, goes_from),
        ("going", "told to go", goes_from, attempt.ended_at),
    ];
    html! {
        line.rule x1="0" x2="100%" y1=(top) y2=(top) {}
        text.label x="0" y=(top + 15) {
            tspan.strong { (attempt.name()) }
            tspan.muted { "  " (market(Some(attempt.market))) " " (attempt.instance_type.as_deref().unwrap_or_default()) }
        }
        @for (class, word, from, to) in stretches {
            @if to > from {
                @let x = axis.percent(from).min(100.0 - SEEN_PERCENT);
                @let width = (axis.percent(to) - axis.percent(from)).max(SEEN_PERCENT);
                rect.stretch.(class) x=(percent(x)) y=(bar) width=(percent(width)) height=(BAR_PX) {
                    title { (word) " from " (clock(from)) " to " (clock(to)) ", " (duration(seconds_between(from, to))) }
                }
            }
        }
        @if let Some(at) = attempt.notice_at {
            @let x = percent(axis.percent(at));
            line.notice x1=(x) x2=(x) y1=(bar - 3) y2=(bar + BAR_PX + 3) {}
        }
        text.fact x="0" y=(bar + BAR_PX + 14) {
            tspan class=(tone_class(attempt.tone)) { (sign(attempt.tone)) " " (attempt.outcome) }
            @for step in &attempt.steps { " · " (step) }
        }
        @if let Some(remark) = &attempt.remark {
            text.fact x="0" y=(bar + BAR_PX + 14 + REMARK_PX) { (one_line(remark, REMARK_MAX)) title { (remark) } }
        }
    }
}

fn table(shown: &[&Attempt]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "Attempt" } th { "Market" } th { "Host" } th { "Waited" } th { "Prepared" } th { "Worked" }
                th { "Ended" } th { "How" } th { "Steps" } th { "Remark" }
            } }
            tbody { @for attempt in shown {
                @let works_from = attempt.program_started_at.unwrap_or(attempt.ended_at);
                tr {
                    th scope="row" { (attempt.name()) }
                    td { (market(Some(attempt.market))) }
                    td { (host(attempt)) }
                    td.n { (duration(seconds_between(attempt.waits_from, attempt.started_at))) }
                    td.n { (duration(seconds_between(attempt.started_at, works_from))) }
                    td.n { (duration(seconds_between(works_from, attempt.ended_at))) }
                    td { (second(attempt.ended_at)) }
                    td class=(tone_class(attempt.tone)) { (sign(attempt.tone)) " " (attempt.outcome) }
                    td { (attempt.steps.join(", ")) }
                    td { (attempt.remark.as_deref().unwrap_or_default()) }
                }
            } }
        } }
    }
}

fn in_words(attempt: &Attempt) -> String {
    let facts: Vec<&str> = [&attempt.outcome]
        .into_iter()
        .chain(&attempt.steps)
        .chain(&attempt.remark)
        .map(String::as_str)
        .collect();
    format!(
        "{} on {}: started {}, ended {}, {}.",
        attempt.name(),
        market(Some(attempt.market)),
        clock(attempt.started_at),
        clock(attempt.ended_at),
        facts.join(", ")
    )
}

fn host(attempt: &Attempt) -> String {
    match (&attempt.instance_type, &attempt.zone) {
        (Some(kind), Some(zone)) => format!("{kind} in {zone}"),
        (Some(known), None) | (None, Some(known)) => known.clone(),
        (None, None) => "not told".to_owned(),
    }
}

const fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "✓",
        Tone::Interrupted => "⏏",
        Tone::Bad => "✗",
    }
}

const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Interrupted => "warn",
        Tone::Bad => "bad",
    }
}
