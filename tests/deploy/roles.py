"""Whose policies stand in the template: each role with its documents, and each resource that lets services in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from intrinsics import ACCOUNT, REGION, Stack, Unknown

# AWS's own, whose text is not the template's: who has it, and why nothing narrower is written here.
MANAGED_BY_AWS = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole": (
        "SAM gives it to every function; it writes to CloudWatch Logs and no more"
    ),
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role": (
        "what the ECS agent on a Batch host needs is AWS's to say, and changes with the agent"
    ),
    "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy": (
        "with a secret Batch starts containers by an execution role, which must pull and log too"
    ),
}


@dataclass
class Role:
    """A role, and the policies that the template writes for it, by the resource that holds each."""

    logical_id: str
    documents: dict[str, dict[str, Any]]


def roles(stack: Stack) -> dict[str, Role]:
    """Every role of the stack."""
    managed = {
        stack.ref(logical_id): (logical_id, stack.properties(logical_id)["PolicyDocument"])
        for logical_id in stack.resources("AWS::IAM::ManagedPolicy")
    }
    # A policy that names its roles, instead of the other way round, would go unseen here.
    for kind in ("AWS::IAM::Policy", "AWS::IAM::RolePolicy"):
        if found := stack.resources(kind):
            raise Unknown(f"{', '.join(found)}: write it into the role")
    for logical_id in stack.resources("AWS::IAM::ManagedPolicy"):
        if "Roles" in stack.properties(logical_id):
            raise Unknown(f"{logical_id} names its roles: let the roles name it")
    return {
        logical_id: Role(logical_id, documents(stack, logical_id, managed))
        for logical_id in stack.resources("AWS::IAM::Role")
    }


def documents(
    stack: Stack, role: str, managed: dict[str, tuple[str, dict[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """A role's policies: its own, those of the stack that it names, and none of AWS's."""
    properties = stack.properties(role)
    found = {
        f"{role}.{policy['PolicyName']}": policy["PolicyDocument"] for policy in properties.get("Policies", [])
    }
    for arn in properties.get("ManagedPolicyArns", []):
        if arn in managed:
            name, document = managed[arn]
            found[name] = document
        elif arn not in MANAGED_BY_AWS:
            raise Unknown(f"the managed policy {arn} of {role}")
    return found


def role_of(stack: Stack, principal: str) -> str:
    """The logical id of the role that `function/…`, `job/…` or `schedule/…` works with."""
    kind, logical_id = principal.split("/", 1)
    properties = stack.properties(logical_id)
    match kind:
        case "function":
            arn = properties["Role"]
        case "job":
            arn = properties["ContainerProperties"]["JobRoleArn"]
        case "schedule":
            arn = properties["Target"]["RoleArn"]
        case _:
            raise Unknown(f"the principal {principal}")
    by_arn = {stack.attribute(role, "Arn"): role for role in stack.resources("AWS::IAM::Role")}
    return by_arn[arn]


def resource_policies(stack: Stack) -> list[tuple[str, dict[str, Any]]]:
    """Each with the ARN of the resource that it stands on."""
    found: list[tuple[str, dict[str, Any]]] = []
    for logical_id in stack.resources("AWS::S3::BucketPolicy"):
        properties = stack.properties(logical_id)
        found.append((f"arn:aws:s3:::{properties['Bucket']}", properties["PolicyDocument"]))
    for logical_id in stack.resources("AWS::SQS::QueuePolicy"):
        properties = stack.properties(logical_id)
        for url in properties["Queues"]:
            name = url.rsplit("/", 1)[-1]
            arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
            found.append((arn, properties["PolicyDocument"]))
    for logical_id in stack.resources("AWS::SNS::TopicPolicy"):
        properties = stack.properties(logical_id)
        found += [(topic, properties["PolicyDocument"]) for topic in properties["Topics"]]
    for logical_id in stack.resources("AWS::Lambda::Permission"):
        found.append(permission(stack.properties(logical_id)))
    return found


def permission(properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A function's permission, as the statement that Lambda makes of it."""
    name = properties["FunctionName"]
    is_arn = name.startswith("arn:")
    arn = name if is_arn else f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": properties["Principal"]},
        "Action": properties["Action"],
        "Resource": arn,
    }
    condition = {}
    if "SourceArn" in properties:
        condition["ArnLike"] = {"aws:SourceArn": properties["SourceArn"]}
    if "SourceAccount" in properties:
        condition["StringEquals"] = {"aws:SourceAccount": properties["SourceAccount"]}
    if condition:
        statement["Condition"] = condition
    return arn, {"Version": "2012-10-17", "Statement": [statement]}
