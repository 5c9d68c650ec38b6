//! What was printed of runs: each thing at most once, and a run's end once where nothing went wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trainspot_shared::identity::RunId;
use trainspot_shared::run::{End, Run};

use super::watch::{Checked, violated};

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
    pub(super) fn check(
        &self,
        ledgers: &BTreeMap<RunId, Run>,
        is_troubled: impl Fn(&str) -> bool,
    ) -> Checked {
        for (run, by) in &self.ended_by {
            let told = self.outcomes.get(&run.to_string()).map(String::as_str);
            let ended = ledgers.get(run).and_then(|run| run.end.as_ref());
            let ended = ended.map(End::as_str);
            if told != ended && (told.is_some() || !is_troubled(by)) {
                return violated(format!(
                    "{by} recorded that {run} ended as {ended:?}, and {told:?} was printed"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use trainspot_shared::pipeline_head::Origin;
    use trainspot_shared::run::{NewRun, Phase};

    use super::*;

    const RUN: &str = "nightly-20261123T0200Z";

    /// One ledger that was skipped, and saved so by `f/1`.
    fn one_end() -> (Measured, BTreeMap<RunId, Run>) {
        let id: RunId = RUN.parse().expect("an id");
        let new = NewRun {
            id: id.clone(),
            origin: Origin::Tick,
            created_by: "f/1".to_owned(),
            created_at: id.tick().start(),
            spec_text: "name = \"nightly\"\n[train]\nprogram = [\"true\"]",
            write_id: "w".to_owned(),
        };
        let end = End::Skipped {
            because: "ticks are paused".to_owned(),
        };
        let run = Run::new(new, Phase::WaitingForData, Some(end)).expect("a spec");
        let mut measured = Measured::default();
        measured.see_end(&id, "f/1");
        (measured, [(id, run)].into())
    }

    fn ended(outcome: &str) -> String {
        format!(r#"{{"run.id":"{RUN}","Outcome":"{outcome}","RunsEnded":1.0}}"#)
    }

    #[test]
    fn an_end_that_is_told_once_and_by_its_name_holds() {
        let (mut measured, ledgers) = one_end();

        assert_eq!(measured.see_printed(&ended("skipped")), Ok(()));

        assert_eq!(measured.check(&ledgers, |_| false), Ok(()));
    }

    #[test]
    fn an_end_that_is_told_twice_is_found() {
        let (mut measured, _) = one_end();
        assert_eq!(measured.see_printed(&ended("skipped")), Ok(()));

        assert!(measured.see_printed(&ended("skipped")).is_err());
    }

    #[test]
    fn an_end_that_nobody_told_is_found_unless_its_writer_was_disturbed() {
        let (measured, ledgers) = one_end();

        assert!(measured.check(&ledgers, |_| false).is_err());
        assert_eq!(measured.check(&ledgers, |by| by == "f/1"), Ok(()));
    }

    #[test]
    fn an_end_by_another_name_is_found_whoever_was_disturbed() {
        let (mut measured, ledgers) = one_end();
        assert_eq!(measured.see_printed(&ended("failed")), Ok(()));

        assert!(measured.check(&ledgers, |_| true).is_err());
    }

    #[test]
    fn half_a_line_and_two_values_are_found() {
        let (mut measured, _) = one_end();

        assert!(measured.see_printed("{\"run.id\":").is_err());
        let twice = format!(r#"{{"run.id":"{RUN}","Goodput":[1.0,2.0]}}"#);
        assert!(measured.see_printed(&twice).is_err());
    }
}
