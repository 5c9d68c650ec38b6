//! `trainspot doctor` as a process, against an `aws` that the test writes: it records what it was asked, and
//! answers as AWS's documentation says, denies, talks nonsense, or hangs. What is said is compared with
//! golden files; `UPDATE_GOLDEN=1` writes them anew.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Due in the same three moments whenever the test runs.
const CRON: &str = "cron(0 2 1 1 ? 2097-2099)";
const SPEC: &str = "name = \"nightly\"\n[data]\nprefix = \"clicks/\"\nwait_for = \"2h\"\n[train]\nprogram = [\"true\"]\ngpus = 1\n";
const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/trainer@sha256:0000000000000000000000000000000000000000000000000000000000000001";
const DENIED: &str = "An error occurred (AccessDenied) when calling the operation: no";
const TYPES: [&str; 3] = ["g5.xlarge", "g5.2xlarge", "m6i.large"];

/// What the `aws` of a test answers to calls that begin so; the first that fits counts.
#[derive(Clone)]
struct Said {
    begins: String,
    stdout: String,
    stderr: String,
    hangs: bool,
}

fn says(begins: &str, answer: &Value) -> Said {
    prints(begins, &answer.to_string())
}

fn prints(begins: &str, stdout: &str) -> Said {
    Said {
        begins: begins.to_owned(),
        stdout: stdout.to_owned(),
        stderr: String::new(),
        hangs: false,
    }
}

fn refuses(begins: &str, stderr: &str) -> Said {
    Said {
        stderr: stderr.to_owned(),
        ..prints(begins, "")
    }
}

fn hangs(begins: &str) -> Said {
    Said {
        hangs: true,
        ..prints(begins, "")
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        let template = include_str!("templates/agreeing.yaml").replace("cron(0 2 * * ? *)", CRON);
        place.write("template.yaml", &template);
        place.write("pipelines/nightly.toml", SPEC);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }

    /// Writes the `aws` of this test. What it was not told it denies.
    fn aws(&self, answers: &[Said]) {
        let folder = self.path("bin");
        let mut script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {0}/asked\n[ -z \"$AWS_PAGER\" ] || exit 9\ncase \"$*\" in\n",
            folder.display()
        );
        for (n, said) in answers.iter().enumerate() {
            self.write(&format!("bin/{n}.out"), &said.stdout);
            self.write(&format!("bin/{n}.err"), &said.stderr);
            let act = if said.hangs {
                "exec /bin/sleep 600".to_owned()
            } else if said.stderr.is_empty() {
                format!("exec /bin/cat {}/{n}.out", folder.display())
            } else {
                format!("/bin/cat {}/{n}.err >&2; exit 254", folder.display())
            };
            script.push_str(&format!("'{}'*) {act};;\n", said.begins));
        }
        script.push_str(&format!("*) echo '{DENIED}' >&2; exit 254;;\nesac\n"));
        self.write("bin/aws", &script);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path("bin/aws"), mode).expect("it can be made a program");
    }

    /// Exit code, stdout and stderr.
    fn doctor(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_trainspot"))
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("TZ", "Asia/Seoul")
            .arg("doctor")
            .args(arguments)
            .output()
            .expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// Every call that was made, in the order of letters.
    fn asked(&self) -> BTreeSet<String> {
        let asked = std::fs::read_to_string(self.path("bin/asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}

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

fn arn(rest: &str) -> String {
    format!("arn:aws:batch:us-east-1:123456789012:{rest}")
}

/// The stack of `templates/agreeing.yaml`, and what SAM and a larger template would add.
fn resources() -> Vec<(&'static str, &'static str, String)> {
    let mut all = vec![
        ("DataBucket", "AWS::S3::Bucket", "t-data".to_owned()),
        ("ResultsBucket", "AWS::S3::Bucket", "t-results".to_owned()),
        (
            "Topic",
            "AWS::SNS::Topic",
            "arn:aws:sns:us-east-1:123456789012:t-Topic".to_owned(),
        ),
        (
            "Letters",
            "AWS::SQS::Queue",
            "https://sqs.us-east-1.amazonaws.com/123456789012/t-Letters".to_owned(),
        ),
        ("LettersPolicy", "AWS::SQS::QueuePolicy", "p".to_owned()),
        (
            "FairShare",
            "AWS::Batch::SchedulingPolicy",
            arn("scheduling-policy/f"),
        ),
        (
            "HostLaunchTemplate",
            "AWS::EC2::LaunchTemplate",
            "lt-1".to_owned(),
        ),
        (
            "SubmitTrainingRole",
            "AWS::IAM::Role",
            "t-SubmitTrainingRole".to_owned(),
        ),
        (
            "LettersAlarm",
            "AWS::CloudWatch::Alarm",
            "t-LettersAlarm".to_owned(),
        ),
        (
            "MonthlyBudget",
            "AWS::Budgets::Budget",
            "t-budget".to_owned(),
        ),
        (
            "TrainJobDefinition",
            "AWS::Batch::JobDefinition",
            arn("job-definition/train:3"),
        ),
        (
            "PostProcessingJobDefinition",
            "AWS::Batch::JobDefinition",
            arn("job-definition/post:3"),
        ),
    ];
    for name in ["Spot", "OnDemand", "Cpu"] {
        all.push((
            name,
            "AWS::Batch::ComputeEnvironment",
            arn(&format!("compute-environment/{name}")),
        ));
    }
    for name in ["SpotQueue", "OnDemandQueue", "PostProcessingQueue"] {
        all.push((
            name,
            "AWS::Batch::JobQueue",
            arn(&format!("job-queue/{name}")),
        ));
    }
    for name in ["SubmitTraining", "HandleFailure", "SuperviseRuns", "FanOut"] {
        all.push((name, "AWS::Lambda::Function", format!("t-{name}")));
    }
    for name in [
        "OnTick",
        "OnSweep",
        "OnSucceeded",
        "OnFailed",
        "OnBlocked",
        "OnStarted",
        "OnReturned",
    ] {
        all.push((name, "AWS::Events::Rule", format!("t-{name}")));
    }
    for name in [
        "TickMayWake",
        "SweepMayWake",
        "SucceededMayWake",
        "FailedMayWake",
        "BlockedMayWake",
        "StartedMayWake",
        "ReturnedMayWake",
    ] {
        all.push((name, "AWS::Lambda::Permission", name.to_owned()));
    }
    all
}

/// What AWS says of a stack that is well.
fn well() -> Vec<Said> {
    let list: Vec<Value> = resources()
        .iter()
        .map(|(logical_id, kind, physical)| {
            json!({"LogicalResourceId": logical_id, "ResourceType": kind, "PhysicalResourceId": physical, "ResourceStatus": "CREATE_COMPLETE"})
        })
        .collect();
    let parameter =
        |name: &str, value: &str| json!({"ParameterKey": name, "ParameterValue": value});
    let quota = |code: &str, value: f64| {
        says(
            &format!("service-quotas get-service-quota --service-code ec2 --quota-code {code} "),
            &json!({"Quota": {"ServiceCode": "ec2", "QuotaCode": code, "Value": value, "Unit": "None", "Adjustable": true}}),
        )
    };
    let offerings: Vec<Value> = TYPES
        .iter()
        .flat_map(|name| ["us-east-1a", "us-east-1b"].map(|zone| json!({"InstanceType": name, "LocationType": "availability-zone", "Location": zone})))
        .collect();
    let manifest = json!({"schemaVersion": 2, "manifests": [{"platform": {"architecture": "amd64", "os": "linux"}}]});
    let environments: Vec<Value> = [("Spot", vec!["g5.xlarge", "g5.2xlarge"]), ("OnDemand", vec!["g5.xlarge", "g5.2xlarge"]), ("Cpu", vec!["m6i.large"])]
        .iter()
        .map(|(name, types)| {
            json!({"computeEnvironmentName": name, "computeEnvironmentArn": arn(&format!("compute-environment/{name}")), "status": "VALID", "state": "ENABLED",
                   "computeResources": {"instanceTypes": types, "ec2Configuration": [{"imageType": "ECS_AL2023_NVIDIA"}], "launchTemplate": {"launchTemplateId": "lt-1", "version": "4"}}})
        })
        .collect();
    let queues: Vec<Value> = ["SpotQueue", "OnDemandQueue", "PostProcessingQueue"]
        .iter()
        .map(|name| json!({"jobQueueName": name, "jobQueueArn": arn(&format!("job-queue/{name}")), "status": "VALID", "state": "ENABLED", "schedulingPolicyArn": arn("scheduling-policy/f")}))
        .collect();
    let definitions: Vec<Value> = ["train", "post"]
        .iter()
        .map(|name| json!({"jobDefinitionName": name, "revision": 3, "jobDefinitionArn": arn(&format!("job-definition/{name}:3")), "status": "ACTIVE", "containerProperties": {"image": IMAGE}}))
        .collect();
    let tick = json!({"Name": "t-OnTick", "State": "ENABLED", "ScheduleExpression": CRON});
    let sweep =
        json!({"Name": "t-OnSweep", "State": "ENABLED", "ScheduleExpression": "rate(5 minutes)"});
    let tls = json!({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]});
    vec![
        says(
            "sts get-caller-identity ",
            &json!({"UserId": "AIDA", "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/x"}),
        ),
        says(
            "cloudformation describe-stacks ",
            &json!({"Stacks": [{"StackName": "t", "StackStatus": "UPDATE_COMPLETE", "Parameters": [
            parameter("ImageUri", IMAGE), parameter("Types", "g5.xlarge,g5.2xlarge"), parameter("CpuTypes", "m6i.large")],
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"}}]}),
        ),
        says(
            "cloudformation list-stack-resources ",
            &json!({ "StackResourceSummaries": list }),
        ),
        quota("L-3819A6DF", 64.0),
        quota("L-DB2E81BA", 16.0),
        quota("L-34B43A08", 256.0),
        quota("L-1216C47A", 256.0),
        says(
            "ec2 describe-availability-zones ",
            &json!({"AvailabilityZones": [{"ZoneName": "us-east-1a"}, {"ZoneName": "us-east-1b"}]}),
        ),
        says(
            "ec2 describe-instance-type-offerings ",
            &json!({ "InstanceTypeOfferings": offerings }),
        ),
        says(
            "ec2 describe-launch-template-versions ",
            &json!({"LaunchTemplateVersions": [{"VersionNumber": 4, "LaunchTemplateData": {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}}}]}),
        ),
        says(
            "ecr batch-get-image ",
            &json!({"images": [{"imageManifest": manifest.to_string()}], "failures": []}),
        ),
        says(
            "iam get-role ",
            &json!({"Role": {"RoleName": "AWSServiceRoleForBatch"}}),
        ),
        says(
            "iam list-attached-role-policies ",
            &json!({"AttachedPolicies": [{"PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}]}),
        ),
        says("iam list-role-policies ", &json!({"PolicyNames": []})),
        says(
            "batch describe-compute-environments ",
            &json!({ "computeEnvironments": environments }),
        ),
        says(
            "batch describe-job-queues ",
            &json!({ "jobQueues": queues }),
        ),
        says(
            "batch describe-job-definitions ",
            &json!({ "jobDefinitions": definitions }),
        ),
        says(
            "lambda get-function-configuration ",
            &json!({"State": "Active", "LastUpdateStatus": "Successful", "Architectures": ["x86_64"], "Timeout": 60, "LastModified": "2026-11-20T10:00:00.000+0000",
            "Environment": {"Variables": {
                "TRAINSPOT_DATA_BUCKET": "t-data", "TRAINSPOT_RESULTS_BUCKET": "t-results", "TRAINSPOT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:t-Topic",
                "TRAINSPOT_SPOT_QUEUE": arn("job-queue/SpotQueue"), "TRAINSPOT_ON_DEMAND_QUEUE": arn("job-queue/OnDemandQueue"), "TRAINSPOT_POST_PROCESSING_QUEUE": arn("job-queue/PostProcessingQueue"),
                "TRAINSPOT_TRAIN_JOB_DEFINITION": arn("job-definition/train:3"), "TRAINSPOT_POST_PROCESSING_JOB_DEFINITION": arn("job-definition/post:3"), "TRAINSPOT_IMAGE": IMAGE,
                "TRAINSPOT_GPU_INSTANCE_TYPES": "g5.xlarge,g5.2xlarge", "TRAINSPOT_CPU_INSTANCE_TYPES": "m6i.large",
                "TRAINSPOT_SCHEDULES": format!("{{\"nightly\":{{\"expression\":\"{CRON}\",\"time_zone\":\"UTC\"}}}}"), "TRAINSPOT_FUNCTION_TIMEOUT_S": "60"}}}),
        ),
        says("events describe-rule --name t-OnTick ", &tick),
        says("events describe-rule --name t-OnSweep ", &sweep),
        says(
            "events describe-rule ",
            &json!({"State": "ENABLED", "EventPattern": "{}"}),
        ),
        says(
            "s3api get-bucket-location ",
            &json!({"LocationConstraint": null}),
        ),
        says(
            "s3api get-public-access-block ",
            &json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true}}),
        ),
        prints("s3api get-bucket-versioning ", ""),
        says(
            "s3api get-bucket-policy ",
            &json!({"Policy": tls.to_string()}),
        ),
        says(
            "s3api list-objects-v2 --bucket t-data ",
            &json!({"Contents": [{"Key": "clicks/1.parquet"}, {"Key": "clicks/_READY"}]}),
        ),
        says(
            "s3api list-objects-v2 --bucket t-results ",
            &json!({"Contents": [{"Key": "pipelines/nightly.toml"}]}),
        ),
        prints("s3 cp s3://t-results/pipelines/nightly.toml - ", SPEC),
        says(
            "sns list-subscriptions-by-topic ",
            &json!({"Subscriptions": [{"SubscriptionArn": "arn:aws:sns:us-east-1:123456789012:t-Topic:1", "Protocol": "email", "Endpoint": "team@example.com"}]}),
        ),
        says(
            "sqs get-queue-attributes ",
            &json!({"Attributes": {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"}}),
        ),
        says(
            "cloudwatch describe-alarms ",
            &json!({"MetricAlarms": [{"AlarmName": "t-LettersAlarm", "StateValue": "OK", "ActionsEnabled": true}]}),
        ),
        says(
            "budgets describe-budget ",
            &json!({"Budget": {"BudgetLimit": {"Amount": "150.0", "Unit": "USD"}, "CalculatedSpend": {"ActualSpend": {"Amount": "12.5", "Unit": "USD"}}}}),
        ),
    ]
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
        absent("s3 cp ", "404"),
        says("sns list-subscriptions-by-topic ", &json!({"Subscriptions": [{"SubscriptionArn": "PendingConfirmation", "Endpoint": "team@example.com"}]})),
        says("sqs get-queue-attributes ", &json!({"Attributes": {"ApproximateNumberOfMessages": "3"}})),
        says("cloudwatch describe-alarms ", &json!({"MetricAlarms": [{"AlarmName": "t-LettersAlarm", "StateValue": "ALARM", "ActionsEnabled": true}]})),
        says("budgets describe-budget ", &json!({"Budget": {"BudgetLimit": {"Amount": "10.0"}, "CalculatedSpend": {"ActualSpend": {"Amount": "12.5"}}}})),
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
    place.aws(&well_but([
        refuses("cloudformation ", gone),
        refuses("iam get-role ", no_role),
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
