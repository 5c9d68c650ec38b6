//! The table of stages, submissions and attempts: what Batch saw beside what the agents wrote down.

use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::batch_event::{AttemptSeen, JobStatus};
use trainspot_shared::run::{Run, SubmissionRecord};

use crate::output;

/// The table; none before the first submission.
pub(crate) fn render(run: &Run) -> Option<String> {
    let mut table = output::table(&[
        "stage",
        "job",
        "market",
        "attempt",
        "state",
        "took",
        "resumed from",
        "published",
    ]);
    let mut n_rows = 0;
    for (stage, record) in &run.stages {
        for submission in &record.submissions {
            for row in rows(submission) {
                let mut cells = vec![format!("{stage}-{}", submission.number)];
                cells.extend(row);
                cells.insert(0, stage.to_string());
                table.add_row(cells);
                n_rows += 1;
            }
        }
    }
    (n_rows > 0).then(|| table.to_string())
}

/// Market, attempt, state, length, resumed from, published: one row for each attempt that anybody knows of.
fn rows(submission: &SubmissionRecord) -> Vec<Vec<String>> {
    let market = submission.market.to_string();
    if !submission.records.is_empty() {
        let mut records: Vec<_> = submission.records.iter().collect();
        records.sort_by_key(|record| (record.shard, record.attempt));
        return records
            .into_iter()
            .map(|record| of_record(&market, record))
            .collect();
    }
    let Some(job) = submission.job() else {
        let state = submission
            .not_submitted
            .clone()
            .unwrap_or_else(|| "not submitted yet".to_owned());
        return vec![plain(&market, "", &state)];
    };
    let mut rows: Vec<_> = (1..)
        .zip(&job.attempts)
        .map(|(n, seen)| of_batch(&market, n, seen))
        .collect();
    if !job.status.is_terminal() {
        rows.push(plain(
            &market,
            &(job.attempts.len() + 1).to_string(),
            status(job.status),
        ));
    } else if rows.is_empty() {
        let reason = job.status_reason.clone().unwrap_or_default();
        rows.push(plain(
            &market,
            "",
            &format!("{} {reason}", status(job.status)),
        ));
    }
    rows
}

fn of_record(market: &str, record: &AttemptRecord) -> Vec<String> {
    let attempt = match record.shard {
        Some(shard) => format!("{} (shard {shard})", record.attempt),
        None => record.attempt.to_string(),
    };
    let exit = record
        .exit_code
        .map_or_else(|| "no exit code".to_owned(), |code| format!("exit {code}"));
    let notice = record
        .notice
        .as_ref()
        .map_or(String::new(), |notice| format!(", {notice}"));
    let step = |step: Option<u64>| step.map_or(String::new(), |step| format!("step {step}"));
    let took = record
        .ended_at
        .duration_since(record.started_at)
        .as_secs_f64();
    vec![
        market.to_owned(),
        attempt,
        format!("{exit}{notice}"),
        output::length(took),
        step(record.resumed_from),
        step(record.published_step),
    ]
}

fn of_batch(market: &str, number: usize, seen: &AttemptSeen) -> Vec<String> {
    let state = match (seen.exit_code, &seen.status_reason) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "no exit code".to_owned(),
    };
    plain(market, &number.to_string(), &state)
}

fn plain(market: &str, attempt: &str, state: &str) -> Vec<String> {
    vec![
        market.to_owned(),
        attempt.to_owned(),
        state.to_owned(),
        String::new(),
        String::new(),
        String::new(),
    ]
}

/// Batch's word in small letters.
fn status(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Submitted => "submitted",
        JobStatus::Pending => "pending",
        JobStatus::Runnable => "runnable",
        JobStatus::Starting => "starting",
        JobStatus::Running => "running",
        JobStatus::Succeeded => "succeeded",
        JobStatus::Failed => "failed",
    }
}
