"""CloudFormation's functions, as its documentation shows them."""

from __future__ import annotations

from typing import Any

import pytest
from intrinsics import Stack, Unknown

TEMPLATE = {
    "Parameters": {
        "Zones": {"Type": "Number", "Default": 3},
        "Types": {"Type": "CommaDelimitedList", "Default": "a,b"},
        "Vpc": {"Type": "String", "Default": ""},
    },
    "Conditions": {
        "Three": {"Fn::Equals": [{"Ref": "Zones"}, 3]},
        "Given": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Vpc"}, ""]}]},
        "Both": {"Fn::And": [{"Condition": "Three"}, {"Condition": "Given"}]},
        "Either": {"Fn::Or": [{"Condition": "Three"}, {"Condition": "Given"}]},
    },
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Given": {"Type": "AWS::S3::Bucket", "Condition": "Given"},
        "Odd": {"Type": "AWS::IoT::Thing"},
    },
}
PHYSICAL = {"Bucket": "shop", "Queue": "https://sqs.us-east-1.amazonaws.com/1/letters", "Odd": "o"}
STACK = Stack(TEMPLATE, {}, "here", PHYSICAL)
CASES = [
    ({"Ref": "Types"}, ["a", "b"]),
    ({"Ref": "Bucket"}, "shop"),
    ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::shop"),
    ({"Fn::GetAtt": "Queue.Arn"}, "arn:aws:sqs:us-east-1:123456789012:letters"),
    ({"Fn::Sub": "${AWS::StackName}-${Bucket}-${Queue.QueueName}"}, "here-shop-letters"),
    ({"Fn::Sub": ["${A}/${!b}", {"A": {"Ref": "Zones"}}]}, "3/${b}"),
    ({"Fn::Join": [",", {"Ref": "Types"}]}, "a,b"),
    ({"Fn::Split": [",", "x,y"]}, ["x", "y"]),
    ({"Fn::Select": [1, {"Ref": "Types"}]}, "b"),
    ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "us-east-1a"),
    ({"Fn::Base64": "a"}, "YQ=="),
    ({"Fn::If": ["Three", "yes", "no"]}, "yes"),
    ({"Fn::If": ["Both", "yes", "no"]}, "no"),
    ({"Fn::If": ["Either", "yes", "no"]}, "yes"),
    ([1, {"Fn::If": ["Given", 2, {"Ref": "AWS::NoValue"}]}], [1]),
    ({"a": {"Fn::If": ["Given", 2, {"Ref": "AWS::NoValue"}]}, "b": 1}, {"b": 1}),
]


@pytest.mark.parametrize(("raw", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_works_out(raw: Any, expected: Any) -> None:
    """What stands in a template, and what CloudFormation makes of it."""
    assert STACK.value(raw) == expected


def test_a_resource_is_there_where_its_condition_holds() -> None:
    """And only there."""
    given = Stack(TEMPLATE, {"Vpc": "vpc-1"}, "here", {})

    assert STACK.resources("AWS::S3::Bucket") == ["Bucket"]
    assert given.resources("AWS::S3::Bucket") == ["Bucket", "Given"]


@pytest.mark.parametrize(
    "raw",
    [
        {"Fn::FindInMap": ["a", "b", "c"]},
        {"Ref": "Nobody"},
        {"Ref": "Given"},
        {"Fn::GetAtt": ["Odd", "Arn"]},
    ],
    ids=str,
)
def test_what_is_not_known_is_an_error(raw: Any) -> None:
    """A guess would be judged as if it were the template."""
    with pytest.raises(Unknown):
        STACK.value(raw)


def test_a_parameter_that_is_not_declared_is_an_error() -> None:
    """A misspelt one would leave the default in force."""
    with pytest.raises(Unknown, match="no parameter Zone"):
        Stack(TEMPLATE, {"Zone": "2"}, "here", {})
