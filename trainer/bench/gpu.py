"""The trainer's loop against Keras's `fit` and torch on one NVIDIA GPU, without network:

    python trainer/bench/gpu.py [--out FILE]

needs a Python with jax and torch that see the GPU; what else the trainer needs comes from
trainer/bench/wheels (`make gpu-wheels` on a machine with network). Writes JSON: GPU, driver,
versions, samples a second, and the share of the memory's bandwidth that each must have used. First
in float32, where losses must agree, then in the precision that the trainer chooses on this GPU.
`--smoke` runs tiny sizes anywhere, on a CPU too, to see that it runs.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import problem, race, wheels

ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2}
PASSES = 20
COPY_BYTES, SMOKE_COPY_BYTES = 2**29, 2**24
NO_TF32 = {"JAX_DEFAULT_MATMUL_PRECISION": "float32"}


def gpu() -> dict[str, str] | None:
    """Name, driver and memory of the first GPU, as its driver says; nothing without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = "name,driver_version,memory.total"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return parsed(done.stdout) if done.returncode == 0 else None


def parsed(text: str) -> dict[str, str] | None:
    """The first line of the driver's answer."""
    values = [value.strip() for value in text.strip().split("\n")[0].split(",")]
    return (
        dict(zip(("name", "driver", "memory"), values, strict=True)) if len(values) == 3 else None
    )


def copy_speed(n_bytes: int, rounds: int = 5) -> float:
    """Bytes a second that a plain pass over memory reaches: read once, written once.

    One program a pass: the passes of one loop XLA may fuse into one.
    """
    import jax
    import jax.numpy as jnp

    program = jax.jit(lambda x: x * 1.0001, donate_argnums=0)
    x = jax.block_until_ready(program(jnp.ones(n_bytes // 4)))
    best = 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(PASSES):
            x = program(x)
        jax.block_until_ready(x)
        best = max(best, PASSES * 2 * n_bytes / (time.perf_counter() - began))
    return best


def device() -> tuple[str, str]:
    """The platform, and the precision that the trainer would choose."""
    import jax

    from trainer import precision

    first = jax.local_devices()[0]
    capability = precision.capability_of(first)
    return first.platform, precision.chosen("auto", first.platform, capability)


def measured(
    of: problem.Problem, numbers: str, rounds: int, torch: str | None, peak: float | None, path: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows of one problem in one precision, and the versions."""
    from bench import roofline

    def of_peak(one: race.Running) -> float | None:
        speed = sorted(one.speeds)[len(one.speeds) // 2]
        return roofline.share(of, speed, one.of.name == race.BY_ROWS, peak, ELEMENT[numbers])

    with tempfile.TemporaryDirectory() as folder:
        problem.write(of, Path(folder))
        contenders = race.contenders(Path(folder), numbers, bool(of.negatives), torch)
        done = race.race(contenders, rounds, PYTHONPATH=path, **NO_TF32)
    case = of.name if numbers == "float32" else f"{of.name}, {numbers}"
    more = {"share_of_peak": of_peak}
    return race.rows(case, done, more, is_exact=numbers == "float32"), race.versions(done)


def main() -> int:
    """Measures all and writes one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, on any device")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wheels", type=Path, default=wheels.FOLDER)
    parser.add_argument("--torch", help="a Python that has torch, if this one has not")
    parser.add_argument("--out", type=Path, default=Path("trainer-gpu.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as brought:
        names = wheels.unpacked(options.wheels, Path(brought))
        sys.path.insert(1, brought)
        os.environ["KERAS_BACKEND"] = "jax"
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        path = os.pathsep.join([str(race.ROOT), brought])
        from bench import roofline

        platform, best = device()
        about = gpu() if platform == "gpu" else None
        if about is None and not options.smoke:
            sys.stderr.write("bench: no NVIDIA GPU that jax sees here; --smoke runs anywhere\n")
            return 69
        torch = options.torch
        if torch is None and importlib.util.find_spec("torch") is not None:
            torch = sys.executable
        peak = roofline.peak_of(about["name"]) if about else None
        copied = copy_speed(SMOKE_COPY_BYTES if options.smoke else COPY_BYTES)
        rows, versions = [], {}
        for of in problem.SMOKE if options.smoke else problem.GPU:
            for numbers in dict.fromkeys(("float32", best)):
                found, seen = measured(of, numbers, options.rounds, torch, peak or copied, path)
                rows += found
                versions |= seen
                sys.stderr.write(f"{of.name}, {numbers}: done\n")
    document = {
        "bench": "trainer-gpu",
        "title": "Trainer against Keras's fit and a loop in torch, on a GPU",
        "command": "python trainer/bench/gpu.py" + (" --smoke" if options.smoke else ""),
        "is_smoke": options.smoke,
        "gpu": about,
        "platform": platform,
        "chosen_precision": best,
        "peak_gb_per_s": None if peak is None else peak / 1e9,
        "copy_gb_per_s": round(copied / 1e9, 1),
        "brought": names,
        "versions": versions,
        "compare": {"figure": "samples_per_s", "better": "more", "ours": race.OURS},
        "notes": [
            "A smoke test: the sizes are tiny and the figures mean nothing."
            if options.smoke
            else "One GPU; medians, contenders in turns.",
            "share_of_peak: bytes that a step must move by bench/roofline.py, against the data "
            "sheet's bandwidth, or against a measured copy where the GPU is not in the table.",
            "torch " + ("took part." if torch else "is not there and took no part."),
        ],
        "rows": rows,
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except race.NotMeasured as why:
        sys.stderr.write(f"bench: {why}\n")
        sys.exit(1)
