"""Who calls what: as recorded in whole runs, and as services do it by themselves for the stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluator import Call
from intrinsics import ACCOUNT, REGION, Stack
from translated import ROOT

RECORDED = ROOT / "target" / "recorded-calls"
# Written by one test that visits everything; the bad weeks' recordings come on top of it.
TOUR = RECORDED / "tour.jsonl"
NAME = "trainspot-local"
# What every call of the stack says to conditions.
EVERYWHERE = {"aws:SecureTransport": "true", "aws:ResourceAccount": ACCOUNT}


@dataclass(frozen=True)
class Made:
    """A call, and who made it: `function/…`, `job/…`, `schedule/…`, or for a service `rule/…`, `alarm/…`."""

    principal: str
    call: Call

    @property
    def is_by_service(self) -> bool:
        """By a service in its own name, so that only the resource's policy can allow it."""
        return bool(self.call.service)

    def __str__(self) -> str:
        return f"{self.principal} {self.call.action} {self.call.resource}"


def recorded(path: Path = TOUR) -> tuple[dict[str, str], list[Made]]:
    """What the stack's resources were called, and every question to IAM, one for each resource."""
    if not path.exists():
        told = path.relative_to(ROOT)
        raise FileNotFoundError(f"{told} is not there: `make privileges` records it, and so does `make test`")
    lines = path.read_text().splitlines()
    physical = json.loads(lines[0])["physical"]
    made = []
    for line in lines[1:]:
        asked = json.loads(line)
        context = EVERYWHERE | asked["context"]
        made += [
            Made(asked["principal"], Call(asked["action"], resource, context)) for resource in asked["resources"]
        ]
    return physical, made


def stack_of(template: dict[str, Any], parameters: dict[str, str], physical: dict[str, str]) -> Stack:
    """The recorded stack: what the recording does not name is called as CloudFormation would."""
    names = {logical_id: f"{NAME}-{logical_id}" for logical_id in template["Resources"]}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            names[logical_id] = f"arn:aws:iam::{ACCOUNT}:policy/{NAME}-{logical_id}"
    return Stack(template, parameters, NAME, names | physical)


def by_services(stack: Stack) -> Iterator[Made]:
    """What the template itself makes services do, whether or not it happened while calls were recorded."""
    for rule in stack.resources("AWS::Events::Rule"):
        context = EVERYWHERE | {"aws:SourceArn": stack.attribute(rule, "Arn")}
        for target in stack.properties(rule)["Targets"]:
            for call in deliveries(target):
                by_rule = replace(call, context=context, service="events.amazonaws.com")
                yield Made(f"rule/{rule}", by_rule)
    for schedule in stack.resources("AWS::Scheduler::Schedule"):
        for call in deliveries(stack.properties(schedule)["Target"]):
            yield Made(f"schedule/{schedule}", call)
    for logical_id in stack.resources("AWS::Lambda::EventInvokeConfig"):
        properties = stack.properties(logical_id)
        function = functions_by_name(stack)[properties["FunctionName"]]
        queue = properties["DestinationConfig"]["OnFailure"]["Destination"]
        yield Made(f"function/{function}", Call("sqs:SendMessage", queue, EVERYWHERE))
    for alarm in stack.resources("AWS::CloudWatch::Alarm"):
        arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{stack.ref(alarm)}"
        context = EVERYWHERE | {"aws:SourceArn": arn, "aws:SourceAccount": ACCOUNT}
        for topic in stack.properties(alarm)["AlarmActions"]:
            call = Call("sns:Publish", topic, context, "cloudwatch.amazonaws.com")
            yield Made(f"alarm/{alarm}", call)


def deliveries(target: dict[str, Any]) -> Iterator[Call]:
    """An event handed to a function, and kept where that fails."""
    yield Call("lambda:InvokeFunction", target["Arn"], EVERYWHERE)
    if "DeadLetterConfig" in target:
        yield Call("sqs:SendMessage", target["DeadLetterConfig"]["Arn"], EVERYWHERE)


def functions_by_name(stack: Stack) -> dict[str, str]:
    """Logical ids of functions, by what `Ref` gives."""
    return {stack.ref(function): function for function in stack.resources("AWS::Lambda::Function")}


def one_of_each_kind(made: list[Made]) -> list[Made]:
    """Runs, jobs and attempts differ in numbers and names; policies cannot tell them apart."""
    kinds: dict[tuple[str, str, str], Made] = {}
    for call in made:
        shape = re.sub(r"[0-9a-f]{8,}|\d+", "0", call.call.resource)
        kinds.setdefault((call.principal, call.call.action, shape), call)
    return list(kinds.values())
