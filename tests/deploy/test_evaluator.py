"""The evaluator against the IAM documentation's own words, case by case."""

from __future__ import annotations

from typing import Any

import pytest
from evaluator import Call, CannotJudge, decide

BUCKET = "arn:aws:s3:::shop"
HERE = "us-east-1:123456789012"


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    """A statement that denies."""
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> list[dict[str, Any]]:
    """The policies of a principal that has one."""
    return [{"Version": "2012-10-17", "Statement": list(statements)}]


def only_by(rule: str) -> dict[str, Any]:
    """A condition on who sends."""
    return {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{HERE}:rule/{rule}"}}


TLS = {"Bool": {"aws:SecureTransport": "false"}}
GET = "s3:GetObject"
CASES = [
    # "By default, all requests are implicitly denied."
    ("nothing is allowed by nobody", policy(), GET, f"{BUCKET}/a", {}, False),
    ("an allow allows", policy(allow(GET, f"{BUCKET}/*")), GET, f"{BUCKET}/a", {}, True),
    ("another action", policy(allow(GET, f"{BUCKET}/*")), "s3:PutObject", f"{BUCKET}/a", {}, False),
    # "Actions are not case-sensitive"; resources are.
    ("case of an action", policy(allow("S3:getobject", "*")), GET, f"{BUCKET}/a", {}, True),
    ("case of a key", policy(allow(GET, f"{BUCKET}/A")), GET, f"{BUCKET}/a", {}, False),
    # "An explicit deny in any policy overrides any allows", whatever stands first.
    (
        "a deny wins from behind",
        policy(allow("s3:*", "*"), deny(GET, f"{BUCKET}/secret")),
        GET,
        f"{BUCKET}/secret",
        {},
        False,
    ),
    (
        "a deny wins from before",
        policy(deny(GET, f"{BUCKET}/secret"), allow("s3:*", "*")),
        GET,
        f"{BUCKET}/secret",
        {},
        False,
    ),
    (
        "a deny of another",
        policy(allow("s3:*", "*"), deny(GET, f"{BUCKET}/secret")),
        GET,
        f"{BUCKET}/open",
        {},
        True,
    ),
    # "An asterisk represents any combination of zero or more characters", slashes too.
    ("a star in an action", policy(allow("s3:Get*", "*")), GET, f"{BUCKET}/a", {}, True),
    ("a star over slashes", policy(allow(GET, f"{BUCKET}/s/*")), GET, f"{BUCKET}/s/a/b", {}, True),
    ("a star is no end", policy(allow(GET, f"{BUCKET}/*/x")), GET, f"{BUCKET}/a/x/y", {}, False),
    ("a bucket is not its keys", policy(allow(GET, BUCKET)), GET, f"{BUCKET}/a", {}, False),
    ("keys are not the bucket", policy(allow(GET, f"{BUCKET}/*")), GET, BUCKET, {}, False),
    # "A question mark represents any single character."
    ("one character", policy(allow(GET, f"{BUCKET}/?")), GET, f"{BUCKET}/a", {}, True),
    ("two characters", policy(allow(GET, f"{BUCKET}/?")), GET, f"{BUCKET}/ab", {}, False),
    ("no character", policy(allow(GET, f"{BUCKET}/?")), GET, f"{BUCKET}/", {}, False),
    # A dot is a dot.
    ("no pattern but IAM's", policy(allow(GET, f"{BUCKET}/a.c")), GET, f"{BUCKET}/abc", {}, False),
    # "A wildcard cannot span the segments of an ARN."
    ("a star within a part", policy(allow(GET, "arn:aws:*:x")), GET, "arn:aws:s3:::x", {}, None),
    (
        "a revision",
        policy(allow("batch:SubmitJob", f"arn:aws:batch:{HERE}:job-definition/train:*")),
        "batch:SubmitJob",
        f"arn:aws:batch:{HERE}:job-definition/train:3",
        {},
        True,
    ),
    (
        "no revision",
        policy(allow("batch:SubmitJob", f"arn:aws:batch:{HERE}:job-definition/train:*")),
        "batch:SubmitJob",
        f"arn:aws:batch:{HERE}:job-definition/train",
        {},
        False,
    ),
    (
        "another account",
        policy(allow("sns:Publish", f"arn:aws:sns:{HERE}:*")),
        "sns:Publish",
        "arn:aws:sns:us-east-1:210987654321:t",
        {},
        False,
    ),
    # "NotResource matches every resource except those specified", and so denies all others.
    (
        "outside of NotResource",
        policy(
            allow("s3:*", "*"),
            {"Effect": "Deny", "Action": "s3:PutObject", "NotResource": f"{BUCKET}/w/*"},
        ),
        "s3:PutObject",
        f"{BUCKET}/r/a",
        {},
        False,
    ),
    (
        "inside of NotResource",
        policy(
            allow("s3:*", "*"),
            {"Effect": "Deny", "Action": "s3:PutObject", "NotResource": f"{BUCKET}/w/*"},
        ),
        "s3:PutObject",
        f"{BUCKET}/w/a",
        {},
        True,
    ),
    (
        "NotAction",
        policy({"Effect": "Allow", "NotAction": "s3:Delete*", "Resource": "*"}),
        "s3:DeleteObject",
        f"{BUCKET}/a",
        {},
        False,
    ),
    # "All conditions must be met"; of several values one; a missing key is no match …
    (
        "a condition",
        policy(allow(GET, "*", Condition=TLS)),
        GET,
        f"{BUCKET}/a",
        {"aws:SecureTransport": "false"},
        True,
    ),
    (
        "a condition that does not hold",
        policy(allow("s3:*", "*"), deny("s3:*", "*", Condition=TLS)),
        GET,
        f"{BUCKET}/a",
        {"aws:SecureTransport": "true"},
        True,
    ),
    ("a missing key", policy(allow(GET, "*", Condition=TLS)), GET, f"{BUCKET}/a", {}, False),
    (
        "one of two values",
        policy(allow("*", "*", Condition={"StringEquals": {"aws:SourceAccount": ["1", "2"]}})),
        "sqs:SendMessage",
        "*",
        {"aws:SourceAccount": "2"},
        True,
    ),
    (
        "one of two keys",
        policy(allow("*", "*", Condition={"StringEquals": {"a": "1", "b": "2"}})),
        "sqs:SendMessage",
        "*",
        {"a": "1", "b": "3"},
        False,
    ),
    (
        "a pattern of ARNs",
        policy(allow("*", "*", Condition=only_by("ours-*"))),
        "sqs:SendMessage",
        "*",
        {"aws:SourceArn": f"arn:aws:events:{HERE}:rule/ours-OnSweep"},
        True,
    ),
    (
        "no pattern of theirs",
        policy(allow("*", "*", Condition=only_by("ours-*"))),
        "sqs:SendMessage",
        "*",
        {"aws:SourceArn": f"arn:aws:events:{HERE}:rule/theirs-OnSweep"},
        False,
    ),
    # … but for a negated operator it is one, and for IfExists too.
    (
        "a negated operator without its key",
        policy(allow("*", "*", Condition={"StringNotEquals": {"a": "1"}})),
        "sqs:SendMessage",
        "*",
        {},
        True,
    ),
    (
        "IfExists without its key",
        policy(allow("*", "*", Condition={"StringEqualsIfExists": {"a": "1"}})),
        "sqs:SendMessage",
        "*",
        {},
        True,
    ),
    (
        "IfExists with its key",
        policy(allow("*", "*", Condition={"StringEqualsIfExists": {"a": "1"}})),
        "sqs:SendMessage",
        "*",
        {"a": "2"},
        False,
    ),
    # What is not known is told, never taken for a no.
    (
        "an operator unknown",
        policy(allow("*", "*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
        GET,
        f"{BUCKET}/a",
        {"aws:SourceIp": "10.0.0.1"},
        None,
    ),
    ("a variable", policy(allow(GET, f"{BUCKET}/${{aws:username}}")), GET, f"{BUCKET}/a", {}, None),
    ("a part unknown", policy(allow(GET, "*", Verdict="yes")), GET, f"{BUCKET}/a", {}, None),
    ("an effect unknown", policy({**allow(GET, "*"), "Effect": "allow"}), GET, "*", {}, None),
    ("both parts", policy({**allow(GET, "*"), "NotAction": "s3:*"}), GET, "*", {}, None),
    ("no resource", policy({"Effect": "Allow", "Action": GET}), GET, "*", {}, None),
]


@pytest.mark.parametrize(
    ("policies", "action", "resource", "context", "expected"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_decides_as_the_documentation_says(
    policies: list[dict[str, Any]],
    action: str,
    resource: str,
    context: dict[str, str],
    expected: bool | None,
) -> None:
    """`None`: it says that it cannot judge."""
    call = Call(action, resource, context)
    if expected is None:
        with pytest.raises(CannotJudge):
            decide(call, policies)
        return

    assert decide(call, policies).is_allowed is expected


def test_a_resource_names_whom_it_lets_in() -> None:
    """A queue's policy is for the service that it names."""
    letters = f"arn:aws:sqs:{HERE}:letters"
    lets_in = policy(allow("sqs:SendMessage", letters, Principal={"Service": "events.amazonaws.com"}))

    by = {
        service: decide(Call("sqs:SendMessage", letters, service=service), lets_in).is_allowed
        for service in ("events.amazonaws.com", "sns.amazonaws.com")
    }

    assert by == {"events.amazonaws.com": True, "sns.amazonaws.com": False}
