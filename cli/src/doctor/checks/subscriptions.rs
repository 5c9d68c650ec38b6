//! Who is told. A subscription that nobody confirmed gets nothing.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};
use super::stack::some;

const CHECK: &str = "notices";
/// SNS's word in the place of an ARN.
const PENDING: &str = "PendingConfirmation";

fn call(case: &Case) -> Option<Call> {
    let told = case
        .template
        .functions()
        .next()?
        .environment
        .get("TRAINSPOT_TOPIC_ARN")?;
    let topic = case.physical(case.template.logical_id(told)?)?;
    Some(case.call(
        "sns:ListSubscriptionsByTopic",
        ["sns", "list-subscriptions-by-topic", "--topic-arn", topic],
    ))
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    call(case).into_iter().collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let Some(call) = call(case) else {
        return Vec::new();
    };
    let answer = answers.of(&call);
    vec![
        json(CHECK, &call, &answer)
            .map_or_else(|finding| finding, |value| judge(value).asked(&call)),
    ]
}

fn judge(answer: &Value) -> Finding {
    let list = answer.get("Subscriptions").and_then(Value::as_array);
    let (mut pending, mut confirmed) = (Vec::new(), 0);
    for one in list.into_iter().flatten() {
        let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("SubscriptionArn") == PENDING {
            pending.push(text("Endpoint"));
        } else {
            confirmed += 1;
        }
    }
    if !pending.is_empty() {
        return Finding::bad(
            CHECK,
            format!(
                "{} has not confirmed AWS's mail, and is told nothing",
                some(&pending)
            ),
            "click the link in the mail \"AWS Notification - Subscription Confirmation\"; after three days it is void, then subscribe again",
        );
    }
    if confirmed == 0 {
        return Finding::warn(
            CHECK,
            "nobody is told anything: the topic has no subscription",
            "deploy with NotificationEmail, or subscribe to the output NotificationTopicArn",
        );
    }
    Finding::ok(CHECK, format!("{confirmed} subscriptions, all confirmed"))
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn verdict(arns: &[&str]) -> Verdict {
        let list: Vec<_> = arns
            .iter()
            .map(|arn| json!({"SubscriptionArn": arn, "Protocol": "email", "Endpoint": "team@example.com"}))
            .collect();
        judge(&json!({ "Subscriptions": list })).verdict
    }

    #[test]
    fn one_that_is_not_confirmed_is_bad_and_none_a_warning() {
        let confirmed = "arn:aws:sns:us-east-1:123456789012:t:1";

        assert_eq!(verdict(&[confirmed]), Verdict::Ok);
        assert_eq!(verdict(&[confirmed, "PendingConfirmation"]), Verdict::Bad);
        assert_eq!(verdict(&[]), Verdict::Warn);
    }
}
