//! `trainspot doctor` as a process, against an `aws` that the test writes: it records what it was asked, and
//! answers as AWS's documentation says, denies, talks nonsense, or hangs. What is said is compared with
//! golden files; `UPDATE_GOLDEN=1` writes them anew.

mod fake_aws;
mod well;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use self::fake_aws::{CRON, IMAGE, Place, Said, hangs, prints, refuses, says};
use self::well::{arn, head_with_spend, well};

fn golden(name: &str, said: &str) {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/doctor/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().expect("a folder")).expect("it can be made");
        std::fs::write(&golden, said).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file is there");
    assert_eq!(said, expected, "{}", golden.display());
}

/// Other answers before those of a stack that is well.
fn well_but(others: impl IntoIterator<Item = Said>) -> Vec<Said> {
    others.into_iter().chain(well()).collect()
}

const DEPLOYED: [&str; 4] = ["--stack", "t", "--region", "us-east-1"];

#[test]
fn a_stack_that_is_well_is_told_with_every_command() {
    let place = Place::new();
    place.aws(&well());

    let (exit, said, told) = place.doctor(&[&DEPLOYED[..], &["--commands"]].concat());

    assert_eq!(exit, Some(0), "{said}{told}");
    assert!(told.starts_with("asking AWS "), "{told}");
    golden("well", &said);
    let asked: Vec<String> = place.asked().into_iter().collect();
    golden("asked", &(asked.join("\n") + "\n"));
}

#[test]
fn everything_that_is_bad_is_told_with_what_to_do() {
    let place = Place::new();
    let absent = |begins: &str, code: &str| {
        refuses(
            begins,
            &format!("An error occurred ({code}) when calling the X operation: it is not there"),
        )
    };
    let quota = |code: &str| {
        says(
            &format!("service-quotas get-service-quota --service-code ec2 --quota-code {code} "),
            &json!({"Quota": {"Value": 0.0}}),
        )
    };
    place.aws(&well_but([
        quota("L-3819A6DF"),
        quota("L-DB2E81BA"),
        says("ec2 describe-instance-type-offerings ", &json!({"InstanceTypeOfferings": [{"InstanceType": "m6i.large", "Location": "us-east-1a"}]})),
        says("ec2 describe-launch-template-versions ", &json!({"LaunchTemplateVersions": [{"VersionNumber": 4, "LaunchTemplateData": {"MetadataOptions": {"HttpTokens": "optional"}}}]})),
        says("ecr batch-get-image ", &json!({"images": [], "failures": [{"failureCode": "ImageNotFound"}]})),
        absent("iam get-role ", "NoSuchEntity"),
        absent("iam list-attached-role-policies ", "NoSuchEntity"),
        says("batch describe-compute-environments ", &json!({"computeEnvironments": [{"computeEnvironmentArn": arn("compute-environment/Spot"), "status": "INVALID", "state": "ENABLED", "statusReason": "CLIENT_ERROR - not authorized to perform sts:AssumeRole"}]})),
        says("batch describe-job-queues ", &json!({"jobQueues": [{"jobQueueArn": arn("job-queue/SpotQueue"), "status": "VALID", "state": "DISABLED", "statusReason": "JobQueue Healthy"}]})),
        says("lambda get-function-configuration ", &json!({"State": "Active", "LastUpdateStatus": "Successful", "Architectures": ["arm64"], "Timeout": 60})),
        says("events describe-rule --name t-OnTick ", &json!({"State": "DISABLED", "ScheduleExpression": CRON})),
        says("s3api get-bucket-location --bucket t-data ", &json!({"LocationConstraint": "eu-west-1"})),
        absent("s3api get-public-access-block ", "NoSuchPublicAccessBlockConfiguration"),
        says("s3api list-objects-v2 --bucket t-data ", &json!({})),
        absent("s3 cp s3://t-results/pipelines/", "404"),
        says("sns list-subscriptions-by-topic ", &json!({"Subscriptions": [{"SubscriptionArn": "PendingConfirmation", "Endpoint": "team@example.com"}]})),
        says("sqs get-queue-attributes ", &json!({"Attributes": {"ApproximateNumberOfMessages": "3"}})),
        says("cloudwatch describe-alarms ", &json!({"MetricAlarms": [{"AlarmName": "t-LettersAlarm", "StateValue": "ALARM", "ActionsEnabled": true}]})),
        head_with_spend(151_000_000),
    ]));

    let (exit, said, told) = place.doctor(&DEPLOYED);

    assert_eq!(exit, Some(1), "{said}{told}");
    assert!(told.contains("things are bad"), "{told}");
    golden("bad", &said);
}

#[test]
fn what_nobody_may_read_is_told_with_the_missing_right_and_is_not_bad() {
    let place = Place::new();
    let [who, stacks, list] = [0, 1, 2].map(|n| well()[n].clone());
    place.aws(&[who, stacks, list]);

    let (exit, said, told) = place.doctor(&DEPLOYED);

    assert_eq!(exit, Some(0), "{said}{told}");
    golden("denied", &said);
}

#[test]
fn nonsense_is_told_and_is_not_taken_for_an_answer() {
    let place = Place::new();
    let who = well()[0].clone();
    place.aws(&[
        who,
        prints("cloudformation ", "{}"),
        prints("", "<html>busy</html>"),
    ]);

    let (exit, said, told) = place.doctor(&DEPLOYED);

    assert_eq!(exit, Some(0), "{said}{told}");
    golden("nonsense", &said);
}

#[test]
fn before_the_first_deploy_the_account_and_the_files_are_looked_at() {
    let place = Place::new();
    place.write(
        "samconfig.toml",
        &format!("[default.deploy.parameters]\nstack_name = \"t\"\nregion = \"us-east-1\"\nparameter_overrides = \"ImageUri=\\\"{IMAGE}\\\"\"\n"),
    );
    let gone = "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id t does not exist";
    let no_role = "An error occurred (NoSuchEntity) when calling the GetRole operation: The role with name x cannot be found.";
    let no_value = "An error occurred (NoSuchResourceException) when calling the GetServiceQuota operation: no value";
    let code = "--service-code ec2 --quota-code L-3819A6DF ";
    place.aws(&well_but([
        refuses("cloudformation ", gone),
        refuses("iam get-role ", no_role),
        refuses(
            &format!("service-quotas get-service-quota {code}"),
            no_value,
        ),
        says(
            &format!("service-quotas get-aws-default-service-quota {code}"),
            &json!({"Quota": {"Value": 8.0}}),
        ),
    ]));

    let (exit, said, told) = place.doctor(&[]);

    assert_eq!(exit, Some(0), "{said}{told}");
    golden("before-the-first-deploy", &said);
}

#[test]
fn where_aws_cannot_be_asked_the_files_are_looked_at_all_the_same() {
    let gaps = [
        (
            "no-credentials",
            refuses(
                "",
                "Unable to locate credentials. You can configure credentials by running \"aws configure\".",
            ),
        ),
        (
            "expired",
            refuses(
                "",
                "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: The security token included in the request is expired",
            ),
        ),
        (
            "no-endpoint",
            refuses(
                "",
                "Could not connect to the endpoint URL: \"https://sts.us-east-1.amazonaws.com/\"",
            ),
        ),
        ("silent", hangs("")),
    ];
    for (name, answer) in gaps {
        let place = Place::new();
        place.aws(&[answer]);

        let (exit, said, told) =
            place.doctor(&["--stack", "t", "--region", "us-east-1", "--time-limit", "1"]);

        assert_eq!(exit, Some(69), "{said}{told}");
        assert_eq!(place.asked().len(), 1, "one question was enough");
        golden(name, &(said + &told));
    }
    let place = Place::new();
    let (exit, said, told) = place.doctor(&["--region", "us-east-1"]);
    assert_eq!(exit, Some(69), "{said}{told}");
    golden("no-program", &(said + &told));

    place.aws(&[refuses("configure get region", "")]);
    let (exit, said, told) = place.doctor(&[]);
    assert_eq!(exit, Some(69), "{said}{told}");
    golden("no-region", &(said + &told));
}

#[test]
fn scripts_get_json_with_the_command_of_every_finding() {
    let place = Place::new();
    place.aws(&well_but([says(
        "sqs get-queue-attributes ",
        &json!({"Attributes": {"ApproximateNumberOfMessages": "1"}}),
    )]));

    let (exit, said, told) = place.doctor(&[&DEPLOYED[..], &["--json"]].concat());

    assert_eq!(exit, Some(1), "{said}{told}");
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&report["region"], &report["account"], &report["stack"]),
        (&json!("us-east-1"), &json!("123456789012"), &json!("t"))
    );
    let findings = report["findings"].as_array().expect("a list");
    let bad: Vec<_> = findings
        .iter()
        .filter(|one| one["verdict"] == "bad")
        .collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!(bad[0]["check"], "dead letters, Letters");
    let asked = place.asked();
    for finding in findings {
        let Some(command) = finding["command"].as_str() else {
            continue; // Of the files.
        };
        let words = command
            .strip_prefix("aws ")
            .expect("it begins with the program");
        assert!(
            asked.contains(&words.replace('\'', "")),
            "{command} was shown and not run"
        );
    }
}

#[test]
fn usage_is_2_and_a_missing_template_is_64() {
    let place = Place::new();
    place.aws(&well());

    let (usage, ..) = place.doctor(&["--stak", "t"]);
    let (missing, _, told) = place.doctor(&["--template", "other.yaml"]);

    assert_eq!((usage, missing), (Some(2), Some(64)));
    assert!(
        told.contains("template `other.yaml` cannot be read"),
        "{told}"
    );
    assert_eq!(place.asked(), BTreeSet::new());
}
