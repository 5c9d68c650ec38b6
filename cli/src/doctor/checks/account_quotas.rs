//! Quotas: how many vCPUs the account may have at a time. A quota of 0 looks like a queue that never moves.

use serde_json::Value;
use trainspot_localcloud::DeclaredQueue;
use trainspot_shared::host_shape::HostShape;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};
use super::stack::some;

/// Which hosts count against a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hosts {
    Gpu,
    Cpu,
}

struct Quota {
    /// EC2's code of it.
    code: &'static str,
    name: &'static str,
    hosts: Hosts,
    is_spot: bool,
}

const QUOTAS: [Quota; 4] = [
    Quota {
        code: "L-3819A6DF",
        name: "All G and VT Spot Instance Requests",
        hosts: Hosts::Gpu,
        is_spot: true,
    },
    Quota {
        code: "L-DB2E81BA",
        name: "Running On-Demand G and VT instances",
        hosts: Hosts::Gpu,
        is_spot: false,
    },
    Quota {
        code: "L-34B43A08",
        name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        hosts: Hosts::Cpu,
        is_spot: true,
    },
    Quota {
        code: "L-1216C47A",
        name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        hosts: Hosts::Cpu,
        is_spot: false,
    },
];

/// What the template wants of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// vCPUs of the smallest host.
    least: u32,
    /// The most vCPUs at a time.
    most: u64,
}

fn call(case: &Case, quota: &Quota) -> Call {
    let words = [
        "service-quotas",
        "get-service-quota",
        "--service-code",
        "ec2",
        "--quota-code",
    ];
    case.call(
        "servicequotas:GetServiceQuota",
        words.into_iter().chain([quota.code]),
    )
}

/// What an account has whose quota nobody ever changed: AWS then has no value of its own for it.
fn default_call(case: &Case, quota: &Quota) -> Call {
    let words = [
        "service-quotas",
        "get-aws-default-service-quota",
        "--service-code",
        "ec2",
        "--quota-code",
    ];
    let action = "servicequotas:GetAWSDefaultServiceQuota";
    case.call(action, words.into_iter().chain([quota.code]))
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let both = |quota| [call(case, quota), default_call(case, quota)];
    QUOTAS.iter().flat_map(both).collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    QUOTAS
        .iter()
        .filter_map(|quota| {
            let wanted = wanted(case, quota)?;
            let mut call = call(case, quota);
            let mut answer = answers.of(&call);
            if matches!(answer, Answer::Absent { .. }) {
                call = default_call(case, quota);
                answer = answers.of(&call);
            }
            let check = check_name(quota);
            Some(match json(&check, &call, &answer) {
                Ok(value) => judge(quota, value, wanted, &case.region).asked(&call),
                Err(finding) => finding,
            })
        })
        .chain(others(case))
        .collect()
}

fn check_name(quota: &Quota) -> String {
    let kind = match quota.hosts {
        Hosts::Gpu => "GPU",
        Hosts::Cpu => "CPU",
    };
    let market = if quota.is_spot { "Spot" } else { "on-demand" };
    format!("quota, {kind} {market}")
}

/// The letters that a family's name begins with decide which quota its hosts count against.
fn hosts(instance_type: &str) -> Option<Hosts> {
    match instance_type.chars().next()? {
        'g' | 'v' => Some(Hosts::Gpu),
        'a' | 'c' | 'd' | 'h' | 'i' | 'm' | 'r' | 't' | 'z' => Some(Hosts::Cpu),
        _ => None,
    }
}

/// Of the queues of a market with types that count against the quota; a queue that begins with Spot may go
/// on with the same types on-demand.
fn wanted(case: &Case, quota: &Quota) -> Option<Wanted> {
    let counts = |name: &&String| hosts(name) == Some(quota.hosts);
    let all: Vec<DeclaredQueue<'_>> = case
        .template
        .queues()
        .filter(|queue| queue.instance_types.iter().any(|name| counts(&name)))
        .collect();
    let queue = all
        .iter()
        .find(|queue| queue.is_spot == quota.is_spot)
        .or_else(|| all.first())?;
    let names = queue.instance_types.iter().filter(counts);
    let shapes = names.filter_map(|name| HostShape::of(name));
    Some(Wanted {
        least: shapes.map(|shape| shape.vcpus).min()?,
        most: queue.max_vcpus?,
    })
}

/// Types whose quota is none of these, such as the P families, which have one for each generation.
fn others(case: &Case) -> Option<Finding> {
    let mut names: Vec<&str> = case
        .template
        .queues()
        .flat_map(|queue| queue.instance_types.iter().map(String::as_str))
        .filter(|name| hosts(name).is_none())
        .collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| {
        Finding::unknown(
            "quota, others",
            format!("{} counts against a quota that is not looked at here", some(&names)),
            format!(
                "aws service-quotas list-service-quotas --service-code ec2 --region {} has one for each of the larger families",
                case.region
            ),
        )
    })
}

fn judge(quota: &Quota, answer: &Value, wanted: Wanted, region: &str) -> Finding {
    let check = check_name(quota);
    let Some(value) = answer.pointer("/Quota/Value").and_then(Value::as_f64) else {
        return Finding::unknown(
            &check,
            "the answer has no Quota.Value",
            "run the command and look",
        );
    };
    let Wanted { least, most } = wanted;
    let name = quota.name;
    let ask = format!(
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {} --desired-value {most} --region {region} (AWS answers in hours to days)",
        quota.code
    );
    #[expect(clippy::cast_precision_loss, reason = "a few thousand vCPUs at most")]
    let most_vcpus = most as f64;
    if value < f64::from(least) {
        let what = format!(
            "\"{name}\" is {value} vCPU, and the smallest host has {least}: no job would ever start"
        );
        Finding::bad(&check, what, ask)
    } else if value < most_vcpus {
        let what = format!(
            "\"{name}\" is {value} vCPU, and the environments may want {most}: jobs beyond it wait"
        );
        Finding::warn(&check, what, ask)
    } else {
        Finding::ok(
            &check,
            format!("\"{name}\" is {value} vCPU, of which the environments want {most} at most"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;
    use test_case::test_case;

    const WANTED: Wanted = Wanted { least: 4, most: 64 };

    #[test_case(0.0 => Verdict::Bad; "a new account")]
    #[test_case(3.0 => Verdict::Bad; "less than the smallest host")]
    #[test_case(8.0 => Verdict::Warn; "less than the cap")]
    #[test_case(64.0 => Verdict::Ok)]
    fn a_quota_is_judged_by_what_the_template_wants(value: f64) -> Verdict {
        // As the Service Quotas API answers.
        let answer = json!({"Quota": {
            "ServiceCode": "ec2", "QuotaCode": "L-3819A6DF", "QuotaName": "All G and VT Spot Instance Requests",
            "Value": value, "Unit": "None", "Adjustable": true, "GlobalQuota": false,
        }});

        judge(&QUOTAS[0], &answer, WANTED, "us-east-1").verdict
    }

    #[test]
    fn a_quota_of_0_says_how_to_ask_for_more() {
        let found = judge(
            &QUOTAS[0],
            &json!({"Quota": {"Value": 0.0}}),
            WANTED,
            "eu-west-1",
        );

        assert_eq!(
            found.todo.as_deref(),
            Some(
                "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-3819A6DF --desired-value 64 --region eu-west-1 (AWS answers in hours to days)"
            )
        );
        assert_eq!(
            judge(&QUOTAS[0], &json!({}), WANTED, "x").verdict,
            Verdict::CouldNotCheck
        );
    }
}
