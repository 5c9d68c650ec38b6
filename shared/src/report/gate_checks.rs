//! What the gate asked, what the answers were, and who is champion for it.

use maud::{Markup, html};

use super::ReportInput;
use super::page::prose;
use crate::notice::deeds::champion;
use crate::notice::spell::number;

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let Some(gate) = &input.run.gate else {
        let has_gate = input
            .run
            .pipeline()
            .is_ok_and(|pipeline| pipeline.evaluate.is_some());
        let why = if has_gate {
            "The run did not come to the gate."
        } else {
            "The pipeline has no gate."
        };
        return html! { p.missing { (why) } };
    };
    html! {
        @for line in champion(input.run) { p { (prose(&line)) } }
        @if gate.checks.is_empty() {
            p.note { "There was nothing to check it against." }
        } @else {
            div.scroll { table {
                thead { tr { th { "Check" } th.n { "Value" } th.n { "Bound" } th { "Passed" } } }
                tbody { @for check in &gate.checks { tr {
                    th scope="row" { (check.name) }
                    td.n { (number(check.value)) }
                    td.n { (number(check.bound)) }
                    td {
                        @if check.passed { span.good { "✓ passed" } } @else { span.bad { "✗ failed" } }
                    }
                } } }
            } }
        }
    }
}
