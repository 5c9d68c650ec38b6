//! Retry rules: Batch must try again after the same ends of an attempt as the code expects.

use trainspot_edge::memory::{AttemptEnd, is_retried};
use trainspot_localcloud::Declared;

use super::disagreement::Disagreement;

/// One byte is all that an exit code has.
const EXIT_CODES: std::ops::RangeInclusive<i32> = 1..=255;

pub(super) fn disagreements(template: &Declared) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for (logical_id, definition) in template.of_kind("AWS::Batch::JobDefinition") {
        let mut ends: Vec<(String, AttemptEnd)> = EXIT_CODES
            .map(|code| (format!("exit code {code}"), AttemptEnd::exit(code)))
            .collect();
        ends.push(("a lost host".to_owned(), AttemptEnd::host_lost()));
        ends.push(("a kill for memory".to_owned(), AttemptEnd::out_of_memory()));
        for reason in [
            "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
            "CannotPullContainerError: manifest unknown",
        ] {
            let word = reason.split(':').next().unwrap_or(reason);
            ends.push((format!("a {word}"), AttemptEnd::never_started(reason)));
        }
        let apart: Vec<(String, bool)> = ends
            .into_iter()
            .filter_map(|(said, end)| {
                let expected = is_retried(&end);
                let reason = end.reason.as_deref();
                let does = template
                    .retries(
                        &definition.physical,
                        &end.status_reason,
                        reason,
                        end.exit_code,
                    )
                    .unwrap_or(false);
                (does != expected).then_some((said, expected))
            })
            .collect();
        for expected in [true, false] {
            let said: Vec<_> = apart
                .iter()
                .filter(|(_, wanted)| *wanted == expected)
                .map(|(said, _)| said.as_str())
                .collect();
            let Some(first) = said.first() else { continue };
            let more = match said.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            let (what, todo) = if expected {
                (
                    "ends the job, and the code leaves the next try to Batch",
                    "add a rule with Action: RETRY before the last one",
                )
            } else {
                (
                    "is tried again by Batch, and the code wants to decide about it",
                    "end EvaluateOnExit with OnReason \"*\", Action: EXIT, and retry nothing else",
                )
            };
            found.push(Disagreement::new(
                format!("{logical_id}.RetryStrategy"),
                format!("{first}{more} {what}"),
                todo,
            ));
        }
    }
    found
}
