"""The template's properties held against what was read back."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import readback_network  # noqa: F401, it registers its readers
from intrinsics import Stack
from moto_account import Account
from readback import READERS

# Of the text in the template a structure is meant: compared as one.
JSON_TEXTS = {"DashboardBody", "LifecyclePolicyText"}


Differences = tuple[list[tuple[str, str]], list[str]]


def differences(wanted: Any, found: Any, path: str = "") -> Differences:
    """What differs, and what nobody told of. What was not asked for may be there: defaults."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        wrong, untold = [], []
        for name, value in wanted.items():
            here = f"{path}.{name}" if path else name
            if name not in found or found[name] is None:
                untold.append(here)
                continue
            if name in JSON_TEXTS and isinstance(value, str):
                value = json.loads(value)
            more_wrong, more_untold = differences(value, found[name], here)
            wrong, untold = wrong + more_wrong, untold + more_untold
        return wrong, untold
    if isinstance(wanted, list) and isinstance(found, list):
        return lists(wanted, found, path)
    if text_of(wanted) == text_of(found):
        return [], []
    return [(path, f"in the template {wanted!r}, read back {found!r}")], []


def lists(wanted: list[Any], found: list[Any], path: str) -> Differences:
    """Of the same length, and each element with its like, in whatever order."""
    if len(wanted) != len(found):
        return [(path, f"in the template {wanted!r}, read back {found!r}")], []
    left, wrong, untold = list(found), [], []
    for element in wanted:
        judged = [(differences(element, other, path), other) for other in left]
        # The one that differs least is meant.
        (more_wrong, more_untold), best = min(judged, key=lambda one: (len(one[0][0]), len(one[0][1])))
        left.remove(best)
        wrong, untold = wrong + more_wrong, untold + more_untold
    return wrong, untold


def text_of(value: Any) -> str:
    """CloudFormation writes numbers and truths as texts where it likes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def compare(account: Account, stack: Stack, but: Collection[str] = ()) -> tuple[list[str], dict[str, set[str]]]:
    """What differs of what moto made, and for each type which properties moto did not keep."""
    made, wrong = account.made(), []
    left_out: dict[str, set[str]] = {}
    for logical_id in stack.resources():
        kind = stack.kind(logical_id)
        if logical_id not in made or kind in but:
            continue
        differ, untold = differences(stack.properties(logical_id), READERS[kind](account, stack, logical_id))
        ignored = {path for path, _ in differ if path in MOTO_IGNORES.get(kind, {})}
        left_out.setdefault(kind, set()).update(untold, ignored)
        wrong += [f"{logical_id}.{path}: {what}" for path, what in differ if path not in ignored]
    return wrong, left_out


# moto takes these and keeps a default instead; what AWS makes of them only AWS can tell.
MOTO_IGNORES: dict[str, dict[str, str]] = {
    "AWS::EC2::VPC": {"EnableDnsHostnames": "false"},
    "AWS::EC2::Subnet": {"MapPublicIpOnLaunch": "false"},
    "AWS::IAM::Role": {"ManagedPolicyArns": "none"},
    "AWS::Lambda::Function": {"Tags": "none"},
}
