"""What CloudFormation does on AWS's side of `sam deploy`, and moto's change sets do not.

The `sam` command can then be run as a person types it. The transform of SAM is AWS's own (aws-sam-translator).
What the template is changed for besides is `for_moto`'s, with its reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.models import Stack as MotoStack
from moto_account import for_moto
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse
from translated import NoManagedPolicies

SAM = "AWS::Serverless-2016-10-31"
DONE_FOR_MOTO = {
    "the transform AWS::Serverless": "by aws-sam-translator, between `sam deploy`'s upload and the change set",
    "outputs": "worked out when a change set is executed: moto leaves them as they were before it",
    "parameters that are lists": "described with commas: moto describes them as Python writes a list",
}


def done_to(template: str, parameters: dict[str, str], stack_name: str) -> str:
    """A template's text as CloudFormation would go on with it; one without SAM's transform as it is."""
    written: dict[str, Any] = yaml_parse(template)
    if written.get("Transform") != SAM:
        return template
    translated = transform(written, parameters, NoManagedPolicies())
    return json.dumps(for_moto(translated, parameters, stack_name))


@contextmanager
def change_sets_as_aws_has_them() -> Iterator[list[str]]:
    """While it is open, moto's change sets do what is named above; gives the stacks that were transformed."""
    create, execute = CloudFormationBackend.create_change_set, CloudFormationBackend.execute_change_set
    done: list[str] = []

    def create_change_set(self: CloudFormationBackend, **given: Any) -> tuple[str, str]:
        before = given["template"]
        given["template"] = done_to(before, given["parameters"], given["stack_name"])
        if given["template"] != before:
            done.append(given["stack_name"])
        return create(self, **given)

    def execute_change_set(
        self: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
    ) -> None:
        execute(self, change_set_name, stack_name)
        stack = self.stacks[self.describe_change_set(change_set_name).stack_id]
        stack._parse_template()
        stack.output_map = stack._create_output_map()

    def parameter_list(self: MotoStack) -> list[dict[str, Any]]:
        resolved = self.resource_map.resolved_parameters.items()
        return [
            {"ParameterKey": name, "ParameterValue": ",".join(value) if isinstance(value, list) else value}
            for name, value in resolved
        ]

    with (
        mock.patch.object(MotoStack, "parameter_list", property(parameter_list)),
        mock.patch.object(CloudFormationBackend, "create_change_set", create_change_set),
        mock.patch.object(CloudFormationBackend, "execute_change_set", execute_change_set),
    ):
        yield done
