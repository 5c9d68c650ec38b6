//! The run's page.

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::run::Run;

/// One point of the loss curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Global step.
    pub step: u64,
    /// Training loss.
    pub loss: f64,
}

/// `curve.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// At most 2,000.
    pub points: Vec<CurvePoint>,
    /// Where attempts resumed.
    #[serde(default)]
    pub resumed_from: Vec<u64>,
}

/// All that a page is made of.
#[derive(Debug)]
pub struct ReportInput<'a> {
    /// The ledger.
    pub run: &'a Run,
    /// Evaluate's.
    pub metrics: Option<&'a Metrics>,
    /// Train's.
    pub curve: Option<&'a Curve>,
    /// Gather's.
    pub recommendations: Option<&'a serde_json::Value>,
    /// Where everything lies.
    pub results_bucket: &'a str,
}

/// The page.
pub fn render(input: &ReportInput<'_>) -> String {
    maud::html! { (maud::DOCTYPE) title { (input.run.id) } }.into_string()
}
