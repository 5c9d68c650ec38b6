//! Roles: those of the stack with their policies, and those that AWS makes for itself.

use serde_json::Value;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};
use super::stack::some;

const KIND: &str = "AWS::IAM::Role";

/// SAM attaches it to the role of every function.
const LOGS_OF_FUNCTIONS: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";

/// A role that a service makes for itself, once for an account.
struct ServiceRole {
    name: &'static str,
    service: &'static str,
    what_for: &'static str,
    /// Whether Batch makes it by itself when it first needs it. What it does not make must be there before the first
    /// job: without it no host starts, and the job waits and says nothing.
    comes_with_use: bool,
}

/// Of Batch and of what it starts hosts through.
const SERVICE_ROLES: [ServiceRole; 5] = [
    ServiceRole {
        name: "AWSServiceRoleForBatch",
        service: "batch.amazonaws.com",
        what_for: "compute environments",
        comes_with_use: false,
    },
    ServiceRole {
        name: "AWSServiceRoleForEC2Spot",
        service: "spot.amazonaws.com",
        what_for: "Spot hosts",
        comes_with_use: false,
    },
    ServiceRole {
        name: "AWSServiceRoleForEC2SpotFleet",
        service: "spotfleet.amazonaws.com",
        what_for: "fleets of Spot hosts",
        comes_with_use: true,
    },
    ServiceRole {
        name: "AWSServiceRoleForAutoScaling",
        service: "autoscaling.amazonaws.com",
        what_for: "groups of hosts",
        comes_with_use: true,
    },
    ServiceRole {
        name: "AWSServiceRoleForECS",
        service: "ecs.amazonaws.com",
        what_for: "clusters of hosts",
        comes_with_use: true,
    },
];

/// What a role of the template should have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    /// ARNs of managed policies, as they are called in AWS.
    attached: Vec<String>,
    /// Names of its own.
    inline: Vec<String>,
}

fn service_call(case: &Case, role: &ServiceRole) -> Call {
    case.call("iam:GetRole", ["iam", "get-role", "--role-name", role.name])
}

fn attached_call(case: &Case, role: &str) -> Call {
    case.call(
        "iam:ListAttachedRolePolicies",
        ["iam", "list-attached-role-policies", "--role-name", role],
    )
}

fn inline_call(case: &Case, role: &str) -> Call {
    case.call(
        "iam:ListRolePolicies",
        ["iam", "list-role-policies", "--role-name", role],
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let mut calls: Vec<Call> = SERVICE_ROLES
        .iter()
        .map(|role| service_call(case, role))
        .collect();
    for (_, role) in case.deployed(KIND) {
        calls.extend([attached_call(case, role), inline_call(case, role)]);
    }
    calls
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let mut found: Vec<Finding> = SERVICE_ROLES
        .iter()
        .map(|role| {
            let call = service_call(case, role);
            service_role(role, &call, &answers.of(&call), case.stack.is_some()).asked(&call)
        })
        .collect();
    found.extend(case.deployed(KIND).map(|(logical_id, name)| {
        let (attached, inline) = (attached_call(case, name), inline_call(case, name));
        let check = format!("role, {logical_id}");
        match (answers.of(&attached), answers.of(&inline)) {
            (Answer::Json(list), Answer::Json(own)) => {
                judge(&check, &expected(case, logical_id), &list, &own).asked(&attached)
            }
            (Answer::Absent { .. }, _) | (_, Answer::Absent { .. }) => Finding::bad(
                &check,
                format!("{name} is gone: somebody deleted it"),
                "deploy again under another stack name, or make the role anew as the template has it",
            )
            .asked(&attached),
            (Answer::Json(_), other) => not_checked(&check, &inline, &other),
            (other, _) => not_checked(&check, &attached, &other),
        }
    }));
    found
}

fn service_role(role: &ServiceRole, call: &Call, answer: &Answer, is_deployed: bool) -> Finding {
    let check = format!("role, {}", role.name);
    let make = format!(
        "aws iam create-service-linked-role --aws-service-name {}",
        role.service
    );
    match answer {
        Answer::Json(_) => Finding::ok(&check, format!("it is there, for {}", role.what_for)),
        Answer::Absent { .. } if role.comes_with_use => Finding::ok(
            &check,
            format!(
                "it is not there yet; Batch makes it when it first needs it, for {}",
                role.what_for
            ),
        )
        .with(format!("only if jobs stay RUNNABLE: {make}")),
        Answer::Absent { .. } if is_deployed => Finding::bad(
            &check,
            format!(
                "it is not there, and without it there are no {}",
                role.what_for
            ),
            make,
        ),
        Answer::Absent { .. } => Finding::warn(
            &check,
            "it is not there yet; AWS makes it at the first deploy if whoever deploys has iam:CreateServiceLinkedRole",
            format!("nothing, or now: {make}"),
        ),
        other => not_checked(&check, call, other),
    }
}

/// From the template: of a role that it declares, or of the one that SAM makes for a function.
fn expected(case: &Case, logical_id: &str) -> Expected {
    let attached = |list: Option<&Value>| -> Vec<String> {
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str)
            .map(|arn| case.as_deployed(arn))
            .collect()
    };
    if let Some(properties) = case.properties(logical_id) {
        let own = properties.get("Policies").and_then(Value::as_array);
        let names = own.into_iter().flatten();
        return Expected {
            attached: attached(properties.get("ManagedPolicyArns")),
            inline: names
                .filter_map(|policy| Some(policy.get("PolicyName")?.as_str()?.to_owned()))
                .collect(),
        };
    }
    // SAM calls the role of function X `XRole`, and its policies as below.
    let Some(function) = logical_id.strip_suffix("Role") else {
        return Expected::default();
    };
    let Some(properties) = case.properties(function) else {
        return Expected::default();
    };
    let policies = properties.get("Policies");
    let list = policies.and_then(Value::as_array);
    let mut inline: Vec<String> = list
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, policy)| policy.is_object())
        .map(|(n, _)| format!("{function}RolePolicy{n}"))
        .collect();
    let own = properties.get("EventInvokeConfig");
    let shared = case
        .template
        .document()
        .pointer("/Globals/Function/EventInvokeConfig");
    let destinations = own
        .or(shared)
        .and_then(|config| config.get("DestinationConfig"));
    for when in ["OnSuccess", "OnFailure"] {
        let kind = destinations.and_then(|all| all.get(when)?.get("Type")?.as_str());
        if let Some(kind @ ("SQS" | "SNS")) = kind {
            inline.push(format!("{function}EventInvokeConfig{when}{kind}Policy"));
        }
    }
    let mut attached = attached(policies);
    attached.push(LOGS_OF_FUNCTIONS.to_owned());
    Expected { attached, inline }
}

fn judge(check: &str, expected: &Expected, attached: &Value, inline: &Value) -> Finding {
    let attached: Vec<&str> = attached
        .get("AttachedPolicies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|policy| policy.get("PolicyArn").and_then(Value::as_str))
        .collect();
    let own: Vec<&str> = inline
        .get("PolicyNames")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let lacking: Vec<&str> = expected
        .attached
        .iter()
        .map(String::as_str)
        .filter(|arn| !attached.contains(arn))
        .collect();
    let again = "deploy again: a role changed by hand is put right only when its template changes, else delete and deploy";
    if !lacking.is_empty() {
        return Finding::bad(check, format!("{} is not attached", some(&lacking)), again);
    }
    let gone: Vec<&str> = expected
        .inline
        .iter()
        .map(String::as_str)
        .filter(|name| !own.contains(name))
        .collect();
    if !gone.is_empty() {
        return Finding::bad(check, format!("its policy {} is gone", some(&gone)), again);
    }
    let is_foreign = |name: &&str, wanted: &[String]| !wanted.iter().any(|one| one == name);
    let own_foreign = own.iter().filter(|name| is_foreign(name, &expected.inline));
    let attached_foreign = attached
        .iter()
        .filter(|arn| is_foreign(arn, &expected.attached));
    let foreign: Vec<&str> = own_foreign.chain(attached_foreign).copied().collect();
    if !foreign.is_empty() {
        return Finding::warn(
            check,
            format!(
                "it has {}, which the template does not give it: somebody added a right",
                some(&foreign)
            ),
            "look at it and remove it: aws iam delete-role-policy, detach-role-policy",
        );
    }
    Finding::ok(
        check,
        format!("{} attached, {} of its own", attached.len(), own.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn verdict(attached: &[&str], inline: &[&str]) -> Verdict {
        let expected = Expected {
            attached: vec!["arn:aws:iam::123456789012:policy/drive".to_owned()],
            inline: vec!["work".to_owned()],
        };
        let list: Vec<_> = attached
            .iter()
            .map(|arn| json!({"PolicyName": "x", "PolicyArn": arn}))
            .collect();
        let attached = json!({ "AttachedPolicies": list });
        judge(
            "role",
            &expected,
            &attached,
            &json!({ "PolicyNames": inline }),
        )
        .verdict
    }

    #[test]
    fn a_role_must_have_what_the_template_gives_it_and_no_more() {
        let (drive, other) = (
            "arn:aws:iam::123456789012:policy/drive",
            "arn:aws:iam::aws:policy/AdministratorAccess",
        );

        assert_eq!(verdict(&[drive], &["work"]), Verdict::Ok);
        assert_eq!(verdict(&[other], &["work"]), Verdict::Bad);
        assert_eq!(verdict(&[drive], &[]), Verdict::Bad);
        assert_eq!(verdict(&[drive, other], &["work"]), Verdict::Warn);
        assert_eq!(verdict(&[drive], &["work", "more"]), Verdict::Warn);
    }

    #[test]
    fn a_service_role_may_be_absent_before_the_first_deploy_or_where_batch_makes_it() {
        let call = Call::new("us-east-1", "iam:GetRole", ["iam", "get-role"]);
        let absent = Answer::Absent {
            code: "NoSuchEntity".to_owned(),
            message: String::new(),
        };
        let verdicts = |is_deployed| {
            SERVICE_ROLES
                .each_ref()
                .map(|role| service_role(role, &call, &absent, is_deployed).verdict)
        };
        let (bad, warn, ok) = (Verdict::Bad, Verdict::Warn, Verdict::Ok);

        assert_eq!(verdicts(false), [warn, warn, ok, ok, ok]);
        assert_eq!(verdicts(true), [bad, bad, ok, ok, ok]);
    }
}
