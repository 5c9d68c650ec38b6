//! What happened and what was decided, in order; and who was told.

use maud::{Markup, html};

use super::ReportInput;
use super::page::prose;
use crate::notice::mask::mask;
use crate::notice::spell::second;
use crate::pipeline::NoticeKind;
use crate::run::{Action, End};

/// The section with the decisions.
pub(super) fn history(input: &ReportInput<'_>) -> Markup {
    html! {
        @if input.run.history.is_empty() {
            p.missing { "The ledger has no history." }
        } @else {
            div.scroll { table {
                thead { tr { th { "When" } th { "What" } } }
                tbody { @for line in &input.run.history { tr {
                    td.when { (second(line.at)) }
                    td { (prose(&mask(&line.what))) }
                } } }
            } }
        }
    }
}

/// The section with the notices.
pub(super) fn notices(input: &ReportInput<'_>) -> Markup {
    let waiting: Vec<&str> = input
        .run
        .pending
        .iter()
        .filter_map(|pending| match &pending.action {
            Action::Notify(notice) => Some(notice.id.as_str()),
            _ => None,
        })
        .collect();
    html! {
        @if input.run.notices.is_empty() && waiting.is_empty() {
            p.missing { "No notice had been sent, or was waiting, when this page was written." }
        } @else {
            div.scroll { table {
                thead { tr { th { "Notice" } th { "Sent" } } }
                tbody {
                    @for told in &input.run.notices { tr {
                        td { code { (told.id) } }
                        td {
                            (second(told.at))
                            @if let Some(why) = &told.undeliverable { br; span.bad { "✗ SNS refused it: " (mask(why)) } }
                        }
                    } }
                    @for id in waiting { tr { td { code { (id) } } td { "waiting when this page was written" } } }
                }
            } }
        }
    }
}

/// What a notice of this end is called.
pub(super) const fn kind(end: &End) -> NoticeKind {
    match end {
        End::Succeeded => NoticeKind::Succeeded,
        End::KeptChampion { .. } => NoticeKind::KeptChampion,
        End::Skipped { .. } => NoticeKind::Skipped,
        End::Failed { .. } => NoticeKind::Failed,
        End::Cancelled { .. } => NoticeKind::Cancelled,
    }
}
