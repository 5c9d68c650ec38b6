"""IAM's decision about one call, as far as the template's policies need it.

By the IAM documentation ("Policy evaluation logic"): an explicit Deny wins, then any Allow, else the call is
denied. What is not known here (another operator, a policy variable, a key that the call does not say) is an
error, never silently a yes or a no.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

ARN_PARTS = 6


class CannotJudge(Exception):
    """A policy has something that this evaluator does not know."""


@dataclass(frozen=True)
class Call:
    """An action on one resource, with what conditions may look at."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict, hash=False)
    # Of a resource's policy only: the service that calls, as `events.amazonaws.com`.
    service: str = ""


@dataclass(frozen=True)
class Decision:
    """Whether it may, and the statement that said so."""

    is_allowed: bool
    because: str


def decide(call: Call, policies: list[dict[str, Any]]) -> Decision:
    """Judges a call by a principal's policies."""
    allow = None
    for policy in policies:
        for number, statement in enumerate(listed(policy["Statement"])):
            name = statement.get("Sid", f"statement {number}")
            if not applies(statement, call):
                continue
            if effect(statement) == "Deny":
                return Decision(False, f"denied by {name}")
            allow = allow or name
    return Decision(allow is not None, f"allowed by {allow}" if allow else "nobody allows it")


def effect(statement: dict[str, Any]) -> str:
    """Allow or Deny, spelt exactly so."""
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise CannotJudge(f"the effect {statement.get('Effect')!r}")
    return statement["Effect"]


def applies(statement: dict[str, Any], call: Call) -> bool:
    """Whether every part of a statement matches the call."""
    known = {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "Principal",
    }
    if strange := set(statement) - known:
        raise CannotJudge(f"a statement with {', '.join(sorted(strange))}")
    action = one_of(statement, "Action", call.action, lambda a, b: like(a, b, ignore_case=True))
    resource = one_of(statement, "Resource", call.resource, is_resource)
    principal = is_principal(statement.get("Principal"), call.service)
    # Conditions are looked at in any case, so that one that is not known is told.
    conditions = [
        holds(operator, key, listed(wanted), call.context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
        if action and resource and principal
    ]
    return action and resource and principal and all(conditions)


def one_of(statement: dict[str, Any], part: str, value: str, matches: Callable[[str, str], bool]) -> bool:
    """Action and Resource, or what they are not."""
    if (part in statement) == (f"Not{part}" in statement):
        raise CannotJudge(f"a statement needs {part} or Not{part}, and not both")
    name = part if part in statement else f"Not{part}"
    is_named = any(matches(pattern, value) for pattern in listed(statement[name]))
    return is_named == (name == part)


def is_resource(pattern: str, resource: str) -> bool:
    """`*` alone is every resource; an ARN is matched part by part."""
    return pattern == "*" or arn_like(pattern, resource)


def is_principal(principal: Any, service: str) -> bool:
    """Of a resource's policy; a role's own has none."""
    match principal:
        case None | "*" | {"AWS": "*"}:
            return True
        case {"Service": services}:
            return service in listed(services)
    raise CannotJudge(f"the principal {principal!r}")


def holds(operator: str, key: str, wanted: list[str], context: dict[str, str]) -> bool:
    """One line of a condition: any of the wanted values will do, none for the negated."""
    is_optional = operator.endswith("IfExists")
    base = operator.removesuffix("IfExists")
    compare = {
        "StringEquals": lambda want, have: want == have,
        "StringLike": lambda want, have: like(want, have, False),
        "ArnEquals": arn_like,
        "ArnLike": arn_like,
        "Bool": lambda want, have: str(want).lower() == have.lower(),
    }
    is_negated = base in ("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike")
    positive = base.replace("Not", "", 1) if is_negated else base
    if positive not in compare:
        raise CannotJudge(f"the condition operator {operator}")
    have = context.get(key)
    if have is None:
        if key.lower() in (name.lower() for name in context):
            raise CannotJudge(f"the condition key {key}, which the call spells otherwise")
        # A key that is not in the request matches only where the operator says so.
        return is_optional or is_negated
    for want in wanted:
        if not isinstance(want, str | bool):
            raise CannotJudge(f"the value {want!r} in a condition")
        reject_variables(str(want))
    return any(compare[positive](want, have) for want in wanted) != is_negated


def arn_like(pattern: str, arn: str) -> bool:
    """Six parts, each matched by itself: a wildcard reaches over a colon in the last part only."""
    wanted, parts = pattern.split(":", 5), arn.split(":", 5)
    if len(wanted) != ARN_PARTS or wanted[0] != "arn":
        raise CannotJudge(f"the ARN {pattern!r}")
    if len(parts) != ARN_PARTS:
        return False
    return all(like(want, part, False) for want, part in zip(wanted, parts, strict=True))


@cache
def like(pattern: str, value: str, ignore_case: bool) -> bool:
    """`*` is any text, `?` any one character; both reach over slashes."""
    reject_variables(pattern)
    return matcher(pattern, ignore_case).fullmatch(value) is not None


@cache
def matcher(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """A pattern of IAM's, made into one of Python's once."""
    parts = [{"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern]
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def reject_variables(text: str) -> None:
    """`${aws:username}` and the like."""
    if "${" in text:
        raise CannotJudge(f"a policy variable in {text!r}")


def listed(one_or_many: Any) -> list[Any]:
    """IAM takes one value in place of a list of one."""
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]
