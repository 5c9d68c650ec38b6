"""README's "Deploy it": the lines of its block, as a person would type them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

HEADING = "## Deploy it"
# A remark begins at a `#` behind blanks; none of the lines has such a one in quotes, which `lines` looks after.
REMARK = re.compile(r"\s+#\s.*$")
# `<Names>` of outputs, and what only a person knows.
BLANK = re.compile(r"<([^<>]+)>")


def lines(readme: Path) -> list[str]:
    """The commands of the block, without remarks; a line that no shell would take is an error."""
    _, found, section = readme.read_text().partition(f"\n{HEADING}\n")
    if not found:
        raise ValueError(f"{readme} has no {HEADING!r}")
    section = section.partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    if len(blocks) != 1:
        raise ValueError(f"{HEADING!r} has {len(blocks)} blocks, and one was expected")
    commands = [REMARK.sub("", line) for line in blocks[0].splitlines()]
    for command in commands:
        shlex.split(command)
    return [command for command in commands if command]


def filled(command: str, values: dict[str, str]) -> str:
    """The command with its blanks filled in; one that nobody can fill in is an error."""

    def put(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ValueError(f"nobody says what {found[0]} is, in: {command}")
        return shlex.quote(values[found[1]])

    return BLANK.sub(put, command)
