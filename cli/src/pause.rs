//! `trainspot pause` and `trainspot resume`: whether a pipeline's ticks become runs. One of the two documents
//! of the functions that the cli changes (`promote` has the other), by the compare-and-swap that all its writers use.

use jiff::Timestamp;
use trainspot_edge::cas::{self, Decision};
use trainspot_edge::store::Store;
use trainspot_edge::world::World;
use trainspot_shared::identity::PipelineName;
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::PipelineHead;

use crate::problem::{Exit, Problem};
use crate::results::Results;
use crate::{ledgers, output};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Ticks are skipped from now on.
    Pause,
    /// Ticks count again from now on.
    Resume,
}

/// The command.
pub(crate) async fn turn(pipeline: &str, turn: Turn, bucket: Option<String>) -> anyhow::Result<()> {
    let results = Results::open(bucket).await?;
    let (store, bucket) = (&results.store, &results.bucket);
    let name = ledgers::pipeline(store, bucket, pipeline).await?;
    let changed = change(store, store, bucket, &name, turn).await?;
    output::print(&told(&name, turn, changed))
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    Turned,
    /// It was so already; of a pause, since when.
    WasSo(Option<Timestamp>),
}

async fn change(
    store: &impl Store,
    world: &impl World,
    bucket: &str,
    name: &PipelineName,
    turn: Turn,
) -> Result<Changed, Problem> {
    let key = layout::pipeline_head(name);
    let now = world.now();
    let done = cas::change(
        world,
        store,
        bucket,
        &key,
        |head: Option<&PipelineHead>, write_id| {
            let Some(head) = head else {
                return Decision::Leave(None);
            };
            let next = match turn {
                Turn::Pause => head.pause(now, write_id),
                Turn::Resume => head.resume(now, write_id),
            };
            match next {
                Some(next) => Decision::Write(Box::new(next), Some(Changed::Turned)),
                // My own write, whose answer was lost and on which somebody wrote, is no news either.
                None if head.paused_at == Some(now) => Decision::Leave(Some(Changed::Turned)),
                None => Decision::Leave(Some(Changed::WasSo(head.paused_at))),
            }
        },
    )
    .await?;
    done.ok_or_else(|| {
        Problem::new(
            Exit::Configuration,
            format!("pipeline `{name}` has no head: it was never pushed and never ran"),
        )
        .hint("push it first: `trainspot push`")
    })
}

fn told(name: &PipelineName, turn: Turn, changed: Changed) -> String {
    match (turn, changed) {
        (Turn::Pause, Changed::Turned) => format!(
            "pipeline `{name}`: paused; ticks are skipped until `trainspot resume {name}`, live runs go on"
        ),
        (Turn::Pause, Changed::WasSo(since)) => {
            let since = since.map_or(String::new(), |at| format!(" since {}", minute(at)));
            format!("pipeline `{name}`: was paused already{since}")
        }
        (Turn::Resume, Changed::Turned) => format!(
            "pipeline `{name}`: resumed; ticks count from now on, those of the pause are not made up"
        ),
        (Turn::Resume, Changed::WasSo(_)) => format!("pipeline `{name}`: was not paused"),
    }
}

/// Since when a pipeline's ticks are paused; none if they are not, or it has no head yet.
pub(crate) async fn paused_at(
    store: &impl Store,
    bucket: &str,
    name: &PipelineName,
) -> Result<Option<Timestamp>, Problem> {
    let head = cas::read::<PipelineHead>(store, bucket, &layout::pipeline_head(name)).await?;
    Ok(head.and_then(|head| head.document.paused_at))
}

/// One line for the commands that show runs.
pub(crate) fn paused_line(name: &PipelineName, since: Timestamp) -> String {
    format!(
        "pipeline {name} is paused since {}: its ticks are skipped until `trainspot resume {name}`",
        minute(since)
    )
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use trainspot_edge::memory::MemoryStore;
    use trainspot_edge::store::Condition;
    use trainspot_edge::world::RealWorld;

    use super::*;

    const BUCKET: &str = "results";

    fn name() -> PipelineName {
        "nightly".parse().expect("a valid name")
    }

    async fn head(store: &MemoryStore) -> PipelineHead {
        let read = cas::read::<PipelineHead>(store, BUCKET, &layout::pipeline_head(&name())).await;
        read.expect("the store answers")
            .expect("the head is there")
            .document
    }

    async fn with_head() -> MemoryStore {
        let store = MemoryStore::new(Timestamp::now);
        let head = PipelineHead::first(name(), Timestamp::UNIX_EPOCH, "w0".to_owned());
        let body = serde_json::to_vec(&head).expect("a document");
        store
            .put(
                BUCKET,
                &layout::pipeline_head(&name()),
                body,
                Condition::Always,
            )
            .await
            .expect("the store answers");
        store
    }

    #[tokio::test]
    async fn a_pause_holds_until_it_is_resumed_and_ticks_count_from_there() {
        let store = with_head().await;
        let turn = async |turn| change(&store, &RealWorld, BUCKET, &name(), turn).await;

        assert_eq!(turn(Turn::Resume).await, Ok(Changed::WasSo(None)));
        assert_eq!(turn(Turn::Pause).await, Ok(Changed::Turned));
        let since = head(&store).await.paused_at;
        assert!(since.is_some());
        assert_eq!(turn(Turn::Pause).await, Ok(Changed::WasSo(since)));
        assert_eq!(turn(Turn::Resume).await, Ok(Changed::Turned));

        let resumed = head(&store).await;
        assert_eq!(resumed.paused_at, None);
        assert!(Some(resumed.ticks_from) >= since);
    }

    #[tokio::test]
    async fn a_pipeline_without_a_head_is_refused() {
        let store = MemoryStore::new(Timestamp::now);

        let refused = change(&store, &RealWorld, BUCKET, &name(), Turn::Pause).await;

        let problem = refused.expect_err("there is nothing to pause");
        assert!(problem.sentence.contains("never pushed"), "{problem}");
        assert!(store.keys(BUCKET).is_empty());
    }
}
