"""An AWS account in moto server, a third party's AWS, on loopback; and what the template must be changed for it.

Nothing of moto is a judge of the template's text: where it is stricter or poorer than AWS, the template is changed
here on the way, each time with a reason, and the reasons are printed.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import urllib.request
import warnings
import zipfile
from typing import Any

import boto3
from intrinsics import ACCOUNT, REGION, Stack
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer
from translated import FUNCTION, read, translate

CODE_BUCKET = "code-of-the-functions"
NAME = "trainspot-here"


class Account:
    """moto's server in this process: it ends with it, and with `close`."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="Tried to parse")
        default_user_config["batch"]["use_docker"] = False
        default_user_config["lambda"]["use_docker"] = False
        os.environ.setdefault("MOTO_ACCOUNT_ID", "123456789012")
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        _, port = self.server.get_host_and_port()
        # By this name moto tells services and buckets apart.
        self.url = f"http://localhost:{port}"
        self.clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """boto3's, with made-up keys."""
        if service not in self.clients:
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            self.clients[service] = boto3.client(service, region_name=REGION, endpoint_url=self.url, **keys)
        return self.clients[service]

    def reset(self) -> None:
        """moto keeps one state for a process, whatever server is asked."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request) as answer:
            answer.read()

    def close(self) -> None:
        """Nothing listens any more."""
        self.server.stop()

    def package(self, template: dict[str, Any], code: dict[str, bytes]) -> dict[str, str]:
        """As `sam package` does: each function's code in a bucket that was there before."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=CODE_BUCKET)
        uris = {}
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] == FUNCTION:
                key = f"{logical_id}.zip"
                s3.put_object(Bucket=CODE_BUCKET, Key=key, Body=zipped(code.get(logical_id, b"")))
                uris[logical_id] = f"s3://{CODE_BUCKET}/{key}"
        return uris

    def template(self, parameters: dict[str, str]) -> dict[str, Any]:
        """What is deployed: packaged, translated by AWS's translator, and changed for moto."""
        written = read()
        uris = {
            logical_id: f"s3://{CODE_BUCKET}/{logical_id}.zip"
            for logical_id, resource in written["Resources"].items()
            if resource["Type"] == FUNCTION
        }
        return for_moto(translate(written, parameters, uris), parameters)

    def arguments(self, parameters: dict[str, str]) -> dict[str, Any]:
        """Of `create_stack` and `update_stack`, the template by its place in a bucket, as it is long."""
        template = self.template(parameters)
        lists = {
            name: parameter["Default"]
            for name, parameter in template["Parameters"].items()
            if parameter["Type"] == "CommaDelimitedList"
        }
        body = json.dumps(template)
        self.client("s3").put_object(Bucket=CODE_BUCKET, Key="template.json", Body=body)
        return {
            "StackName": NAME,
            "TemplateURL": f"{self.url}/{CODE_BUCKET}/template.json",
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in (lists | parameters).items()
            ],
            "Capabilities": ["CAPABILITY_IAM"],
        }

    def made(self) -> dict[str, str]:
        """The physical id of everything in the stack, by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=NAME)
            for resource in page["StackResourceSummaries"]
            if resource["LogicalResourceId"]  # moto has one without, that is none
        }

    def stack(self, parameters: dict[str, str]) -> Stack:
        """The template with moto's names, worked out by our own hand."""
        zones = self.client("ec2").describe_availability_zones()["AvailabilityZones"]
        names = sorted(zone["ZoneName"] for zone in zones)
        made = self.made()

        def attribute(logical_id: str, name: str) -> str:
            if name == "LatestVersionNumber":
                found = self.client("ec2").describe_launch_templates(LaunchTemplateIds=[made[logical_id]])
                return str(found["LaunchTemplates"][0]["LatestVersionNumber"])
            raise KeyError(f"{name} of {logical_id}")

        template = self.template(parameters)
        # What moto does not make is named by others all the same.
        names_of_all = {logical_id: f"not-made-{logical_id}" for logical_id in template["Resources"]}
        return Stack(template, parameters, NAME, names_of_all | made, attribute, names)


def zipped(binary: bytes) -> bytes:
    """A function's code as it is uploaded."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("bootstrap", binary)
    return buffer.getvalue()


CHANGES_FOR_MOTO = {
    "AWS::ECR::Repository": "a name: moto would make one up with capitals, which it then refuses",
    "AWS::Batch::ComputeEnvironment": ("a service role: moto wants one, where Batch takes its service-linked one"),
    "AWS::NoValue": "lists without what is not there: moto would keep an empty element",
    "AWS::CloudWatch::Alarm": "its ARN is written out: moto makes no alarms, so that none has one",
    "DeletionPolicy": "Retain in place of RetainExceptOnCreate, which moto takes for leave to delete",
    "Parameters": "lists are given even where they are the default: moto does not split a default",
}


def for_moto(template: dict[str, Any], parameters: dict[str, str], name: str = NAME) -> dict[str, Any]:
    """The translated template with the changes above, and no others."""
    stack = Stack(template, parameters, name, {})
    changed = copy.deepcopy(template)
    for logical_id, resource in changed["Resources"].items():
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            resource["DeletionPolicy"] = "Retain"
        match resource["Type"]:
            case "AWS::ECR::Repository":
                resource["Properties"]["RepositoryName"] = f"{name}-{logical_id.lower()}"
            case "AWS::Batch::ComputeEnvironment":
                role = {"Fn::GetAtt": ["HostRole", "Arn"]}
                resource["Properties"]["ServiceRole"] = role
    changed["Resources"] = as_moto_takes_it(changed["Resources"], stack)
    return changed


def as_moto_takes_it(value: Any, stack: Stack) -> Any:
    """Elements that depend on a condition are there, or are not; alarms have made-up ARNs."""
    match value:
        case {"Fn::GetAtt": [alarm, "Arn"]} if stack.kind(alarm) == "AWS::CloudWatch::Alarm":
            return alarm_arn(alarm)
        case str():
            for alarm in stack.resources("AWS::CloudWatch::Alarm"):
                value = value.replace(f"${{{alarm}.Arn}}", alarm_arn(alarm))
            return value
        case dict():
            return {name: as_moto_takes_it(inner, stack) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    kept = []
    for element in value:
        match element:
            case {"Fn::If": [condition, then, {"Ref": "AWS::NoValue"}]}:
                if stack.condition(condition):
                    kept.append(as_moto_takes_it(then, stack))
            case _:
                kept.append(as_moto_takes_it(element, stack))
    return kept


def alarm_arn(logical_id: str) -> str:
    """As CloudWatch would give it to an alarm of that name."""
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{logical_id}"
