//! Compute environments and the hosts' launch template, as Batch and EC2 have them.

use serde_json::Value;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json, not_checked};
use super::batch_answer::{gone, item, of_batch, text};

const ENVIRONMENT: &str = "AWS::Batch::ComputeEnvironment";
const LAUNCH_TEMPLATE: &str = "AWS::EC2::LaunchTemplate";
/// A container is one hop further from the metadata than its host.
const HOPS_MIN: u64 = 2;
/// Amazon Linux 2 is at its end; these types have it.
const OLD_IMAGES: [&str; 2] = ["ECS_AL2", "ECS_AL2_NVIDIA"];

fn environments_call(case: &Case) -> Option<Call> {
    of_batch(
        case,
        ENVIRONMENT,
        "batch:DescribeComputeEnvironments",
        "describe-compute-environments",
        "--compute-environments",
    )
}

fn versions_call(case: &Case) -> Option<Call> {
    let (_, id) = case.deployed(LAUNCH_TEMPLATE).next()?;
    Some(case.call(
        "ec2:DescribeLaunchTemplateVersions",
        [
            "ec2",
            "describe-launch-template-versions",
            "--launch-template-id",
            id,
        ],
    ))
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    [environments_call(case), versions_call(case)]
        .into_iter()
        .flatten()
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut in_use = Vec::new();
    if let Some(call) = environments_call(case) {
        match json("compute environments", &call, &answers.of(&call)) {
            Ok(value) => {
                for (logical_id, arn) in case.deployed(ENVIRONMENT) {
                    let one = item(value, "computeEnvironments", "computeEnvironmentArn", arn);
                    let check = format!("environment, {logical_id}");
                    let wanted = case.properties(logical_id).unwrap_or(&Value::Null);
                    found.push(
                        one.map_or_else(|| gone(&check), |one| environment(&check, one, wanted))
                            .asked(&call),
                    );
                    let version =
                        one.and_then(|one| one.pointer("/computeResources/launchTemplate/version"));
                    in_use.extend(version.and_then(Value::as_str).map(str::to_owned));
                }
            }
            Err(finding) => found.push(finding),
        }
    }
    if let Some(call) = versions_call(case) {
        let check = "launch template";
        found.push(match answers.of(&call) {
            Answer::Json(value) => launch_template(check, &value, &in_use).asked(&call),
            other => not_checked(check, &call, &other),
        });
    }
    found
}

fn list(value: Option<&Value>) -> Vec<&str> {
    let mut list: Vec<&str> = value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    list.sort_unstable();
    list
}

fn environment(check: &str, one: &Value, wanted: &Value) -> Finding {
    let (status, state) = (text(one, "/status"), text(one, "/state"));
    if status == "INVALID" {
        return Finding::bad(
            check,
            format!("it is INVALID: {}", text(one, "/statusReason")),
            "mend what Batch says, then: aws batch update-compute-environment --state ENABLED",
        );
    }
    if state != "ENABLED" {
        return Finding::bad(
            check,
            format!("it is {state}: no job gets a host there"),
            "aws batch update-compute-environment --state ENABLED",
        );
    }
    let image = text(one, "/computeResources/ec2Configuration/0/imageType");
    let wanted_image = text(wanted, "/ComputeResources/Ec2Configuration/0/ImageType");
    if OLD_IMAGES.contains(&image) {
        return Finding::bad(
            check,
            format!("its hosts have {image}, which AWS has ended"),
            "deploy the present template",
        );
    }
    if !wanted_image.is_empty() && image != wanted_image {
        return Finding::bad(
            check,
            format!("its hosts have {image}, and the template says {wanted_image}"),
            "deploy again",
        );
    }
    let types = list(one.pointer("/computeResources/instanceTypes"));
    let wanted_types = list(wanted.pointer("/ComputeResources/InstanceTypes"));
    if !wanted_types.is_empty() && types != wanted_types {
        return Finding::warn(
            check,
            "its instance types are not the template's",
            "deploy again, or put them into the parameter",
        );
    }
    if status == "UPDATING" || status == "CREATING" {
        return Finding::warn(
            check,
            format!("it is {status}: jobs that run go on, new ones may wait"),
            "ask again in some minutes",
        );
    }
    Finding::ok(check, format!("{status}, {image}, {} types", types.len()))
}

fn launch_template(check: &str, answer: &Value, in_use: &[String]) -> Finding {
    let versions: Vec<(u64, &Value)> = answer
        .get("LaunchTemplateVersions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|version| Some((version.get("VersionNumber")?.as_u64()?, version)))
        .collect();
    let Some(latest) = versions.iter().map(|(number, _)| *number).max() else {
        return Finding::bad(check, "it has no version", "deploy again");
    };
    let mut used: Vec<u64> = in_use
        .iter()
        .map(|version| version.parse().unwrap_or(latest))
        .collect();
    used.sort_unstable();
    used.dedup();
    if used.is_empty() {
        used.push(latest);
    }
    for (number, version) in versions.iter().filter(|(number, _)| used.contains(number)) {
        let options = version.pointer("/LaunchTemplateData/MetadataOptions");
        let option = |name: &str| options.and_then(|options| options.get(name));
        let hops = option("HttpPutResponseHopLimit")
            .and_then(Value::as_u64)
            .unwrap_or(1);
        if hops < HOPS_MIN {
            return Finding::bad(
                check,
                format!(
                    "version {number} answers metadata over {hops} hop only: the agent would never hear of a Spot notice"
                ),
                "deploy the present template, which says HttpPutResponseHopLimit: 2",
            );
        }
        if option("HttpTokens").and_then(Value::as_str) != Some("required") {
            return Finding::warn(
                check,
                format!("version {number} answers metadata without a token"),
                "deploy the present template, which says HttpTokens: required",
            );
        }
    }
    if used.iter().any(|number| *number != latest) {
        return Finding::warn(
            check,
            format!(
                "environments use version {}, and the latest is {latest}",
                used.iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>()
                    .join(" and ")
            ),
            "deploy again; Batch takes up to six hours to let running jobs end",
        );
    }
    Finding::ok(
        check,
        format!("version {latest} is in use: token required, {HOPS_MIN} hops or more"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn environment_with(change: impl Fn(&mut Value)) -> Verdict {
        // As Batch's API answers.
        let mut one = json!({
            "computeEnvironmentName": "GpuSpot", "status": "VALID", "state": "ENABLED", "statusReason": "ComputeEnvironment Healthy",
            "computeResources": {"type": "SPOT", "instanceTypes": ["g5.xlarge", "g4dn.xlarge"],
                "ec2Configuration": [{"imageType": "ECS_AL2023_NVIDIA"}]},
        });
        change(&mut one);
        let wanted = json!({"ComputeResources": {"InstanceTypes": ["g4dn.xlarge", "g5.xlarge"],
            "Ec2Configuration": [{"ImageType": "ECS_AL2023_NVIDIA"}]}});
        environment("environment", &one, &wanted).verdict
    }

    #[test]
    fn an_environment_is_valid_enabled_and_has_the_templates_image() {
        assert_eq!(environment_with(|_| ()), Verdict::Ok);
        assert_eq!(
            environment_with(|one| one["status"] = json!("INVALID")),
            Verdict::Bad
        );
        assert_eq!(
            environment_with(|one| one["state"] = json!("DISABLED")),
            Verdict::Bad
        );
        let image = "/computeResources/ec2Configuration/0/imageType";
        let with_image = |name: &'static str| {
            environment_with(move |one| *one.pointer_mut(image).expect("there") = json!(name))
        };
        assert_eq!(with_image("ECS_AL2_NVIDIA"), Verdict::Bad);
        assert_eq!(with_image("ECS_AL2023"), Verdict::Bad);
        assert_eq!(
            environment_with(|one| one["computeResources"]["instanceTypes"] = json!(["g5.xlarge"])),
            Verdict::Warn
        );
        assert_eq!(
            environment_with(|one| one["status"] = json!("UPDATING")),
            Verdict::Warn
        );
    }

    #[test]
    fn the_version_in_use_counts_not_the_latest() {
        let version = |number: u64, hops: u64| {
            json!({"VersionNumber": number, "LaunchTemplateData": {"MetadataOptions":
                {"HttpTokens": "required", "HttpPutResponseHopLimit": hops}}})
        };
        let answer = json!({"LaunchTemplateVersions": [version(2, 2), version(1, 1)]});
        let verdict = |in_use: &str| {
            launch_template("launch template", &answer, &[in_use.to_owned()]).verdict
        };

        assert_eq!(verdict("2"), Verdict::Ok);
        assert_eq!(verdict("1"), Verdict::Bad);
        let both = json!({"LaunchTemplateVersions": [version(2, 2), version(1, 2)]});
        assert_eq!(
            launch_template("x", &both, &["1".to_owned()]).verdict,
            Verdict::Warn
        );
        assert_eq!(launch_template("x", &json!({}), &[]).verdict, Verdict::Bad);
    }
}
