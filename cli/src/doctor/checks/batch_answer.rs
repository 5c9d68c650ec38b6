//! Batch's describing calls: one for all resources of a kind, answered as a list.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::finding::Finding;

/// One call for every deployed resource of a kind; none when there is none.
pub(super) fn of_batch(
    case: &Case,
    kind: &str,
    action: &'static str,
    operation: &str,
    option: &str,
) -> Option<Call> {
    let names: Vec<String> = case.deployed(kind).map(|(_, arn)| arn.to_owned()).collect();
    let words = ["batch", operation, option].map(str::to_owned);
    (!names.is_empty()).then(|| case.call(action, words.into_iter().chain(names)))
}

/// The one of an answer's list that is called so.
pub(super) fn item<'v>(
    answer: &'v Value,
    list: &str,
    name: &str,
    wanted: &str,
) -> Option<&'v Value> {
    let mut list = answer.get(list)?.as_array()?.iter();
    list.find(|one| one.get(name).and_then(Value::as_str) == Some(wanted))
}

/// What is said of a resource that is not in the answer.
pub(super) fn gone(check: &str) -> Finding {
    Finding::bad(
        check,
        "Batch does not know it: somebody deleted it",
        "deploy under another stack name, or delete the stack and deploy again",
    )
}

/// A text, or nothing.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
