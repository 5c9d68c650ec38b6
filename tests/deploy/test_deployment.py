"""The stack in moto: made by its CloudFormation, read back, changed, deleted.

What moto does not make or does not keep is printed as a table and pinned here: a property that falls out of sight,
or comes into it, is red.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from comparing import compare, differences
from moto_account import CHANGES_FOR_MOTO, CODE_BUCKET, NAME, Account
from translated import FUNCTION, IMAGE, read

# Of these types moto makes nothing.
NOT_MADE = {
    "AWS::Batch::SchedulingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
}
# Of these it makes something, and keeps not all that the template says.
NOT_KEPT: dict[str, set[str]] = {
    "AWS::Batch::ComputeEnvironment": {
        "ComputeResources.UpdateToLatestImageVersion",
        "ReplaceComputeEnvironment",
        "UpdatePolicy",
    },
    "AWS::Batch::JobDefinition": {
        "PlatformCapabilities",
        "PropagateTags",
        "ResourceRetentionPolicy",
        "SchedulingPriority",
        "Timeout",
    },
    "AWS::Batch::JobQueue": {"JobStateTimeLimitActions", "SchedulingPolicyArn"},
    "AWS::EC2::SecurityGroup": {"SecurityGroupEgress.Description"},
    "AWS::EC2::Subnet": {"MapPublicIpOnLaunch"},
    "AWS::EC2::SubnetRouteTableAssociation": {"SubnetId"},
    "AWS::EC2::VPC": {"EnableDnsHostnames"},
    "AWS::ECR::Repository": {
        "EmptyOnDelete",
        "ImageScanningConfiguration.ScanOnPush",
        "LifecyclePolicy",
    },
    "AWS::IAM::Role": {"ManagedPolicyArns", "Tags"},
    "AWS::Lambda::Function": {"Code", "LoggingConfig", "Tags"},
    "AWS::S3::Bucket": {
        "LifecycleConfiguration",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
        "VersioningConfiguration",
    },
}
# An update of the stack drops these from moto's list, or leaves them as they were.
NOT_UPDATED = {"AWS::Batch::JobDefinition", "AWS::Lambda::Permission"}
# moto's CloudFormation deletes nothing of Batch, and no VPC that has an endpoint.
NOT_DELETED = {"environments", "queues"}
# A stack leaves these behind, as the template asks: data and what is remembered are people's.
RETAINED = {"AWS::S3::Bucket"}
CODE = {
    logical_id: f"the code of {logical_id}".encode()
    for logical_id, resource in read()["Resources"].items()
    if resource["Type"] == FUNCTION
}


@pytest.fixture
def account() -> Iterator[Account]:
    """A new one, with the functions' code uploaded."""
    made = Account()
    made.reset()
    made.package(read(), CODE)
    yield made
    made.close()


def given_network(account: Account) -> dict[str, str]:
    """A VPC that somebody has already."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for n, zone in enumerate("ab")
    ]
    ids = ",".join(subnet["Subnet"]["SubnetId"] for subnet in subnets)
    return {"VpcId": vpc, "SubnetIds": ids}


def given_bucket(account: Account) -> dict[str, str]:
    """A bucket with data that somebody has already."""
    account.client("s3").create_bucket(Bucket="somebodys-data")
    return {"DataBucketName": "somebodys-data"}


VARIANTS = {
    "the first deployment, without an image": lambda _: {"ImageUri": ""},
    "as it comes": lambda _: {},
    "an address, a budget, four zones": lambda _: {
        "NotificationEmail": "somebody@example.com",
        "MonthlyBudgetUsd": "100",
        "ZoneCount": "4",
    },
    "two zones, no dashboard": lambda _: {"ZoneCount": "2", "Dashboard": "false"},
    "a schedule in Seoul": lambda _: {"ScheduleTimeZone": "Asia/Seoul"},
    "a network that is there": given_network,
    "a bucket that is there": given_bucket,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_made_is_what_the_template_says(account: Account, variant: str) -> None:
    """Each resource that moto makes, each property that it keeps."""
    parameters = {"ImageUri": IMAGE} | VARIANTS[variant](account)
    account.client("cloudformation").create_stack(**account.arguments(parameters))
    stack = account.stack(parameters)

    wrong, left_out = compare(account, stack)

    made = account.made()
    not_made = [i for i in stack.resources() if i not in made]
    tell(variant, len(stack.resources()), not_made, left_out, stack.kind)
    assert wrong == []
    assert {stack.kind(logical_id) for logical_id in not_made} <= NOT_MADE
    assert set(made) <= set(stack.resources()), "nothing that a condition forbids"
    unpinned = {kind: paths - NOT_KEPT.get(kind, set()) for kind, paths in left_out.items()}
    assert {kind: paths for kind, paths in unpinned.items() if paths} == {}


def test_the_lists_of_what_moto_leaves_out_are_true(account: Account) -> None:
    """A property that moto has learnt to keep must be compared from then on."""
    parameters = {
        "ImageUri": IMAGE,
        "NotificationEmail": "somebody@example.com",
        "ScheduleTimeZone": "Asia/Seoul",
    }
    account.client("cloudformation").create_stack(**account.arguments(parameters))
    stack = account.stack(parameters)

    _, left_out = compare(account, stack)

    made = account.made()
    assert {stack.kind(i) for i in stack.resources() if i not in made} == NOT_MADE
    assert {kind: paths for kind, paths in left_out.items() if paths} == NOT_KEPT


def tell(variant: str, n_all: int, not_made: list[str], left_out: dict[str, set[str]], kind: Any) -> None:
    """The table, for whoever reads the output."""
    n_kept = n_all - len(not_made)
    print(f"\n== {variant}: {n_kept} of {n_all} resources made and read back; moto did not make:")
    for logical_id in not_made:
        print(f"   {kind(logical_id):40}{logical_id}")
    print("   and of what it made it did not keep:")
    for name, paths in sorted(left_out.items()):
        if paths:
            print(f"   {name:40}{', '.join(sorted(paths))}")
    print("   The template was changed for it:")
    for name, reason in CHANGES_FOR_MOTO.items():
        print(f"   {name:40}{reason}")


def test_functions_get_the_code_that_was_uploaded(account: Account) -> None:
    """moto runs no code here, but keeps it, and says its hash."""
    parameters = {"ImageUri": IMAGE}
    account.client("cloudformation").create_stack(**account.arguments(parameters))
    stack, lambdas = account.stack(parameters), account.client("lambda")

    for logical_id, code in CODE.items():
        found = lambdas.get_function_configuration(FunctionName=stack.ref(logical_id))
        uploaded = account.client("s3").get_object(Bucket=CODE_BUCKET, Key=f"{logical_id}.zip")
        archive = uploaded["Body"].read()
        assert code in archive, "the bootstrap is not compressed"
        assert found["CodeSize"] == len(archive)
        assert found["CodeSha256"] == base64.b64encode(hashlib.sha256(archive).digest()).decode()


def test_an_update_takes_effect(account: Account) -> None:
    """Another schedule, another image: what a person changes most."""
    cloudformation = account.client("cloudformation")
    before = {"ImageUri": IMAGE} | given_network(account)
    cloudformation.create_stack(**account.arguments(before))
    made = account.made()
    changed = {"ScheduleExpression": "cron(30 4 ? * SUN *)", "ImageUri": IMAGE[:-1] + "1"}
    after = before | changed

    cloudformation.update_stack(**account.arguments(after))

    stack = account.stack(after)
    (told,) = cloudformation.describe_stacks(StackName=NAME)["Stacks"]
    assert told["StackStatus"] == "UPDATE_COMPLETE"
    wrong, _ = compare(account, stack, but=NOT_UPDATED)
    assert wrong == []
    assert {stack.kind(i) for i in set(made) - set(account.made())} <= NOT_UPDATED
    rule = account.client("events").describe_rule(Name=stack.ref("OnTickOfRecommender"))
    assert rule["ScheduleExpression"] == changed["ScheduleExpression"]
    for function in stack.resources("AWS::Lambda::Function"):
        found = account.client("lambda").get_function_configuration(FunctionName=stack.ref(function))
        variables = found["Environment"]["Variables"]
        assert variables["TRAINSPOT_IMAGE"] == changed["ImageUri"]
        assert variables["TRAINSPOT_POST_PROCESSING_IMAGE"] == changed["ImageUri"]
        assert changed["ScheduleExpression"] in variables["TRAINSPOT_SCHEDULES"]
    kept = [i for i in made if stack.kind(i) in RETAINED]
    assert [made[i] for i in kept] == [account.made()[i] for i in kept], "data stays where it is"


def test_a_deletion_leaves_what_the_template_retains(account: Account) -> None:
    """Buckets are people's; nothing else is left that costs, or that moto can delete."""
    cloudformation = account.client("cloudformation")
    parameters = {"ImageUri": IMAGE} | given_network(account)
    cloudformation.create_stack(**account.arguments(parameters))
    stack, made = account.stack(parameters), account.made()
    there = left(account)

    cloudformation.delete_stack(StackName=NAME)

    # Not by describing it: for a description's outputs moto makes a deleted stack's resources anew.
    (told,) = cloudformation.list_stacks()["StackSummaries"]
    assert told["StackStatus"] == "DELETE_COMPLETE"
    assert set(there) > set(NOT_DELETED), "the stack was there"
    remains = left(account)
    assert set(remains) - NOT_DELETED == set(), remains
    assert set(remains) == NOT_DELETED, "moto has learnt to delete: take it off the list"
    buckets = {one["Name"] for one in account.client("s3").list_buckets()["Buckets"]}
    assert {made[i] for i in made if stack.kind(i) in RETAINED} <= buckets


def left(account: Account) -> dict[str, list[str]]:
    """What an account would pay for, or be reached by, of the stack."""
    client = account.client
    everything = {
        "functions": [f["FunctionName"] for f in client("lambda").list_functions()["Functions"]],
        "rules": [r["Name"] for r in client("events").list_rules()["Rules"]],
        "queues": [q["jobQueueName"] for q in client("batch").describe_job_queues()["jobQueues"]],
        "environments": [
            e["computeEnvironmentName"]
            for e in client("batch").describe_compute_environments()["computeEnvironments"]
        ],
        "letters": client("sqs").list_queues().get("QueueUrls", []),
        "topics": [t["TopicArn"] for t in client("sns").list_topics()["Topics"]],
        "roles": [r["RoleName"] for r in client("iam").list_roles()["Roles"]],
        "logs": [g["logGroupName"] for g in client("logs").describe_log_groups()["logGroups"]],
        "images": [r["repositoryName"] for r in client("ecr").describe_repositories()["repositories"]],
        "hosts": client("ec2").describe_instances()["Reservations"],
    }
    return {kind: names for kind, names in everything.items() if names}


def test_a_difference_is_seen() -> None:
    """The comparison itself: a value, an element, a property that nobody told of."""
    template = {"A": 1, "B": [{"C": True}, {"C": False}], "D": {"E": "x"}}

    same, untold = differences(template, {"A": "1", "B": [{"C": "false"}, {"C": "true"}], "F": 2})
    other, _ = differences(template, {"A": 2, "B": [{"C": True}, {"C": True}], "D": {"E": "y"}})
    shorter, _ = differences(template, {"A": 1, "B": [{"C": True}], "D": {"E": "x"}})

    assert (same, untold) == ([], ["D"])
    assert [path for path, _ in other] == ["A", "B.C", "D.E"]
    assert [path for path, _ in shorter] == ["B"]
