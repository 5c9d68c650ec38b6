"""`python -m bench` in trainer/: the trainer's loop against Keras's `fit` and a loop in torch.

CPU figures. `--smoke`: tiny sizes, to see that it runs. `--torch PYTHON`: a Python that has torch.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from bench import problem, race

NOTES = [
    "CPU figures: they say nothing about a GPU (trainer/bench/gpu.py is for that).",
    "Samples are windows of a user's events. Medians; contenders ran in turns, in rotated order.",
    "Losses at steps 1, 10 and 100 are of the same first weights, batches, sampled items and "
    "learning rates, without dropout; what is further than 1e-3 from ours is refused, not shown. "
    "`fit` tells no loss of single steps where an execution has 16.",
    "Tables by rows are other mathematics (row-wise Adagrad), so its losses are not held against "
    "ours; what it does to quality is in trainer/README.md.",
    "compile_s is the first call without its steps.",
    "keras-rs 0.4.0 has no SASRec to install: its wheel holds layers, losses and metrics; SASRec "
    "is an example on keras.io that trains by `fit`.",
]
NO_TORCH = (
    "No torch here: its wheel on PyPI is of CUDA and hundreds of megabytes. `--torch PYTHON` "
    "takes one that is there (Debian: python3-torch)."
)


def main() -> int:
    """Measures all cases and writes `trainer.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", help="a Python that has torch")
    options = parser.parse_args()
    rows, versions = [], {}
    for of in problem.SMOKE if options.smoke else problem.CPU:
        with tempfile.TemporaryDirectory() as folder:
            problem.write(of, Path(folder))
            contenders = race.contenders(Path(folder), "float32", bool(of.negatives), options.torch)
            done = race.race(contenders, options.rounds, JAX_PLATFORMS="cpu")
        rows += race.rows(of.name, done)
        versions |= race.versions(done)
        sys.stderr.write(f"{of.name}: done\n")
    document = {
        "bench": "trainer",
        "title": "Trainer against Keras's fit and a loop in torch, on a CPU",
        "command": "make bench-trainer",
        "versions": versions,
        "compare": {"figure": "samples_per_s", "better": "more", "ours": race.OURS},
        "notes": NOTES if options.torch else [*NOTES, NO_TORCH],
        "rows": rows,
    }
    out = Path(os.environ.get("BENCH_OUT", "../.trainspot/bench"))
    out.mkdir(parents=True, exist_ok=True)
    name = "trainer-smoke.json" if options.smoke else "trainer.json"
    (out / name).write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except race.NotMeasured as why:
        sys.stderr.write(f"bench: {why}\n")
        sys.exit(1)
