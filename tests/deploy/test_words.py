"""The template's texts against what AWS takes for one: cfn-lint knows few of these rules, and moto none.

A text that AWS refuses fails the whole first deployment, after minutes, and rolls everything back.
"""

from __future__ import annotations

import json

import pytest
import regex
from intrinsics import Stack
from translated import IMAGE, read, translate
from words import Rule, documented, shape, texts

# As long as a stack's name may be with what the template puts behind it (`-post-processing`, of 128 for a job
# definition): CloudFormation itself takes 128.
NAME = "a" * 40
PARAMETERS = {
    "ImageUri": IMAGE,
    "NotificationEmail": "somebody@example.com",
    "MonthlyBudgetUsd": "100",
    "ZoneCount": "4",
    "SecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf",
}
VARIANTS = [PARAMETERS, PARAMETERS | {"ScheduleTimeZone": "Asia/Seoul"}]

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
SID = Rule(pattern="[A-Za-z0-9]*")
# Batch's API reference, EvaluateOnExit: letters, digits, points, colons, white space, and a `*` at the end.
GLOB = Rule(512, pattern=r"[A-Za-z0-9.:\s]*\*?")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
METRIC_ID = Rule(255, 1, "[a-z][a-zA-Z0-9_]*")
TAG_KEY, TAG_VALUE = shape("iam", "tagKeyType"), shape("iam", "tagValueType")

# Batch's API reference, ContainerProperties, environment: no name of a job's begins with AWS_BATCH.
JOB_VARIABLE = Rule(pattern="(?!AWS_BATCH)[A-Za-z_][A-Za-z0-9_]*")

RULES = {
    ("AWS::Batch::JobDefinition", "ContainerProperties.Environment.Name"): JOB_VARIABLE,
    ("AWS::Batch::JobDefinition", "ContainerProperties.MountPoints.SourceVolume"): Rule(255, 1, "[A-Za-z0-9_-]+"),
    ("AWS::Batch::JobDefinition", "ContainerProperties.Secrets.Name"): shape("lambda", "EnvironmentVariableName"),
    ("AWS::Batch::JobDefinition", "ContainerProperties.Volumes.Name"): Rule(255, 1, "[A-Za-z0-9_-]+"),
    ("AWS::Batch::JobDefinition", "JobDefinitionName"): Rule(128, 1, "[A-Za-z0-9][A-Za-z0-9_-]*"),
    ("AWS::Batch::JobDefinition", "RetryStrategy.EvaluateOnExit.OnExitCode"): Rule(512, 1, r"\d*\*?"),
    ("AWS::Batch::JobDefinition", "RetryStrategy.EvaluateOnExit.OnReason"): GLOB,
    ("AWS::Batch::JobDefinition", "RetryStrategy.EvaluateOnExit.OnStatusReason"): GLOB,
    ("AWS::CloudWatch::Alarm", "AlarmDescription"): shape("cloudwatch", "AlarmDescription"),
    ("AWS::CloudWatch::Alarm", "Dimensions.Name"): shape("cloudwatch", "DimensionName"),
    ("AWS::CloudWatch::Alarm", "Metrics.Expression"): shape("cloudwatch", "MetricExpression"),
    ("AWS::CloudWatch::Alarm", "Metrics.Id"): METRIC_ID,
    ("AWS::CloudWatch::Alarm", "Metrics.Label"): Rule(),  # CloudWatch bounds it nowhere
    ("AWS::CloudWatch::Alarm", "Metrics.MetricStat.Metric.Dimensions.Name"): shape("cloudwatch", "DimensionName"),
    ("AWS::CloudWatch::Alarm", "Metrics.MetricStat.Metric.Namespace"): shape("cloudwatch", "Namespace"),
    ("AWS::CloudWatch::Alarm", "Namespace"): shape("cloudwatch", "Namespace"),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
    ("AWS::CloudWatch::Dashboard", "DashboardName"): Rule(255, 1, "[A-Za-z0-9_-]+"),
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateData.BlockDeviceMappings.DeviceName"): Rule(255, 1),
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateData.TagSpecifications.Tags.Key"): TAG_KEY,
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateData.TagSpecifications.Tags.Value"): TAG_VALUE,
    # 16 KB before it is encoded: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateData.UserData"): Rule(16 * 1024 * 4 // 3),
    ("AWS::EC2::SecurityGroup", "GroupDescription"): documented(
        "ec2", "CreateSecurityGroupRequest", "Description"
    ),
    ("AWS::EC2::SecurityGroup", "SecurityGroupEgress.Description"): documented("ec2", "IpRange", "Description"),
    ("AWS::EC2::VPC", "Tags.Key"): TAG_KEY,
    ("AWS::EC2::VPC", "Tags.Value"): TAG_VALUE,
    ("AWS::EC2::VPCEndpoint", "PolicyDocument.Statement.Sid"): SID,
    ("AWS::EC2::VPCEndpoint", "ServiceName"): Rule(),  # a name of AWS's own
    ("AWS::ECR::Repository", "LifecyclePolicy.LifecyclePolicyText"): shape("ecr", "LifecyclePolicyText"),
    ("AWS::Events::Rule", "Description"): shape("events", "RuleDescription"),
    ("AWS::Events::Rule", "ScheduleExpression"): shape("events", "ScheduleExpression"),
    ("AWS::Events::Rule", "Targets.Id"): shape("events", "TargetId"),
    ("AWS::Events::Rule", "Targets.InputTransformer.InputTemplate"): shape("events", "TransformerInput"),
    ("AWS::IAM::ManagedPolicy", "Description"): shape("iam", "policyDescriptionType"),
    ("AWS::IAM::ManagedPolicy", "PolicyDocument.Statement.Sid"): SID,
    ("AWS::IAM::Role", "Policies.PolicyDocument.Statement.Sid"): SID,
    ("AWS::IAM::Role", "Policies.PolicyName"): shape("iam", "policyNameType"),
    ("AWS::IAM::Role", "Tags.Key"): TAG_KEY,
    ("AWS::IAM::Role", "Tags.Value"): TAG_VALUE,
    ("AWS::Lambda::Function", "Tags.Key"): TAG_KEY,
    ("AWS::Lambda::Function", "Tags.Value"): TAG_VALUE,
    ("AWS::S3::Bucket", "LifecycleConfiguration.Rules.Id"): Rule(255, 1),
    ("AWS::S3::BucketPolicy", "PolicyDocument.Statement.Sid"): SID,
    ("AWS::Scheduler::Schedule", "Description"): shape("scheduler", "Description"),
    ("AWS::Scheduler::Schedule", "ScheduleExpression"): shape("scheduler", "ScheduleExpression"),
    ("AWS::Scheduler::Schedule", "ScheduleExpressionTimezone"): shape("scheduler", "ScheduleExpressionTimezone"),
    # https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html: 100, in ASCII for a mail's sender
    ("AWS::SNS::Topic", "DisplayName"): Rule(100, pattern="[ -~]*"),
    ("AWS::SNS::TopicPolicy", "PolicyDocument.Statement.Sid"): SID,
    ("AWS::SQS::QueuePolicy", "PolicyDocument.Statement.Sid"): SID,
}
# What a property with such a name holds is words, or a name that somebody thought of: it needs a rule above.
WORDS = regex.compile(r"(Name|Description|Label|Sid|Id|Key|Namespace|Expression|UserData|InputTemplate|Text)$")
# Of other resources, or of AWS, by their last names: not words of ours.
REFERENCES = regex.compile(
    r"(^|\.)((Vpc|Subnet|Gateway|InternetGateway|RouteTable|Allocation|LaunchTemplate)Id"
    r"|(Function|Metric)Name|S3Key)$"
)

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
PARAMETER_DESCRIPTION = Rule(4000)
OUTPUT_DESCRIPTION = Rule(1024)
TEMPLATE_DESCRIPTION = Rule(1024)


def stack(parameters: dict[str, str]) -> Stack:
    """The translated template under a name, with everything in it named."""
    template = translate(read(), parameters)
    names = {logical_id: f"{NAME}-{logical_id}-ABCDEFGHIJKL" for logical_id in template["Resources"]}
    return Stack(template, parameters, NAME, names, lambda logical_id, name: f"{name}-of-{logical_id}")


@pytest.mark.parametrize("parameters", VARIANTS)
def test_aws_takes_every_text(parameters: dict[str, str]) -> None:
    """Character by character where AWS names the characters."""
    made = stack(parameters)
    wrong, without_rule = [], set()
    for logical_id in made.resources():
        kind = made.kind(logical_id)
        for path, text in texts(made.properties(logical_id)):
            rule = RULES.get((kind, path))
            if rule is None:
                if WORDS.search(path) and not REFERENCES.search(path):
                    without_rule.add((kind, path))
            elif complaint := rule.complaint(text):
                wrong.append(f"{logical_id}, {path}: {text!r}: {complaint}")

    assert wrong == []
    assert without_rule == set(), "a new text: say above what AWS takes for it"


def test_the_rules_are_of_texts_that_are_there() -> None:
    """A rule of a text that is gone would be taken for a check."""
    made = [stack(parameters) for parameters in VARIANTS]
    there = {(s.kind(i), path) for s in made for i in s.resources() for path, _ in texts(s.properties(i))}

    assert set(RULES) - there == set()


def test_the_template_itself_is_within_its_limits() -> None:
    """What CloudFormation shows of it; beyond ASCII it shows question marks, in the console and in answers."""
    template = read()
    wrong = [
        f"{section}.{name}: {complaint}"
        for section, rule in (("Parameters", PARAMETER_DESCRIPTION), ("Outputs", OUTPUT_DESCRIPTION))
        for name, one in template[section].items()
        if (complaint := rule.complaint(one.get("Description", "")))
    ]

    assert wrong == []
    assert TEMPLATE_DESCRIPTION.complaint(template["Description"]) is None
    assert [(path, text) for path, text in texts(template) if not text.isascii()] == []


@pytest.mark.parametrize("parameters", VARIANTS)
def test_documents_are_within_their_limits(parameters: dict[str, str]) -> None:
    """Policies, patterns and variables are bounded as wholes."""
    made = stack(parameters)

    def length(value: object) -> int:
        return len(json.dumps(value, separators=(",", ":")))

    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, white space not counted
    for policy in made.resources("AWS::IAM::ManagedPolicy"):
        assert length(made.properties(policy)["PolicyDocument"]) <= 6144, policy
    for role in made.resources("AWS::IAM::Role"):
        policies = made.properties(role).get("Policies", [])
        assert sum(length(policy["PolicyDocument"]) for policy in policies) <= 10240, role
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
    for rule in made.resources("AWS::Events::Rule"):
        assert length(made.properties(rule).get("EventPattern", {})) <= 2048, rule
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; a third is left for longer lists
    for function in made.resources("AWS::Lambda::Function"):
        assert length(made.properties(function)["Environment"]["Variables"]) <= 4096 * 2 // 3, function


SCHEDULES = {
    "cron(0 2 ? * MON,FRI *)": True,
    "cron(0/15 * * * ? *)": True,
    "cron(0 8 1 * ? *)": True,
    "cron(0 9 ? * 2#1 *)": True,
    "cron(0 0 L * ? 2026-2030)": True,
    "rate(1 minute)": True,
    "rate(1 hour)": True,
    "rate(1 day)": True,
    "rate(2 hours)": True,
    "rate(10 minutes)": True,
    "rate(12 days)": True,
    # EventBridge: one is singular, more are plural, none is none.
    "rate(1 hours)": False,
    "rate(2 hour)": False,
    "rate(10 minute)": False,
    "rate(0 minutes)": False,
    "rate(1.5 hours)": False,
    "rate(1 week)": False,
    # Exactly one of the two days is `?`.
    "cron(0 2 * * MON *)": False,
    "cron(0 2 * * * *)": False,
    "cron(0 2 ? * ? *)": False,
    "cron(0 2 ? * MON)": False,
    "cron(0 2 ? * MON * *)": False,
    "cron(0  2 ? * MON *)": False,
    "0 2 * * 1": False,
    "at(2026-12-01T02:00:00)": False,
}


@pytest.mark.parametrize(("expression", "is_right"), SCHEDULES.items())
def test_the_schedule_is_taken_or_refused_as_eventbridge_would(expression: str, is_right: bool) -> None:
    """Refused at once, in a sentence, and not by a rule that fails in the middle of a deployment."""
    pattern = read()["Parameters"]["ScheduleExpression"]["AllowedPattern"]

    assert (regex.fullmatch(pattern, expression) is not None) is is_right


def test_what_is_remembered_survives_and_a_failed_first_deployment_can_be_repeated() -> None:
    """A bucket is kept, but not when its own creation failed: the empty one would only be in the way."""
    resources = read()["Resources"]
    buckets = {i: one for i, one in resources.items() if one["Type"] == "AWS::S3::Bucket"}

    assert {one["DeletionPolicy"] for one in buckets.values()} == {"RetainExceptOnCreate"}
    assert {one["UpdateReplacePolicy"] for one in buckets.values()} == {"Retain"}


def test_a_training_on_a_gpu_has_more_shared_memory_than_docker_gives() -> None:
    """64 MiB break data loaders with several processes, and NCCL."""
    properties = read()["Resources"]["TrainJobDefinition"]["Properties"]["ContainerProperties"]

    assert properties["LinuxParameters"]["SharedMemorySize"] == 2048
