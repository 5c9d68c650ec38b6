//! Estimates with their intervals, one below the other: a dot for the mean, a line for the interval.

use maud::{Markup, html};

use super::axis::{Axis, anchor, percent};
use crate::metrics::Estimate;
use crate::notice::spell::number;

const ROW_PX: usize = 40;
const AXIS_PX: usize = 24;

/// One line of the drawing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Who.
    pub(super) name: String,
    /// What is said of it besides: `best`, `champion`, `better`.
    pub(super) mark: Option<&'static str>,
    /// How much.
    pub(super) estimate: Estimate,
}

/// The drawing; `id` is unique on the page, `line_at` a value to hold them against. Empty if there is
/// nothing finite to draw.
pub(super) fn interval_plot(
    id: &str,
    title: &str,
    rows: &[Row],
    line_at: Option<(f64, &str)>,
) -> Markup {
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|row| row.estimate.mean.is_finite())
        .collect();
    let values = rows
        .iter()
        .flat_map(|row| [Some(row.estimate.mean), row.estimate.low, row.estimate.high])
        .flatten()
        .chain(line_at.map(|(value, _)| value));
    let Some(axis) = Axis::over(values, 0.05).filter(|_| !rows.is_empty()) else {
        return html! {};
    };
    let height = AXIS_PX + ROW_PX * rows.len();
    let told: Vec<String> = rows
        .iter()
        .map(|row| format!("{}.", in_words(row)))
        .collect();
    html! {
        svg.chart role="img" aria-labelledby={ (id) "-title " (id) "-text" } width="100%" height=(height) {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-text" } { (told.join(" ")) }
            @for (value, label) in axis.ticks(4) {
                @let x = axis.percent(value);
                line.grid x1=(percent(x)) x2=(percent(x)) y1=(AXIS_PX - 6) y2=(height) {}
                text.tick x=(percent(x)) y="12" text-anchor=(anchor(x)) { (label) }
            }
            @if let Some((value, name)) = line_at {
                @let x = percent(axis.percent(value));
                line.resume x1=(x) x2=(x) y1=(AXIS_PX - 6) y2=(height) { title { (name) } }
            }
            @for (place, row) in rows.iter().enumerate() {
                @let middle = AXIS_PX + place * ROW_PX + 28;
                @let class = if row.mark.is_some() { "marked" } else { "plain" };
                text.label x="0" y=(middle - 12) {
                    tspan.strong { (row.name) }
                    @if let Some(mark) = row.mark { tspan.muted { "  " (mark) } }
                }
                @if let (Some(low), Some(high)) = (row.estimate.low, row.estimate.high) {
                    line.whisker.(class) x1=(percent(axis.percent(low))) x2=(percent(axis.percent(high))) y1=(middle) y2=(middle) {}
                }
                circle.dot.(class) cx=(percent(axis.percent(row.estimate.mean))) cy=(middle) r="4.5" {
                    title { (in_words(row)) }
                }
            }
        }
    }
}

fn in_words(row: &Row) -> String {
    let interval = match (row.estimate.low, row.estimate.high) {
        (Some(low), Some(high)) => format!(", 95 % interval {} to {}", number(low), number(high)),
        _ => String::new(),
    };
    let mark = row
        .mark
        .map_or_else(String::new, |mark| format!(" ({mark})"));
    format!(
        "{}{mark}: {}{interval}",
        row.name,
        number(row.estimate.mean)
    )
}
