//! What trainspot did for a run, and what a person may do next.

use super::cause::next_step;
use super::culprit::log_streams;
use super::mask::mask;
use super::spell::counted;
use super::what_happened::{market, newest_move, sentence, verdict};
use crate::identity::Stage;
use crate::pipeline::NoticeKind;
use crate::run::{End, RiskKind, Run, SubmissionRecord};

/// Every submission, a sentence each, in the order of the stages.
pub(super) fn submissions(run: &Run) -> Vec<String> {
    let mut deeds = Vec::new();
    for (stage, record) in &run.stages {
        for (place, submission) in record.submissions.iter().enumerate() {
            let before = place
                .checked_sub(1)
                .and_then(|before| record.submissions.get(before));
            deeds.push(deed(*stage, submission, before, record.shards));
        }
    }
    deeds
}

fn deed(
    stage: Stage,
    submission: &SubmissionRecord,
    before: Option<&SubmissionRecord>,
    shards: Option<u32>,
) -> String {
    let mut parts = vec![format!(
        "{stage} {} on {}",
        submission.number,
        market(Some(submission.market))
    )];
    if let Some(before) = before {
        if before.market != submission.market {
            parts.push(format!(" (moved from {})", market(Some(before.market))));
        }
        if before.memory_mib < submission.memory_mib {
            parts.push(format!(
                " with {} MiB instead of {}",
                submission.memory_mib, before.memory_mib
            ));
        }
    }
    match (&submission.shards, shards) {
        (Some(only), _) => parts.push(format!(", only {}", counted(only.len(), "missing shard"))),
        (None, Some(all)) => parts.push(format!(", {}", counted(all as usize, "shard"))),
        (None, None) => {}
    }
    match (&submission.not_submitted, &submission.job_id) {
        (Some(why), _) => parts.push(format!(": not submitted ({})", mask(why))),
        (None, None) => parts.push(": on its way to Batch".to_owned()),
        (None, Some(job)) => {
            parts.push(format!(": job {job}"));
            let attempts = submission.job().map_or(0, |job| job.attempts.len());
            if attempts > 0 {
                parts.push(format!(", {}", counted(attempts, "ended attempt")));
            }
            parts.push(match &submission.verdict {
                Some(verdict) => {
                    let evidence = mask(&verdict.evidence);
                    format!(
                        ", ended as `{}` ({})",
                        verdict.class,
                        evidence.trim_end_matches('.')
                    )
                }
                None if submission.is_decided => ", its output counts".to_owned(),
                None => ", no end seen yet".to_owned(),
            });
        }
    }
    parts.push(".".to_owned());
    parts.concat()
}

/// What a person may do, a sentence each; never empty.
pub(crate) fn next_steps(run: &Run, kind: NoticeKind) -> Vec<String> {
    let id = &run.id;
    match kind {
        NoticeKind::Failed => {
            let advice = verdict(run, kind).map_or_else(
                || "Read the history.".to_owned(),
                |(class, _)| next_step(run, kind, class),
            );
            let mut steps = vec![
                advice,
                format!("To run it again: `trainspot retry {id}`"),
                format!("To read more: `trainspot show {id}`"),
            ];
            if !log_streams(run).is_empty() {
                steps
                    .push("All of its log lies in the log streams that are named here.".to_owned());
            }
            steps
        }
        NoticeKind::Succeeded => vec![succeeded(run)],
        NoticeKind::KeptChampion => kept(run),
        NoticeKind::Moved => moved(run),
        NoticeKind::Skipped => vec![format!(
            "Nothing, if that is as you want it. To run all the same: `trainspot start {} --force`",
            id.pipeline()
        )],
        NoticeKind::Late => vec![
            "Nothing must be done: the run goes on, and its end will be told.".to_owned(),
            format!("To see what it waits for: `trainspot show {id}`"),
        ],
        NoticeKind::Cancelled => vec![format!("If it was a mistake: `trainspot retry {id}`")],
        NoticeKind::AtRisk => at_risk(run),
    }
}

fn moved(run: &Run) -> Vec<String> {
    let refused = newest_move(run).filter(|moved| moved.from.is_refused());
    let class = refused.and_then(|moved| moved.why).map(|why| why.class);
    let mut steps = match class {
        Some(class) => vec![
            next_step(run, NoticeKind::Moved, class),
            "Until then each run of this pipeline goes on at the on-demand price, as this one does."
                .to_owned(),
        ],
        None => vec![
            "Nothing: the work goes on from its newest checkpoint, at the on-demand price."
                .to_owned(),
        ],
    };
    steps.push(format!("To see how far it is: `trainspot show {}`", run.id));
    steps
}

fn at_risk(run: &Run) -> Vec<String> {
    let id = &run.id;
    let advice = match run.risks.last().map(|risk| risk.kind) {
        Some(RiskKind::Stuck) => {
            "Nothing must be done: it begins as soon as there is a host. More instance types, or more zones, make that sooner."
        }
        Some(RiskKind::CheckpointOverdue) => {
            "Look at its log: a program that still works should checkpoint; one that hangs is ended by its time-out."
        }
        Some(RiskKind::Silent) => {
            "Look at its host and its log. If it does not come back, its time-out ends it, and it goes on from its newest checkpoint."
        }
        None => "Look at the run.",
    };
    vec![
        advice.to_owned(),
        format!("To see where it stands: `trainspot show {id}`"),
        format!("To give it up: `trainspot cancel {id}`"),
    ]
}

fn succeeded(run: &Run) -> String {
    let old = run.champion_seen.as_ref().map(|seen| &seen.champion);
    match (&run.gate, old) {
        (Some(_), Some(old)) => format!(
            "Nothing. If the new champion turns out bad: `trainspot promote {}` makes the one before it champion again.",
            old.run_id
        ),
        _ => "Nothing.".to_owned(),
    }
}

fn kept(run: &Run) -> Vec<String> {
    let gate = run.gate.as_ref();
    if gate.is_some_and(|gate| gate.is_left_to_a_person) {
        return vec![
            "Look at the report: the challenger passes every check and was not made champion, since the spec says `promote = \"ask\"`. The champion goes on serving until a person decides."
                .to_owned(),
            format!("To make it champion: `trainspot promote {}`", run.id),
        ];
    }
    let was_missed = gate.is_some_and(|gate| gate.checks.iter().any(|check| !check.passed));
    vec![if was_missed {
        "Nothing: the champion goes on serving. The report shows by how much it was missed."
            .to_owned()
    } else {
        "Nothing: the champion goes on serving.".to_owned()
    }]
}

/// What the gate said and who is champion, a sentence each; empty for a run that came to no gate.
pub(crate) fn champion(run: &Run) -> Vec<String> {
    let Some(gate) = &run.gate else {
        return Vec::new();
    };
    let metric = run
        .pipeline()
        .ok()
        .and_then(|pipeline| pipeline.evaluate)
        .map_or_else(
            || "the gate's metric".to_owned(),
            |evaluate| evaluate.gate.metric,
        );
    let failed = gate.checks.iter().filter(|check| !check.passed).count();
    let passed = gate.checks.len() - failed;
    let mut told = vec![format!(
        "Best candidate: `{}`, {metric} {:.4}. {}",
        gate.candidate,
        gate.score,
        sentence(&gate.because)
    )];
    if !gate.checks.is_empty() {
        told.push(format!("Checks: {passed} passed, {failed} failed."));
    }
    let old = run.champion_seen.as_ref().map(|seen| &seen.champion);
    match (&run.end, old) {
        (Some(End::Succeeded), Some(old)) => told.push(format!(
            "New champion: `{}` of this run, in place of `{}` of {}.",
            gate.candidate, old.candidate, old.run_id
        )),
        (Some(End::Succeeded), None) => {
            told.push(format!(
                "New champion: `{}` of this run; there was none before.",
                gate.candidate
            ));
        }
        (Some(_), Some(old)) => {
            told.push(format!(
                "Champion: still `{}` of {}.",
                old.candidate, old.run_id
            ));
        }
        (Some(_), None) => told.push("There is no champion.".to_owned()),
        (None, _) => {}
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::ledgers;

    /// The commands of the cli that take a run or a pipeline.
    const COMMANDS: [&str; 5] = ["show", "start", "retry", "cancel", "promote"];

    #[test]
    fn only_commands_that_exist_are_named() {
        let ledgers = [
            ledgers::succeeded_with_a_reclaim(),
            ledgers::failed_by_a_bug(),
            ledgers::moved(),
            ledgers::skipped(),
        ];
        let mut named = 0;
        for run in &ledgers {
            for kind in NoticeKind::ALL {
                let steps = next_steps(run, kind).concat();
                for typed in steps.split("`trainspot ").skip(1) {
                    named += 1;
                    let command = typed.split([' ', '`']).next().unwrap_or_default();
                    assert!(COMMANDS.contains(&command), "{typed}");
                }
            }
        }
        assert!(named > 0);
    }

    /// A run of a pipeline that asks a person, which kept the champion.
    fn asks(change: impl FnOnce(&mut Run)) -> String {
        let mut run = ledgers::succeeded_with_a_reclaim();
        run.spec.text = run
            .spec
            .text
            .replace("min_gain = 0.01", "min_gain = 0.01\npromote = \"ask\"");
        change(&mut run);
        let because = run
            .gate
            .as_ref()
            .map_or_else(String::new, |gate| gate.because.clone());
        run.end = Some(End::KeptChampion { because });
        next_steps(&run, NoticeKind::KeptChampion).concat()
    }

    #[test]
    fn only_a_challenger_that_was_held_back_for_a_person_is_told_as_one() {
        let gate = |run: &mut Run, change: fn(&mut crate::gate::GateResult)| {
            change(run.gate.as_mut().expect("it came to the gate"));
        };
        let held_back = asks(|run| {
            gate(run, |gate| {
                gate.is_better = false;
                gate.is_left_to_a_person = true;
            });
        });
        let not_scored = asks(|run| {
            gate(run, |gate| {
                gate.is_better = false;
                gate.checks.clear();
                gate.because = "evaluate did not score the champion, r".to_owned();
            });
        });
        let of_a_newer_run = asks(|run| {
            gate(run, |gate| {
                gate.is_better = false;
                gate.because = "the champion is of a newer run, r".to_owned();
            });
        });

        assert!(held_back.contains("passes every check"), "{held_back}");
        let command = "`trainspot promote recommender-20261123T0200Z`";
        assert!(held_back.contains(command), "{held_back}");
        for other in [not_scored, of_a_newer_run] {
            assert!(!other.contains("passes every check"), "{other}");
            assert!(!other.contains("by how much it was missed"), "{other}");
        }
    }

    #[test]
    fn a_bad_champion_has_the_run_before_it_as_a_way_back() {
        let mut run = ledgers::succeeded_with_a_reclaim();
        let with_old = next_steps(&run, NoticeKind::Succeeded).concat();
        run.champion_seen = None;
        let without = next_steps(&run, NoticeKind::Succeeded).concat();

        let back = "`trainspot promote recommender-20261120T0200Z`";
        assert!(with_old.contains(back), "{with_old}");
        assert_eq!(without, "Nothing.");
    }
}
