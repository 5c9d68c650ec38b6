//! The loss by step over the whole training, with the steps at which it was resumed.

use maud::{Markup, html};

use super::axis::{Axis, anchor, percent};
use super::page::why_missing;
use super::{CurvePoint, ReportInput};
use crate::identity::Stage;
use crate::notice::spell::{counted, grouped, number};

const TOP_PX: f64 = 34.0;
const PLOT_PX: f64 = 200.0;
const FOOT_PX: f64 = 22.0;
/// The line is drawn in a box of its own, which is stretched to the page's width.
const BOX_WIDTH: f64 = 1000.0;
/// More names than this would lie over each other.
const NAMED_RESUMES_MAX: usize = 6;

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let Some(curve) = input.curve else {
        return html! { p.missing { (why_missing(input.run, Stage::Train, "curve.json")) } };
    };
    let points: Vec<CurvePoint> = curve
        .points
        .iter()
        .copied()
        .filter(|point| point.loss.is_finite())
        .collect();
    let dropped = curve.points.len() - points.len();
    let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) else {
        return html! { p.missing { "There is no loss curve: curve.json has no point with a number." } };
    };
    let lowest = points
        .iter()
        .copied()
        .reduce(|low, point| if point.loss < low.loss { point } else { low });
    html! {
        (drawing(&points, &curve.resumed_from))
        p.note {
            "Loss from " (number(first.loss)) " at step " (grouped(first.step)) " to " (number(last.loss)) " at step "
            (grouped(last.step))
            @if let Some(low) = lowest { "; lowest " (number(low.loss)) " at step " (grouped(low.step)) }
            ". " (counted(points.len(), "point"))
            @if dropped > 0 { "; " (counted(dropped, "point")) " without a number left out" }
            ". "
            @if curve.resumed_from.is_empty() {
                "The training was never resumed."
            } @else {
                "Resumed at step "
                (curve.resumed_from.iter().map(|step| grouped(*step)).collect::<Vec<_>>().join(", ")) "."
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
const fn as_number(step: u64) -> f64 {
    step as f64
}

fn drawing(points: &[CurvePoint], resumed_from: &[u64]) -> Markup {
    let steps = points.iter().map(|point| as_number(point.step));
    let Some((x_axis, y_axis)) =
        Axis::over(steps, 0.0).zip(Axis::over(points.iter().map(|point| point.loss), 0.06))
    else {
        return html! { p.missing { "There is no loss curve: its numbers are too large to draw." } };
    };
    let y_px = |loss: f64| TOP_PX + PLOT_PX * (1.0 - y_axis.percent(loss) / 100.0);
    let line: Vec<String> = points
        .iter()
        .map(|point| {
            let x = x_axis.percent(as_number(point.step)) / 100.0 * BOX_WIDTH;
            format!("{x:.1},{:.1}", y_px(point.loss) - TOP_PX)
        })
        .collect();
    let bottom = TOP_PX + PLOT_PX;
    html! {
        svg.chart role="img" aria-labelledby="loss-title loss-text" width="100%" height=(bottom + FOOT_PX) {
            title id="loss-title" { "Training loss by step" }
            desc id="loss-text" {
                "The loss over " (counted(points.len(), "point")) "; the paragraph below has its ends, its lowest value and the steps at which the training was resumed."
            }
            @for (value, _) in y_axis.ticks(4) {
                @let y = format!("{:.1}", y_px(value));
                line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
            }
            @for (value, _) in x_axis.ticks(5) {
                @let x = x_axis.percent(value);
                text.tick x=(percent(x)) y=(bottom + 16.0) text-anchor=(anchor(x)) { (step_label(value)) }
            }
            line.rule x1="0" x2="100%" y1=(bottom) y2=(bottom) {}
            @for (place, step) in resumed_from.iter().enumerate() {
                @let x = x_axis.percent(as_number(*step));
                line.resume x1=(percent(x)) x2=(percent(x)) y1=(TOP_PX) y2=(bottom) { title { "resumed at step " (step) } }
                @if place < NAMED_RESUMES_MAX {
                    @let y = if place % 2 == 0 { 14 } else { 28 };
                    text.tick.warn x=(percent(x)) y=(y) text-anchor=(anchor(x)) { "↻ resumed at " (grouped(*step)) }
                }
            }
            svg x="0" y=(TOP_PX) width="100%" height=(PLOT_PX) viewBox=(format!("0 0 {BOX_WIDTH} {PLOT_PX}")) preserveAspectRatio="none" {
                polyline.curve points=(line.join(" ")) {}
            }
            @for (value, label) in y_axis.ticks(4) {
                text.tick x="2" y=(format!("{:.1}", y_px(value) - 4.0)) { (label) }
            }
            @if let [point] = points {
                circle.dot cx=(percent(x_axis.percent(as_number(point.step)))) cy=(format!("{:.1}", y_px(point.loss))) r="4" {}
            }
        }
    }
}

fn step_label(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a round step of the axis, not below 0"
    )]
    let step = value.max(0.0).round() as u64;
    if (value - value.round()).abs() > 1e-9 {
        format!("{value}")
    } else {
        format!("step {}", grouped(step))
    }
}
