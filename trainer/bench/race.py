"""Runs contenders in turns on one problem and makes rows of what they say."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.problem import AT_STEPS

OURS, BY_ROWS = "trainspot trainer", "trainspot trainer, tables by rows"
APART = 1e-3  # losses of the same mathematics are at most so far from each other
ROOT = Path(__file__).resolve().parents[1]


class NotMeasured(Exception):
    """A contender ended, or does not compute the same."""


@dataclass(frozen=True)
class Contender:
    """A program, and whether its mathematics are ours."""

    name: str
    command: list[str]
    is_same: bool = True


@dataclass
class Running:
    """A contender at work."""

    of: Contender
    process: subprocess.Popen[str]
    known: dict[str, Any] = field(default_factory=dict)
    speeds: list[float] = field(default_factory=list)

    def answer(self) -> dict[str, Any]:
        """Its next line; what libraries print besides is passed over."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        raise NotMeasured(f"`{self.of.name}` ended with {self.process.returncode}")


def contenders(
    folder: Path, precision: str, is_sampled: bool, torch: str | None
) -> list[Contender]:
    """All that can be had here. `torch` is a Python that has it, or nothing."""

    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"bench.{name}", str(folder), precision, *arguments]

    found = [Contender(OURS, module("ours", "dense"))]
    if is_sampled:
        found.append(Contender(BY_ROWS, module("ours", "sparse"), is_same=False))
    found.append(Contender("Keras fit", module("keras_fit", "1")))
    found.append(Contender("Keras fit, 16 steps an execution", module("keras_fit", "16")))
    if torch is not None:
        script = str(ROOT / "bench" / "torch_loop.py")
        for how in ("eager", "compiled") if can_compile(torch) else ("eager",):
            command = [torch, script, str(folder), precision, how]
            found.append(Contender(f"torch loop, {how}", command))
    return found


def can_compile(torch: str) -> bool:
    """Whether that Python's torch has `torch.compile`."""
    ask = "import torch; print(hasattr(torch, 'compile'))"
    done = subprocess.run([torch, "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "True"


def race(of: list[Contender], rounds: int, **environment: str) -> list[Running]:
    """Starts one after the other, then takes rounds in turns, in rotated order."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    running: list[Running] = []
    try:
        for one in of:
            process = subprocess.Popen(
                one.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                # A torch of another Python brings its own libraries.
                env={**env, **environment}
                if one.command[0] == sys.executable
                else dict(os.environ),
            )
            running.append(Running(one, process))
            running[-1].known = running[-1].answer()
        for number in range(rounds):
            for at in range(len(running)):
                one = running[(at + number) % len(running)]
                assert one.process.stdin is not None
                one.process.stdin.write("go\n")
                one.process.stdin.flush()
                one.speeds.append(one.answer()["samples_per_s"])
    finally:
        for one in running:
            assert one.process.stdin is not None
            one.process.stdin.close()
            one.process.wait()
    return running


def apart(ours: dict[str, float], theirs: dict[str, float] | None) -> float | None:
    """How far losses are from ours at most; nothing where they were not told."""
    if theirs is None:
        return None
    return max(abs(ours[step] - theirs[step]) for step in ours)


def rows(
    case: str,
    running: list[Running],
    more: dict[str, Callable[[Running], Any]] | None = None,
    is_exact: bool = True,
) -> list[dict]:
    """One row a contender, with `more` figures. Raises where the same mathematics, in numbers
    that are exact enough to tell, came to other losses."""
    ours = next(one for one in running if one.of.name == OURS)
    found = []
    for one in running:
        losses = one.known["losses"]
        distance = apart(ours.known["losses"], losses) if one.of.is_same else None
        if is_exact and distance is not None and not distance <= APART:
            raise NotMeasured(
                f"{case}: `{one.of.name}` computes something else: its losses are {losses}, "
                f"ours {ours.known['losses']}"
            )
        found.append(
            {
                "case": case,
                "who": one.of.name,
                "samples_per_s": round(statistics.median(one.speeds), 1),
                "slowest": round(min(one.speeds), 1),
                "fastest": round(max(one.speeds), 1),
                "compile_s": round(one.known["compile_s"], 2),
                **{
                    f"loss_{step}": None if losses is None else round(losses[str(step)], 5)
                    for step in AT_STEPS
                },
                "loss_apart": None if distance is None else float(f"{distance:.1e}"),
                **{name: value(one) for name, value in (more or {}).items()},
            }
        )
    return found


def versions(running: list[Running]) -> dict[str, str]:
    """Of all that took part."""
    found: dict[str, str] = {"python": sys.version.split()[0]}
    for one in running:
        found |= one.known.get("versions", {})
    return found
