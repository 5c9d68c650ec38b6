//! What a save of a ledger tells: the difference between what it said before and what it says now.

use std::collections::BTreeSet;

use super::waiting::waits_s;
use super::{Measure, Metric};
use crate::batch_event::{ArrayRole, JobSeen, JobStatus};
use crate::failure::{Class, classify};
use crate::identity::Market;
use crate::notice::bill::{Bill, Known};
use crate::run::{Run, SubmissionRecord};

/// What is to be told when `after` was saved over `before`; none before a ledger's first save.
pub fn of_save(before: Option<&Run>, after: &Run) -> Vec<Measure> {
    let mut measures = Vec::new();
    let is_new = |is_it: fn(&Run) -> bool| is_it(after) && !before.is_some_and(is_it);
    if is_new(|run| !run.stages.is_empty()) {
        measures.push(Measure::one(Metric::RunsStarted));
    }
    for (stage, record) in &after.stages {
        let known = before.and_then(|run| run.stages.get(stage));
        let known = known.map_or(&[][..], |record| &record.submissions);
        for (place, submission) in record.submissions.iter().enumerate() {
            if place >= known.len() && is_move(&record.submissions[..place], submission) {
                measures.push(Measure::one(Metric::MovesToOnDemand));
            }
            of_jobs(known.get(place), submission, &mut measures);
        }
    }
    let undeliverable = |run: &Run| {
        run.notices
            .iter()
            .filter(|n| n.undeliverable.is_some())
            .count()
    };
    for _ in before.map_or(0, undeliverable)..undeliverable(after) {
        measures.push(Measure::one(Metric::NoticesUndeliverable));
    }
    if is_new(Run::is_final)
        && let Some(end) = &after.end
    {
        let outcome = end.as_str();
        measures.push(Measure::one(Metric::RunsEnded { outcome }));
    }
    if is_new(|run| run.is_reviewed) {
        of_review(after, &mut measures);
    }
    measures
}

fn is_move(earlier: &[SubmissionRecord], submission: &SubmissionRecord) -> bool {
    let came_from = earlier.last().map(|last| last.market);
    (came_from, submission.market) == (Some(Market::Spot), Market::OnDemand)
}

/// Attempts of its jobs that nobody knew of. Events get lost: there may be several at once.
fn of_jobs(known: Option<&SubmissionRecord>, submission: &SubmissionRecord, to: &mut Vec<Measure>) {
    for job in &submission.jobs {
        let known = known.and_then(|known| known.jobs.iter().find(|known| known.id == job.id));
        let waits_known = known.map_or_else(Vec::new, waits_s);
        for (place, wait) in waits_s(job).into_iter().enumerate() {
            let is_news = waits_known.get(place).is_none_or(Option::is_none);
            if let Some(value) = wait.filter(|_| is_news) {
                let metric = Metric::QueueWait;
                to.push(Measure { metric, value });
            }
        }
        for place in known.map_or(0, |known| known.attempts.len())..job.attempts.len() {
            if lost_its_host(job, place) {
                to.push(Measure::one(Metric::Reclaims));
            }
        }
    }
}

/// Whether the attempt at `place` ended because of its host. The classifier judges failed jobs by their
/// last attempt; so an earlier one is shown to it as the last one of a job that it failed.
fn lost_its_host(job: &JobSeen, place: usize) -> bool {
    let is_last = place + 1 == job.attempts.len();
    let verdict = if is_last && job.status.is_terminal() {
        classify(job)
    } else {
        classify(&JobSeen {
            status: JobStatus::Failed,
            status_reason: None,
            attempts: job.attempts[..=place].to_vec(),
            is_terminated: false,
            is_cancelled: false,
            ..job.clone()
        })
    };
    let class = verdict.map(|verdict| verdict.class);
    matches!(
        class,
        Some(Class::Reclaimed | Class::HostLost | Class::Preempted)
    )
}

/// All attempts' records have been read: the run's account is made.
fn of_review(run: &Run, to: &mut Vec<Measure>) {
    for _ in 0..reclaims_of_children(run) {
        to.push(Measure::one(Metric::Reclaims));
    }
    let bill = Bill::of(run);
    let totals = &bill.totals;
    let attempt_s = totals.attempt_s;
    if attempt_s > 0.0 {
        let repeated_s = totals.repeated_s().min(attempt_s);
        to.push(Measure {
            metric: Metric::Goodput,
            value: 100.0 * (attempt_s - repeated_s) / attempt_s,
        });
    }
    // Where nothing ran, or nothing is known, a zero would be a lie in every average.
    if matches!(bill.known, Known::Everything | Known::Part) {
        to.push(Measure::dollars(Metric::DollarsSpent, totals.cost));
        to.push(Measure::dollars(Metric::DollarsSaved, totals.saved()));
        // A rate that a program made up may say more than there was.
        let wasted = run.wasted().min(totals.cost);
        to.push(Measure::dollars(Metric::DollarsWasted, wasted));
    }
}

/// Nobody tells of a fan-out's children while they work; what their agents left is read at the end. A child
/// whose host went without a word left nothing.
fn reclaims_of_children(run: &Run) -> usize {
    let parents: BTreeSet<&str> = run
        .stages
        .values()
        .flat_map(|stage| &stage.submissions)
        .flat_map(|submission| &submission.jobs)
        .filter(|job| matches!(job.array, Some(ArrayRole::Parent { .. })))
        .map(|job| job.id.as_str())
        .collect();
    let is_child = |id: &str| {
        let parent = id.split(':').next().unwrap_or(id);
        parents.contains(parent)
    };
    let kept = run
        .records()
        .into_iter()
        .filter(|record| is_child(&record.job_id))
        .filter(|record| record.notice.as_deref() == Some("spot_notice"))
        .count();
    kept + run.shard_sums().map(|sums| sums.reclaims).sum::<usize>()
}
