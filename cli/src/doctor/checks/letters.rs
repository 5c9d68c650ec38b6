//! Dead letters: events that were given up.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};

fn call(case: &Case, url: &str) -> Call {
    case.call(
        "sqs:GetQueueAttributes",
        [
            "sqs",
            "get-queue-attributes",
            "--queue-url",
            url,
            "--attribute-names",
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ],
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    case.deployed("AWS::SQS::Queue")
        .map(|(_, url)| call(case, url))
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    case.deployed("AWS::SQS::Queue")
        .map(|(logical_id, url)| {
            let check = format!("dead letters, {logical_id}");
            let call = call(case, url);
            let answer = answers.of(&call);
            json(&check, &call, &answer)
                .map_or_else(|finding| finding, |value| judge(&check, value).asked(&call))
        })
        .collect()
}

fn judge(check: &str, answer: &Value) -> Finding {
    // SQS's numbers are texts.
    let count = |name: &str| -> Option<u64> {
        let value = answer.get("Attributes")?.get(name)?;
        value
            .as_str()
            .map_or_else(|| value.as_u64(), |text| text.parse().ok())
    };
    let Some(waiting) = count("ApproximateNumberOfMessages") else {
        return Finding::unknown(
            check,
            "the answer has no ApproximateNumberOfMessages",
            "run the command and look",
        );
    };
    let hidden = count("ApproximateNumberOfMessagesNotVisible").unwrap_or_default();
    match waiting + hidden {
        0 => Finding::ok(check, "none"),
        n => Finding::bad(
            check,
            format!("{n} events were given up"),
            "trainspot redrive --dry-run says which and why; docs/operations.md, \"At each alarm\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn one_letter_is_enough() {
        let verdict = |waiting: &str, hidden: &str| {
            judge("letters", &json!({"Attributes": {"ApproximateNumberOfMessages": waiting, "ApproximateNumberOfMessagesNotVisible": hidden}})).verdict
        };

        assert_eq!(verdict("0", "0"), Verdict::Ok);
        assert_eq!(verdict("1", "0"), Verdict::Bad);
        assert_eq!(verdict("0", "2"), Verdict::Bad);
        assert_eq!(judge("letters", &json!({})).verdict, Verdict::CouldNotCheck);
    }
}
