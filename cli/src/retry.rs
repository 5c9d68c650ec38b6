//! `trainspot retry`: a finished run once more, for the same tick, whatever has changed or not.

use trainspot_edge::store::Store;
use trainspot_shared::identity::RunId;

use crate::ask::{Asking, ask};
use crate::ledgers;
use crate::problem::{Exit, Problem};
use crate::results::Results;
use crate::runs::state;

/// The command.
pub(crate) async fn retry(
    run: &str,
    asking: &Asking,
    bucket: Option<String>,
) -> anyhow::Result<()> {
    let results = Results::open(bucket).await?;
    let next = next_free(&results.store, &results.bucket, run).await?;
    // Without force it would be skipped: data, spec and image may well be the same.
    ask(&next, true, asking, Some(&results)).await
}

/// The first repeat after `wanted` that has no ledger. A repeat that is still live is refused: asking
/// twice is not wanting two.
async fn next_free(store: &impl Store, bucket: &str, wanted: &str) -> Result<RunId, Problem> {
    let mut newest = ledgers::find(store, bucket, wanted).await?;
    loop {
        if !newest.is_final() {
            let id = &newest.id;
            let sentence = format!("run `{id}` is not finished: {}", state(&newest));
            return Err(Problem::new(Exit::Configuration, sentence).hint(format!(
                "wait for its end; `trainspot show {id}` tells what it does"
            )));
        }
        let next = newest.id.next_repeat();
        match ledgers::ledger(store, bucket, &next).await? {
            Some(repeat) => newest = repeat,
            None => return Ok(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use trainspot_edge::memory::MemoryStore;
    use trainspot_edge::store::Condition;
    use trainspot_shared::layout;
    use trainspot_shared::pipeline_head::Origin;
    use trainspot_shared::run::{End, NewRun, Phase, Run};

    use super::*;

    const BUCKET: &str = "results";
    const FIRST: &str = "nightly-20261123T0200Z";
    const SPEC: &str =
        "name = \"nightly\"\n[data]\nprefix = \"clicks/\"\n[train]\nprogram = [\"true\"]\n";

    async fn with_run(store: &MemoryStore, id: &str, is_final: bool) {
        let id: RunId = id.parse().expect("a valid id");
        let new = NewRun {
            id: id.clone(),
            origin: Origin::Tick,
            created_by: "submit-training/1".to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            spec_text: SPEC,
            write_id: "w".to_owned(),
        };
        let end = is_final.then(|| End::Skipped {
            because: "ticks are paused".to_owned(),
        });
        let run = Run::new(new, Phase::WaitingForData, end).expect("a valid spec");
        let body = serde_json::to_vec(&run).expect("a document");
        store
            .put(BUCKET, &layout::ledger(&id), body, Condition::Always)
            .await
            .expect("the store answers");
    }

    async fn next(store: &MemoryStore) -> Result<String, String> {
        let next = next_free(store, BUCKET, FIRST).await;
        next.map(|id| id.to_string())
            .map_err(|problem| problem.to_string())
    }

    #[tokio::test]
    async fn the_next_repeat_is_the_first_one_without_a_ledger() {
        let store = MemoryStore::new(jiff::Timestamp::now);
        with_run(&store, FIRST, true).await;
        assert_eq!(next(&store).await, Ok(format!("{FIRST}-r2")));

        with_run(&store, &format!("{FIRST}-r2"), true).await;
        assert_eq!(next(&store).await, Ok(format!("{FIRST}-r3")));
    }

    #[tokio::test]
    async fn a_run_or_a_repeat_that_is_live_is_not_repeated() {
        let store = MemoryStore::new(jiff::Timestamp::now);
        with_run(&store, FIRST, true).await;
        with_run(&store, &format!("{FIRST}-r2"), false).await;

        assert_eq!(
            next(&store).await,
            Err(format!(
                "run `{FIRST}-r2` is not finished: waiting_for_data"
            ))
        );
    }
}
