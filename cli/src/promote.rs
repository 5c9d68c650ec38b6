//! `trainspot promote`: a person makes a run's challenger the champion, or an earlier champion again. Changes
//! `champion.json` by the compare-and-swap that runs use, and no ledger.

use clap::Args;
use serde::Serialize;
use trainspot_edge::cas;
use trainspot_edge::store::Store;
use trainspot_edge::world::World;
use trainspot_shared::champion::Champion;
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::identity::RunId;
use trainspot_shared::layout::{self, file};
use trainspot_shared::run::{ByHand, NotPromotable, Run};
use trainspot_shared::stage_head::Published;

use crate::problem::{Exit, Problem};
use crate::results::Results;
use crate::{ledgers, output};

/// Which run's, and how.
#[derive(Debug, Args)]
pub(crate) struct PromoteArguments {
    /// The run whose challenger is to be champion
    pub(crate) run: String,
    /// Also where a check of the gate failed
    #[arg(long)]
    pub(crate) force: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// For scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Promoted,
    WouldPromote,
    AlreadyChampion,
}

/// What is told.
#[derive(Debug, Serialize)]
struct Told {
    outcome: Outcome,
    /// What `champion.json` says now, or would say.
    champion: Champion,
}

/// The command.
pub(crate) async fn promote(
    arguments: &PromoteArguments,
    bucket: Option<String>,
) -> anyhow::Result<()> {
    let results = Results::open(bucket).await?;
    let (store, bucket) = (&results.store, &results.bucket);
    let run = ledgers::find(store, bucket, &arguments.run).await?;
    let told = change(store, store, bucket, &run, arguments).await?;
    if arguments.json {
        return output::print_json(&told);
    }
    output::print(&sentence(&run.id, &told))
}

/// Reads, decides and writes, once: a champion that somebody else changes meanwhile is not the one that was to be
/// replaced, so nothing is decided anew.
async fn change(
    store: &impl Store,
    world: &impl World,
    bucket: &str,
    run: &Run,
    arguments: &PromoteArguments,
) -> Result<Told, Problem> {
    let id = &run.id;
    let key = layout::champion(id.pipeline());
    let seen = cas::read::<Champion>(store, bucket, &key).await?;
    let there = seen.as_ref().map(|seen| &seen.document);
    let decided = run
        .promoted_by_hand(there, arguments.force, world.now())
        .map_err(|why| refused(id, &why))?;
    let draft = match (decided, &seen) {
        (ByHand::Write(draft), _) => draft,
        (ByHand::Stands, seen) => {
            let champion = seen.as_ref().map(|seen| seen.document.clone());
            let champion = champion.ok_or_else(|| overtaken(id))?;
            let outcome = Outcome::AlreadyChampion;
            return Ok(Told { outcome, champion });
        }
    };
    has_files(store, bucket, id, &draft.model).await?;
    let champion = Champion {
        version: there.map_or(0, |there| there.version) + 1,
        write_id: world.draw(),
        ..*draft
    };
    if arguments.dry_run {
        let outcome = Outcome::WouldPromote;
        return Ok(Told { outcome, champion });
    }
    let over = seen.as_ref().map(|seen| seen.etag.as_str());
    if !cas::write(store, bucket, &key, &champion, over).await? {
        return Err(overtaken(id));
    }
    let outcome = Outcome::Promoted;
    Ok(Told { outcome, champion })
}

/// Whether the model is still there: `trainspot clean` may have deleted what an old run left.
async fn has_files(
    store: &impl Store,
    bucket: &str,
    id: &RunId,
    model: &Published,
) -> Result<(), Problem> {
    let key = format!("{}{}", model.prefix, file::MANIFEST);
    let manifest = store.get(bucket, &key).await?;
    if manifest.is_some_and(|there| sha256_hex(&there.body) == model.manifest_sha256) {
        return Ok(());
    }
    let sentence = format!("the model of run `{id}` is not there any more: `{key}`");
    Err(Problem::new(Exit::Data, sentence)
        .hint("`trainspot clean` deletes what old runs left; a retry makes it anew"))
}

fn refused(id: &RunId, why: &NotPromotable) -> Problem {
    let problem = Problem::new(
        Exit::EndedBadly,
        format!("run `{id}` cannot be promoted: {why}"),
    );
    match why {
        NotPromotable::CheckFailed(_) => {
            problem.hint("`--force` promotes it all the same; the report shows all checks")
        }
        _ => problem.hint(format!("`trainspot show {id}` tells more")),
    }
}

fn overtaken(id: &RunId) -> Problem {
    let sentence =
        format!("the champion was changed by somebody else meanwhile; run `{id}` was not promoted");
    Problem::new(Exit::InUse, sentence).hint("look at it, and ask again")
}

fn sentence(id: &RunId, told: &Told) -> String {
    let Champion {
        candidate,
        previous,
        recommendations_run_id,
        ..
    } = &told.champion;
    let what = match told.outcome {
        Outcome::AlreadyChampion => return format!("`{candidate}` of run {id}: is champion"),
        Outcome::Promoted => "is champion now",
        Outcome::WouldPromote => "would be champion; nothing was written",
    };
    let before = previous.as_ref().map_or_else(String::new, |one| {
        format!(", in place of run {}", one.run_id)
    });
    let recommendations = match recommendations_run_id {
        Some(made_by) if made_by == id => "its own, of this run".to_owned(),
        Some(made_by) => format!(
            "still those of run {made_by}, not made by this model; the next run makes new ones"
        ),
        None => "none; the next run may make some".to_owned(),
    };
    format!("`{candidate}` of run {id}: {what}{before}\n  recommendations: {recommendations}")
}
