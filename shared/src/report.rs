//! The page of a run: one HTML file that stands alone, for whoever wants to know what happened.
//!
//! Pure: same input, same bytes. It shows the ledger and what the stages published, and decides
//! nothing. It has no script, loads nothing, and shows no secret. Whatever is missing, the page says so
//! in its place and is made all the same.

mod attempts;
mod axis;
mod candidates;
mod failure;
mod gate_checks;
mod headline;
mod interval_plot;
mod loss_curve;
mod money;
mod page;
mod shards;
mod story;
mod time_line;

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::run::Run;

/// A point of the loss curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The last step of the stretch that the point stands for.
    pub step: u64,
    /// Mean loss of that stretch.
    pub loss: f64,
}

/// `curve.json`: the loss of the whole training, over all its attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// By step; the trainer writes at most 2,000.
    #[serde(default)]
    pub points: Vec<CurvePoint>,
    /// The steps at which an attempt went on from a checkpoint.
    #[serde(default)]
    pub resumed_from: Vec<u64>,
}

/// All that a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    /// The ledger.
    pub run: &'a Run,
    /// What evaluate published; none if there is none or it could not be read.
    pub metrics: Option<&'a Metrics>,
    /// What train published.
    pub curve: Option<&'a Curve>,
    /// What gather published, `recommendations.json`.
    pub recommendations: Option<&'a serde_json::Value>,
    /// Where everything lies.
    pub results_bucket: &'a str,
}

/// The page.
pub fn render(input: &ReportInput<'_>) -> String {
    page::page(input).into_string()
}

#[cfg(test)]
mod tests;
