//! Where everything lies in the results bucket. The only place a key is spelled.

use crate::identity::{PipelineName, RunId, Stage};

/// Pushed by `trainspot push`, read by submit-training.
pub fn pipeline_spec(pipeline: &PipelineName) -> String {
    format!("pipelines/{pipeline}.toml")
}

/// Under this prefix lies one spec per pipeline.
pub const PIPELINES_PREFIX: &str = "pipelines/";

/// Under this prefix lies one folder per pipeline that was ever pushed or ran.
pub const STATE_PREFIX: &str = "state/";

/// The pipeline's head.
pub fn pipeline_head(pipeline: &PipelineName) -> String {
    format!("state/{pipeline}/head.json")
}

/// The ledger.
pub fn ledger(run: &RunId) -> String {
    format!("state/{}/{run}/run.json", run.pipeline())
}

/// Under this prefix lie all runs of a pipeline.
pub fn runs_prefix(pipeline: &PipelineName) -> String {
    format!("state/{pipeline}/")
}

/// The run's pinned dataset.
pub fn dataset(run: &RunId, sha256: &str) -> String {
    format!("state/{}/{run}/dataset-{sha256}.json", run.pipeline())
}

/// The run's pinned spec.
pub fn pinned_spec(run: &RunId, sha256: &str) -> String {
    format!("state/{}/{run}/spec-{sha256}.toml", run.pipeline())
}

/// A stage's head, or one shard's.
pub fn stage_head(run: &RunId, stage: Stage, shard: Option<u32>) -> String {
    format!(
        "state/{}/{run}/{}/head.json",
        run.pipeline(),
        stage_path(stage, shard)
    )
}

/// The document a submission works by.
pub fn job(run: &RunId, stage: Stage, submission: u32) -> String {
    format!(
        "state/{}/{run}/{stage}/job-{submission}.json",
        run.pipeline()
    )
}

/// What the key of such a document says; `None` if it is none of ours.
pub fn parse_job(key: &str) -> Option<(RunId, Stage, u32)> {
    let parts: Vec<&str> = key.split('/').collect();
    let ["state", _, run, stage, file] = parts.as_slice() else {
        return None;
    };
    let submission = file.strip_prefix("job-")?.strip_suffix(".json")?;
    let parsed = (
        run.parse().ok()?,
        stage.parse().ok()?,
        submission.parse().ok()?,
    );
    let (run, stage, submission) = &parsed;
    (job(run, *stage, *submission) == key).then_some(parsed)
}

/// One attempt's own place for results; ends with `/`.
pub fn results(
    run: &RunId,
    stage: Stage,
    shard: Option<u32>,
    submission: u32,
    attempt: u32,
) -> String {
    format!(
        "results/{}/{run}/{}/{submission}-{attempt}/",
        run.pipeline(),
        stage_path(stage, shard)
    )
}

/// Under this prefix lie the results of all shards and attempts of a stage; ends with `/`.
pub fn stage_results(run: &RunId, stage: Stage) -> String {
    format!("results/{}/{run}/{stage}/", run.pipeline())
}

/// Under these prefixes lies all that the jobs of a run wrote; each ends with `/`.
pub fn work_of(run: &RunId) -> [String; 2] {
    ["results", "checkpoints"].map(|top| format!("{top}/{}/{run}/", run.pipeline()))
}

/// One attempt's own place for checkpoints; ends with `/`.
pub fn checkpoints(
    run: &RunId,
    stage: Stage,
    shard: Option<u32>,
    submission: u32,
    attempt: u32,
) -> String {
    format!(
        "checkpoints/{}/{run}/{}/{submission}-{attempt}/",
        run.pipeline(),
        stage_path(stage, shard)
    )
}

/// The one key that consumers read.
pub fn champion(pipeline: &PipelineName) -> String {
    format!("models/{pipeline}/champion.json")
}

/// The page of a run.
pub fn report(run: &RunId) -> String {
    format!("reports/{}/{run}.html", run.pipeline())
}

/// File names inside an attempt's results.
pub mod file {
    /// Last of all: what counts, with checksums.
    pub const MANIFEST: &str = "MANIFEST.json";
    /// What the agent saw of the attempt.
    pub const ATTEMPT: &str = "attempt.json";
    /// The heartbeat.
    pub const PROGRESS: &str = "progress.json";
    /// Written by evaluate.
    pub const METRICS: &str = "metrics.json";
    /// Appended to by train: a line for each metric.
    pub const METRICS_LINES: &str = "metrics.jsonl";
    /// Loss by step.
    pub const CURVE: &str = "curve.json";
    /// Written by train at its end.
    pub const TRAINING: &str = "training.json";
    /// Written by gather.
    pub const RECOMMENDATIONS: &str = "recommendations.json";
    /// A folder of packs of output files that do not count yet; ends with `/`.
    pub const UNPUBLISHED: &str = "unpublished/";
    /// Why a program gave up, in its own words.
    pub const FAILURE: &str = "failure.json";
}

fn stage_path(stage: Stage, shard: Option<u32>) -> String {
    shard.map_or_else(|| stage.to_string(), |shard| format!("{stage}/{shard}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_job_document_says_whose_it_is() {
        let run: RunId = "recommender-20261123T0200Z".parse().expect("a valid id");

        for stage in [Stage::Train, Stage::Recommend] {
            let key = job(&run, stage, 12);

            assert_eq!(parse_job(&key), Some((run.clone(), stage, 12)));
            assert_eq!(parse_job(&key.replace("job-12", "job-012")), None);
            assert_eq!(parse_job(&key.replacen("recommender/", "other/", 1)), None);
        }
        for other in [
            "",
            "state/nothing.json",
            "state/a/b/train/head.json",
            "a/b/c/d/job-1.json",
        ] {
            assert_eq!(parse_job(other), None, "{other}");
        }
    }

    #[test]
    fn keys_are_as_the_design_says() {
        let run: RunId = "recommender-20261123T0200Z".parse().expect("a valid id");

        let keys = [
            pipeline_head(run.pipeline()),
            ledger(&run),
            stage_head(&run, Stage::Train, None),
            stage_head(&run, Stage::Recommend, Some(3)),
            job(&run, Stage::Train, 2),
            results(&run, Stage::Train, None, 1, 2),
            checkpoints(&run, Stage::Recommend, Some(3), 1, 2),
            champion(run.pipeline()),
            work_of(&run).join(" "),
            report(&run),
        ];

        insta::assert_snapshot!(keys.join("\n"), @r"
        state/recommender/head.json
        state/recommender/recommender-20261123T0200Z/run.json
        state/recommender/recommender-20261123T0200Z/train/head.json
        state/recommender/recommender-20261123T0200Z/recommend/3/head.json
        state/recommender/recommender-20261123T0200Z/train/job-2.json
        results/recommender/recommender-20261123T0200Z/train/1-2/
        checkpoints/recommender/recommender-20261123T0200Z/recommend/3/1-2/
        models/recommender/champion.json
        results/recommender/recommender-20261123T0200Z/ checkpoints/recommender/recommender-20261123T0200Z/
        reports/recommender/recommender-20261123T0200Z.html
        ");
    }
}
