"""What is there, read through boto3 and told in the template's own words.

A reader gives the properties that the account knows, by the template's names. What it leaves out, moto does not
keep: the test prints it, and its list is pinned.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from intrinsics import Stack
from moto_account import Account

Properties = dict[str, Any]
Reader = Callable[[Account, Stack, str], Properties]
READERS: dict[str, Reader] = {}


def reads(kind: str) -> Callable[[Reader], Reader]:
    """Of one type of resource."""

    def keep(reader: Reader) -> Reader:
        READERS[kind] = reader
        return reader

    return keep


def capitalised(value: Any) -> Any:
    """Batch's and ECR's `jobQueueName` as CloudFormation's `JobQueueName`."""
    if isinstance(value, list):
        return [capitalised(inner) for inner in value]
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: capitalised(inner) for name, inner in value.items()}
    return value


@reads("AWS::S3::Bucket")
def bucket(account: Account, stack: Stack, logical_id: str) -> Properties:
    s3, name = account.client("s3"), stack.ref(logical_id)
    s3.head_bucket(Bucket=name)
    asked = {
        "PublicAccessBlockConfiguration": (
            s3.get_public_access_block,
            "PublicAccessBlockConfiguration",
        ),
        "OwnershipControls": (s3.get_bucket_ownership_controls, "OwnershipControls"),
        "BucketEncryption": (
            s3.get_bucket_encryption,
            "ServerSideEncryptionConfiguration",
        ),
        "LifecycleConfiguration": (s3.get_bucket_lifecycle_configuration, "Rules"),
        "VersioningConfiguration": (s3.get_bucket_versioning, None),
    }
    found = {}
    for name_here, (ask, part) in asked.items():
        try:
            answer = ask(Bucket=name)
        except ClientError:
            continue  # there is none, which the list of what is left out then says
        answer.pop("ResponseMetadata", None)
        if part is None and answer:
            found[name_here] = answer
        elif part in answer:
            found[name_here] = answer[part]
    if "BucketEncryption" in found:
        rules = found["BucketEncryption"]["Rules"]
        default = "ApplyServerSideEncryptionByDefault"
        in_template = [{"ServerSideEncryptionByDefault": rule[default]} for rule in rules]
        found["BucketEncryption"] = {"ServerSideEncryptionConfiguration": in_template}
    return found


@reads("AWS::ECR::Repository")
def repository(account: Account, stack: Stack, logical_id: str) -> Properties:
    ecr, name = account.client("ecr"), stack.ref(logical_id)
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    told = capitalised(found)
    try:
        text = ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
        told["LifecyclePolicy"] = {"LifecyclePolicyText": json.loads(text)}
    except ClientError:
        pass  # moto keeps none of a stack's
    return told


@reads("AWS::SNS::Topic")
def topic(account: Account, stack: Stack, logical_id: str) -> Properties:
    return account.client("sns").get_topic_attributes(TopicArn=stack.ref(logical_id))["Attributes"]


@reads("AWS::SQS::Queue")
def queue_of_letters(account: Account, stack: Stack, logical_id: str) -> Properties:
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=stack.attribute(logical_id, "QueueName"))["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


@reads("AWS::Logs::LogGroup")
def log_group(account: Account, stack: Stack, logical_id: str) -> Properties:
    name = stack.ref(logical_id)
    found = account.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    (group,) = [group for group in found if group["logGroupName"] == name]
    return capitalised(group)


@reads("AWS::IAM::Role")
def role(account: Account, stack: Stack, logical_id: str) -> Properties:
    iam, name = account.client("iam"), stack.ref(logical_id)
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    documents = {
        policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in names
    }
    return {
        "AssumeRolePolicyDocument": iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"],
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in attached],
        "Policies": [{"PolicyName": policy, "PolicyDocument": document} for policy, document in documents.items()],
    }


@reads("AWS::IAM::InstanceProfile")
def profile(account: Account, stack: Stack, logical_id: str) -> Properties:
    name = stack.ref(logical_id)
    found = account.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return {"Roles": [one["RoleName"] for one in found["Roles"]]}


@reads("AWS::IAM::ManagedPolicy")
def managed_policy(account: Account, stack: Stack, logical_id: str) -> Properties:
    iam, arn = account.client("iam"), stack.ref(logical_id)
    found = iam.get_policy(PolicyArn=arn)["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=found["DefaultVersionId"])
    return found | {"PolicyDocument": version["PolicyVersion"]["Document"]}


@reads("AWS::Batch::ComputeEnvironment")
def environment(account: Account, stack: Stack, logical_id: str) -> Properties:
    arns = [stack.ref(logical_id)]
    found = account.client("batch").describe_compute_environments(computeEnvironments=arns)
    return capitalised(found["computeEnvironments"][0])


@reads("AWS::Batch::JobQueue")
def job_queue(account: Account, stack: Stack, logical_id: str) -> Properties:
    arns = [stack.ref(logical_id)]
    (found,) = account.client("batch").describe_job_queues(jobQueues=arns)["jobQueues"]
    return capitalised(found)


@reads("AWS::Batch::JobDefinition")
def job_definition(account: Account, stack: Stack, logical_id: str) -> Properties:
    arns = [stack.ref(logical_id)]
    (found,) = account.client("batch").describe_job_definitions(jobDefinitions=arns)["jobDefinitions"]
    options = found["containerProperties"].get("logConfiguration", {}).get("options")
    told = capitalised(found)
    for one in told["RetryStrategy"]["EvaluateOnExit"]:
        # Batch gives it back in small letters too.
        one["Action"] = one["Action"].upper()
    if options:
        # Their names are the driver's own.
        told["ContainerProperties"]["LogConfiguration"]["Options"] = options
    return told


@reads("AWS::Events::Rule")
def rule(account: Account, stack: Stack, logical_id: str) -> Properties:
    events, name = account.client("events"), stack.ref(logical_id)
    found = events.describe_rule(Name=name)
    if "EventPattern" in found:
        found["EventPattern"] = json.loads(found["EventPattern"])
    return found | {"Targets": events.list_targets_by_rule(Rule=name)["Targets"]}


@reads("AWS::Lambda::Permission")
def permission(account: Account, stack: Stack, logical_id: str) -> Properties:
    wanted = stack.properties(logical_id)
    text = account.client("lambda").get_policy(FunctionName=wanted["FunctionName"])["Policy"]
    for statement in json.loads(text)["Statement"]:
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        if source == wanted["SourceArn"]:
            return {
                "Action": statement["Action"],
                "FunctionName": statement["Resource"].rsplit(":", 1)[-1],
                "Principal": statement["Principal"]["Service"],
                "SourceArn": source,
            }
    raise AssertionError(f"nobody permits {wanted['SourceArn']}")


@reads("AWS::Lambda::Function")
def function(account: Account, stack: Stack, logical_id: str) -> Properties:
    found = account.client("lambda").get_function_configuration(FunctionName=stack.ref(logical_id))
    tags = account.client("lambda").list_tags(Resource=found["FunctionArn"])["Tags"]
    return found | {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


@reads("AWS::CloudWatch::Dashboard")
def dashboard(account: Account, stack: Stack, logical_id: str) -> Properties:
    name = stack.ref(logical_id)
    found = account.client("cloudwatch").get_dashboard(DashboardName=name)
    return {"DashboardName": name, "DashboardBody": json.loads(found["DashboardBody"])}
