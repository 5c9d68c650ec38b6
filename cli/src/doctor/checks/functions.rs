//! The functions as Lambda has them: started, of the right architecture, told what the template says.

use std::collections::BTreeMap;

use serde_json::Value;
use trainspot_localcloud::DeclaredFunction;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};
use super::stack::some;

/// What the template wants of one.
struct Wanted {
    timeout_s: u64,
    architecture: String,
    environment: BTreeMap<String, String>,
}

fn deployed(case: &Case) -> impl Iterator<Item = (DeclaredFunction<'_>, &str)> {
    let all = case.template.functions();
    all.filter_map(|function| Some((function, case.physical(function.logical_id)?)))
}

fn call(case: &Case, name: &str) -> Call {
    case.call(
        "lambda:GetFunctionConfiguration",
        [
            "lambda",
            "get-function-configuration",
            "--function-name",
            name,
        ],
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    deployed(case).map(|(_, name)| call(case, name)).collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    deployed(case)
        .map(|(function, name)| {
            let check = format!("function, {}", function.logical_id);
            let call = call(case, name);
            match answers.of(&call) {
                Answer::Json(value) => judge(&check, &value, &wanted(case, &function)).asked(&call),
                Answer::Absent { .. } => Finding::bad(
                    &check,
                    format!("{name} is gone: somebody deleted it"),
                    "delete the stack and deploy again; the buckets stay",
                )
                .asked(&call),
                other => not_checked(&check, &call, &other),
            }
        })
        .collect()
}

fn wanted(case: &Case, function: &DeclaredFunction<'_>) -> Wanted {
    let environment = function.environment.iter();
    Wanted {
        timeout_s: function.timeout.as_secs(),
        architecture: case
            .parameter("Architecture")
            .unwrap_or_else(|| "x86_64".to_owned()),
        // Lambda makes the logging variables of the function's logging configuration.
        environment: environment
            .filter(|(name, _)| !name.starts_with("AWS_"))
            .map(|(name, value)| (name.clone(), case.as_deployed(value)))
            .collect(),
    }
}

fn judge(check: &str, answer: &Value, wanted: &Wanted) -> Finding {
    let text = |pointer: &str| {
        answer
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (state, update) = (text("/State"), text("/LastUpdateStatus"));
    if state == "Failed" || update == "Failed" {
        let why = format!(
            "{} {}",
            text("/StateReason"),
            text("/LastUpdateStatusReason")
        );
        return Finding::bad(
            check,
            format!("Lambda cannot run it: {}", why.trim()),
            "mend what Lambda says and deploy again",
        );
    }
    let architecture = text("/Architectures/0");
    if !architecture.is_empty() && architecture != wanted.architecture {
        return Finding::bad(
            check,
            format!(
                "it is {architecture}, and the parameter Architecture says {}",
                wanted.architecture
            ),
            "sam build && sam deploy",
        );
    }
    let timeout = answer.get("Timeout").and_then(Value::as_u64);
    if timeout.is_some_and(|timeout| timeout != wanted.timeout_s) {
        return Finding::warn(
            check,
            format!(
                "it may take {} s, and the template says {}; the lease of a claim follows the template",
                timeout.unwrap_or_default(),
                wanted.timeout_s
            ),
            "deploy again",
        );
    }
    let environment = answer
        .pointer("/Environment/Variables")
        .and_then(Value::as_object);
    let apart: Vec<&str> = wanted
        .environment
        .iter()
        .filter(|(name, value)| {
            let deployed = environment.and_then(|environment| environment.get(*name));
            deployed.and_then(Value::as_str) != Some(value.as_str())
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if !apart.is_empty() {
        return Finding::warn(
            check,
            format!("{} is not what the template says", some(&apart)),
            "deploy again, or mend the template if this is meant so",
        );
    }
    Finding::ok(
        check,
        format!(
            "{state}, {architecture}, deployed {}",
            text("/LastModified")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn verdict(change: impl Fn(&mut Value)) -> Verdict {
        // As Lambda's API answers.
        let mut answer = json!({
            "FunctionName": "trainspot-SubmitTrainingFunction-a1", "State": "Active", "LastUpdateStatus": "Successful",
            "Architectures": ["x86_64"], "Timeout": 60, "LastModified": "2026-11-20T10:00:00.000+0000",
            "Environment": {"Variables": {"TRAINSPOT_TOPIC_ARN": "arn:t"}},
        });
        change(&mut answer);
        let wanted = Wanted {
            timeout_s: 60,
            architecture: "x86_64".to_owned(),
            environment: BTreeMap::from([("TRAINSPOT_TOPIC_ARN".to_owned(), "arn:t".to_owned())]),
        };
        judge("function", &answer, &wanted).verdict
    }

    #[test]
    fn a_function_runs_and_is_told_what_the_template_says() {
        assert_eq!(verdict(|_| ()), Verdict::Ok);
        assert_eq!(verdict(|one| one["State"] = json!("Failed")), Verdict::Bad);
        assert_eq!(
            verdict(|one| one["LastUpdateStatus"] = json!("Failed")),
            Verdict::Bad
        );
        assert_eq!(
            verdict(|one| one["Architectures"] = json!(["arm64"])),
            Verdict::Bad
        );
        assert_eq!(verdict(|one| one["Timeout"] = json!(3)), Verdict::Warn);
        assert_eq!(verdict(|one| one["Environment"] = json!({})), Verdict::Warn);
    }
}
