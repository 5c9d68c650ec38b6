//! From the ledger to a notice: the parts in the order in which they are wanted at night.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::bill::{Bill, interruption};
use super::body::Body;
use super::culprit::{culprit, log_streams};
use super::spell::counted;
use super::{Notice, Severity, deeds, subject, what_happened};
use crate::layout;
use crate::pipeline::NoticeKind;
use crate::run::{End, Run};

/// Format of the machine's document.
const SCHEMA: u32 = 1;
/// The last ones of a failed attempt; the stream has the rest.
const LOG_LINES_MAX: usize = 20;
/// A fan-out may have thousands of interruptions and streams.
const LISTED_MAX: usize = 10;
const EVIDENCE_MAX: usize = 1000;

/// The notice of `kind` about `run`, as the ledger stands. Same ledger, same notice.
pub fn compose(run: &Run, kind: NoticeKind) -> Notice {
    let id = id(run, kind);
    let class = what_happened::class(run, kind);
    Notice {
        subject: subject(&what_happened::subject(run, kind)),
        text: text(run, kind, &id),
        machine: machine(run, kind, &id),
        attributes: BTreeMap::from([
            ("pipeline".to_owned(), run.id.pipeline().to_string()),
            ("kind".to_owned(), kind.as_str().to_owned()),
            ("class".to_owned(), class.to_owned()),
            ("severity".to_owned(), severity(kind).as_str().to_owned()),
        ]),
        id,
    }
}

/// Run and kind; for a move its submission too, so that a second move is a second notice; for a risk
/// the attempt that it is about.
fn id(run: &Run, kind: NoticeKind) -> String {
    if let (NoticeKind::AtRisk, Some(risk)) = (kind, run.risks.last()) {
        return format!(
            "{}/{}-{}-{}-{}-{}",
            run.id,
            kind.as_str(),
            risk.kind.as_str(),
            risk.stage,
            risk.submission,
            risk.attempt
        );
    }
    let moved = match kind {
        NoticeKind::Moved => what_happened::newest_move(run),
        _ => None,
    };
    match moved {
        Some(moved) => format!(
            "{}/{}-{}-{}",
            run.id,
            kind.as_str(),
            moved.stage,
            moved.to.number
        ),
        None => format!("{}/{}", run.id, kind.as_str()),
    }
}

const fn severity(kind: NoticeKind) -> Severity {
    match kind {
        NoticeKind::Failed => Severity::Error,
        NoticeKind::Moved | NoticeKind::Late | NoticeKind::Cancelled | NoticeKind::AtRisk => {
            Severity::Warning
        }
        NoticeKind::Succeeded | NoticeKind::KeptChampion | NoticeKind::Skipped => Severity::Info,
    }
}

fn text(run: &Run, kind: NoticeKind, id: &str) -> String {
    let bill = Bill::of(run);
    let mut body = Body::default();
    body.say(&what_happened::headline(run, kind));
    if kind != NoticeKind::Skipped
        && let Some(deadline) = what_happened::deadline(run)
    {
        body.say(&deadline);
    }

    let reasons = what_happened::reasons(run, kind);
    if !reasons.is_empty() {
        body.heading("why");
        for reason in &reasons {
            body.say(reason);
        }
    }
    let culprit = culprit(run);
    if let Some(culprit) = &culprit {
        if let Some(reason) = &culprit.reason {
            body.say(&format!("The program says: {reason}"));
        }
        if let Some(hint) = &culprit.hint {
            body.say(&format!("Its hint: {hint}"));
        }
        if let Some(error) = &culprit.error {
            body.say(&format!("The agent says: {error}"));
        }
    }

    body.heading("what you may do");
    for step in deeds::next_steps(run, kind) {
        body.item(&step);
    }

    body.heading("lost and saved");
    body.say(&bill.money());
    lost(run, &bill, &mut body);
    for caveat in bill.caveats(run.is_final()) {
        body.item(&caveat);
    }

    let submissions = deeds::submissions(run);
    if !submissions.is_empty() {
        body.heading("what trainspot did");
        for deed in &submissions {
            body.item(deed);
        }
    }
    let champion = deeds::champion(run);
    if !champion.is_empty() {
        body.heading("gate and champion");
        for line in &champion {
            body.say(line);
        }
    }
    if let Some(culprit) = culprit.filter(|culprit| !culprit.log_tail.is_empty()) {
        body.heading(&format!("last log lines of {}", culprit.name()));
        let first = culprit.log_tail.len().saturating_sub(LOG_LINES_MAX);
        for line in culprit.log_tail.iter().skip(first) {
            body.verbatim(line);
        }
    }

    body.heading("where to look");
    body.item(&format!("Run: {}", run.id));
    match report_key(run) {
        Some(key) => body.item(&format!("Report, in the results bucket: {key}")),
        None if run.is_final() => body.item("There is no report: no stage was begun."),
        None => body.item(&format!(
            "Report, at the run's end: {}",
            layout::report(&run.id)
        )),
    }
    body.item(&format!("Ledger: {}", layout::ledger(&run.id)));
    let streams = log_streams(run);
    let hidden = streams.len().saturating_sub(LISTED_MAX);
    for (stage, submission, attempt, stream) in streams.iter().skip(hidden) {
        body.item(&format!(
            "Log stream of {stage} {submission}, attempt {attempt}: {stream}"
        ));
    }
    if hidden > 0 {
        body.item(&format!(
            "... and {} before them.",
            counted(hidden, "log stream")
        ));
    }
    body.item(&format!("Notice: {id}"));
    body.finish()
}

/// What had to be done twice.
fn lost(run: &Run, bill: &Bill, body: &mut Body) {
    let repeated = &bill.totals.repeated;
    let of_shards: usize = run.shard_sums().map(|sums| sums.interruptions).sum();
    let interruptions = repeated.len() + of_shards;
    if interruptions == 0 {
        if run.is_reviewed && !run.stages.is_empty() {
            body.say("No work was repeated.");
        }
        return;
    }
    body.say(&format!(
        "{}, {}; {} of work repeated in all.",
        counted(bill.totals.reclaims, "reclaim"),
        counted(interruptions, "interruption"),
        super::spell::duration(bill.totals.repeated_s())
    ));
    for one in repeated.iter().take(LISTED_MAX) {
        body.item(&interruption(one));
    }
    if repeated.len() > LISTED_MAX {
        body.item(&format!(
            "... and {} more, in the report.",
            repeated.len() - LISTED_MAX
        ));
    }
    if of_shards > 0 {
        body.item(&format!(
            "{} of shards.",
            counted(of_shards, "interruption")
        ));
    }
}

/// Where the run's page lies, once there is one.
fn report_key(run: &Run) -> Option<String> {
    (run.is_final() && !run.stages.is_empty()).then(|| layout::report(&run.id))
}

fn machine(run: &Run, kind: NoticeKind, id: &str) -> Value {
    let bill = Bill::of(run);
    let verdict = what_happened::verdict(run, kind);
    let [cost, on_demand, saved] = bill
        .dollars()
        .map_or([None; 3], |dollars| dollars.map(Some));
    json!({
        "schema": SCHEMA,
        "id": id,
        "run_id": run.id,
        "pipeline": run.id.pipeline(),
        "kind": kind,
        "class": what_happened::class(run, kind),
        "phase": run.phase,
        "end": run.end.as_ref().map(End::as_str),
        "stage": what_happened::stage(run, kind),
        "evidence": verdict.map(|(_, evidence)| super::spell::one_line(&evidence, EVIDENCE_MAX)),
        "cost_usd": cost,
        "on_demand_usd": on_demand,
        "saved_usd": saved,
        "reclaims": bill.totals.reclaims,
        // A sum of nothing is -0.0 for doubles.
        "repeated_s": bill.totals.repeated_s() + 0.0,
        "report_key": report_key(run),
        "deadline": run.deadline,
        "ended_at": run.ended_at,
    })
}

#[cfg(test)]
mod tests;
