//! What the binaries printed for `CloudWatch`, as it lies in the functions' logs beside everything else that
//! they say, also of those that were killed and of many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use trainspot_shared::identity::RunId;
use trainspot_shared::run::{End, Run};

/// Every line is whole, and no run's end was told twice or by another name than the ledger's. Gives how many
/// lines there are.
pub(crate) fn check(logs: &Path, runs: &BTreeMap<RunId, Run>) -> usize {
    let mut n_lines = 0;
    let mut ended = BTreeSet::new();
    let files = std::fs::read_dir(logs.join("lambda")).expect("functions have logs");
    for file in files {
        let path = file.expect("a log").path();
        let log = std::fs::read_to_string(&path).expect("a log is text");
        for line in log.lines().filter(|line| line.contains("\"_aws\"")) {
            n_lines += 1;
            let document: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
            let namespace = &document["_aws"]["CloudWatchMetrics"][0]["Namespace"];
            let is_ours = namespace
                .as_str()
                .is_some_and(|n| n.starts_with("trainspot/"));
            assert!(is_ours, "the template says under which name: {line}");
            if document["RunsEnded"].is_null() {
                continue;
            }
            let run = document["run.id"].as_str().unwrap_or_default();
            assert!(ended.insert(run.to_owned()), "{run} ended twice: {line}");
            let ledger = run.parse().ok().and_then(|run: RunId| runs.get(&run));
            let end = ledger.and_then(|ledger| ledger.end.as_ref());
            assert_eq!(document["Outcome"].as_str(), end.map(End::as_str), "{line}");
        }
    }
    assert!(n_lines > 0, "nothing was printed for CloudWatch");
    n_lines
}
