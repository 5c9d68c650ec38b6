//! What a notice is about, in one line; why; and by which class.

use super::cause::explain;
use super::mask::mask;
use super::spell::{duration, minute, minute_there_too, seconds_between};
use crate::failure::{Class, Verdict};
use crate::identity::{Market, Stage};
use crate::pipeline::NoticeKind;
use crate::run::{End, Phase, Risk, RiskKind, Run, SubmissionRecord};

/// The submission that went to another market, and the one before it that did not get through.
pub(super) struct Move<'a> {
    /// Of which stage.
    pub(super) stage: Stage,
    /// The new one.
    pub(super) to: &'a SubmissionRecord,
    /// The one before.
    pub(super) from: &'a SubmissionRecord,
    /// Why the one before ended.
    pub(super) why: Option<&'a Verdict>,
}

/// The newest move of the run.
pub(super) fn newest_move(run: &Run) -> Option<Move<'_>> {
    run.stages.iter().rev().find_map(|(stage, record)| {
        let (before, to) = record
            .submissions
            .windows(2)
            .filter_map(|pair| {
                if let [before, to] = pair {
                    Some((before, to))
                } else {
                    None
                }
            })
            .rfind(|(before, to)| before.market != to.market)?;
        Some(Move {
            stage: *stage,
            to,
            from: before,
            why: before.verdict.as_ref(),
        })
    })
}

/// The word that people filter by: the class of a failure, the kind of a risk.
pub(super) fn class(run: &Run, kind: NoticeKind) -> &'static str {
    match (kind, run.risks.last()) {
        (NoticeKind::AtRisk, Some(risk)) => risk.kind.as_str(),
        _ => verdict(run, kind).map_or("none", |(class, _)| class.as_str()),
    }
}

/// The class that a notice of `kind` is about, and what it rests on.
pub(super) fn verdict(run: &Run, kind: NoticeKind) -> Option<(Class, String)> {
    match (kind, &run.end) {
        (NoticeKind::Moved, _) => {
            let why = newest_move(run)?.why?;
            Some((why.class, mask(&why.evidence)))
        }
        (
            NoticeKind::Failed,
            Some(End::Failed {
                class, evidence, ..
            }),
        ) => Some((*class, mask(evidence))),
        _ => None,
    }
}

/// The stage that a notice of `kind` is about.
pub(super) fn stage(run: &Run, kind: NoticeKind) -> Option<Stage> {
    match (kind, &run.end) {
        (NoticeKind::Moved, _) => newest_move(run).map(|moved| moved.stage),
        (NoticeKind::AtRisk, _) => run.risks.last().map(|risk| risk.stage),
        (_, Some(End::Failed { stage, .. })) => *stage,
        _ => run.current_stage(),
    }
}

/// Before it is cut to what SNS takes.
pub(super) fn subject(run: &Run, kind: NoticeKind) -> String {
    let stage = stage(run, kind).map_or_else(String::new, |stage| format!(" in {stage}"));
    let class = verdict(run, kind).map_or_else(String::new, |(class, _)| {
        format!(": {}", spaced(class.as_str()))
    });
    let what = match kind {
        NoticeKind::Failed => format!("failed{stage}{class}"),
        NoticeKind::Succeeded => "succeeded".to_owned(),
        NoticeKind::KeptChampion => "kept its champion".to_owned(),
        NoticeKind::Moved => format!("moved to {}{class}", market(newest_market(run))),
        NoticeKind::Skipped => "skipped".to_owned(),
        NoticeKind::Late => format!("is late{stage}"),
        NoticeKind::Cancelled => "was cancelled".to_owned(),
        NoticeKind::AtRisk => format!("is at risk{stage}: {}", spaced(self::class(run, kind))),
    };
    format!(
        "[trainspot] {} {what} ({})",
        run.id.pipeline(),
        minute(run.id.tick().start())
    )
}

/// What happened, in a sentence.
pub(super) fn headline(run: &Run, kind: NoticeKind) -> String {
    let pipeline = run.id.pipeline();
    let tick = minute(run.id.tick().start());
    let took = run.ended_at.map_or_else(String::new, |end| {
        format!(" after {}", duration(seconds_between(run.created_at, end)))
    });
    let of = format!("The {pipeline} run of {tick}");
    match kind {
        NoticeKind::Failed => match stage(run, kind) {
            Some(stage) => format!("{of} failed in {stage}{took}."),
            None => format!("{of} failed before its first stage{took}."),
        },
        NoticeKind::Succeeded => format!("{of} succeeded{took}."),
        NoticeKind::KeptChampion => format!("{of} is done{took}; the champion before it stays."),
        NoticeKind::Moved => match newest_move(run) {
            Some(moved) => format!(
                "{of} goes on, now on {}: {} is submitted for the {} time.",
                market(Some(moved.to.market)),
                moved.stage,
                ordinal(moved.to.number)
            ),
            None => format!("{of} goes on in another market."),
        },
        NoticeKind::Skipped => format!("{of} was skipped: nothing was started for it."),
        NoticeKind::Late => format!(
            "{of} is late: its deadline has passed and it is {}.",
            at_work(run)
        ),
        NoticeKind::Cancelled => format!("{of} was cancelled{took}."),
        NoticeKind::AtRisk => match run.risks.last() {
            Some(risk) => format!("{of} is at risk: {}.", risk.sentence()),
            None => format!("{of} is at risk."),
        },
    }
}

/// Whether the deadline was, or can still be, kept.
pub(crate) fn deadline(run: &Run) -> Option<String> {
    let at = run.deadline?;
    let zone = run
        .pipeline()
        .ok()
        .and_then(|pipeline| jiff::tz::TimeZone::get(&pipeline.time_zone).ok())
        .unwrap_or(jiff::tz::TimeZone::UTC);
    let told = minute_there_too(at, &zone);
    let ended_well = matches!(run.end, Some(End::Succeeded | End::KeptChampion { .. }));
    Some(match run.ended_at {
        Some(end) if ended_well && end <= at => {
            format!(
                "Deadline {told}: kept, with {} to spare.",
                duration(seconds_between(end, at))
            )
        }
        Some(end) if ended_well => {
            format!(
                "Deadline {told}: missed by {}.",
                duration(seconds_between(at, end))
            )
        }
        Some(_) => format!("Deadline {told}: there is no result to keep it with."),
        None if run.is_late => format!("Deadline {told}: has passed."),
        None => format!("Deadline {told}."),
    })
}

/// Why, a sentence each.
pub(super) fn reasons(run: &Run, kind: NoticeKind) -> Vec<String> {
    if let Some((class, evidence)) = verdict(run, kind) {
        return vec![
            explain(run, kind, class),
            format!("Class `{class}`, evidence: {evidence}"),
        ];
    }
    if let (NoticeKind::AtRisk, Some(risk)) = (kind, run.risks.last()) {
        return at_risk(risk);
    }
    let because = match &run.end {
        Some(
            End::KeptChampion { because } | End::Skipped { because } | End::Cancelled { because },
        ) => sentence(&mask(because)),
        Some(End::Succeeded) => match &run.gate {
            Some(gate) => sentence(&gate.because),
            None => "Every stage published its output; the pipeline has no gate.".to_owned(),
        },
        Some(End::Failed { .. }) | None => match run.history.last() {
            Some(last) => format!(
                "The last decision, at {}: {}.",
                minute(last.at),
                mask(&last.what)
            ),
            None => return Vec::new(),
        },
    };
    vec![because]
}

/// What a risk rests on.
fn at_risk(risk: &Risk) -> Vec<String> {
    let mut told = vec![match risk.kind {
        RiskKind::Stuck => format!(
            "It has waited for a host since {}, which is longer than the `max_queue_wait` of its stage.",
            minute(risk.since)
        ),
        RiskKind::CheckpointOverdue => format!(
            "Its last checkpoint, or its start, is of {}, which is longer ago than the `max_checkpoint_age` of its stage.",
            minute(risk.since)
        ),
        RiskKind::Silent => format!(
            "Its last heartbeat is of {}, and Batch still says RUNNING: the host may be gone, or cut off from the store.",
            minute(risk.since)
        ),
    }];
    if let Some(said) = &risk.said {
        told.push(format!("The queue says: {}", mask(said)));
    }
    told
}

/// `on-demand` as people write it.
pub(crate) fn market(market: Option<Market>) -> &'static str {
    match market {
        Some(Market::Spot) => "Spot",
        Some(Market::OnDemand) => "on-demand",
        None => "another market",
    }
}

/// What a run that is not over is doing.
pub(crate) fn at_work(run: &Run) -> String {
    match run.phase {
        Phase::Queued => "waiting for the run before it".to_owned(),
        Phase::WaitingForData => "waiting for its data".to_owned(),
        Phase::Promoting => "changing the champion".to_owned(),
        Phase::Final => "over".to_owned(),
        Phase::Closing => "being ended".to_owned(),
        Phase::Training | Phase::Evaluating | Phase::Recommending | Phase::Gathering => {
            run.current_stage().map_or_else(
                || "at work".to_owned(),
                |stage| format!("in its {stage} stage"),
            )
        }
    }
}

fn newest_market(run: &Run) -> Option<Market> {
    newest_move(run).map(|moved| moved.to.market)
}

/// A fragment as a sentence: capital and full stop.
pub(crate) fn sentence(fragment: &str) -> String {
    let mut chars = fragment.trim().chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let stop = if fragment.trim_end().ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}

/// `out of memory`, of `out_of_memory`.
pub(crate) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}
