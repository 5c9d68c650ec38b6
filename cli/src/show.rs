//! `trainspot show`: one run's ledger for a person. What it prints is all in the ledger; it judges nothing.

mod attempts;
mod last_lines;
mod standing;

use std::fmt::Write as _;
use std::path::PathBuf;

use trainspot_shared::identity::Stage;
use trainspot_shared::layout;
use trainspot_shared::notice::{Bill, Known, explain, next_step};
use trainspot_shared::pipeline::NoticeKind;
use trainspot_shared::run::{End, Run};

use crate::pause::{paused_at, paused_line};
use crate::results::Results;
use crate::runs::state;
use crate::{ledgers, output};

/// How a person reaches an object.
#[derive(Debug, Clone)]
pub(crate) enum Where {
    /// As `s3://<bucket>/…`.
    Bucket(String),
    /// As files under this folder.
    Folder(PathBuf),
}

impl Where {
    /// The address of a key.
    pub(crate) fn of(&self, key: &str) -> String {
        match self {
            Self::Bucket(bucket) => format!("s3://{bucket}/{key}"),
            Self::Folder(folder) => folder.join(key).display().to_string(),
        }
    }
}

/// The command.
pub(crate) async fn show(run: &str, bucket: Option<String>, as_json: bool) -> anyhow::Result<()> {
    let results = Results::open(bucket).await?;
    let run = ledgers::find(&results.store, &results.bucket, run).await?;
    if as_json {
        return output::print_json(&run);
    }
    let since = paused_at(&results.store, &results.bucket, run.id.pipeline()).await?;
    let standing = standing::section(&results.store, &results.bucket, &run).await;
    let mut text = render(&run, standing, &Where::Bucket(results.bucket));
    if let Some(since) = since {
        text.push_str("\n\n");
        text.push_str(&paused_line(run.id.pipeline(), since));
    }
    output::print(&text)
}

/// The whole page.
fn render(run: &Run, standing: Option<String>, place: &Where) -> String {
    let sections = [
        heading(run),
        standing,
        not_told(run),
        attempts::render(run),
        last_lines::render(run),
        gate(run),
        pending(run),
        history(run),
        places(run, place),
    ];
    sections
        .into_iter()
        .flatten()
        .map(|section| section.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// What a run came to and where its files lie, without its history.
pub(crate) fn summary(run: &Run, place: &Where) -> String {
    let sections = [
        heading(run),
        attempts::render(run),
        last_lines::render(run),
        gate(run),
        places(run, place),
    ];
    sections
        .into_iter()
        .flatten()
        .map(|section| section.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn heading(run: &Run) -> Option<String> {
    let mut text = format!("run {}: {}\n", run.id, state(run));
    let why = match &run.end {
        Some(End::Failed {
            stage,
            class,
            evidence,
        }) => {
            let stage = stage.map_or(String::new(), |stage| format!("{stage}: "));
            Some(format!(
                "  why: {stage}{} ({evidence})\n  next: {}",
                explain(run, NoticeKind::Failed, *class),
                next_step(run, NoticeKind::Failed, *class)
            ))
        }
        Some(
            End::KeptChampion { because } | End::Skipped { because } | End::Cancelled { because },
        ) => Some(format!("  why: {because}")),
        _ => None,
    };
    if let Some(why) = why {
        writeln!(text, "{why}").ok()?;
    }
    writeln!(
        text,
        "  asked for by: {}, {}",
        run.created_by,
        run.created_at.strftime("%Y-%m-%d %H:%M:%SZ")
    )
    .ok()?;
    if let Some(ended_at) = run.ended_at {
        let took = ended_at.duration_since(run.created_at).as_secs_f64();
        writeln!(text, "  took: {}", output::length(took)).ok()?;
    }
    if let Some(deadline) = run.deadline {
        let late = run.is_late || run.ended_at.is_some_and(|at| at > deadline);
        writeln!(
            text,
            "  deadline: {}{}",
            deadline.strftime("%Y-%m-%d %H:%MZ"),
            if late { ", late" } else { "" }
        )
        .ok()?;
    }
    if let Some(dataset) = &run.dataset {
        writeln!(
            text,
            "  data: {} objects, {} bytes",
            dataset.objects, dataset.size_bytes
        )
        .ok()?;
    }
    if !run.records().is_empty() {
        let bill = Bill::of(run);
        let totals = &bill.totals;
        let cost = match bill.known {
            Known::Nothing => "not known".to_owned(),
            Known::Part => format!("at least {}", totals.cost),
            Known::Everything | Known::NothingRan => totals.cost.to_string(),
        };
        writeln!(
            text,
            "  cost: {cost}, saved {} against on-demand; {} reclaims, {:.1} s of work done twice",
            totals.saved(),
            totals.reclaims,
            // An empty sum of floats is -0.
            totals.repeated_s() + 0.0,
        )
        .ok()?;
    }
    Some(text)
}

/// What SNS refused for good, in its words.
fn not_told(run: &Run) -> Option<String> {
    let mut text = "not told, since SNS refused it for good:\n".to_owned();
    let mut n_refused = 0;
    for notice in &run.notices {
        if let Some(why) = &notice.undeliverable {
            let at = notice.at.strftime("%Y-%m-%d %H:%M:%SZ");
            writeln!(text, "  {}, {at}: {why}", notice.id).ok()?;
            n_refused += 1;
        }
    }
    (n_refused > 0).then_some(text)
}

fn gate(run: &Run) -> Option<String> {
    let gate = run.gate.as_ref()?;
    let verdict = if gate.is_better {
        "takes the champion's place"
    } else {
        "does not take the champion's place"
    };
    let mut text = format!(
        "gate: `{}` ({:.4}) {verdict}: {}\n",
        gate.candidate, gate.score, gate.because
    );
    for check in &gate.checks {
        let mark = if check.passed { "holds" } else { "fails" };
        writeln!(
            text,
            "  {mark}: {} ({:.4} against {:.4})",
            check.name, check.value, check.bound
        )
        .ok()?;
    }
    Some(text)
}

fn pending(run: &Run) -> Option<String> {
    if run.pending.is_empty() {
        return None;
    }
    let mut text = "still to be done:\n".to_owned();
    for pending in &run.pending {
        let who = pending.claim.as_ref().map_or_else(
            || "nobody holds it".to_owned(),
            |claim| {
                format!(
                    "held by {} until {}",
                    claim.by,
                    claim.expires_at.strftime("%H:%M:%SZ")
                )
            },
        );
        writeln!(
            text,
            "  {} (tried {} times, {who})",
            pending.id, pending.tries
        )
        .ok()?;
    }
    Some(text)
}

fn history(run: &Run) -> Option<String> {
    let mut text = "history:\n".to_owned();
    for line in &run.history {
        writeln!(text, "  {} {}", line.at.strftime("%H:%M:%SZ"), line.what).ok()?;
    }
    (!run.history.is_empty()).then_some(text)
}

fn places(run: &Run, place: &Where) -> Option<String> {
    let mut text = "where:\n".to_owned();
    writeln!(text, "  ledger: {}", place.of(&layout::ledger(&run.id))).ok()?;
    for stage in Stage::ALL {
        let Some(output) = run
            .stages
            .get(&stage)
            .and_then(|record| record.output.as_ref())
        else {
            continue;
        };
        writeln!(text, "  {stage}: {}", place.of(&output.prefix)).ok()?;
    }
    if is_reported(run) {
        writeln!(text, "  report: {}", place.of(&layout::report(&run.id))).ok()?;
    }
    if is_promoted(run) {
        writeln!(
            text,
            "  champion: {}",
            place.of(&layout::champion(run.id.pipeline()))
        )
        .ok()?;
    }
    Some(text)
}

/// A report is written for every final run that did any work, once its records were read.
fn is_reported(run: &Run) -> bool {
    run.is_settled() && !run.stages.is_empty()
}

fn is_promoted(run: &Run) -> bool {
    matches!(run.end, Some(End::Succeeded)) && run.gate.is_some()
}
