//! Queues and job definitions as Batch has them.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};
use super::batch_answer::{gone, item, of_batch, text};

const QUEUE: &str = "AWS::Batch::JobQueue";
const DEFINITION: &str = "AWS::Batch::JobDefinition";

fn queues_call(case: &Case) -> Option<Call> {
    of_batch(
        case,
        QUEUE,
        "batch:DescribeJobQueues",
        "describe-job-queues",
        "--job-queues",
    )
}

fn definitions_call(case: &Case) -> Option<Call> {
    of_batch(
        case,
        DEFINITION,
        "batch:DescribeJobDefinitions",
        "describe-job-definitions",
        "--job-definitions",
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let calls = [queues_call(case), definitions_call(case)];
    calls.into_iter().flatten().collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(call) = queues_call(case) {
        match json("queues", &call, &answers.of(&call)) {
            Ok(value) => found.extend(case.deployed(QUEUE).map(|(logical_id, arn)| {
                let check = format!("queue, {logical_id}");
                let one = item(value, "jobQueues", "jobQueueArn", arn);
                one.map_or_else(|| gone(&check), |one| queue(&check, one))
                    .asked(&call)
            })),
            Err(finding) => found.push(finding),
        }
    }
    if let Some(call) = definitions_call(case) {
        match json("job definitions", &call, &answers.of(&call)) {
            Ok(value) => found.extend(case.deployed(DEFINITION).map(|(logical_id, arn)| {
                let check = format!("definition, {logical_id}");
                let one = item(value, "jobDefinitions", "jobDefinitionArn", arn);
                let image = case
                    .properties(logical_id)
                    .and_then(|properties| properties.pointer("/ContainerProperties/Image"))
                    .and_then(Value::as_str)
                    .map(|image| case.as_deployed(image));
                let image = image.as_deref();
                one.map_or_else(|| gone(&check), |one| definition(&check, one, image))
                    .asked(&call)
            })),
            Err(finding) => found.push(finding),
        }
    }
    found
}

fn queue(check: &str, one: &Value) -> Finding {
    let (status, state) = (text(one, "/status"), text(one, "/state"));
    if status == "INVALID" || state != "ENABLED" {
        return Finding::bad(
            check,
            format!("it is {status} and {state}: {}", text(one, "/statusReason")),
            "aws batch update-job-queue --state ENABLED; an INVALID one needs its environments mended first",
        );
    }
    if text(one, "/schedulingPolicyArn").is_empty() {
        return Finding::bad(
            check,
            "it has no scheduling policy, and every submission says its share: Batch refuses that",
            "delete the queue and deploy again: Batch cannot add one later",
        );
    }
    Finding::ok(check, format!("{status}, {state}, fair share"))
}

fn definition(check: &str, one: &Value, image: Option<&str>) -> Finding {
    let (name, revision) = (
        text(one, "/jobDefinitionName"),
        one.get("revision")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
    );
    if text(one, "/status") != "ACTIVE" {
        return Finding::bad(
            check,
            format!("{name}:{revision} is not ACTIVE: a submission would be refused"),
            "deploy again with a changed definition, so that a new revision is made",
        );
    }
    let deployed = text(one, "/containerProperties/image");
    if image.is_some_and(|image| image != deployed) {
        return Finding::warn(
            check,
            format!("{name}:{revision} runs another image than the parameters say"),
            "deploy again",
        );
    }
    Finding::ok(check, format!("{name}:{revision} is ACTIVE"))
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_queue_without_a_policy_or_switched_off_is_bad() {
        let queue_with = |state: &str, policy: &str| {
            queue(
                "queue",
                &json!({"status": "VALID", "state": state, "schedulingPolicyArn": policy}),
            )
            .verdict
        };

        assert_eq!(queue_with("ENABLED", "arn"), Verdict::Ok);
        assert_eq!(queue_with("DISABLED", "arn"), Verdict::Bad);
        assert_eq!(queue_with("ENABLED", ""), Verdict::Bad);
    }

    #[test]
    fn a_definition_must_be_active_and_run_the_image() {
        let one = |status: &str| json!({"jobDefinitionName": "t-train", "revision": 3, "status": status, "containerProperties": {"image": "i@sha256:1"}});

        assert_eq!(
            definition("d", &one("ACTIVE"), Some("i@sha256:1")).verdict,
            Verdict::Ok
        );
        assert_eq!(
            definition("d", &one("ACTIVE"), Some("i@sha256:2")).verdict,
            Verdict::Warn
        );
        assert_eq!(
            definition("d", &one("INACTIVE"), None).verdict,
            Verdict::Bad
        );
    }
}
