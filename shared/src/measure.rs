//! What is measured of runs, for graphs and alarms: names, units, and values from what is known anyway.
//!
//! Everything here is a plain function over what a ledger said before and after a save, or over what a
//! sweep has seen. Whoever saved the ledger prints what follows from it, and nobody else does: of all the
//! functions that race for a decision exactly one does, and one that dies right after its save never
//! does. So a measure comes at most once. The ledger is the account; these are its shadows.

mod of_save;
mod of_sweep;
#[cfg(test)]
mod tests;
mod waiting;

use std::fmt;

use crate::cost::Usd;
use crate::identity::RunId;
use crate::pipeline_head::PipelineHead;

pub use of_save::of_save;
pub use of_sweep::{checkpoint_age, failed_sweep, on_demand_wait};

/// Every measure of runs is told by pipeline.
pub const PIPELINE: &str = "Pipeline";
/// How runs ended is also told by the word of their end.
pub const OUTCOME: &str = "Outcome";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A run's first stage is submitted. Skipped ticks, and runs whose data never came, begin none.
    RunsStarted,
    /// A run becomes final, skipped ones too.
    RunsEnded {
        /// The word of its end.
        outcome: &'static str,
    },
    /// An attempt is seen to have ended because its host was taken back or lost.
    Reclaims,
    /// A stage is submitted on-demand after Spot.
    MovesToOnDemand,
    /// Of the time that attempts told of, the share in which nothing was done twice.
    Goodput,
    /// What a run cost.
    DollarsSpent,
    /// What the same hours would have cost more on-demand.
    DollarsSaved,
    /// What of the cost was for work that was done twice.
    DollarsWasted,
    /// What the pipeline's runs of a month have cost up to this run's end.
    MonthSpend,
    /// An attempt starts: how long it waited for a host.
    QueueWait,
    /// A training is at work: what a reclaim now would lose.
    CheckpointAge,
    /// A job waits for a host in the on-demand queue: how long.
    OnDemandWait,
    /// SNS refused a notice for good.
    NoticesUndeliverable,
    /// A sweep could not do all of its work.
    SweepsFailed,
}

impl Metric {
    /// The name in `CloudWatch`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunsStarted => "RunsStarted",
            Self::RunsEnded { .. } => "RunsEnded",
            Self::Reclaims => "Reclaims",
            Self::MovesToOnDemand => "MovesToOnDemand",
            Self::Goodput => "Goodput",
            Self::DollarsSpent => "DollarsSpent",
            Self::DollarsSaved => "DollarsSaved",
            Self::DollarsWasted => "DollarsWasted",
            Self::MonthSpend => "MonthSpend",
            Self::QueueWait => "QueueWait",
            Self::CheckpointAge => "CheckpointAge",
            Self::OnDemandWait => "OnDemandWait",
            Self::NoticesUndeliverable => "NoticesUndeliverable",
            Self::SweepsFailed => "SweepsFailed",
        }
    }

    /// One of `CloudWatch`'s own units; it has none for money.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::RunsStarted
            | Self::RunsEnded { .. }
            | Self::Reclaims
            | Self::MovesToOnDemand
            | Self::NoticesUndeliverable
            | Self::SweepsFailed => "Count",
            Self::Goodput => "Percent",
            Self::DollarsSpent | Self::DollarsSaved | Self::DollarsWasted | Self::MonthSpend => {
                "None"
            }
            Self::QueueWait | Self::CheckpointAge | Self::OnDemandWait => "Seconds",
        }
    }

    /// The sets of dimensions under which it is told. Each makes a metric of its own, which costs money;
    /// the empty set is for alarms, which cannot search for pipelines that nobody has named yet.
    pub const fn dimension_sets(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::RunsEnded { .. } => &[&[PIPELINE], &[PIPELINE, OUTCOME]],
            Self::MonthSpend | Self::OnDemandWait | Self::NoticesUndeliverable => {
                &[&[PIPELINE], &[]]
            }
            // A sweep is about all pipelines.
            Self::SweepsFailed => &[&[]],
            _ => &[&[PIPELINE]],
        }
    }
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Of what.
    pub metric: Metric,
    /// In its unit.
    pub value: f64,
}

impl Measure {
    const fn one(metric: Metric) -> Self {
        Self { metric, value: 1.0 }
    }

    fn dollars(metric: Metric, amount: Usd) -> Self {
        Self {
            metric,
            value: amount.dollars(),
        }
    }
}

impl fmt::Display for Measure {
    /// `RunsEnded(failed) 1`, for tests and the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric.name())?;
        if let Metric::RunsEnded { outcome } = self.metric {
            write!(f, "({outcome})")?;
        }
        write!(f, " {}", self.value)
    }
}

/// What the head says of the month in which `run` was due; none before the run's cost is in it. A run that
/// goes on past the end of its month still counts to that month.
pub fn month_spend(head: &PipelineHead, run: &RunId) -> Option<Measure> {
    let run = run.to_string();
    let month = head.spend.values().find(|runs| runs.contains_key(&run))?;
    let spent = month.values().copied().sum();
    Some(Measure::dollars(Metric::MonthSpend, spent))
}
