//! `trainspot clean`: deletes what the jobs of old runs wrote. Ledgers and reports stay; so do champion, the
//! champion before, and whatever a live run needs.

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use trainspot_edge::cas;
use trainspot_edge::store::Store;
use trainspot_shared::champion::Champion;
use trainspot_shared::identity::{PipelineName, RunId};
use trainspot_shared::layout;
use trainspot_shared::retention::{Kept, Spared};

use crate::results::Results;
use crate::{ledgers, output};

/// How many objects are deleted at a time.
const AT_ONCE: usize = 32;
const DAY_HOURS: i64 = 24;

/// What may be asked of it.
#[derive(Debug, Args)]
pub(crate) struct CleanArguments {
    /// Only this pipeline's runs
    pub(crate) pipeline: Option<String>,
    /// Runs that ended this many days ago or later stay
    #[arg(long, default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) keep_days: u16,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// For scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// One run, in the table and for scripts.
#[derive(Debug, Serialize)]
struct Row {
    run_id: RunId,
    /// What its jobs wrote and is still there.
    objects: usize,
    bytes: u64,
    /// Why it stays; none: it goes.
    kept: Option<&'static str>,
    deleted: bool,
    #[serde(skip)]
    keys: Vec<String>,
}

/// The command.
pub(crate) async fn clean(arguments: CleanArguments, bucket: Option<String>) -> anyhow::Result<()> {
    let results = Results::open(bucket).await?;
    let (store, bucket) = (&results.store, results.bucket.as_str());
    let pipelines = match &arguments.pipeline {
        Some(wanted) => vec![ledgers::pipeline(store, bucket, wanted).await?],
        None => ledgers::pipelines(store, bucket).await?,
    };
    let keep = SignedDuration::from_hours(i64::from(arguments.keep_days) * DAY_HOURS);
    let mut rows = Vec::new();
    for pipeline in &pipelines {
        rows.extend(looked_at(store, bucket, pipeline, Timestamp::now(), keep).await?);
    }
    if !arguments.dry_run {
        delete(&results, &mut rows).await?;
    }
    if arguments.json {
        return output::print_json(&rows);
    }
    output::print(&render(&rows, arguments.dry_run))
}

/// The pipeline's runs that have something left, oldest last.
async fn looked_at(
    store: &impl Store,
    bucket: &str,
    pipeline: &PipelineName,
    now: Timestamp,
    keep: SignedDuration,
) -> anyhow::Result<Vec<Row>> {
    let ids = ledgers::run_ids(store, bucket, std::slice::from_ref(pipeline)).await?;
    let runs = ledgers::ledgers(store, bucket, &ids).await?;
    // After the ledgers: a run that was promoted since is not settled in what was read of it.
    let champion = cas::read::<Champion>(store, bucket, &layout::champion(pipeline)).await?;
    let spared = Spared::new(champion.as_ref().map(|read| &read.document), &runs);
    let mut rows = Vec::new();
    for run in &runs {
        let mut objects = Vec::new();
        for prefix in layout::work_of(&run.id) {
            objects.extend(store.list(bucket, &prefix).await?);
        }
        if objects.is_empty() {
            continue;
        }
        rows.push(Row {
            run_id: run.id.clone(),
            objects: objects.len(),
            bytes: objects.iter().map(|object| object.size).sum(),
            kept: spared.kept(run, now, keep).map(Kept::as_str),
            deleted: false,
            keys: objects.into_iter().map(|object| object.key).collect(),
        });
    }
    Ok(rows)
}

/// Ended half-way, it is simply asked for again: what is left is found again.
async fn delete(results: &Results, rows: &mut [Row]) -> anyhow::Result<()> {
    let going = |row: &&mut Row| row.kept.is_none();
    let n_objects = rows
        .iter_mut()
        .filter(going)
        .map(|row| row.objects)
        .sum::<usize>();
    let bar = ProgressBar::new(n_objects as u64).with_style(
        ProgressStyle::with_template("deleting {bar:30} {pos}/{len} objects {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    for row in rows.iter_mut().filter(going) {
        futures::stream::iter(&row.keys)
            .map(|key| results.store.remove(&results.bucket, key))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| {
                bar.inc(1);
                futures::future::ready(Ok(()))
            })
            .await?;
        row.deleted = true;
    }
    bar.finish_and_clear();
    Ok(())
}

fn render(rows: &[Row], is_dry: bool) -> String {
    if rows.is_empty() {
        return "nothing of any run is left to delete".to_owned();
    }
    let mut table = output::table(&["run", "objects", "size", "what"]);
    for row in rows {
        let what = match row.kept {
            Some(why) => format!("stays: {why}"),
            None if is_dry => "would go".to_owned(),
            None => "deleted".to_owned(),
        };
        table.add_row(vec![
            row.run_id.to_string(),
            row.objects.to_string(),
            indicatif::BinaryBytes(row.bytes).to_string(),
            what,
        ]);
    }
    let going = rows.iter().filter(|row| row.kept.is_none());
    let (n, bytes) = going.fold((0, 0), |(n, bytes), row| (n + 1, bytes + row.bytes));
    format!(
        "{table}\n{n} of {} runs, {}{}",
        rows.len(),
        indicatif::BinaryBytes(bytes),
        if is_dry {
            ", would go"
        } else {
            ", deleted; their ledgers and reports stay"
        }
    )
}
