//! The two buckets: where they are, whom they keep out, and whether they keep old versions.

use serde_json::Value;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};

const BUCKET: &str = "AWS::S3::Bucket";
const POLICY: &str = "AWS::S3::BucketPolicy";
const ACCESS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

/// A bucket, and what the template says of it; one that was there before says nothing.
struct Bucket {
    role: String,
    name: String,
    is_ours: bool,
    wants_versions: bool,
    wants_policy: bool,
}

/// The data bucket by the variable that the functions are told.
pub(super) fn data_bucket(case: &Case) -> Option<String> {
    let told = case
        .template
        .functions()
        .next()?
        .environment
        .get("TRAINSPOT_DATA_BUCKET")?
        .clone();
    match case.template.logical_id(&told) {
        Some(logical_id) => case.physical(logical_id).map(str::to_owned),
        None => Some(told).filter(|name| !name.is_empty()),
    }
}

fn all(case: &Case) -> Vec<Bucket> {
    let mut all: Vec<Bucket> = case
        .deployed(BUCKET)
        .map(|(logical_id, name)| {
            let versions = case
                .properties(logical_id)
                .and_then(|properties| properties.pointer("/VersioningConfiguration/Status"))
                .and_then(Value::as_str);
            let local = case
                .template
                .resources()
                .get(logical_id)
                .map(|bucket| bucket.physical.as_str());
            let wants_policy = case.template.of_kind(POLICY).any(|(_, policy)| {
                let bucket = policy
                    .properties
                    .as_ref()
                    .ok()
                    .and_then(|properties| properties.get("Bucket"));
                bucket.and_then(Value::as_str) == local
            });
            Bucket {
                role: logical_id.to_owned(),
                name: name.to_owned(),
                is_ours: true,
                wants_versions: versions == Some("Enabled"),
                wants_policy,
            }
        })
        .collect();
    if let Some(name) = data_bucket(case)
        && !all.iter().any(|bucket| bucket.name == name)
    {
        all.push(Bucket {
            role: "data, not the stack's".to_owned(),
            name,
            is_ours: false,
            wants_versions: false,
            wants_policy: false,
        });
    }
    all
}

fn call(case: &Case, action: &'static str, operation: &str, bucket: &Bucket) -> Call {
    case.call(action, ["s3api", operation, "--bucket", &bucket.name])
}

/// What an answer says of a bucket, given the check's name and the region; `None` when it says nothing.
type Judge = fn(&str, &Bucket, &str, &Answer) -> Option<Finding>;

/// Location, public access, versions, policy.
fn calls_of(case: &Case, bucket: &Bucket) -> [Call; 4] {
    [
        call(case, "s3:GetBucketLocation", "get-bucket-location", bucket),
        call(
            case,
            "s3:GetBucketPublicAccessBlock",
            "get-public-access-block",
            bucket,
        ),
        call(
            case,
            "s3:GetBucketVersioning",
            "get-bucket-versioning",
            bucket,
        ),
        call(case, "s3:GetBucketPolicy", "get-bucket-policy", bucket),
    ]
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    all(case)
        .iter()
        .flat_map(|bucket| calls_of(case, bucket))
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let judges: [Judge; 4] = [place, access, versions, policy];
    let words = ["region", "public access", "versions", "policy"];
    let mut found = Vec::new();
    for bucket in all(case) {
        for ((call, judge), word) in calls_of(case, &bucket).iter().zip(judges).zip(words) {
            let check = format!("bucket, {}, {word}", bucket.role);
            let answer = answers.of(call);
            let finding = judge(&check, &bucket, &case.region, &answer);
            found.push(
                finding.map_or_else(|| not_checked(&check, call, &answer), |one| one.asked(call)),
            );
            if let Answer::Absent { code, .. } = &answer
                && code == "NoSuchBucket"
            {
                break; // The other three would say the same.
            }
        }
    }
    found
}

fn place(check: &str, bucket: &Bucket, region: &str, answer: &Answer) -> Option<Finding> {
    let name = &bucket.name;
    match answer {
        Answer::Absent { .. } => Some(Finding::bad(
            check,
            format!("there is no bucket `{name}`"),
            "deploy again; if it was deleted by hand, under another stack name: what it held is lost",
        )),
        Answer::Json(value) => {
            // The oldest region says nothing, and the second oldest its old name.
            let place = match value.get("LocationConstraint").and_then(Value::as_str) {
                None | Some("") => "us-east-1",
                Some("EU") => "eu-west-1",
                Some(place) => place,
            };
            Some(if place == region {
                Finding::ok(check, format!("`{name}` is in {region}"))
            } else {
                Finding::bad(
                    check,
                    format!(
                        "`{name}` is in {place}, and functions and hosts are in {region}: their requests would be sent away"
                    ),
                    format!("use a bucket in {region}, or deploy in {place}"),
                )
            })
        }
        _ => None,
    }
}

fn access(check: &str, bucket: &Bucket, _: &str, answer: &Answer) -> Option<Finding> {
    let todo = format!(
        "aws s3api put-public-access-block --bucket {} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
        bucket.name
    );
    let open = |what: &str| {
        let judge = if bucket.is_ours {
            Finding::bad
        } else {
            Finding::warn
        };
        judge(check, what.to_owned(), todo.clone())
    };
    match answer {
        Answer::Absent { .. } => Some(open("nothing keeps the public out")),
        Answer::Json(value) => {
            let configuration = value.get("PublicAccessBlockConfiguration");
            let is_shut = ACCESS.iter().all(|name| {
                configuration.and_then(|all| all.get(name)) == Some(&Value::Bool(true))
            });
            Some(if is_shut {
                Finding::ok(check, "all of it is blocked")
            } else {
                open("some public access is not blocked")
            })
        }
        _ => None,
    }
}

fn versions(check: &str, bucket: &Bucket, _: &str, answer: &Answer) -> Option<Finding> {
    let Answer::Json(value) = answer else {
        return None;
    };
    let status = value.get("Status").and_then(Value::as_str).unwrap_or("off");
    Some(if bucket.wants_versions && status != "Enabled" {
        Finding::warn(
            check,
            format!("versions are {status}, and the template switches them on"),
            "deploy again",
        )
    } else {
        Finding::ok(check, format!("versions are {status}"))
    })
}

fn policy(check: &str, bucket: &Bucket, _: &str, answer: &Answer) -> Option<Finding> {
    match answer {
        Answer::Absent { .. } if bucket.wants_policy => Some(Finding::bad(
            check,
            "it has no policy, and the template gives it one",
            "deploy again",
        )),
        Answer::Absent { .. } => Some(Finding::ok(
            check,
            "it has none, and the template gives it none",
        )),
        Answer::Json(value) => {
            let text = value.get("Policy").and_then(Value::as_str).unwrap_or("{}");
            let policy: Value = serde_json::from_str(text).unwrap_or_default();
            let statements = policy.get("Statement").and_then(Value::as_array);
            let statements: Vec<&Value> = statements.into_iter().flatten().collect();
            let effect = |one: &Value| one.get("Effect").and_then(Value::as_str) == Some("Allow");
            let is_everybody = |one: &Value| {
                one.get("Principal") == Some(&Value::from("*"))
                    || one.pointer("/Principal/AWS") == Some(&Value::from("*"))
            };
            let refuses_plain = statements.iter().any(|one| {
                !effect(one)
                    && one
                        .pointer("/Condition/Bool/aws:SecureTransport")
                        .is_some_and(|value| value == "false" || value == &Value::Bool(false))
            });
            Some(
                if statements
                    .iter()
                    .any(|one| effect(one) && is_everybody(one) && one.get("Condition").is_none())
                {
                    Finding::bad(
                        check,
                        "its policy lets everybody in",
                        "remove the statement with Principal \"*\"",
                    )
                } else if refuses_plain {
                    Finding::ok(check, "TLS only")
                } else if bucket.wants_policy {
                    Finding::warn(
                        check,
                        "its policy does not refuse requests without TLS, as the template's does",
                        "deploy again",
                    )
                } else {
                    Finding::ok(check, "nobody is let in who should not be")
                },
            )
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn bucket(is_ours: bool) -> Bucket {
        Bucket {
            role: "ResultsBucket".to_owned(),
            name: "b".to_owned(),
            is_ours,
            wants_versions: is_ours,
            wants_policy: is_ours,
        }
    }

    fn absent(code: &str) -> Answer {
        Answer::Absent {
            code: code.to_owned(),
            message: String::new(),
        }
    }

    fn verdict(judge: Judge, is_ours: bool, answer: &Answer) -> Option<Verdict> {
        judge("bucket", &bucket(is_ours), "us-east-1", answer).map(|finding| finding.verdict)
    }

    #[test]
    fn the_region_is_read_as_s3_says_it() {
        let at = |said: Value| {
            verdict(
                place,
                true,
                &Answer::Json(json!({ "LocationConstraint": said })),
            )
        };

        assert_eq!(at(Value::Null), Some(Verdict::Ok));
        assert_eq!(at(json!("eu-west-1")), Some(Verdict::Bad));
        assert_eq!(
            verdict(place, true, &absent("NoSuchBucket")),
            Some(Verdict::Bad)
        );
    }

    #[test]
    fn public_access_is_bad_for_ours_and_a_warning_for_others() {
        let open = json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": false, "RestrictPublicBuckets": true}});

        assert_eq!(
            verdict(access, true, &Answer::Json(open.clone())),
            Some(Verdict::Bad)
        );
        assert_eq!(
            verdict(access, false, &Answer::Json(open)),
            Some(Verdict::Warn)
        );
        assert_eq!(
            verdict(
                access,
                true,
                &absent("NoSuchPublicAccessBlockConfiguration")
            ),
            Some(Verdict::Bad)
        );
    }

    #[test]
    fn versions_and_policy_are_compared_with_the_template() {
        let tls = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]});
        let everybody = json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}]});
        let of = |policy: &Value| Answer::Json(json!({"Policy": policy.to_string()}));

        assert_eq!(
            verdict(versions, true, &Answer::Json(json!({}))),
            Some(Verdict::Warn)
        );
        assert_eq!(
            verdict(versions, false, &Answer::Json(json!({}))),
            Some(Verdict::Ok)
        );
        assert_eq!(verdict(policy, true, &of(&tls)), Some(Verdict::Ok));
        assert_eq!(verdict(policy, false, &of(&everybody)), Some(Verdict::Bad));
        assert_eq!(
            verdict(policy, true, &absent("NoSuchBucketPolicy")),
            Some(Verdict::Bad)
        );
        assert_eq!(
            verdict(policy, false, &absent("NoSuchBucketPolicy")),
            Some(Verdict::Ok)
        );
        assert_eq!(
            verdict(policy, true, &Answer::TimedOut { seconds: 1 }),
            None
        );
    }
}
