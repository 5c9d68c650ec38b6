//! The recommendations: what gather verified, shard by shard.

use maud::{Markup, html};
use serde_json::Value;

use super::ReportInput;
use super::page::why_missing;
use crate::identity::Stage;
use crate::notice::spell::{counted, grouped};

const ROWS_MAX: usize = 200;
/// As much of a checksum as tells two files apart by eye.
const CHECKSUM_SHOWN: usize = 12;

/// The section.
pub(super) fn section(input: &ReportInput<'_>) -> Markup {
    let Some(document) = input.recommendations else {
        return html! { p.missing { (why_missing(input.run, Stage::Gather, "recommendations.json")) } };
    };
    let count = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    let shown = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), grouped);
    let word = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("–")
            .to_owned()
    };
    let files = document
        .get("files")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let tells_users = files.iter().any(|file| count(file, "users").is_some());
    let is_verified = document.get("verified").and_then(Value::as_bool);
    html! {
        p {
            @match is_verified {
                Some(true) => { span.good { "✓ verified" } ": " }
                Some(false) => { span.bad { "✗ not verified" } ": " }
                None => "Not said whether verified: ",
            }
            (shown(count(document, "users"))) " users, " (shown(count(document, "rows"))) " rows, "
            (shown(count(document, "top_k"))) " items each, by " strong { (word("candidate")) } ", in "
            (shown(count(document, "shards"))) " shards."
        }
        @if files.is_empty() {
            p.missing { "recommendations.json lists no files." }
        } @else {
            div.scroll { table {
                thead { tr {
                    th { "Shard" } @if tells_users { th.n { "Users" } } th.n { "Rows" } th { "Checksum" }
                } }
                tbody { @for file in files.iter().take(ROWS_MAX) { tr {
                    th scope="row" { (shown(count(file, "shard"))) }
                    @if tells_users { td.n { (shown(count(file, "users"))) } }
                    td.n { (shown(count(file, "rows"))) }
                    td { code { (checksum(file)) } }
                } } }
            } }
            @if !tells_users { p.note { "One row is one user." } }
            @if files.len() > ROWS_MAX {
                p.note { "... and " (counted(files.len() - ROWS_MAX, "more shard")) ", in recommendations.json." }
            }
        }
    }
}

fn checksum(file: &Value) -> String {
    let whole = file.get("sha256").and_then(Value::as_str).unwrap_or("–");
    whole.chars().take(CHECKSUM_SHOWN).collect()
}
