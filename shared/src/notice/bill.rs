//! What a run cost, saved, lost and repeated, in sentences; and how sure that is.

use serde::Serialize;

use super::spell::{counted, duration};
use crate::cost::PriceList;
use crate::run::{Gaps, Repeated, Run, Totals};

/// How much of a run's cost is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Nothing was started, so nothing was paid.
    NothingRan,
    /// No attempt's record has been read, or none has a price.
    Nothing,
    /// Every recorded second has a price.
    Everything,
    /// Some of it: see the caveats.
    Part,
}

/// What a run's records say of money.
#[derive(Debug, Clone, PartialEq)]
pub struct Bill {
    /// The sums.
    pub totals: Totals,
    /// How much is known.
    pub known: Known,
    /// Attempts that there were and that left no record.
    pub unrecorded: usize,
    /// Shards of which no record was found at all.
    pub silent_shards: usize,
    /// Shards whose records were not read.
    pub unread_shards: usize,
}

impl Bill {
    /// Of the run as the ledger stands.
    pub fn of(run: &Run) -> Self {
        let totals = run.totals();
        let gaps = if run.is_reviewed {
            run.gaps()
        } else {
            Gaps::default()
        };
        let unrecorded = unrecorded_attempts(run) + gaps.attempts;
        let unread_shards = run.shard_sums().map(|sums| sums.unread).sum();
        let has_gaps = unrecorded + gaps.shards + unread_shards > 0;
        let has_jobs = run
            .stages
            .values()
            .flat_map(|stage| &stage.submissions)
            .any(|submission| submission.job_id.is_some() || submission.not_submitted.is_none());
        let priced_s = totals.spot_s + totals.on_demand_s - totals.unpriced_s;
        let known = if !has_jobs {
            Known::NothingRan
        } else if priced_s <= 0.0 {
            Known::Nothing
        } else if totals.unpriced_s > 0.0 || has_gaps || !run.is_final() {
            Known::Part
        } else {
            Known::Everything
        };
        Self {
            totals,
            known,
            unrecorded,
            silent_shards: gaps.shards,
            unread_shards,
        }
    }

    /// Whether there is an amount to tell.
    pub fn has_amounts(&self) -> bool {
        self.known != Known::Nothing
    }

    /// The amounts in one sentence.
    pub(crate) fn money(&self) -> String {
        let Totals {
            cost,
            on_demand_cost,
            ..
        } = &self.totals;
        match self.known {
            Known::NothingRan => "Nothing ran, so nothing was paid.".to_owned(),
            Known::Nothing => "What it cost is not known.".to_owned(),
            Known::Everything | Known::Part => {
                let from = if self.known == Known::Part {
                    "at least "
                } else {
                    ""
                };
                format!(
                    "Cost {from}{cost} (estimated); the same hours on-demand {on_demand_cost}; saved {}.",
                    self.totals.saved()
                )
            }
        }
    }

    /// What the amounts rest on and what they leave out, a sentence each.
    pub(crate) fn caveats(&self, is_final: bool) -> Vec<String> {
        let mut caveats = Vec::new();
        if self.known == Known::NothingRan {
            return caveats;
        }
        if self.known != Known::Nothing {
            let list = PriceList::built_in();
            caveats.push(format!(
                "Estimated from host seconds and the price list of {} ({}); Spot at its mean price. Storage, requests and the time a host takes to start and stop are not in it.",
                list.date, list.region
            ));
        }
        if self.totals.unpriced_s > 0.0 {
            caveats.push(format!(
                "{} of host time has no known price (the instance type is not in the list, or the host told none) and is not in it.",
                duration(self.totals.unpriced_s)
            ));
        }
        if self.unrecorded > 0 {
            caveats.push(format!(
                "{} left no record; what that cost is not in it.",
                counted(self.unrecorded, "attempt")
            ));
        }
        if self.silent_shards > 0 {
            caveats.push(format!(
                "No record was found of {}; what they cost, if they ran, is not in it.",
                counted(self.silent_shards, "shard")
            ));
        }
        if self.unread_shards > 0 {
            caveats.push(format!(
                "There was no time to read the records of {}; what they cost is not in it.",
                counted(self.unread_shards, "shard")
            ));
        }
        let host_s = self.totals.spot_s + self.totals.on_demand_s;
        if self.totals.attempt_s - host_s >= 1.0 {
            caveats.push(
                "Attempts that were at work on one host at once share its time; if other runs used it too, it is counted here whole.".to_owned(),
            );
        }
        if !is_final {
            caveats.push("The run is still at work: the sums are made at its end.".to_owned());
        }
        caveats
    }

    /// Dollars for documents; none when they are not known.
    pub(crate) fn dollars(&self) -> Option<[f64; 3]> {
        let Totals {
            cost,
            on_demand_cost,
            ..
        } = &self.totals;
        self.has_amounts().then(|| {
            [
                cost.dollars(),
                on_demand_cost.dollars(),
                self.totals.saved().dollars(),
            ]
        })
    }
}

/// An interruption in one sentence: `train 1, attempt 1: reclaimed at step 412, resumed at 408: 1.8 s
/// of work repeated, 6 s change-over.`
pub(crate) fn interruption(repeated: &Repeated) -> String {
    let (submission, attempt) = repeated.interrupted;
    let word = if repeated.is_reclaim {
        "reclaimed"
    } else {
        "ended"
    };
    let again = if repeated.resumed_from == 0 {
        "began again from the start".to_owned()
    } else {
        format!("resumed at {}", repeated.resumed_from)
    };
    // Without a rate the ledger has 0 seconds for steps that were done twice: that is not nothing.
    let is_unknown = repeated.last_step > repeated.resumed_from && repeated.repeated_s <= 0.0;
    let twice = if is_unknown {
        "an unknown time".to_owned()
    } else {
        duration(repeated.repeated_s)
    };
    let pause = if repeated.change_over_s > 0.0 {
        format!("{} change-over", duration(repeated.change_over_s))
    } else {
        "change-over not known".to_owned()
    };
    format!(
        "{} {submission}, attempt {attempt}: {word} at step {}, {again}: {twice} of work repeated, {pause}.",
        repeated.stage, repeated.last_step
    )
}

/// Attempts of plain jobs that Batch counted and whose agents told nothing. An array's parent has no
/// attempts of its own, and its children are not in the ledger: see [`Run::gaps`].
fn unrecorded_attempts(run: &Run) -> usize {
    if !run.is_reviewed {
        return 0;
    }
    run.stages
        .values()
        .filter(|stage| stage.shard_sums.is_none())
        .flat_map(|stage| &stage.submissions)
        .flat_map(|submission| submission.jobs.iter().map(move |job| (submission, job)))
        .filter(|(_, job)| job.array.is_none())
        .map(|(submission, job)| {
            let recorded = submission
                .records
                .iter()
                .filter(|record| record.job_id == job.id)
                .count();
            job.attempts.len().saturating_sub(recorded)
        })
        .sum()
}
