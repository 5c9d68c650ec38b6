//! Why a run did not end well, what the program said, and what may be done about it.

use maud::{Markup, html};

use super::ReportInput;
use super::page::prose;
use super::story::kind;
use crate::notice::culprit::{culprit, log_streams};
use crate::notice::deeds::next_steps;
use crate::notice::explain;
use crate::notice::mask::mask;
use crate::notice::spell::one_line;
use crate::notice::what_happened::sentence;
use crate::run::End;

const LOG_LINE_MAX: usize = 400;
const STREAMS_MAX: usize = 20;

/// The section; none for a run that ended well, was skipped, or is not over.
pub(super) fn section(input: &ReportInput<'_>) -> Option<Markup> {
    let run = input.run;
    let end = run.end.as_ref()?;
    let (what, class, evidence) = match end {
        End::Failed {
            stage,
            class,
            evidence,
        } => {
            let place = stage.map_or_else(
                || "before its first stage".to_owned(),
                |stage| format!("in {stage}"),
            );
            (
                format!(
                    "The run failed {place}. {}",
                    explain(run, kind(end), *class)
                ),
                Some(class.as_str()),
                mask(evidence),
            )
        }
        End::Cancelled { because } => (
            format!("The run was cancelled: {}", sentence(&mask(because))),
            None,
            String::new(),
        ),
        End::Succeeded | End::KeptChampion { .. } | End::Skipped { .. } => return None,
    };
    let culprit = culprit(run);
    let streams = log_streams(run);
    Some(html! {
        p { (what) }
        dl.facts {
            @if let Some(class) = class { div { dt { "Class" } dd { code { (class) } } } }
            @if !evidence.is_empty() { div { dt { "Evidence" } dd { (evidence) } } }
            @if let Some(culprit) = &culprit {
                div { dt { "Attempt" } dd { (culprit.name()) } }
                @if let Some(reason) = &culprit.reason { div { dt { "The program says" } dd { (prose(reason)) } } }
                @if let Some(hint) = &culprit.hint { div { dt { "Its hint" } dd { (prose(hint)) } } }
                @if let Some(error) = &culprit.error { div { dt { "The agent says" } dd { (error) } } }
            }
        }
        h3 { "What you may do" }
        ul { @for step in next_steps(run, kind(end)) { li { (prose(&step)) } } }
        h3 { "Last log lines" }
        @match culprit.filter(|culprit| !culprit.log_tail.is_empty()) {
            Some(culprit) => {
                pre tabindex="0" { @for line in &culprit.log_tail { (one_line(line, LOG_LINE_MAX)) "\n" } }
                p.note { "Of " (culprit.name()) ". Secrets are masked." }
            }
            None => p.missing { "No failed attempt left log lines in the ledger; its log stream may have them." },
        }
        @if !streams.is_empty() {
            p.note { "Log streams:" }
            ul { @for (stage, submission, attempt, stream) in streams.iter().rev().take(STREAMS_MAX).rev() {
                li { (stage) " " (submission) ", attempt " (attempt) ": " code { (stream) } }
            } }
        }
    })
}
