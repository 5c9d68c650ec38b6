//! Story 3: the next tick comes and nothing changed: a receipt and a notice, and no job.

use jiff::Timestamp;
use trainspot_shared::layout;
use trainspot_shared::run::End;

use crate::demo::checks::Checks;
use crate::demo::stage::{self, Stage};
use crate::local::{follow, tick};
use crate::problem::Problem;
use crate::spec_file::SpecFile;

/// In the table.
pub(crate) const TITLE: &str = "data unchanged";

/// Tells it. Rests on an earlier success over the same data.
pub(crate) async fn tell(
    stage: &Stage,
    spec: &SpecFile,
    at: Timestamp,
) -> Result<(String, String, Checks), Problem> {
    stage.prepare(spec).await?;
    let n_jobs_before = stage.local.cloud.jobs().len();
    let run_id = tick::deliver(&stage.local, &stage.store, &spec.pipeline.name, at).await?;
    stage.narrator.line(&format!("run {run_id}"));
    let run = stage.follow(&run_id, async |_| Ok(())).await?;

    let mut checks = Checks::default();
    checks.equal("the run's end", "skipped".to_owned(), stage::end(&run));
    checks.equal("stages of the run", 0, run.stages.len());
    checks.equal(
        "jobs of the run",
        0,
        follow::jobs_of(&stage.local, &run_id).len(),
    );
    checks.equal(
        "new jobs of anybody",
        0,
        stage.local.cloud.jobs().len() - n_jobs_before,
    );
    checks.equal(
        "notices of the skip",
        1,
        stage.notices(&run_id, "skipped").len(),
    );
    let happened = match &run.end {
        Some(End::Skipped { because }) => format!("skipped: {because}"),
        _ => stage::end(&run),
    };
    Ok((happened, layout::ledger(&run_id), checks))
}
