"""Least privilege: what was called is allowed, what lies beside it is not, and nothing is allowed for nothing.

The calls were recorded at the wire in whole runs (tests/tests/wire_binaries/tour.rs); the policies are those of
the template after SAM's own transform.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from calls import (
    EVERYWHERE,
    RECORDED,
    TOUR,
    Made,
    by_services,
    one_of_each_kind,
    recorded,
    stack_of,
)
from evaluator import listed
from judgement import Finding, Judge, on
from reasons import DRIVERS, JOBS, NEVER, SUBMITTER, is_excepted
from translated import IMAGE, read, translate

VARIANTS = {
    "as it comes": {},
    "a schedule in a time zone": {"ScheduleTimeZone": "Asia/Seoul"},
    "a bucket that was there": {"DataBucketName": "trainspot-local-databucket"},
    "with a secret": {"SecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf"},
    "a given network": {"VpcId": "vpc-0a1b2c3d", "SubnetIds": "subnet-0a1b2c3d,subnet-1a2b3c4d"},
}


def case(variant: str) -> tuple[Judge, list[Made]]:
    """The policies of a stack with these parameters, and the calls."""
    parameters = {"ImageUri": IMAGE, **VARIANTS[variant]}
    physical, made = recorded()
    stack = stack_of(translate(read(), parameters), parameters, physical)
    # What a rule did while calls were recorded, the template says by itself, with all the conditions.
    made = [call for call in made if not call.principal.startswith("rule/")]
    made = one_of_each_kind(made) + list(by_services(stack))
    return Judge.of(stack, {call.principal for call in made}), made


@pytest.fixture(scope="module", params=list(VARIANTS))
def judged(request: pytest.FixtureRequest) -> tuple[Judge, list[Made]]:
    """Each variant of the stack."""
    return case(request.param)


@pytest.fixture(scope="module")
def plain() -> tuple[Judge, list[Made]]:
    """The stack as it comes."""
    return case("as it comes")


def told(findings: Iterator[Finding]) -> str:
    """One line each, for whoever reads a failure."""
    return "\n".join(sorted({str(finding) for finding in findings}))


def test_every_call_is_allowed(judged: tuple[Judge, list[Made]]) -> None:
    """A role without a right would stop a run."""
    judge, calls = judged
    assert told(judge.refused(calls)) == ""


def test_every_recorded_call_of_bad_weeks_is_allowed(plain: tuple[Judge, list[Made]]) -> None:
    """Bad weeks meet what a tour does not; they are recorded by `make test` only."""
    judge, _ = plain
    for path in sorted(RECORDED.glob("week-*.jsonl")):
        if path.stat().st_mtime < TOUR.stat().st_mtime - 3600:
            continue  # of another build
        made = [call for call in recorded(path)[1] if not call.principal.startswith("rule/")]
        assert told(judge.refused(one_of_each_kind(made))) == "", path.name


def test_a_neighbours_resource_is_denied(judged: tuple[Judge, list[Made]]) -> None:
    """Another bucket, queue, topic, definition, account; and the same over an insecure line."""
    judge, calls = judged
    assert told(judge.too_wide(calls)) == ""


def test_nothing_is_granted_that_nobody_calls(plain: tuple[Judge, list[Made]]) -> None:
    """A right that is not needed is one that can be misused."""
    judge, calls = plain
    unused = [found for found in judge.never_called(calls) if not is_excepted(found)]
    # Scheduler's role works where the schedule has a time zone.
    in_zone, in_zone_calls = case("a schedule in a time zone")
    also_unused = set(in_zone.never_called(in_zone_calls))
    assert told(found for found in unused if found in also_unused) == ""


def test_a_star_stands_only_where_aws_offers_nothing_else(judged: tuple[Judge, list[Made]]) -> None:
    """Actions and resources by name."""
    judge, _ = judged
    assert told(judge.everything()) == ""


def never(judge: Judge) -> Iterator[Finding]:
    """What somebody of that list may do all the same."""
    for principals, action, resource in NEVER:
        for who in principals:
            decision = judge.decide(on(who, action, resource, EVERYWHERE))
            if decision.is_allowed:
                yield Finding("never", who, f"{action} {resource}: {decision.because}")


def test_nobody_may_publish_by_another_way(judged: tuple[Judge, list[Made]]) -> None:
    """Whatever the recorded calls were."""
    judge, _ = judged
    assert told(never(judge)) == ""


def findings(judge: Judge, calls: list[Made]) -> set[Finding]:
    """All of them but those with a reason."""
    found = {*judge.refused(calls), *judge.too_wide(calls), *judge.everything(), *never(judge)}
    return found | {unused for unused in judge.never_called(calls) if not is_excepted(unused)}


def of_users(judge: Judge, source: str, calls: list[Made]) -> list[Made]:
    """The calls that a change of one policy can matter for."""
    _, users = judge.sources()[source]
    return [made for made in calls if made.principal in users]


def allowing(judge: Judge) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every statement that grants something to those who called."""
    for source, (document, users) in judge.sources().items():
        for number, statement in enumerate(listed(document["Statement"])):
            if statement["Effect"] == "Allow" and users:
                yield source, number, statement


def changed(judge: Judge, source: str, number: int, change: dict[str, Any]) -> Judge:
    """The same policies with one statement changed."""
    other = judge.copy()
    for role in other.roles.values():
        if source in role.documents:
            document = copy.deepcopy(role.documents[source])
            document["Statement"] = listed(document["Statement"])
            document["Statement"][number] |= change
            role.documents[source] = document
    return other


def test_an_action_that_is_removed_is_found(plain: tuple[Judge, list[Made]]) -> None:
    """Each action of each statement, one at a time."""
    judge, calls = plain
    n_changes = 0
    as_it_is = {one: findings(judge, of_users(judge, one, calls)) for one in judge.sources()}
    for source, number, statement in allowing(judge):
        theirs = of_users(judge, source, calls)
        before = as_it_is[source]
        actions = listed(statement["Action"])
        for action in actions:
            left = [other for other in actions if other != action] or ["s3:DeleteBucket"]
            found = findings(changed(judge, source, number, {"Action": left}), theirs) - before
            n_changes += 1
            is_missed = not is_unused(judge, calls, source, action)
            assert not is_missed or any(f.kind == "refused" and action in f.what for f in found), (
                f"nobody misses {action} in {source} {statement.get('Sid')}"
            )
    assert n_changes > 15


def is_unused(judge: Judge, calls: list[Made], source: str, action: str) -> bool:
    """Whether it has a reason of its own to be there, so that no call can miss it."""
    unused = [found for found in judge.never_called(calls) if is_excepted(found)]
    return any(f.who.startswith(f"{source}.") and f.what.startswith(f"{action} on") for f in unused)


def test_an_action_that_is_added_is_found(plain: tuple[Judge, list[Made]]) -> None:
    """One that nobody calls, in each statement."""
    judge, _ = plain
    others = {"s3": "s3:PutObjectAcl", "batch": "batch:UpdateJobQueue", "sns": "sns:Subscribe"}
    for source, number, statement in allowing(judge):
        actions = listed(statement["Action"])
        added = others.get(actions[0].split(":")[0], "sts:AssumeRole")
        # Nobody calls it, so that whose calls are looked at makes no difference.
        more = changed(judge, source, number, {"Action": [*actions, added]})
        found = set(more.never_called([])) - set(judge.never_called([]))
        assert any(f.kind == "never called" and added in f.what for f in found), source


def test_a_resource_that_is_widened_is_found(plain: tuple[Judge, list[Made]]) -> None:
    """Each resource of each statement, one at a time: to all of its kind, and to everything."""
    judge, calls = plain
    calls = calls + broken_off(calls)
    n_changes = 0
    as_it_is = {one: findings(judge, of_users(judge, one, calls)) for one in judge.sources()}
    for source, number, statement in allowing(judge):
        theirs = of_users(judge, source, calls)
        before = as_it_is[source]
        resources = listed(statement["Resource"])
        for resource in resources:
            for wider in widened(resource, judge.data_bucket):
                others = [wider if other == resource else other for other in resources]
                other = changed(judge, source, number, {"Resource": others})
                # Where the same list bounds the role once more, the bound goes with it.
                widen_bounds(other, source, resource, wider)
                n_changes += 1
                assert findings(other, theirs) - before, f"{source}: {resource} as {wider}"
    assert n_changes > 30


def broken_off(calls: list[Made]) -> list[Made]:
    """Uploads that were given up: the tour has none, and each of a job's writes could have been one."""
    writes = [made for made in calls if made.principal in JOBS and made.call.action == "s3:PutObject"]
    return [
        replace(made, call=replace(made.call, action="s3:AbortMultipartUpload"))
        for made in writes
        if "/state/" not in made.call.resource
    ]


def widened(resource: str, data_bucket: str) -> Iterator[str]:
    """More than it was, each in another way."""
    if resource == "*":
        return
    yield "*"
    head, name = (
        resource.rsplit(":", 1) if ":job-definition/" not in resource else resource.split(":job-definition/")
    )
    if resource.startswith("arn:aws:s3:::"):
        bucket = name.partition("/")[0]
        yield f"{head}:*"
        if "/" in name and name != f"{bucket}/*" and bucket != data_bucket:
            yield f"{head}:{bucket}/*"
    elif ":job-definition/" in resource:
        yield f"{head}:job-definition/*"
    elif ":job-queue/" in resource:
        yield f"{head}:job-queue/*"
    elif ":job/" in resource:
        yield resource.replace("us-east-1", "*")
    else:
        yield f"{resource}*"


def widen_bounds(judge: Judge, source: str, resource: str, wider: str) -> None:
    """A Deny with NotResource that names the resource too."""
    for role in judge.roles.values():
        for statement in role.documents.get(source, {}).get("Statement", []):
            if resource in listed(statement.get("NotResource", [])):
                named = listed(statement["NotResource"])
                statement["NotResource"] = [wider if n == resource else n for n in named]


def test_a_rule_of_another_stack_may_not_wake_a_function(plain: tuple[Judge, list[Made]]) -> None:
    """Without the permission's source, any rule of anybody could."""
    judge, calls = plain
    for _, document in judge.on_resources:
        for statement in document["Statement"]:
            statement.pop("Condition", None)
    wide = {found.who for found in judge.too_wide(calls) if found.kind == "too wide"}
    assert {"rule/OnSweep", "rule/OnJobFailed"} <= wide


def test_the_tour_called_with_every_role() -> None:
    """A recording of half a tour would make half a judgement."""
    principals = {call.principal for call in recorded()[1]}
    assert principals >= {*JOBS, *DRIVERS, SUBMITTER}
