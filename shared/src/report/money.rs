//! What the run cost, by stage, market and host type, and what the same hours would have cost.

use maud::{Markup, html};

use super::ReportInput;
use crate::notice::bill::{Bill, Known, interruption};
use crate::notice::spell::{counted, duration};
use crate::notice::what_happened::market;

const INTERRUPTIONS_MAX: usize = 100;

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let run = input.run;
    let bill = Bill::of(run);
    // They add up to the ledger's own sums.
    let lines = run.host_lines();
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
                tbody { @for line in &lines { tr {
                    th scope="row" { (line.stage) }
                    td { (market(Some(line.market))) }
                    td { @if line.instance_type.is_empty() { "not told" } @else { (line.instance_type) } }
                    td.n { (line.attempts) }
                    td.n { (duration(line.host_s)) }
                    @match line.amounts {
                        Some((paid, full)) => { td.n { (paid) } td.n { (full) } td.n { (full - paid) } }
                        None => { td.n { "unknown" } td.n { "unknown" } td.n { "unknown" } }
                    }
                } } }
                tfoot { tr {
                    th scope="row" { "All" } td {} td {}
                    td.n { (lines.iter().map(|line| line.attempts).sum::<usize>()) }
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
