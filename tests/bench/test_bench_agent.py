"""The race of the copiers: who runs when, what is measured, what counts as arrived, and what a row says."""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
from bench_agent import arrived, figures, process
from bench_agent.copier import Agent, Boto3
from bench_agent.lap import Lap
from bench_agent.race import Course
from bench_agent.server import LOCAL, MOTO, ROOT, local_cloud, moto
from bench_agent.shape import ONE_BYTE, Shape

SMALL = Shape("30 files of 10 KB", 30, 10_000)
TWO_MB = Shape("2 MB in 2 files", 2, 1_000_000)
BINARIES = ROOT / "target/debug"


def lap(who: str, wall_s: float | None, case: str = "down", shape: Shape = TWO_MB) -> Lap:
    """A lap of so many seconds, or a failed one."""
    if wall_s is None:
        return Lap(case, who, shape, None, 0, "ended with 1: no")
    return Lap(case, who, shape, process.Measured(wall_s, wall_s / 2, 1 << 20), 0.5)


def test_a_row_holds_medians_and_rates_by_the_median_time() -> None:
    laps = [lap("ours", 4.0), lap("other", 9.0), lap("ours", 2.0), lap("ours", 1.0), lap("ours", 2.0, "up")]

    rows = figures.rows(laps)

    assert [(row["case"], row["who"]) for row in rows] == [("down", "ours"), ("down", "other"), ("up", "ours")]
    assert rows[0] == {
        "case": "down",
        "who": "ours",
        "mb_per_s": 1.0,
        "files_per_s": 1.0,
        "wall_s": 2.0,
        "slowest_s": 4.0,
        "cpu_s": 1.0,
        "peak_mib": 1.0,
        "server_cpu_s": 0.5,
    }


def test_a_contestant_that_failed_once_has_no_figure_and_a_sentence() -> None:
    laps = [lap("other", 1.0), lap("other", None), lap("other", None)]

    (row,) = figures.rows(laps)

    assert {key: row[key] for key in row if key not in ("case", "who")} == dict.fromkeys(list(row)[2:])
    assert figures.failures(laps) == ["No figure: down: other ended with 1: no"]


def test_next_to_nothing_has_a_time_and_no_throughput() -> None:
    (row,) = figures.rows([lap("ours", 0.5, shape=ONE_BYTE)])

    assert (row["mb_per_s"], row["files_per_s"], row["wall_s"]) == (None, None, 0.5)


def test_each_round_another_contestant_is_first() -> None:
    course = Course(Path(), MOTO, None, ["a", "b", "c"], 3)

    assert ["".join(course.order(number)) for number in range(4)] == ["abc", "bca", "cab", "abc"]


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ({"a": "1"}, "1 of 2 files missing: b"),
        ({"a": "1", "b": "2", "c": "3"}, "files foreign: c"),
        ({"a": "1", "b": "9"}, "files different: b"),
    ],
)
def test_what_did_not_arrive_is_named(found: dict[str, str], named: str) -> None:
    expected = {"a": "1", "b": "2"}

    arrived.compare(expected, dict(expected))
    with pytest.raises(arrived.NotAllError, match=named):
        arrived.compare(expected, found)


def test_what_a_copier_keeps_beside_the_files_is_not_foreign() -> None:
    found = {"a": "1", "MANIFEST.json": "8", "unpublished/1.tar": "9"}

    assert arrived.without(found, ("MANIFEST.json", "unpublished/")) == {"a": "1"}
    assert arrived.without(found, ()) == found


def test_descendants_count_and_the_measuring_process_does_not(tmp_path: Path) -> None:
    ballast = bytearray(b"x") * (256 << 20)
    work = "held = bytearray(b'x') * (64 << 20)\nwhile time.time() < end: pass"
    grandchild = f"import time; end = time.time() + 0.3; {work}"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}], check=True)"

    measured = process.measured([sys.executable, "-c", child], dict(os.environ), tmp_path / "log")

    assert 64 << 20 < measured.peak_bytes < len(ballast)
    assert measured.wall_s >= 0.3
    assert measured.cpu_s > 0


def test_a_command_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no bucket')"]

    with pytest.raises(process.FailedError, match="ended with 1: no bucket"):
        process.measured(command, dict(os.environ), tmp_path / "log")


@pytest.mark.parametrize("kind", [LOCAL, MOTO])
def test_agent_and_boto3_copy_every_byte_both_ways(kind: str, tmp_path: Path) -> None:
    serve = {
        LOCAL: partial(local_cloud, tmp_path / "cloud", BINARIES),
        MOTO: partial(moto, Path(sys.executable)),
    }[kind]
    copiers = [Agent(BINARIES / "trainspot-agent", tmp_path), Boto3(Path(sys.executable))]
    course = Course(tmp_path, kind, serve, copiers, rounds=1)

    laps = course.both_ways(SMALL)

    assert figures.failures(laps) == []
    assert [(each.case.split(", ")[1], each.who) for each in laps] == [
        ("up", "trainspot-agent"),
        ("up", "boto3"),
        ("down", "trainspot-agent"),
        ("down", "boto3"),
    ]


def test_a_copier_that_loses_a_file_has_no_figure(tmp_path: Path) -> None:
    class Loses(Boto3):
        """Says that it is done without the last file."""

        def up(self, server, variables, source):
            part = tmp_path / "part"
            shutil.copytree(source, part)
            (part / SMALL.names()[-1]).unlink()
            return super().up(server, variables, part)

    course = Course(tmp_path, MOTO, partial(moto, Path(sys.executable)), [Loses(Path(sys.executable))], rounds=1)
    source = tmp_path / "source"

    laps = course.up(SMALL, source, SMALL.lay(source))

    assert [each.measured for each in laps] == [None]
    assert "1 of 30 files missing: 000/00029.bin" in laps[0].failure
