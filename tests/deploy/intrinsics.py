"""CloudFormation's functions and conditions, worked out for one stack.

What is not known here is an error, never a guess: a policy that is read wrongly would be judged wrongly.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
PARTITION = "aws"
# What `AWS::NoValue` comes to: the property is not there.
NOTHING = object()

Attribute = Callable[[str, str], str]


class Unknown(Exception):
    """A part of the template that cannot be worked out here."""


class Stack:
    """A translated template with its parameters, and the names that its resources got."""

    def __init__(
        self,
        template: dict[str, Any],
        parameters: dict[str, str],
        name: str,
        physical: dict[str, str],
        attribute: Attribute | None = None,
        zones: list[str] | None = None,
    ) -> None:
        self.template = template
        self.name = name
        self.physical = physical
        self.zones = zones or [f"{REGION}{letter}" for letter in "abcdef"]
        self.attribute_elsewhere = attribute
        self.parameters = self._parameters(parameters)

    def _parameters(self, given: dict[str, str]) -> dict[str, Any]:
        declared = self.template.get("Parameters", {})
        if strange := sorted(set(given) - set(declared)):
            raise Unknown(f"the template has no parameter {', '.join(strange)}")
        values = {}
        for name, parameter in declared.items():
            value = given.get(name, parameter.get("Default"))
            if value is None:
                raise Unknown(f"the parameter {name} has no value")
            is_list = parameter["Type"] == "CommaDelimitedList"
            values[name] = str(value).split(",") if is_list else str(value)
        return values

    def kind(self, logical_id: str) -> str:
        """The type of a resource."""
        return self.template["Resources"][logical_id]["Type"]

    def exists(self, logical_id: str) -> bool:
        """Whether the resource's condition holds."""
        condition = self.template["Resources"][logical_id].get("Condition")
        return condition is None or self.condition(condition)

    def resources(self, kind: str | None = None) -> list[str]:
        """The logical ids of what is made, of one type or of all."""
        ids = self.template["Resources"]
        return [i for i in ids if self.exists(i) and kind in (None, self.kind(i))]

    def properties(self, logical_id: str) -> dict[str, Any]:
        """A resource's properties, with nothing left to work out."""
        return self.value(self.template["Resources"][logical_id].get("Properties", {}))

    def condition(self, name: str) -> bool:
        """A condition by its name."""
        return self._claim(self.template["Conditions"][name])

    def _claim(self, claim: Any) -> bool:
        match claim:
            case {"Condition": name}:
                return self.condition(name)
            case {"Fn::Equals": [left, right]}:
                # CloudFormation compares texts: a number in a condition is written as one.
                return str(self.value(left)) == str(self.value(right))
            case {"Fn::Not": [inner]}:
                return not self._claim(inner)
            case {"Fn::And": claims}:
                return all(self._claim(inner) for inner in claims)
            case {"Fn::Or": claims}:
                return any(self._claim(inner) for inner in claims)
        raise Unknown(f"the condition {claim!r}")

    def value(self, raw: Any) -> Any:
        """A value with nothing left to work out."""
        if isinstance(raw, list):
            values = [self.value(inner) for inner in raw]
            return [value for value in values if value is not NOTHING]
        if not isinstance(raw, dict):
            return raw
        if len(raw) == 1:
            ((name, argument),) = raw.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, argument)
        values = {name: self.value(inner) for name, inner in raw.items()}
        return {name: value for name, value in values.items() if value is not NOTHING}

    def _function(self, name: str, argument: Any) -> Any:
        match name, argument:
            case "Ref", str():
                return self.ref(argument)
            case "Fn::GetAtt", [logical_id, attribute]:
                return self.attribute(logical_id, attribute)
            case "Fn::GetAtt", str():
                return self.attribute(*argument.split(".", 1))
            case "Fn::Sub", str():
                return self._sub(argument, {})
            case "Fn::Sub", [text, values]:
                return self._sub(text, {key: self.value(raw) for key, raw in values.items()})
            case "Fn::If", [condition, then, otherwise]:
                return self.value(then if self.condition(condition) else otherwise)
            case "Fn::Join", [between, parts]:
                return between.join(str(part) for part in self.value(parts))
            case "Fn::Split", [between, text]:
                return self.value(text).split(between)
            case "Fn::Select", [index, parts]:
                return self.value(parts)[int(self.value(index))]
            case "Fn::GetAZs", _:
                return self.zones
            case "Fn::Base64", text:
                return base64.b64encode(self.value(text).encode()).decode()
        raise Unknown(f"{name} of {argument!r}")

    def _sub(self, text: str, values: dict[str, Any]) -> str:
        def put(found: re.Match[str]) -> str:
            name = found.group(1).strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(values[name])
            if "." in name:
                return self.attribute(*name.split(".", 1))
            return str(self.ref(name))

        return re.sub(r"\$\{([^}]*)\}", put, text)

    def ref(self, name: str) -> Any:
        """What `Ref` gives."""
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": PARTITION,
            "AWS::StackName": self.name,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self.name}/0",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NOTHING,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self._physical(name)

    def _physical(self, logical_id: str) -> str:
        if logical_id not in self.template["Resources"]:
            raise Unknown(f"the template has no {logical_id}")
        if not self.exists(logical_id):
            raise Unknown(f"{logical_id} is named, and its condition is false")
        if logical_id not in self.physical:
            raise Unknown(f"nobody said what {logical_id} is called")
        return self.physical[logical_id]

    def attribute(self, logical_id: str, attribute: str) -> str:
        """What `Fn::GetAtt` gives."""
        kind, ref = self.kind(logical_id), self._physical(logical_id)
        here = f"{REGION}:{ACCOUNT}"
        is_arn = attribute in ("Arn", "TopicArn")
        match kind:
            case "AWS::S3::Bucket" if is_arn:
                return f"arn:aws:s3:::{ref}"
            case "AWS::Lambda::Function" if is_arn:
                return f"arn:aws:lambda:{here}:function:{ref}"
            case "AWS::SQS::Queue" if is_arn:
                return f"arn:aws:sqs:{here}:{ref.rsplit('/', 1)[-1]}"
            case "AWS::SQS::Queue" if attribute == "QueueName":
                return ref.rsplit("/", 1)[-1]
            case "AWS::IAM::Role" if is_arn:
                return f"arn:aws:iam::{ACCOUNT}:role/{ref}"
            case "AWS::IAM::InstanceProfile" if is_arn:
                return f"arn:aws:iam::{ACCOUNT}:instance-profile/{ref}"
            case "AWS::Events::Rule" if is_arn:
                return f"arn:aws:events:{here}:rule/{ref}"
            case "AWS::Scheduler::Schedule" if is_arn:
                return f"arn:aws:scheduler:{here}:schedule/default/{ref}"
            case "AWS::Logs::LogGroup" if is_arn:
                return f"arn:aws:logs:{here}:log-group:{ref}:*"
            case "AWS::ECR::Repository" if is_arn:
                return f"arn:aws:ecr:{here}:repository/{ref}"
            case "AWS::ECR::Repository" if attribute == "RepositoryUri":
                return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{ref}"
            case "AWS::CloudWatch::Alarm" if is_arn:
                return f"arn:aws:cloudwatch:{here}:alarm:{ref}"
            case "AWS::SNS::Topic" if is_arn:
                return ref
            case "AWS::SNS::Topic" if attribute == "TopicName":
                return ref.rsplit(":", 1)[-1]
        if self.attribute_elsewhere is not None:
            return self.attribute_elsewhere(logical_id, attribute)
        raise Unknown(f"{attribute} of {logical_id} ({kind})")
