"""The template as CloudFormation gets it: with SAM's own transform, by AWS's own translator."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

# The translator asks boto3 for the region, which then wants one.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
FUNCTION = "AWS::Serverless::Function"
# A run must be repeatable, so the template takes an image by its digest only.
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/trainer@sha256:" + "0" * 64


class NoManagedPolicies:
    """The template names AWS's managed policies by ARN, so the translator needs no list of them."""

    def load(self) -> dict[str, str]:
        """The map from names to ARNs."""
        return {}


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as it is written, with its short forms as `Fn::` and `Ref`."""
    return yaml_parse(path.read_text())


def translate(
    template: dict[str, Any],
    parameters: dict[str, str],
    code: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What SAM makes of it. `code` names the S3 URI of each function's code, by logical id."""
    packaged = copy.deepcopy(template)
    for logical_id, resource in packaged["Resources"].items():
        if resource["Type"] == FUNCTION:
            uri = (code or {}).get(logical_id, f"s3://code/{logical_id}")
            resource["Properties"]["CodeUri"] = uri
    return transform(packaged, parameters, NoManagedPolicies())
