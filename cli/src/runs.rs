//! `trainspot runs`: the runs of one pipeline or of all, newest first.

use std::collections::BTreeMap;

use serde::Serialize;
use trainspot_shared::cost::Usd;
use trainspot_shared::identity::RunId;
use trainspot_shared::notice::{Bill, Known};
use trainspot_shared::run::{End, Run};

use crate::pause::{paused_at, paused_line};
use crate::problem::Problem;
use crate::results::Results;
use crate::{ledgers, output};

/// One line of the table, and one object for scripts.
#[derive(Debug, Serialize)]
struct Row {
    run_id: RunId,
    state: String,
    class: Option<String>,
    seconds: f64,
    /// As far as it is known; none where nothing is.
    cost_usd: Option<f64>,
    saved_usd: Option<f64>,
    /// How much of it: of `part`, both sums are at least so much.
    cost_known: Known,
    /// Notices that SNS refused for good: nobody was told.
    undeliverable: Vec<String>,
    deadline: Option<jiff::Timestamp>,
    is_late: bool,
    /// Of the pipeline, not of the run.
    paused_at: Option<jiff::Timestamp>,
}

/// The command.
pub(crate) async fn runs(
    pipeline: Option<String>,
    bucket: Option<String>,
    limit: usize,
    as_json: bool,
) -> anyhow::Result<()> {
    let results = Results::open(bucket).await?;
    let (store, bucket) = (&results.store, &results.bucket);
    let pipelines = match pipeline {
        Some(wanted) => vec![ledgers::pipeline(store, bucket, &wanted).await?],
        None => ledgers::pipelines(store, bucket).await?,
    };
    let mut ids = ledgers::run_ids(store, bucket, &pipelines).await?;
    let n_more = ids.len().saturating_sub(limit);
    ids.truncate(with_all_of_their_minute(&ids, limit));
    let mut paused = BTreeMap::new();
    for name in &pipelines {
        if let Some(since) = paused_at(store, bucket, name).await? {
            paused.insert(name.clone(), since);
        }
    }
    let mut read = ledgers::readable(store, bucket, &ids).await?;
    // Ids of one minute stand in the order of what was drawn for them.
    read.runs
        .sort_by_key(|run| std::cmp::Reverse((run.id.tick(), run.created_at)));
    let rows: Vec<Row> = read
        .runs
        .iter()
        .take(limit)
        .map(|run| row(run, paused.get(run.id.pipeline()).copied()))
        .collect();
    if as_json {
        output::print_json(&rows)?;
        return all_read(ids.len(), &read.unreadable);
    }
    let mut text = match (rows.is_empty(), read.unreadable.is_empty()) {
        (false, _) => render(&rows, n_more),
        (true, _) if n_more > 0 => render(&rows, n_more),
        (true, true) => "no runs yet".to_owned(),
        (true, false) => "no run can be read".to_owned(),
    };
    for (name, since) in &paused {
        text.push('\n');
        text.push_str(&paused_line(name, *since));
    }
    output::print(&text)?;
    all_read(ids.len(), &read.unreadable)
}

/// The others were shown; these are named, the first with its reason.
fn all_read(n_runs: usize, unreadable: &[(RunId, Problem)]) -> anyhow::Result<()> {
    let Some((first, why)) = unreadable.first() else {
        return Ok(());
    };
    let n = unreadable.len();
    let others = match n {
        1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    let sentence = format!(
        "{n} of {n_runs} runs cannot be read: `{first}`{others}\n{}",
        why.sentence
    );
    Err(Problem::new(why.exit, sentence)
        .hint("use the version of trainspot that wrote it; docs/operations.md, \"Roll back\"")
        .into())
}

fn row(run: &Run, paused_at: Option<jiff::Timestamp>) -> Row {
    let bill = Bill::of(run);
    // A live run that has no job yet costs nothing so far, which is no bill.
    let is_known = bill.has_amounts() && (run.is_final() || bill.known != Known::NothingRan);
    let dollars = |amount: Usd| is_known.then(|| amount.dollars());
    let refused = run
        .notices
        .iter()
        .filter(|notice| notice.undeliverable.is_some());
    let until = run.ended_at.unwrap_or_else(jiff::Timestamp::now);
    Row {
        run_id: run.id.clone(),
        state: state(run),
        class: match &run.end {
            Some(End::Failed { class, .. }) => Some(class.as_str().to_owned()),
            _ => None,
        },
        seconds: until.duration_since(run.created_at).as_secs_f64(),
        cost_usd: dollars(bill.totals.cost),
        saved_usd: dollars(bill.totals.saved()),
        cost_known: bill.known,
        undeliverable: refused.map(|notice| notice.id.clone()).collect(),
        deadline: run.deadline,
        is_late: run.is_late || run.deadline.is_some_and(|deadline| until > deadline),
        paused_at,
    }
}

/// The end, or the phase of a run that is live, in the documents' words.
pub(crate) fn state(run: &Run) -> String {
    if let Some(end) = &run.end {
        return end.as_str().to_owned();
    }
    let phase = serde_json::to_value(run.phase).ok();
    phase
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or("live")
        .to_owned()
}

/// How many ids to read: the first `limit`, and all others of the last one's minute, whose order only their ledgers
/// tell.
fn with_all_of_their_minute(ids: &[RunId], limit: usize) -> usize {
    let last = limit.checked_sub(1).and_then(|last| ids.get(last));
    let Some(last) = last else {
        return limit.min(ids.len());
    };
    let minute = |id: &&RunId| id.tick() == last.tick();
    limit + ids.iter().skip(limit).take_while(minute).count()
}

/// `≥ $0.0789` where a part is known, a dash where nothing is.
fn amount(dollars: Option<f64>, known: Known) -> String {
    match (dollars, known) {
        (None, _) => "–".to_owned(),
        (Some(dollars), Known::Part) => format!("≥ ${dollars:.4}"),
        (Some(dollars), _) => format!("${dollars:.4}"),
    }
}

fn render(rows: &[Row], n_more: usize) -> String {
    let mut table = output::table(&["run", "state", "class", "took", "cost", "saved", "deadline"]);
    for row in rows {
        let deadline = row.deadline.map_or_else(
            || "none".to_owned(),
            |at| {
                format!(
                    "{}{}",
                    at.strftime("%Y-%m-%d %H:%MZ"),
                    if row.is_late { " (late)" } else { "" }
                )
            },
        );
        table.add_row(vec![
            row.run_id.to_string(),
            if row.undeliverable.is_empty() {
                row.state.clone()
            } else {
                format!("{} (not told)", row.state)
            },
            row.class.clone().unwrap_or_default(),
            output::length(row.seconds),
            amount(row.cost_usd, row.cost_known),
            amount(row.saved_usd, row.cost_known),
            deadline,
        ]);
    }
    let more = if n_more > 0 {
        format!("\n{n_more} older runs: --limit shows more")
    } else {
        String::new()
    };
    format!("{table}{more}")
}
