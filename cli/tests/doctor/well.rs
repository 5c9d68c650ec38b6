//! What AWS says of a stack that is well, in the shapes of its documentation.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use trainspot_shared::cost::Usd;
use trainspot_shared::pipeline_head::PipelineHead;

use crate::fake_aws::{CRON, IMAGE, SPEC, Said, prints, says};

const TYPES: [&str; 3] = ["g5.xlarge", "g5.2xlarge", "m6i.large"];

pub(crate) fn arn(rest: &str) -> String {
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
pub(crate) fn well() -> Vec<Said> {
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
                "TRAINSPOT_TRAIN_JOB_DEFINITION": arn("job-definition/train:3"), "TRAINSPOT_POST_PROCESSING_JOB_DEFINITION": arn("job-definition/post:3"), "TRAINSPOT_IMAGE": IMAGE, "TRAINSPOT_POST_PROCESSING_IMAGE": IMAGE,
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
        head_with_spend(12_500_000),
    ]
}

/// The pipeline's head with so many micro-dollars in this month, and in the next one, should it begin now.
pub(crate) fn head_with_spend(micros: i64) -> Said {
    let name = "nightly".parse().expect("a valid name");
    let now = Timestamp::now();
    let mut head = PipelineHead::first(name, now, "w0".to_owned());
    let date = now.to_zoned(TimeZone::UTC).date();
    for date in [date, date.saturating_add(1.month())] {
        let runs = BTreeMap::from([("nightly-1".to_owned(), Usd::from_micros(micros))]);
        head.spend.insert(date.strftime("%Y-%m").to_string(), runs);
    }
    let head = serde_json::to_value(head).expect("a document");
    says("s3 cp s3://t-results/state/nightly/head.json - ", &head)
}
