//! Which runs there are, and their ledgers. Reads only.

use trainspot_edge::cas;
use trainspot_edge::store::Store;
use trainspot_shared::identity::{PipelineName, RunId};
use trainspot_shared::layout;
use trainspot_shared::run::Run;

use crate::near::nearest;
use crate::problem::{Exit, Problem};

/// How many ledgers are read at a time.
const AT_ONCE: usize = 8;

/// All pipelines that ever had a run or a push.
pub(crate) async fn pipelines(
    store: &impl Store,
    bucket: &str,
) -> Result<Vec<PipelineName>, Problem> {
    let folders = store.list_folders(bucket, layout::STATE_PREFIX).await?;
    Ok(folders
        .iter()
        .filter_map(|folder| folder.trim_end_matches('/').parse().ok())
        .collect())
}

/// The runs of some pipelines, newest tick first.
pub(crate) async fn run_ids(
    store: &impl Store,
    bucket: &str,
    pipelines: &[PipelineName],
) -> Result<Vec<RunId>, Problem> {
    let mut all: Vec<RunId> = Vec::new();
    for pipeline in pipelines {
        let folders = store
            .list_folders(bucket, &layout::runs_prefix(pipeline))
            .await?;
        all.extend(
            folders
                .iter()
                .filter_map(|folder| folder.trim_end_matches('/').parse().ok()),
        );
    }
    all.sort_by(|a, b| b.tick().cmp(&a.tick()).then_with(|| b.cmp(a)));
    Ok(all)
}

/// The pipeline of that name, or which there are.
pub(crate) async fn pipeline(
    store: &impl Store,
    bucket: &str,
    wanted: &str,
) -> Result<PipelineName, Problem> {
    let known = pipelines(store, bucket).await?;
    if let Some(name) = known.iter().find(|name| name.as_str() == wanted) {
        return Ok(name.clone());
    }
    let unknown = Problem::new(
        Exit::Configuration,
        format!("there is no pipeline `{wanted}`"),
    );
    Err(if known.is_empty() {
        unknown.hint("no pipeline was pushed yet: `trainspot push pipelines/recommender.toml`")
    } else {
        unknown.hint(format!(
            "there is {}",
            nearest(wanted, known.iter().map(PipelineName::as_str))
        ))
    })
}

/// One ledger.
pub(crate) async fn ledger(
    store: &impl Store,
    bucket: &str,
    id: &RunId,
) -> Result<Option<Run>, Problem> {
    Ok(cas::read::<Run>(store, bucket, &layout::ledger(id))
        .await?
        .map(|read| read.document))
}

/// The ledgers of `ids`, in their order, all of them or none; a folder without one is a run that is just being made.
pub(crate) async fn ledgers(
    store: &impl Store,
    bucket: &str,
    ids: &[RunId],
) -> Result<Vec<Run>, Problem> {
    let read = readable(store, bucket, ids).await?;
    match read.unreadable.into_iter().next() {
        Some((_, why)) => Err(why),
        None => Ok(read.runs),
    }
}

/// What could be read, and what could not.
#[derive(Debug)]
pub(crate) struct Readable {
    /// In the order that was asked for.
    pub(crate) runs: Vec<Run>,
    /// Whose ledger is of a newer format, damaged or denied, and why.
    pub(crate) unreadable: Vec<(RunId, Problem)>,
}

/// The ledgers of `ids` that can be read. `Err` if the store does not answer: then none can.
pub(crate) async fn readable(
    store: &impl Store,
    bucket: &str,
    ids: &[RunId],
) -> Result<Readable, Problem> {
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for some in ids.chunks(AT_ONCE) {
        let reads = futures::future::join_all(some.iter().map(|id| ledger(store, bucket, id)));
        for (id, read) in some.iter().zip(reads.await) {
            match read {
                Ok(run) => runs.extend(run),
                Err(problem) if problem.exit == Exit::Unreachable => return Err(problem),
                Err(problem) => unreadable.push((id.clone(), problem)),
            }
        }
    }
    Ok(Readable { runs, unreadable })
}

/// The ledger of a run by its id, or which runs there are.
pub(crate) async fn find(store: &impl Store, bucket: &str, wanted: &str) -> Result<Run, Problem> {
    if let Ok(id) = wanted.parse::<RunId>()
        && let Some(run) = ledger(store, bucket, &id).await?
    {
        return Ok(run);
    }
    let known = run_ids(store, bucket, &pipelines(store, bucket).await?).await?;
    let unknown = Problem::new(Exit::Configuration, format!("there is no run `{wanted}`"));
    if known.is_empty() {
        return Err(unknown.hint("there is no run at all yet"));
    }
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    Err(unknown.hint(format!(
        "there is {}",
        nearest(wanted, names.iter().map(String::as_str))
    )))
}
