"""The trainer's own loop as a contender.

`python -m bench.ours <folder> <precision> <dense|sparse>`
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

from bench import contender, problem


def prepare(folder: Path, precision: str, updates: str) -> tuple[dict, Callable[[], float]]:
    """What is known before the rounds, and a round."""
    of, _ = problem.read(folder)
    of = replace(of, table_updates=updates)
    loop = problem.loop_of(of, precision)
    began = time.perf_counter()
    loop.compile()
    compile_s = time.perf_counter() - began
    while loop.step < max(problem.AT_STEPS):
        loop.advance(max(problem.AT_STEPS) - loop.step)

    def one() -> float:
        began, first = time.perf_counter(), loop.step
        while loop.step < first + of.timed_steps:
            loop.advance(first + of.timed_steps - loop.step)
        return of.timed_steps * of.batch_size / (time.perf_counter() - began)

    one()
    known = {
        "losses": problem.losses_at(loop.losses),
        "compile_s": compile_s,
        "chosen": loop.about(),
        "parameters": int(sum(value.size for value in loop.state.trainable)),
    }
    return known, one


if __name__ == "__main__":
    contender.serve(*prepare(Path(sys.argv[1]), *sys.argv[2:]))
