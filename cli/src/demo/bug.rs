//! Story 4: the trainer raises. A bug is told at once and never tried again: a retry would only cost.

use jiff::Timestamp;
use trainspot_shared::failure::{Class, next_step};
use trainspot_shared::identity::Stage as RunStage;
use trainspot_shared::layout;
use trainspot_shared::run::End;

use crate::demo::checks::{Checks, or_none};
use crate::demo::stage::{self, Stage};
use crate::local::tick;
use crate::problem::Problem;
use crate::spec_file::SpecFile;

/// In the table.
pub(crate) const TITLE: &str = "bug in the trainer";
/// What the trainer says when the parameter `raise_at_step` makes it raise.
const RAISED: &str = "RuntimeError";
/// The exit code of an exception that nobody caught.
const BUG: i32 = 70;

/// Tells it.
pub(crate) async fn tell(
    stage: &Stage,
    spec: &SpecFile,
) -> Result<(String, String, Checks), Problem> {
    stage.prepare(spec).await?;
    let run_id = tick::deliver(
        &stage.local,
        &stage.store,
        &spec.pipeline.name,
        Timestamp::now(),
    )
    .await?;
    stage.narrator.line(&format!("run {run_id}"));
    let run = stage.follow(&run_id, async |_| Ok(())).await?;

    let mut checks = Checks::default();
    let class = match &run.end {
        Some(End::Failed { class, .. }) => Some(class.as_str()),
        _ => None,
    };
    checks.holds(
        "the run's end",
        "failed",
        stage::end(&run),
        matches!(run.end, Some(End::Failed { .. })),
    );
    checks.equal(
        "the failure's class",
        Class::Bug.as_str().to_owned(),
        or_none(class),
    );
    let submissions = run
        .stages
        .get(&RunStage::Train)
        .map_or(&[][..], |record| &record.submissions);
    checks.equal("submissions", 1, submissions.len());
    let records = submissions
        .first()
        .map_or(&[][..], |submission| &submission.records);
    checks.equal("attempts", 1, records.len());
    checks.equal(
        "exit code of the attempt",
        BUG.to_string(),
        or_none(records.first().and_then(|record| record.exit_code)),
    );
    let notices = stage.notices(&run_id, "failed");
    checks.equal("notices of the failure", 1, notices.len());
    let message = notices.first().map_or("", |notice| notice.message.as_str());
    checks.holds(
        "the notice holds the trainer's last log lines",
        RAISED,
        if message.contains(RAISED) {
            RAISED
        } else {
            "no such line"
        },
        message.contains(RAISED),
    );
    let next = next_step(Class::Bug);
    checks.holds(
        "the notice says what to do",
        next,
        if message.contains(next) {
            next
        } else {
            "nothing"
        },
        message.contains(next),
    );
    let happened = format!(
        "{} after {} attempt; {} notice",
        stage::end(&run),
        records.len(),
        notices.len()
    );
    Ok((happened, layout::report(&run_id), checks))
}
