//! The top of the page: how it ended, how long it took, what it cost.

use maud::{Markup, html};

use super::ReportInput;
use super::page::prose;
use crate::notice::bill::{Bill, Known};
use crate::notice::mask::mask;
use crate::notice::spell::{counted, duration, minute, seconds_between};
use crate::notice::what_happened::{at_work, deadline, sentence, spaced};
use crate::run::End;

/// The end in one or two words, with a sign.
pub(super) fn end_word(end: Option<&End>) -> (&'static str, String) {
    match end {
        Some(End::Succeeded) => ("good", "✓ succeeded".to_owned()),
        Some(End::KeptChampion { .. }) => ("good", "✓ kept the champion".to_owned()),
        Some(End::Skipped { .. }) => ("warn", "– skipped".to_owned()),
        Some(End::Failed { class, .. }) => ("bad", format!("✗ failed: {}", spaced(class.as_str()))),
        Some(End::Cancelled { .. }) => ("warn", "– cancelled".to_owned()),
        None => ("warn", "… not over".to_owned()),
    }
}

/// The header.
pub(super) fn header(input: &ReportInput<'_>) -> Markup {
    let run = input.run;
    let bill = Bill::of(run);
    let (tone, word) = end_word(run.end.as_ref());
    let because = match &run.end {
        Some(
            End::KeptChampion { because } | End::Skipped { because } | End::Cancelled { because },
        ) => Some(sentence(&mask(because))),
        Some(_) => None,
        None => Some(sentence(&format!(
            "when this page was written, the run was {}",
            at_work(run)
        ))),
    };
    let estimated = if bill.known == Known::Part {
        "estimated, at least"
    } else {
        "estimated"
    };
    html! {
        header {
            p.crumb { "trainspot run" }
            h1 { (run.id.pipeline()) " " span.tick-of { (minute(run.id.tick().start())) } }
            p.end.(tone) { (word) }
            @if let Some(because) = because { p { (prose(&because)) } }
            dl.facts.large {
                div {
                    dt { "Duration" }
                    dd { (run.ended_at.map_or_else(|| "not over".to_owned(), |end| duration(seconds_between(run.created_at, end)))) }
                }
                div {
                    dt { "Cost" }
                    @match bill.known {
                        Known::Nothing => dd { "unknown" },
                        Known::NothingRan => dd { "nothing" },
                        Known::Part | Known::Everything => dd { (bill.totals.cost) " " small { (estimated) } },
                    }
                }
                div {
                    dt { "Saved by Spot" }
                    dd { @if bill.has_amounts() { (bill.totals.saved()) } @else { "unknown" } }
                }
                div {
                    dt { "Reclaims" }
                    dd {
                        (bill.totals.reclaims)
                        @if !bill.totals.repeated.is_empty() || bill.totals.shards_repeated_s > 0.0 { " " small { (duration(bill.totals.repeated_s())) " of work repeated" } }
                    }
                }
            }
            p { @match deadline(run) { Some(told) => (told), None => "No deadline." } }
            p.note {
                "Run " code { (run.id) } ", asked for by " (mask(&run.created_by)) " at " (minute(run.created_at)) ". "
                @if let Some(dataset) = &run.dataset {
                    "Dataset: " (counted(dataset.objects, "object")) ", " (mebibytes(dataset.size_bytes)) ", fingerprint "
                    code { (dataset.fingerprint.chars().take(12).collect::<String>()) } ". "
                }
                "Everything lies in " code { "s3://" (input.results_bucket) } "; the ledger is " code { (crate::layout::ledger(&run.id)) } "."
            }
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
