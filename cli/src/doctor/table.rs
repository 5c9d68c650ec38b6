//! Findings for people: a table, and a last line that counts.

use super::finding::{Finding, Verdict};
use crate::output;

/// All of them; with the commands if they are wanted.
pub(super) fn written(findings: &[Finding], with_commands: bool) -> String {
    let mut table = output::table(&["", "check", "what, and what to do"]);
    for finding in findings {
        let mut what = finding.what.clone();
        if let Some(todo) = &finding.todo {
            what.push_str("\ndo: ");
            what.push_str(todo);
        }
        if let Some(command) = finding.command.as_ref().filter(|_| with_commands) {
            what.push_str("\nasked: ");
            what.push_str(command);
        }
        table.add_row([finding.verdict.as_str(), &finding.check, &what]);
    }
    let count = |verdict: Verdict| {
        findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    format!(
        "{table}\n{} ok, {} to look at, {} bad, {} could not be checked",
        count(Verdict::Ok),
        count(Verdict::Warn),
        count(Verdict::Bad),
        count(Verdict::CouldNotCheck)
    )
}
