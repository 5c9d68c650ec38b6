"""Kills trainings at random moments, and looks at where they end.

    python trainer/tests/kills.py [--kills 20] [--seed N]

Black-box: the command line, the environment and the files of the container contract. Every kill is
SIGKILL; after each one the training is started again, in the same folders, to the end. Exits with 1
unless every end is the state of the training that nobody disturbed.
"""

import argparse
import hashlib
import json
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from conftest import TINY, Place, table

PATIENCE_S = 240
LOOK_S = 0.001
# In this order, over and over: a start, the compiler, any step, a checkpoint being written, the
# refit, the model being written.
MOMENTS = ("start", "compile", "step", "checkpoint", "refit", "model")
DONE = 0


@dataclass(frozen=True)
class End:
    """What a training came to."""

    digest: str
    steps: int
    model_sha256: str


def place(root: Path) -> Place:
    """A run that has not begun."""
    made = Place(root, dict(TINY))
    pq.write_table(table(), made.data / "interactions.parquet")
    return made


def end_of(out: Path) -> End:
    """Read from the output of a training that is done."""
    training = json.loads((out / "training.json").read_text())
    weights = sorted((out / "model").glob("*.safetensors"))
    assert weights, "a model has weights"
    model = hashlib.sha256(b"".join(path.read_bytes() for path in weights))
    return End(training["digest"], training["steps"], model.hexdigest())


def last_metric(out: Path) -> dict:
    """The newest whole line of `metrics.jsonl`."""
    path = out / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return json.loads(lines[-1]) if lines else {"step": 0, "epoch": -1}


def detail(out: Path) -> str:
    """What the training says it is at."""
    path = out / "progress.json"
    return json.loads(path.read_text())["detail"] if path.exists() else ""


def is_there(moment: str, made: Place, out: Path, draw: random.Random, steps: int) -> Callable:
    """A question whose answer turns to yes at the moment; drawn once."""
    if moment == "start":
        return lambda: True
    if moment == "compile":
        return lambda: detail(out) == "compiling"
    if moment == "step":
        wanted = draw.randrange(1, steps)
        return lambda: last_metric(out)["step"] >= wanted
    if moment == "checkpoint":
        wanted = draw.randrange(1, steps)
        return lambda: any(
            path.name.endswith(".partial") and int(path.stem) >= wanted
            for path in made.checkpoints.iterdir()
        )
    if moment == "refit":
        return lambda: last_metric(out)["epoch"] >= TINY["epochs"]
    return lambda: detail(out) == "writing the model"


def kill(process: subprocess.Popen, question: Callable, wait_s: float) -> bool:
    """Kills `wait_s` after the question was answered with yes; False if it ended before."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and not question():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(LOOK_S)
    time.sleep(wait_s)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (-signal.SIGKILL, DONE), errors
    return process.returncode == -signal.SIGKILL


def killed_training(root: Path, moments: list[str], draw: random.Random, whole: End) -> list[str]:
    """Kills one training at each of the moments, then lets it end; returns what was hit.

    Raises `AssertionError` if the end is not `whole`.
    """
    made, out = place(root), root / "out"
    # Compiled anew, or there would be no moment of compiling.
    env = {"JAX_COMPILATION_CACHE_DIR": str(root / "compiled")}
    hit = []
    for moment in moments:
        # A process that was quicker than we is started again; what it wrote is its end already.
        question = is_there(moment, made, out, draw, whole.steps)
        process = made.start("train", out, env=env)
        if not kill(process, question, draw.random() if moment in ("start", "compile") else 0):
            break
        half = any(path.name.endswith(".partial") for path in made.checkpoints.iterdir())
        step = last_metric(out)["step"]
        hit.append(f"{moment} (step {step}{', a checkpoint half written' if half else ''})")
        # As on a new host: what the program wrote outside the checkpoints may be gone or not.
        (out / "progress.json").unlink(missing_ok=True)
    code, errors = made.run("train", out, env=env)
    assert code == DONE, errors
    assert end_of(out) == whole, f"{end_of(out)} and not {whole} after {hit}"
    return hit


def undisturbed(root: Path) -> End:
    """The end of a training that nobody kills."""
    made = place(root)
    code, errors = made.run("train", root / "out")
    assert code == DONE, errors
    return end_of(root / "out")


def say(line: str) -> None:
    """A line, at once: whoever reads waits for minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    say(f"seed {options.seed}")
    draw = random.Random(options.seed)
    equal, done, number = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        whole = undisturbed(Path(folder) / "undisturbed")
        say(f"undisturbed: {whole.steps} steps, digest {whole.digest[:16]}")
        while done < options.kills:
            moment = MOMENTS[number % len(MOMENTS)]
            number += 1
            try:
                hit = killed_training(Path(folder) / str(number), [moment], draw, whole)
            except AssertionError as wrong:
                done += 1
                say(f"{done:3} {moment}: {wrong}")
                continue
            if hit:
                done, equal = done + 1, equal + 1
                say(f"{done:3} {hit[0]}: the undisturbed training's end")
    say(f"{equal} of {done} random SIGKILLs end in the undisturbed training's digest and model")
    return 0 if equal == done else 1


if __name__ == "__main__":
    sys.exit(main())
