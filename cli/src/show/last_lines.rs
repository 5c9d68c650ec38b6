//! What the program said last, when the run failed: what a person must read before they correct it.

use std::fmt::Write as _;

use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::run::{End, Run};

/// More is in the log; the cause is nearly always here.
const SHOWN: usize = 12;

/// Of the last attempt of the stage that failed; none for a run that did not fail, or whose program said nothing.
pub(super) fn render(run: &Run) -> Option<String> {
    let Some(End::Failed { stage, .. }) = &run.end else {
        return None;
    };
    let records = run.records();
    let record = records
        .into_iter()
        .rfind(|record| stage.is_none_or(|stage| record.stage == stage))?;
    of(record)
}

fn of(record: &AttemptRecord) -> Option<String> {
    let mut text = format!("last lines of {}:\n", record.stage);
    let first = record.log_tail.len().saturating_sub(SHOWN);
    for line in record.log_tail.iter().skip(first) {
        writeln!(text, "  {line}").ok()?;
    }
    if let Some(failure) = &record.failure {
        writeln!(text, "reason: {}\nhint: {}", failure.reason, failure.hint).ok()?;
    }
    if let Some(error) = &record.error {
        writeln!(text, "agent: {error}").ok()?;
    }
    let said = record.log_tail.len() + usize::from(record.failure.is_some());
    (said + usize::from(record.error.is_some()) > 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(log_tail: &[String]) -> AttemptRecord {
        let record = json!({
            "schema": 1, "run_id": "nightly-20261123T0200Z", "stage": "train", "submission": 1, "attempt": 1,
            "job_id": "j", "started_at": "2026-11-23T02:00:00Z", "ended_at": "2026-11-23T02:01:00Z",
            "outcome": "failed", "exit_code": 1, "log_tail": log_tail,
        });
        serde_json::from_value(record).expect("a record")
    }

    #[test]
    fn the_last_lines_are_shown_and_not_all_of_them() {
        let lines: Vec<_> = (0..200).map(|n| format!("line {n}")).collect();

        let text = of(&record(&lines)).expect("it said something");

        assert!(
            text.starts_with("last lines of train:\n  line 188\n"),
            "{text}"
        );
        assert!(text.ends_with("  line 199\n"), "{text}");
    }

    #[test]
    fn an_attempt_that_said_nothing_has_no_section() {
        assert_eq!(of(&record(&[])), None);
    }
}
