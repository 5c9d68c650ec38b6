//! What a pipeline spent this month, by its head, and what bounds it or tells of it.

use trainspot_shared::layout;
use trainspot_shared::pipeline::Pipeline;
use trainspot_shared::pipeline_head::PipelineHead;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};
use super::pushed::results_bucket;

/// The parameter above which `SpendAlarm` rings; 0 for none.
const ALARM: &str = "MonthlyBudgetUsd";
/// What a limit does.
const UNENFORCED: &str = "max_usd_per_month is not enforced yet";
/// How heads call a month.
const MONTH: &str = "%Y-%m";

fn call(case: &Case, bucket: &str, pipeline: &Pipeline) -> Call {
    let from = format!("s3://{bucket}/{}", layout::pipeline_head(&pipeline.name));
    case.call("s3:GetObject", ["s3", "cp", &from, "-"]).text()
}

fn pipelines(case: &Case) -> impl Iterator<Item = &Pipeline> {
    case.specs.files.iter().map(|(_, spec)| &spec.pipeline)
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let Some(bucket) = results_bucket(case) else {
        return Vec::new();
    };
    pipelines(case)
        .map(|pipeline| call(case, bucket, pipeline))
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let Some(bucket) = results_bucket(case) else {
        return Vec::new();
    };
    let alarm: f64 = case
        .parameter(ALARM)
        .and_then(|dollars| dollars.parse().ok())
        .unwrap_or_default();
    let month = case.now.strftime(MONTH).to_string();
    pipelines(case)
        .map(|pipeline| {
            let check = format!("spend, {}", pipeline.name);
            let call = call(case, bucket, pipeline);
            let limit = pipeline.budget.max_usd_per_month;
            let spent = match answers.of(&call) {
                // Never pushed, so it never ran.
                Answer::Absent { .. } => Some(0.0),
                Answer::Text(head) => spent(&head, &month),
                other => return not_checked(&check, &call, &other),
            };
            spent
                .map_or_else(
                    || {
                        Finding::unknown(
                            &check,
                            "the pipeline's head cannot be read",
                            "run the command and look; a newer release may have written it",
                        )
                    },
                    |spent| judge(&check, spent, limit, alarm),
                )
                .asked(&call)
        })
        .collect()
}

/// Of a head, in a month.
fn spent(head: &str, month: &str) -> Option<f64> {
    let head: PipelineHead = serde_json::from_str(head).ok()?;
    let runs = head.spend.get(month);
    Some(
        runs.into_iter()
            .flatten()
            // Not `sum`, which of nothing is minus zero and would be told as such.
            .fold(0.0, |all, (_, cost)| all + cost.dollars()),
    )
}

fn judge(check: &str, spent: f64, limit: Option<f64>, alarm: f64) -> Finding {
    let rings = if alarm > 0.0 {
        format!("SpendAlarm rings at ${alarm:.2}")
    } else {
        "no alarm on it".to_owned()
    };
    match limit {
        Some(limit) if spent >= limit => Finding::bad(
            check,
            format!(
                "${spent:.2} of the pipeline's ${limit:.2} are spent this month; {UNENFORCED}: its runs go on as before"
            ),
            "`trainspot runs` says which runs cost it; `trainspot pause` holds its next ones",
        ),
        Some(limit) if alarm > 0.0 => Finding::ok(
            check,
            format!("${spent:.2} of ${limit:.2} this month; {UNENFORCED}, {rings}"),
        ),
        Some(limit) => Finding::warn(
            check,
            format!(
                "${spent:.2} of ${limit:.2} this month; {UNENFORCED}, and nobody would be told"
            ),
            format!(
                "deploy with {ALARM}, so that SpendAlarm tells; then `trainspot pause` holds the next runs"
            ),
        ),
        None if alarm > 0.0 => Finding::ok(check, format!("${spent:.2} this month; {rings}")),
        None => Finding::warn(
            check,
            format!("${spent:.2} this month; nothing bounds it and nobody would be told"),
            format!("deploy with {ALARM}, so that SpendAlarm tells"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use jiff::Timestamp;
    use trainspot_shared::cost::Usd;

    #[test]
    fn what_is_spent_is_read_from_the_head() {
        let name = "nightly".parse().expect("a valid name");
        let mut head = PipelineHead::first(name, Timestamp::UNIX_EPOCH, "w0".to_owned());
        for (run, micros) in [("first", 1_500_000), ("second", 2_000_000)] {
            let runs = head.spend.entry("2026-11".to_owned()).or_default();
            runs.insert(run.to_owned(), Usd::from_micros(micros));
        }
        let head = serde_json::to_string(&head).expect("a document");

        let told = spent(&head, "2026-11");

        assert_eq!(told, Some(3.5), "{head}");
        let nothing = spent(&head, "2026-12").expect("a head");
        assert!(nothing == 0.0 && nothing.is_sign_positive(), "{nothing}");
        assert_eq!(spent("<html>", "2026-11"), None);
    }

    #[test]
    fn a_limit_that_is_reached_is_bad_and_one_that_nobody_hears_of_a_warning() {
        let verdict = |spent, limit, alarm| judge("spend", spent, limit, alarm).verdict;

        assert_eq!(verdict(10.0, Some(150.0), 100.0), Verdict::Ok);
        assert_eq!(verdict(10.0, Some(150.0), 0.0), Verdict::Warn);
        assert_eq!(verdict(150.0, Some(150.0), 100.0), Verdict::Bad);
        assert_eq!(verdict(10.0, None, 100.0), Verdict::Ok);
        assert_eq!(verdict(10.0, None, 0.0), Verdict::Warn);
    }

    #[test]
    fn nobody_is_told_that_a_limit_stops_anything() {
        for (spent, alarm) in [(10.0, 0.0), (10.0, 100.0), (150.0, 0.0)] {
            let told = judge("spend", spent, Some(150.0), alarm);

            assert!(told.what.contains("is not enforced yet"), "{}", told.what);
        }
    }
}
