//! Where a live run stands: the heartbeat and the newest checkpoint of the worker that owns its stage, as they lie in
//! the bucket now. The ledger does not hold them; supervision only looks whether they move.

use std::fmt::Write as _;

use jiff::Timestamp;
use trainspot_edge::cas;
use trainspot_edge::store::Store;
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::{self, file};
use trainspot_shared::progress::Progress;
use trainspot_shared::run::Run;
use trainspot_shared::stage_head::StageHead;

use crate::problem::Problem;

/// What was seen of the stage that is at work.
#[derive(Debug)]
struct Standing {
    stage: Stage,
    head: StageHead,
    /// Or why it cannot be read; by the store's clock.
    heartbeat: Option<(Result<Progress, String>, Timestamp)>,
}

/// Looks at the stage that is at work; none for a run that is over or has not begun, and for a fan-out, whose shards
/// are short and many.
async fn look(store: &impl Store, bucket: &str, run: &Run) -> Result<Option<Standing>, Problem> {
    let is_fan_out = |stage: Stage| {
        run.stages
            .get(&stage)
            .is_some_and(|record| record.shards.is_some())
    };
    let Some(stage) = run.current_stage().filter(|stage| !is_fan_out(*stage)) else {
        return Ok(None);
    };
    let key = layout::stage_head(&run.id, stage, None);
    let Some(read) = cas::read::<StageHead>(store, bucket, &key).await? else {
        return Ok(None);
    };
    let head = read.document;
    let heartbeat = match head.owner.attempt {
        None => None,
        Some(attempt) => {
            let place = layout::results(&run.id, stage, None, head.owner.submission, attempt);
            store
                .get(bucket, &format!("{place}{}", file::PROGRESS))
                .await?
                .map(|there| {
                    let progress = serde_json::from_slice(&there.body);
                    (
                        progress.map_err(|error| error.to_string()),
                        there.last_modified,
                    )
                })
        }
    };
    Ok(Some(Standing {
        stage,
        head,
        heartbeat,
    }))
}

/// The section, with what is there. That something cannot be read hides nothing of the ledger.
pub(super) async fn section(store: &impl Store, bucket: &str, run: &Run) -> Option<String> {
    match look(store, bucket, run).await {
        Ok(standing) => standing.as_ref().and_then(render),
        Err(problem) => Some(format!("at work: not known, since {problem}")),
    }
}

fn render(standing: &Standing) -> Option<String> {
    let Standing {
        stage,
        head,
        heartbeat,
    } = standing;
    let mut text = format!("at work: {stage} {}", head.owner.submission);
    match head.owner.attempt {
        Some(attempt) => writeln!(text, ", attempt {attempt}").ok()?,
        None => writeln!(text, ", which no host has begun").ok()?,
    }
    match heartbeat {
        Some((Ok(progress), at)) => {
            writeln!(text, "  heartbeat: {}, {}", steps(progress), second(*at)).ok()?;
            if !progress.detail.is_empty() {
                writeln!(text, "  it says: {}", progress.detail).ok()?;
            }
        }
        Some((Err(why), at)) => {
            writeln!(
                text,
                "  its heartbeat cannot be read: {why}, {}",
                second(*at)
            )
            .ok()?;
        }
        None => writeln!(text, "  no heartbeat of this attempt").ok()?,
    }
    match &head.latest_checkpoint {
        Some(published) => writeln!(
            text,
            "  last checkpoint: step {}, published {}",
            published.step,
            second(published.at)
        ),
        None => writeln!(text, "  no checkpoint is published"),
    }
    .ok()?;
    Some(text)
}

/// `step 10 of 40 (25 %), 2.5 steps a second`; what the program does not tell is left out.
fn steps(progress: &Progress) -> String {
    let mut text = format!("step {}", progress.step);
    if progress.total > 0 {
        let share = progress.share() * 100.0;
        text.push_str(&format!(" of {} ({share:.0} %)", progress.total));
    }
    if progress.rate > 0.0 {
        let digits = if progress.rate < 1.0 { 3 } else { 1 };
        text.push_str(&format!(", {:.digits$} steps a second", progress.rate));
    }
    text
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
