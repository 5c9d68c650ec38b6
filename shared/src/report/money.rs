//! What the run cost, by stage, market and host type, and what the same hours would have cost.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::ReportInput;
use crate::cost::{self, Usd};
use crate::identity::{Market, Stage};
use crate::notice::bill::{Bill, Known, interruption};
use crate::notice::spell::{counted, duration, seconds_between};
use crate::notice::what_happened::market;
use crate::run::Run;

const INTERRUPTIONS_MAX: usize = 100;

/// One line of the bill.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Line {
    pub(super) attempts: usize,
    pub(super) seconds: f64,
    /// Paid and on-demand; none while an attempt of the line has no price.
    pub(super) amounts: Option<(Usd, Usd)>,
}

/// The bill's lines. They add up to [`Run::totals`].
pub(super) fn lines(run: &Run) -> BTreeMap<(Stage, bool, String), Line> {
    let mut lines: BTreeMap<(Stage, bool, String), Line> = BTreeMap::new();
    for record in run.records() {
        // As the ledger's sums read it.
        let is_on_demand = record.life_cycle.as_deref() == Some("on-demand");
        let market = if is_on_demand {
            Market::OnDemand
        } else {
            Market::Spot
        };
        let kind = record.instance_type.clone().unwrap_or_default();
        let seconds = seconds_between(record.started_at, record.ended_at);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative; attempts last hours"
        )]
        let whole = seconds.ceil() as u64;
        let amounts = cost::price(&kind, market)
            .zip(cost::price(&kind, Market::OnDemand))
            .map(|(paid, full)| {
                (
                    cost::cost_of(whole, paid.usd_per_hour),
                    cost::cost_of(whole, full.usd_per_hour),
                )
            });
        let line = lines.entry((record.stage, is_on_demand, kind)).or_default();
        line.attempts += 1;
        line.seconds += seconds;
        if let Some((paid, full)) = amounts {
            let (paid_before, full_before) = line.amounts.unwrap_or_default();
            line.amounts = Some((paid_before + paid, full_before + full));
        }
    }
    lines
}

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let run = input.run;
    let bill = Bill::of(run);
    let lines = lines(run);
    html! {
        p { (bill.money()) }
        @if lines.is_empty() {
            @if bill.known != Known::NothingRan { p.missing { "There is no bill: no attempt left a record." } }
        } @else {
            div.scroll { table {
                thead { tr {
                    th { "Stage" } th { "Market" } th { "Host" } th.n { "Attempts" } th.n { "Host time" }
                    th.n { "Cost" } th.n { "On-demand" } th.n { "Saved" }
                } }
                tbody { @for ((stage, is_on_demand, kind), line) in &lines { tr {
                    th scope="row" { (stage) }
                    td { (market(Some(if *is_on_demand { Market::OnDemand } else { Market::Spot }))) }
                    td { @if kind.is_empty() { "not told" } @else { (kind) } }
                    td.n { (line.attempts) }
                    td.n { (duration(line.seconds)) }
                    @match line.amounts {
                        Some((paid, full)) => { td.n { (paid) } td.n { (full) } td.n { (full - paid) } }
                        None => { td.n { "unknown" } td.n { "unknown" } td.n { "unknown" } }
                    }
                } } }
                tfoot { tr {
                    th scope="row" { "All" } td {} td {}
                    td.n { (lines.values().map(|line| line.attempts).sum::<usize>()) }
                    td.n { (duration(bill.totals.spot_s + bill.totals.on_demand_s)) }
                    @if bill.has_amounts() {
                        td.n { (bill.totals.cost) } td.n { (bill.totals.on_demand_cost) } td.n { (bill.totals.saved()) }
                    } @else {
                        td.n { "unknown" } td.n { "unknown" } td.n { "unknown" }
                    }
                } }
            } }
        }
        @for caveat in bill.caveats(run.is_final()) { p.note { (caveat) } }
        @if !bill.totals.repeated.is_empty() {
            h3 { "What was done twice" }
            ul {
                @for one in bill.totals.repeated.iter().take(INTERRUPTIONS_MAX) { li { (interruption(one)) } }
            }
            @if bill.totals.repeated.len() > INTERRUPTIONS_MAX {
                p.note { "... and " (counted(bill.totals.repeated.len() - INTERRUPTIONS_MAX, "more interruption")) ", in the ledger." }
            }
        }
    }
}
