//! The ledgers of the runs in a pipeline's head.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use trainspot_shared::identity::RunId;
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::Run;

use super::Edge;
use crate::cas;
use crate::settings::Settings;
use crate::store::StoreError;

/// Ledgers are read so many at a time.
const LEDGERS_AT_ONCE: usize = 16;

/// The ledgers of all entries that have one, and why one could not be read.
pub(super) async fn ledgers<E: Edge>(
    edge: &E,
    settings: &Settings,
    head: &PipelineHead,
) -> (BTreeMap<RunId, Run>, BTreeMap<RunId, StoreError>) {
    let ids: Vec<RunId> = head.entries.iter().map(|e| e.run_id.clone()).collect();
    let reads = futures::stream::iter(ids).map(|id| async move {
        let key = layout::ledger(&id);
        let read = cas::read::<Run>(edge, &settings.results_bucket, &key).await;
        (id, read)
    });
    let mut reads = std::pin::pin!(reads.buffered(LEDGERS_AT_ONCE));
    let (mut ledgers, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
    while let Some((id, read)) = reads.next().await {
        match read {
            Ok(Some(read)) => {
                ledgers.insert(id, read.document);
            }
            Ok(None) => {}
            Err(error) => {
                unreadable.insert(id, error);
            }
        }
    }
    (ledgers, unreadable)
}

/// Which of the entered runs are over. One whose ledger is damaged, denied or of a newer format counts as live, which
/// is the safe side: an older version must still let others in. `Err` if one may be readable a moment later.
pub(super) async fn final_runs<E: Edge>(
    edge: &E,
    settings: &Settings,
    head: &PipelineHead,
) -> Result<BTreeSet<RunId>, StoreError> {
    let (ledgers, unreadable) = ledgers(edge, settings, head).await;
    for (id, error) in unreadable {
        if error.may_pass() {
            return Err(error);
        }
        let error: &dyn std::error::Error = &error;
        tracing::warn!(run.id = %id, error, "its ledger cannot be read; it counts as live");
    }
    let over = ledgers.into_values().filter(Run::is_final);
    Ok(over.map(|run| run.id).collect())
}
