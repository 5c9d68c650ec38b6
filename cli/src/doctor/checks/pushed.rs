//! Specs: what the functions read from the results bucket against the files here.

use std::collections::BTreeSet;

use serde_json::Value;
use trainspot_shared::identity::PipelineName;
use trainspot_shared::layout;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};
use crate::check::ticks;

/// The bucket that the functions are told, as AWS has it.
pub(super) fn results_bucket(case: &Case) -> Option<&str> {
    let told = case
        .template
        .functions()
        .next()?
        .environment
        .get("TRAINSPOT_RESULTS_BUCKET")?;
    case.physical(case.template.logical_id(told)?)
}

fn spec_call(case: &Case, bucket: &str, name: &PipelineName) -> Call {
    let from = format!("s3://{bucket}/{}", layout::pipeline_spec(name));
    case.call("s3:GetObject", ["s3", "cp", &from, "-"]).text()
}

fn list_call(case: &Case, bucket: &str) -> Call {
    case.call(
        "s3:ListBucket",
        [
            "s3api",
            "list-objects-v2",
            "--bucket",
            bucket,
            "--prefix",
            layout::PIPELINES_PREFIX,
        ],
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let Some(bucket) = results_bucket(case) else {
        return Vec::new();
    };
    let specs = case.specs.files.iter();
    let mut calls: Vec<Call> = specs
        .map(|(_, spec)| spec_call(case, bucket, &spec.pipeline.name))
        .collect();
    calls.push(list_call(case, bucket));
    calls
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let Some(bucket) = results_bucket(case) else {
        return Vec::new();
    };
    let ticking: BTreeSet<PipelineName> = ticks(&case.template, &mut Vec::new())
        .into_iter()
        .map(|tick| tick.pipeline)
        .collect();
    let mut found: Vec<Finding> = case
        .specs
        .files
        .iter()
        .map(|(file, spec)| {
            let name = &spec.pipeline.name;
            let check = format!("spec, {name}");
            let call = spec_call(case, bucket, name);
            let push = format!("trainspot push {}", file.display());
            match answers.of(&call) {
                Answer::Text(pushed) if pushed == spec.text => {
                    Finding::ok(&check, "what was pushed is what is here").asked(&call)
                }
                Answer::Text(_) => Finding::warn(
                    &check,
                    "what was pushed is not what is here: the next run uses what was pushed",
                    push,
                )
                .asked(&call),
                Answer::Absent { .. } if ticking.contains(name) => {
                    Finding::bad(&check, "it was never pushed: every tick is refused", push)
                        .asked(&call)
                }
                Answer::Absent { .. } => {
                    Finding::warn(&check, "it was never pushed", push).asked(&call)
                }
                other => not_checked(&check, &call, &other),
            }
        })
        .collect();
    let call = list_call(case, bucket);
    let check = "specs, others";
    let local: Vec<&str> = case
        .specs
        .files
        .iter()
        .map(|(_, spec)| spec.pipeline.name.as_str())
        .collect();
    found.push(match answers.of(&call) {
        Answer::Json(value) => others(check, &value, &local).asked(&call),
        other => not_checked(check, &call, &other),
    });
    found
}

fn others(check: &str, answer: &Value, local: &[&str]) -> Finding {
    let list = answer.get("Contents").and_then(Value::as_array);
    let others: Vec<&str> = list
        .into_iter()
        .flatten()
        .filter_map(|object| object.get("Key").and_then(Value::as_str))
        .filter_map(|key| {
            key.strip_prefix(layout::PIPELINES_PREFIX)?
                .strip_suffix(".toml")
        })
        .filter(|name| !local.contains(name))
        .collect();
    if others.is_empty() {
        return Finding::ok(
            check,
            "no other pipeline was pushed than those that are here",
        );
    }
    Finding::warn(
        check,
        format!("pushed, and not here: {}", others.join(", ")),
        "fetch the file, or delete the object if the pipeline is over",
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pipeline_that_is_only_in_the_bucket_is_told() {
        let answer = json!({"Contents": [{"Key": "pipelines/recommender.toml"}, {"Key": "pipelines/old.toml"}]});

        assert_eq!(
            others("specs", &answer, &["recommender", "old"]).verdict,
            Verdict::Ok
        );
        assert_eq!(
            others("specs", &answer, &["recommender"]).what,
            "pushed, and not here: old"
        );
    }
}
