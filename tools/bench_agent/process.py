"""One process with all its descendants, measured from its start to its end."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Memory is looked at after each twentieth of the time so far: what ends after 10 ms is seen, too.
SHORTEST_STEP_S, LONGEST_STEP_S = 0.001, 0.01
STEPS = 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LAST_WORDS = 300
# What reading of a process says that ended meanwhile.
GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class Measured:
    """`cpu_s`: user and system time of the process and of all descendants that were waited for."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


class FailedError(Exception):
    """A process that did not end with 0; the text holds its last line."""


def tree(pid: int) -> list[int]:
    """The process and its descendants, as far as they are there."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left += children(one)
    return found


def children(pid: int) -> list[int]:
    """None of a process that is gone."""
    found = []
    with suppress(*GONE):
        for thread in list(Path(f"/proc/{pid}/task").iterdir()):
            with suppress(*GONE):
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def resident_bytes(pid: int) -> int:
    """Of the whole tree at this moment, or of its largest process at its own peak, if that is more.

    The kernel's `ru_maxrss` is of no use here: it begins with what the measuring Python had.
    """
    together, largest = 0, 0
    for one in tree(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except GONE:
            continue
        # A process that just ended has neither line.
        lines = dict(line.split(":", 1) for line in status.splitlines())
        now, most = (int(lines.get(key, "0 kB").split()[0]) for key in ("VmRSS", "VmHWM"))
        together += now
        largest = max(largest, most)
    return max(together, largest) * 1024


def cpu_s(pid: int) -> float:
    """User and system seconds of a running process so far, without its children's."""
    # The name in parentheses may hold anything, spaces too.
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def measured(command: list[str], environment: dict[str, str], log: Path) -> Measured:
    """Runs a command to its end."""
    with log.open("wb") as out:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        peak, ended = [0], threading.Event()

        def watch() -> None:
            step_s = SHORTEST_STEP_S
            while not ended.wait(step_s):
                peak[0] = max(peak[0], resident_bytes(process.pid))
                so_far_s = time.perf_counter() - begun
                step_s = min(max(so_far_s / STEPS, SHORTEST_STEP_S), LONGEST_STEP_S)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - begun
        finally:
            ended.set()
            watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise FailedError(f"ended with {process.returncode}: {said[-1][-LAST_WORDS:]}")
    return Measured(wall_s, usage.ru_utime + usage.ru_stime, peak[0])
