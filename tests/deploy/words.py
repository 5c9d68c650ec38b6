"""What AWS takes for a text: its own patterns and lengths, read from its own service models (botocore's).

Where a model has no pattern and its documentation has, the characters are read from that sentence. What neither
has is written here, with the page that has it.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.loaders
import regex


@dataclass(frozen=True)
class Rule:
    """How long a text may be, and of what it may consist; the pattern has to match all of it."""

    most: int | None = None
    least: int = 0
    pattern: str | None = None

    def complaint(self, text: str) -> str | None:
        """What is wrong with a text; None when nothing is."""
        if self.most is not None and len(text) > self.most:
            return f"{len(text)} characters, and {self.most} are the most"
        if len(text) < self.least:
            return f"{len(text)} characters, and {self.least} are the least"
        if self.pattern is not None and regex.fullmatch(self.pattern, text) is None:
            return f"it does not match {self.pattern}"
        return None


@functools.cache
def model(service: str) -> dict[str, Any]:
    """The shapes of a service, as AWS publishes them."""
    return botocore.loaders.Loader().load_service_model(service, "service-2")["shapes"]


def shape(service: str, name: str) -> Rule:
    """The rule of a shape, which must have one: a model that lost it is not taken for leave."""
    found = model(service)[name]
    rule = Rule(found.get("max"), found.get("min", 0), found.get("pattern"))
    assert rule != Rule(), f"the model of {service} says nothing of {name}"
    return rule


def documented(service: str, name: str, member: str) -> Rule:
    """The rule that a member's documentation has in words."""
    said = html.unescape(model(service)[name]["members"][member]["documentation"])
    length = regex.search(r"[Uu]p to (\d+) characters", said)
    letters = regex.search(
        r"(?:Valid|Allowed) characters(?: are|:) a-z, A-Z, 0-9, spaces, and (\S+?)\.?</p>", said
    )
    assert length and letters, f"{service} does not say any more what {member} may be: {said}"
    return Rule(int(length[1]), pattern=f"[a-zA-Z0-9 {regex.escape(letters[1])}]*")


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a value with its path; the elements of a list share the list's."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from texts(inner, f"{path}.{name}" if path else str(name))
        case list():
            for inner in value:
                yield from texts(inner, path)
        case str():
            yield path, value
