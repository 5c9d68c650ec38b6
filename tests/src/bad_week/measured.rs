//! What was printed of runs: each thing at most once, and a run's end once where nothing went wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trainspot_shared::identity::RunId;
use trainspot_shared::run::Run;

use super::watch::{Checked, violated};
use super::weather::Weather;

/// What happens to a run once, if at all.
const ONCE: [&str; 4] = ["RunsStarted", "RunsEnded", "Goodput", "MonthSpend"];

/// Everything that was printed so far.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Who saved a ledger with its end.
    ended_by: BTreeMap<RunId, String>,
    /// Run and metric.
    told: BTreeSet<(String, &'static str)>,
    outcomes: BTreeMap<String, String>,
}

impl Measured {
    /// A ledger was saved for the first time with an end.
    pub(super) fn see_end(&mut self, run: &RunId, by: &str) {
        self.ended_by.insert(run.clone(), by.to_owned());
    }

    /// A function printed a line.
    pub(super) fn see_printed(&mut self, line: &str) -> Checked {
        let Ok(document) = serde_json::from_str::<Value>(line) else {
            return violated(format!("printed, and no JSON: {line}"));
        };
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        let run = text("run.id");
        for metric in ONCE {
            let value = &document[metric];
            if value.is_null() {
                continue;
            }
            if !value.is_number() || !self.told.insert((run.clone(), metric)) {
                return violated(format!("{metric} of {run} was told twice: {line}"));
            }
        }
        if !document["RunsEnded"].is_null() {
            self.outcomes.insert(run, text("Outcome"));
        }
        Ok(())
    }

    /// Whoever recorded an end and was not disturbed has told of it, and by its name.
    pub(super) fn check(&self, ledgers: &BTreeMap<RunId, Run>, weather: &Weather) -> Checked {
        for (run, by) in &self.ended_by {
            let told = self.outcomes.get(&run.to_string()).map(String::as_str);
            let ended = ledgers.get(run).and_then(|run| run.end.as_ref());
            let ended = ended.map(trainspot_shared::run::End::as_str);
            if told != ended && (told.is_some() || !weather.is_troubled(by)) {
                return violated(format!(
                    "{by} recorded that {run} ended as {ended:?}, and {told:?} was printed"
                ));
            }
        }
        Ok(())
    }
}
