//! The records of a large fan-out's attempts, read at the run's end and summed up: thousands of them have no
//! place in a ledger, and what they cost belongs into its account.

use futures::StreamExt;
use jiff::SignedDuration;
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::{self, file};
use trainspot_shared::run::{
    Observation, Run, SHARDS_ITEMISED, ShardSums, StageRecord, is_last_of_its_child,
};

use super::look::json;
use super::{DriveError, Edge};
use crate::settings::Settings;
use crate::store::StoreError;

/// Records are read so many at a time: 10,000 of them in a few seconds, in a few MiB.
const RECORDS_AT_ONCE: usize = 64;
/// Batch gives a job at most so many attempts.
const ATTEMPTS_MAX: u32 = 10;
/// A host that went without a word leaves no record; after so many in a row nobody looks for a later one.
const MISSING_IN_A_ROW: u32 = 2;
/// Of the function's time, for reading: the report, the notice and the head's entry need the rest.
const SHARE_OF_THE_TIME: i32 = 3;

/// The sums over each fan-out of more shards than are kept one by one. Nothing is listed: a fan-out has ten
/// times as many objects as records, and the names of these are known.
pub(super) async fn sums<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
) -> Result<Vec<Observation>, DriveError> {
    let mut seen = Vec::new();
    for (stage, record) in &run.stages {
        if record.shards.is_some_and(|shards| shards > SHARDS_ITEMISED) {
            let sums = of_stage(edge, settings, run, *stage, record).await?;
            seen.push(Observation::ShardsSummed {
                stage: *stage,
                sums,
            });
        }
    }
    Ok(seen)
}

async fn of_stage<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    stage: Stage,
    record: &StageRecord,
) -> Result<ShardSums, DriveError> {
    let time = SignedDuration::try_from(settings.function_timeout).unwrap_or(SignedDuration::ZERO);
    let until = edge.now().checked_add(time / SHARE_OF_THE_TIME).ok();
    let is_over = || until.is_some_and(|until| edge.now() >= until);
    let children: Vec<(u32, u32)> = record
        .submissions
        .iter()
        .filter(|submission| submission.job_id.is_some() || !submission.jobs.is_empty())
        .flat_map(|submission| {
            let shards = submission.shards_at_work(record.shards);
            shards.into_iter().map(|shard| (submission.number, shard))
        })
        .collect();
    let bucket = &settings.results_bucket;
    let is_over = &is_over;
    let reads = futures::stream::iter(children).map(|(submission, shard)| async move {
        if is_over() {
            return Ok(None);
        }
        let of_attempt = |attempt| {
            let prefix = layout::results(&run.id, stage, Some(shard), submission, attempt);
            format!("{prefix}{}", file::ATTEMPT)
        };
        of_child(edge, bucket, of_attempt).await.map(Some)
    });
    let mut reads = std::pin::pin!(reads.buffer_unordered(RECORDS_AT_ONCE));
    let (mut records, mut unread) = (Vec::new(), 0);
    while let Some(read) = reads.next().await {
        match read? {
            Some(of_child) => records.extend(of_child),
            None => unread += 1,
        }
    }
    tracing::info!(run.id = %run.id, %stage, records = records.len(), unread, "shards summed up");
    Ok(ShardSums::of(record, &records, unread))
}

/// A child's attempts, from the first to one that ended well or beyond which there is none.
async fn of_child<E: Edge>(
    edge: &E,
    bucket: &str,
    key: impl Fn(u32) -> String,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let mut records = Vec::new();
    let mut missing = 0;
    for attempt in 1..=ATTEMPTS_MAX {
        match json::<E, AttemptRecord>(edge, bucket, &key(attempt)).await? {
            Ok(mut record) => {
                missing = 0;
                // Most of its bytes, and no part of the account.
                record.log_tail = Vec::new();
                let is_last = is_last_of_its_child(&record);
                records.push(record);
                if is_last {
                    break;
                }
            }
            Err(_) => missing += 1,
        }
        if missing == MISSING_IN_A_ROW {
            break;
        }
    }
    Ok(records)
}
