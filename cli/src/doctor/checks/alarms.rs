//! Alarms: which of the stack's rings now.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};
use super::stack::some;

const CHECK: &str = "alarms";
const KIND: &str = "AWS::CloudWatch::Alarm";

fn call(case: &Case) -> Option<Call> {
    let names: Vec<String> = case
        .deployed(KIND)
        .map(|(_, name)| name.to_owned())
        .collect();
    let words = ["cloudwatch", "describe-alarms", "--alarm-names"].map(str::to_owned);
    (!names.is_empty())
        .then(|| case.call("cloudwatch:DescribeAlarms", words.into_iter().chain(names)))
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    call(case).into_iter().collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let Some(call) = call(case) else {
        return Vec::new();
    };
    let answer = answers.of(&call);
    let n_deployed = case.deployed(KIND).count();
    vec![json(CHECK, &call, &answer).map_or_else(
        |finding| finding,
        |value| judge(value, n_deployed).asked(&call),
    )]
}

fn judge(answer: &Value, n_deployed: usize) -> Finding {
    let alarms: Vec<&Value> = answer
        .get("MetricAlarms")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let names = |is: &dyn Fn(&Value) -> bool| -> Vec<&str> {
        let those = alarms.iter().filter(|alarm| is(alarm));
        those
            .filter_map(|alarm| alarm.get("AlarmName").and_then(Value::as_str))
            .collect()
    };
    let ringing = names(&|alarm| alarm.get("StateValue").and_then(Value::as_str) == Some("ALARM"));
    let mute = names(&|alarm| alarm.get("ActionsEnabled") == Some(&Value::Bool(false)));
    if !ringing.is_empty() {
        return Finding::bad(
            CHECK,
            format!("{} rings", some(&ringing)),
            "docs/operations.md, \"At each alarm\"",
        );
    }
    if alarms.len() < n_deployed {
        return Finding::bad(
            CHECK,
            format!("{} of {n_deployed} are gone", n_deployed - alarms.len()),
            "deploy again with a changed alarm, or delete the stack and deploy again",
        );
    }
    if !mute.is_empty() {
        return Finding::warn(
            CHECK,
            format!("{} tells nobody: its actions are off", some(&mute)),
            "aws cloudwatch enable-alarm-actions --alarm-names <name>",
        );
    }
    Finding::ok(CHECK, format!("none of {n_deployed} rings"))
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn an_alarm_that_rings_is_gone_or_is_mute_is_told() {
        let alarm = |state: &str, actions: bool| json!({"MetricAlarms": [{"AlarmName": "a", "StateValue": state, "ActionsEnabled": actions}]});

        assert_eq!(judge(&alarm("OK", true), 1).verdict, Verdict::Ok);
        assert_eq!(
            judge(&alarm("INSUFFICIENT_DATA", true), 1).verdict,
            Verdict::Ok
        );
        assert_eq!(judge(&alarm("ALARM", true), 1).verdict, Verdict::Bad);
        assert_eq!(judge(&alarm("OK", false), 1).verdict, Verdict::Warn);
        assert_eq!(judge(&alarm("OK", true), 2).verdict, Verdict::Bad);
    }
}
