//! What must hold in every document that is seen, and at the end. Documents are read as files, as they lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use trainspot_localcloud::{JobSnapshot, PublishedNotice};
use trainspot_shared::champion::Champion;
use trainspot_shared::identity::{JobName, RunId};
use trainspot_shared::layout::{self, file};
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::{End, Run};
use trainspot_shared::stage_head::StageHead;

/// Everything seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    results: PathBuf,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(crate) pipelines: BTreeMap<String, PipelineHead>,
    stages: BTreeMap<String, StageHead>,
}

impl Watch {
    pub(crate) fn of(results: PathBuf) -> Self {
        Self {
            results,
            ..Self::default()
        }
    }

    /// Looks at every document once. Panics at what must never be seen.
    pub(crate) fn look(&mut self) {
        for pipeline in folders(&self.results.join("state")) {
            let name = pipeline.file_name().unwrap_or_default().to_string_lossy();
            if let Some(head) = read::<PipelineHead>(&pipeline.join("head.json")) {
                let before = self.pipelines.insert(name.into_owned(), head.clone());
                rises(&pipeline, before.map(|b| b.version), head.version);
            }
            for run in folders(&pipeline) {
                self.look_at_run(&run);
            }
        }
    }

    fn look_at_run(&mut self, folder: &Path) {
        if let Some(run) = read::<Run>(&folder.join("run.json")) {
            let before = self.runs.insert(run.id.clone(), run.clone());
            rises(folder, before.as_ref().map(|b| b.version), run.version);
            if let Some(end) = before.and_then(|before| before.end) {
                assert_eq!(run.end, Some(end), "{} came back from its end", run.id);
            }
        }
        for stage in folders(folder) {
            self.look_at_head(&stage.join("head.json"));
            for shard in folders(&stage) {
                self.look_at_head(&shard.join("head.json"));
            }
        }
    }

    fn look_at_head(&mut self, path: &Path) {
        let Some(head) = read::<StageHead>(path) else {
            return;
        };
        let before = self.stages.insert(path.display().to_string(), head.clone());
        rises(path, before.as_ref().map(|b| b.version), head.version);
        let Some(before) = before else { return };
        let place = path.display();
        if before.output.is_some() {
            assert_eq!(head.output, before.output, "{place}: another output");
        }
        if before.closed.is_some() {
            assert_eq!(
                head.output, before.output,
                "{place}: published after the close"
            );
        }
        assert!(
            head.owner.submission >= before.owner.submission,
            "{place}: the owner fell from {:?} to {:?}",
            before.owner,
            head.owner
        );
    }

    /// Whether nothing of any run is left to do.
    pub(crate) fn is_settled(&self, n_runs: usize) -> bool {
        self.runs.len() >= n_runs
            && self.runs.values().all(Run::is_settled)
            && self.pipelines.values().all(|head| head.entries.is_empty())
    }

    /// What must hold once everything is settled.
    pub(crate) fn check_end(
        &self,
        ticks: &[RunId],
        jobs: &[JobSnapshot],
        notices: &[PublishedNotice],
        n_late_submissions: usize,
    ) {
        let runs: Vec<&RunId> = self.runs.keys().collect();
        let mut expected: Vec<&RunId> = ticks.iter().collect();
        expected.sort();
        assert_eq!(runs, expected, "each tick is one run");
        let mut made: BTreeMap<&str, usize> = BTreeMap::new();
        for job in jobs {
            let is_over = matches!(job.status.as_str(), "SUCCEEDED" | "FAILED");
            assert!(is_over, "{job:?} lives on");
            if !job.job_id.contains(':') {
                *made.entry(job.job_name.as_str()).or_default() += 1;
            }
            let name: JobName = job.job_name.parse().expect("all jobs here are ours");
            assert!(self.runs.contains_key(&name.run), "{job:?} is of no run");
        }
        let twice: Vec<(&str, usize)> = made.into_iter().filter(|(_, n)| *n > 1).collect();
        let n_too_many: usize = twice.iter().map(|(_, n)| n - 1).sum();
        assert!(
            n_too_many <= n_late_submissions,
            "{n_late_submissions} submissions landed late, and these are there more than once: {twice:?}"
        );
        for run in self.runs.values() {
            self.check_run(run, notices);
        }
    }

    fn check_run(&self, run: &Run, notices: &[PublishedNotice]) {
        let end = run.end.as_ref().expect("it is settled");
        let is_of_it = |notice: &&PublishedNotice| {
            let message: serde_json::Value =
                serde_json::from_str(&notice.message).expect("a message by protocol");
            let machine = message["sqs"].as_str().expect("a document for machines");
            let machine: serde_json::Value = serde_json::from_str(machine).expect("it is JSON");
            machine["run_id"] == run.id.to_string() && machine["end"] == end.as_str()
        };
        assert!(
            notices.iter().any(|notice| is_of_it(&notice)),
            "nobody was told how {} ended: {end:?}",
            run.id
        );
        for (stage, record) in &run.stages {
            if record.output.is_none() {
                continue;
            }
            let shards = record
                .shards
                .map_or(vec![None], |n| (0..n).map(Some).collect());
            for shard in shards {
                let key = layout::stage_head(&run.id, *stage, shard);
                let head = self
                    .stages
                    .get(&self.results.join(key).display().to_string());
                let output = head.and_then(|head| head.output.as_ref());
                let output =
                    output.unwrap_or_else(|| panic!("{} {stage} {shard:?} has no output", run.id));
                let manifest = self.results.join(&output.prefix).join(file::MANIFEST);
                assert!(manifest.exists(), "{}: no {}", run.id, manifest.display());
            }
        }
        if *end == End::Succeeded {
            let key = layout::champion(run.id.pipeline());
            let champion: Champion =
                read(&self.results.join(key)).expect("a run succeeded: there is a champion");
            let crowned = self.runs.get(&champion.run_id).map(|run| &run.end);
            assert_eq!(crowned, Some(&Some(End::Succeeded)), "{champion:?}");
        }
    }

    /// For whoever reads a week that failed.
    pub(crate) fn tell(&self) -> String {
        let mut text = String::new();
        for run in self.runs.values() {
            let pending: Vec<&str> = run.pending.iter().map(|p| p.id.as_str()).collect();
            text.push_str(&format!(
                "== {} {:?} {:?}, pending {pending:?}\n",
                run.id, run.phase, run.end
            ));
            for line in &run.history {
                text.push_str(&format!("{} {}\n", line.at, line.what));
            }
        }
        for (name, head) in &self.pipelines {
            text.push_str(&format!("== head of {name}: {:?}\n", head.entries));
        }
        text
    }
}

fn rises(place: &Path, before: Option<u64>, now: u64) {
    let place = place.display();
    assert!(
        before.is_none_or(|before| now >= before),
        "{place}: version {now} after {before:?}"
    );
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).into_iter().flatten();
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn read<D: DeserializeOwned>(path: &Path) -> Option<D> {
    let bytes = std::fs::read(path).ok()?;
    let read = serde_json::from_slice(&bytes);
    Some(read.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
