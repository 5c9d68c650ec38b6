//! A run in a few lines, made to be read in a diff.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use trainspot_shared::identity::RunId;

use crate::week::Week;

impl Week {
    /// The ledger's history by the minute, its end, and what was told. Digests are left out.
    pub fn tell(&self, run: &RunId) -> String {
        let Some(ledger) = self.ledger(run) else {
            return format!("{run}: no ledger");
        };
        let mut text = String::new();
        for line in &ledger.history {
            let time = line
                .at
                .to_zoned(TimeZone::UTC)
                .strftime("%H:%M")
                .to_string();
            let what = line.what.split(", fingerprint").next().unwrap_or_default();
            let what = what.replace(&format!("{run}--"), "");
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{time} {what}");
        }
        let prefix = format!("{run}/");
        for id in self.told().iter().filter_map(|id| id.strip_prefix(&prefix)) {
            let _ = writeln!(text, "told {id}");
        }
        text
    }

    /// All runs, for a story that failed.
    pub fn tell_all(&self) -> String {
        let mut text = String::new();
        for ledger in self.ledgers() {
            let _ = writeln!(
                text,
                "== {} {:?}, pending {}",
                ledger.id,
                ledger.phase,
                ledger.pending.len()
            );
            for pending in &ledger.pending {
                let _ = writeln!(
                    text,
                    "   {} {:?} {:?}",
                    pending.id, pending.claim, pending.not_before
                );
            }
            text.push_str(&self.tell(&ledger.id));
        }
        let _ = writeln!(text, "entries {:?}", self.head().entries);
        for job in self.job_list() {
            let _ = writeln!(text, "job {job}");
        }
        text
    }
}
