//! Rules and schedules as `EventBridge` has them: switched on, and with the template's expression.

use serde_json::Value;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};
use trainspot_localcloud::DeclaredRule;

fn deployed(case: &Case) -> impl Iterator<Item = (DeclaredRule<'_>, &str)> {
    let all = case.template.rules();
    all.filter_map(|rule| {
        let physical = case.physical(rule.logical_id)?;
        // A rule of another bus than the default one is `bus|name`.
        Some((rule, physical.rsplit('|').next().unwrap_or(physical)))
    })
}

fn is_scheduler(rule: &DeclaredRule<'_>) -> bool {
    rule.schedule.is_some_and(|schedule| schedule.is_scheduler)
}

fn call(case: &Case, rule: &DeclaredRule<'_>, name: &str) -> Call {
    if is_scheduler(rule) {
        case.call(
            "scheduler:GetSchedule",
            ["scheduler", "get-schedule", "--name", name],
        )
    } else {
        case.call(
            "events:DescribeRule",
            ["events", "describe-rule", "--name", name],
        )
    }
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    deployed(case)
        .map(|(rule, name)| call(case, &rule, name))
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    deployed(case)
        .map(|(rule, name)| {
            let check = format!("rule, {}", rule.logical_id);
            let call = call(case, &rule, name);
            match answers.of(&call) {
                Answer::Json(value) => judge(&check, name, &value, &rule).asked(&call),
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

fn judge(check: &str, name: &str, answer: &Value, rule: &DeclaredRule<'_>) -> Finding {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    if text("State") != Some("ENABLED") && !rule.is_enabled {
        return Finding::warn(
            check,
            "it is switched off, as the template has it with these parameters",
            "give the parameter that is missing, such as ImageUri, and deploy again",
        );
    }
    if text("State") != Some("ENABLED") {
        return Finding::bad(
            check,
            format!(
                "it is {}: it wakes nobody",
                text("State").unwrap_or("in no state")
            ),
            format!(
                "aws events enable-rule --name {name} (of a schedule: deploy again); to skip ticks, `trainspot pause`"
            ),
        );
    }
    if let Some(wanted) = rule.schedule {
        let zone = text("ScheduleExpressionTimezone").unwrap_or("UTC");
        let expression = text("ScheduleExpression").unwrap_or_default();
        if (expression, zone) != (wanted.expression, wanted.time_zone) {
            return Finding::bad(
                check,
                format!(
                    "it fires by `{expression}` in {zone}, and the template says `{}` in {}",
                    wanted.expression, wanted.time_zone
                ),
                "deploy again: the functions are told what the template says, and would make up ticks that are not missing",
            );
        }
        return Finding::ok(check, format!("ENABLED, `{expression}` in {zone}"));
    }
    Finding::ok(check, "ENABLED")
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;
    use trainspot_localcloud::DeclaredSchedule;

    fn verdict(state: &str, expression: Option<&str>, is_enabled: bool) -> Verdict {
        let rule = DeclaredRule {
            logical_id: "OnTick",
            arn: "arn",
            is_enabled,
            schedule: expression.map(|_| DeclaredSchedule {
                expression: "cron(0 2 ? * MON,FRI *)",
                time_zone: "UTC",
                is_scheduler: false,
            }),
            targets: Vec::new(),
        };
        let answer = json!({"State": state, "ScheduleExpression": expression});
        judge("rule", "r", &answer, &rule).verdict
    }

    #[test]
    fn a_rule_is_on_and_fires_when_the_template_says() {
        let expression = Some("cron(0 2 ? * MON,FRI *)");

        assert_eq!(verdict("ENABLED", expression, true), Verdict::Ok);
        assert_eq!(verdict("DISABLED", expression, true), Verdict::Bad);
        assert_eq!(verdict("DISABLED", expression, false), Verdict::Warn);
        let other = Some("cron(0 3 ? * MON,FRI *)");
        assert_eq!(verdict("ENABLED", other, true), Verdict::Bad);
        assert_eq!(verdict("ENABLED", None, true), Verdict::Ok);
    }
}
