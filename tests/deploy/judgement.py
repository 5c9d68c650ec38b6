"""Least privilege, judged: what a stack's policies refuse that is needed, and allow that is not."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from calls import Made
from evaluator import ARN_PARTS, Call, Decision, decide, is_resource, like, listed
from intrinsics import ACCOUNT, Stack
from roles import Role, resource_policies, role_of, roles

# AWS offers nothing narrower for these ("does not support resource-level permissions").
ONLY_EVERYTHING = {"batch:DescribeJobs", "batch:ListJobs"}
OTHER_ACCOUNT = "210987654321"


@dataclass(frozen=True, order=True)
class Finding:
    """Something that a policy gets wrong."""

    kind: str
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.who}: {self.what}"


@dataclass
class Judge:
    """All policies of a stack, worked out, and who works with which."""

    roles: dict[str, Role]
    on_resources: list[tuple[str, dict[str, Any]]]
    endpoint: dict[str, Any] | None
    role_of: dict[str, str]
    # Where a folder is a pipeline's own choice, so that no policy can name it: the bucket of datasets.
    data_bucket: str

    @classmethod
    def of(cls, stack: Stack, principals: set[str]) -> Judge:
        """Of a stack, for those who call."""
        endpoints = [
            stack.properties(logical_id).get("PolicyDocument")
            for logical_id in stack.resources("AWS::EC2::VPCEndpoint")
        ]
        has_role = ("function/", "job/", "schedule/")
        return cls(
            roles=roles(stack),
            on_resources=resource_policies(stack),
            endpoint=next(iter(endpoints), None),
            role_of={who: role_of(stack, who) for who in principals if who.startswith(has_role)},
            data_bucket=stack.parameters["DataBucketName"] or stack.ref("DataBucket"),
        )

    def copy(self) -> Judge:
        """One to change without harm."""
        return copy.deepcopy(self)

    def decide(self, made: Made) -> Decision:
        """Whether a call goes through: nobody denies it, and somebody allows it."""
        call = made.call
        on_it = [
            document
            for named, document in self.on_resources
            if call.resource == named or call.resource.startswith(f"{named}/")
        ]
        own = [] if made.is_by_service else self.documents(made.principal)
        decision = decide(call, own + on_it)
        # Jobs reach S3 through the network's endpoint, which has to let them as well.
        is_through_endpoint = made.principal.startswith("job/") and call.action.startswith("s3:")
        if decision.is_allowed and is_through_endpoint and self.endpoint is not None:
            return decide(call, [self.endpoint])
        return decision

    def documents(self, principal: str) -> list[dict[str, Any]]:
        """The policies of whoever works with a role."""
        return list(self.roles[self.role_of[principal]].documents.values())

    def refused(self, calls: list[Made]) -> Iterator[Finding]:
        """What was called, and would not be allowed."""
        for made in calls:
            decision = self.decide(made)
            if not decision.is_allowed:
                yield Finding("refused", made.principal, f"{made}: {decision.because}")

    def too_wide(self, calls: list[Made]) -> Iterator[Finding]:
        """What nobody called, on a neighbour's resource, and would be allowed."""
        for made in calls:
            for neighbour in self.neighbours(made):
                decision = self.decide(neighbour)
                if decision.is_allowed:
                    yield Finding("too wide", made.principal, f"{neighbour}: {decision.because}")

    def neighbours(self, made: Made) -> Iterator[Made]:
        """The same call about what is somebody else's."""
        call = made.call
        for resource in neighbours(call.resource, self.data_bucket):
            yield replace(made, call=replace(call, resource=resource))
        if call.action.startswith(("s3:", "sns:", "sqs:")) and self.has_own_policy(call.resource):
            insecure = call.context | {"aws:SecureTransport": "false"}
            yield replace(made, call=replace(call, context=insecure))
        if "aws:SourceArn" in call.context:
            ours = call.context["aws:SourceArn"]
            # A name that begins with ours is a rule of ours: the letters of any of them are kept.
            begins = f"{ours}-"
            for theirs in (arn for arn in neighbours(ours) if not arn.startswith(begins)):
                context = call.context | {"aws:SourceArn": theirs}
                if "aws:SourceAccount" in context:
                    context |= {"aws:SourceAccount": OTHER_ACCOUNT}
                yield replace(made, call=replace(call, context=context))

    def has_own_policy(self, arn: str) -> bool:
        """Whether it stands in the template who may use it; not so for a bucket that was there before."""
        return any(arn == named or arn.startswith(f"{named}/") for named, _ in self.on_resources)

    def never_called(self, calls: list[Made]) -> Iterator[Finding]:
        """What a role is allowed, and nobody who works with it ever does."""
        for source, (document, users) in self.sources().items():
            for number, statement in enumerate(listed(document["Statement"])):
                if statement["Effect"] != "Allow":
                    continue
                name = f"{source}.{statement.get('Sid', number)}"
                for action in listed(statement["Action"]):
                    for resource in listed(statement["Resource"]):
                        if not is_used(action, resource, users, calls):
                            yield Finding("never called", name, f"{action} on {resource}")

    def sources(self) -> dict[str, tuple[dict[str, Any], set[str]]]:
        """Each policy once, with all who work with it."""
        found: dict[str, tuple[dict[str, Any], set[str]]] = {}
        for role in self.roles.values():
            users = {who for who, name in self.role_of.items() if name == role.logical_id}
            for source, document in role.documents.items():
                _, known = found.setdefault(source, (document, set()))
                known |= users
        return found

    def everything(self) -> Iterator[Finding]:
        """Wildcards that say more than a list would."""
        for source, (document, _) in self.sources().items():
            for number, statement in enumerate(listed(document["Statement"])):
                if statement["Effect"] != "Allow":
                    continue
                name = f"{source}.{statement.get('Sid', number)}"
                if "NotAction" in statement or "NotResource" in statement:
                    yield Finding("everything", name, "allows all but a list")
                    continue
                actions, resources = listed(statement["Action"]), listed(statement["Resource"])
                for action in actions:
                    if "*" in action or "?" in action:
                        yield Finding("everything", name, f"the action {action}")
                    if "*" in resources and action not in ONLY_EVERYTHING:
                        yield Finding("everything", name, f"{action} on every resource")
                for resource in resources:
                    if resource != "*" and names_too_many(resource):
                        yield Finding("everything", name, f"the resource {resource}")


def names_too_many(arn: str) -> bool:
    """A wildcard where a name belongs: only keys, jobs and revisions are without number."""
    *head, name = arn.split(":", ARN_PARTS - 1)
    if "*" in "".join(head) or "?" in arn:
        return True
    match head[2], name.partition("/"):
        case "s3", (bucket, _, _):
            return "*" in bucket
        case "batch", ("job", _, "*"):
            return False
        case "batch", ("job-definition", _, definition):
            return "*" in definition.removesuffix(":*")
    return "*" in name


def is_used(action: str, resource: str, users: set[str], calls: list[Made]) -> bool:
    """Whether one of the users made a call that these two words are about."""
    return any(
        made.principal in users
        and like(action, made.call.action, ignore_case=True)
        and is_resource(resource, made.call.resource)
        for made in calls
    )


def neighbours(arn: str, data_bucket: str = "") -> Iterator[str]:
    """What lies beside a resource: of the same kind, with another name, account or region."""
    if arn == "*":
        return
    parts = arn.split(":", ARN_PARTS - 1)
    service, region, account, name = parts[2], parts[3], parts[4], parts[5]
    if service == "s3":
        bucket, slash, key = name.partition("/")
        yield from (f"arn:aws:s3:::{other}{slash}{key}" for other in (f"{bucket}-2", f"2-{bucket}"))
        if key and bucket != data_bucket:
            yield f"arn:aws:s3:::{bucket}/2-{key}"
        return
    yield ":".join([*parts[:4], OTHER_ACCOUNT, name])
    yield ":".join([*parts[:3], "eu-west-1" if region else region, account, name])
    # A job's id is Batch's to choose: of an account's jobs none can be left out by name.
    if name.startswith("job/"):
        return
    kind, slash, rest = re.fullmatch(r"([^/:]*)([/:]?)(.*)", name).groups()
    if not slash:
        yield from (":".join([*parts[:5], other]) for other in (f"{name}-2", f"2-{name}"))
        return
    base, colon, revision = rest.partition(":")
    for other in (f"{base}-2", f"2-{base}"):
        yield ":".join([*parts[:5], f"{kind}{slash}{other}{colon}{revision}"])


def on(account_of: str, action: str, resource: str, context: dict[str, str]) -> Made:
    """A call that was never made, for the list of what nobody may."""
    return Made(account_of, Call(action, resource, {"aws:ResourceAccount": ACCOUNT, **context}))
