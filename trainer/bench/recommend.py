"""Recommendations: users a second of one core, at 1k, 12k and 100k items, beside a plain way.

Each row is a process of its own on one core, so that memory and threads are its own: the default
network with first weights (the arithmetic does not depend on their values), or a baseline fitted
on made-up histories of 2 to 120 events; the best 50 of all items for each of whole blocks of 256
users, what they had hidden. The plain way encodes alike, then makes the full matrix of scores and
takes `numpy.argpartition`. Seconds are the process's own on the core (CPU time), so that who else
works there changes little. Figures only, never a pass or a fail. Usage:

    python trainer/bench/recommend.py [--json FILE]
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (1_000, 12_000, 100_000)
WAYS = ("network", "plain", "popularity", "sequential-rules", "item-knn")
TOP_K = 50
BLOCK = 256
USERS = 4_096
TIMES = 3
LEAST_S = 1.0  # of each of the three


def interactions(n_items: int) -> Any:
    """Histories of made-up users, popular items more often, as in shops."""
    import numpy as np
    import pyarrow as pa

    from trainer.dataset import Interactions

    generator = np.random.Generator(np.random.PCG64(1))
    lengths = np.clip(generator.lognormal(3.0, 0.9, USERS).astype(int), 2, 120)
    user = np.repeat(np.arange(USERS, dtype=np.int32), lengths)
    popular = generator.zipf(1.3, 4 * len(user)) - 1
    drawn = popular[popular < n_items][: len(user)]
    item = np.resize(drawn, len(user)).astype(np.int32)
    time_ms = np.arange(len(user), dtype=np.int64) * 60_000
    ids = pa.array(np.arange(USERS)), pa.array(np.arange(n_items))
    return Interactions(*ids, user, item, time_ms, np.ones(len(user), np.float32))


def network(events: Any) -> Any:
    """The default model, as it is after its first step as far as time goes."""
    import numpy as np

    from trainer import network
    from trainer.config import TrainConfig
    from trainer.network_candidate import NetworkCandidate

    config = TrainConfig()
    model = network.build(config, events.n_users, events.n_items)
    every = np.arange(events.n_items), np.arange(events.n_users)
    weights = network.first_weights(model, config.seed)
    fitted = np.ones(events.n_items, bool)
    return NetworkCandidate(config, weights, fitted, *every, events.n_users)


def plain(serving: Any, events: Any, users: Any) -> Any:
    """What a few lines of numpy do: all scores at once, then the best of them."""
    import numpy as np

    from trainer.metrics import hide_seen

    start, end = events.offsets[users], events.offsets[users + 1]
    vectors = serving.user_vectors(events.item, start, end, users)
    scores = vectors @ serving.factors.items.T
    hide_seen(scores, events.item, start, end)
    best = np.argpartition(-scores, TOP_K, axis=1)[:, :TOP_K]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)


def medians(one_block: Callable[[Any], Any], size: int) -> float:
    """Users a second of CPU time: the median of three stretches of a second or more."""
    import numpy as np

    rates, low = [], 0
    one_block(np.arange(size))  # compiled and warm
    for _ in range(TIMES):
        begun, done = time.process_time(), 0
        while (passed := time.process_time() - begun) < LEAST_S:
            one_block(np.arange(low, low + size))
            low, done = (low + size) % (USERS - size + 1) // size * size, done + size
        rates.append(done / passed)
    return statistics.median(rates)


def one(way: str, n_items: int) -> dict[str, Any]:
    """One row, in this process."""
    import numpy as np

    from trainer import baselines
    from trainer.best_items import best_items, block_size

    events = interactions(n_items)
    is_network = way in ("network", "plain")
    begun = time.process_time()
    serving = network(events) if is_network else baselines.fit(way, events)
    fit_s = time.process_time() - begun
    size = BLOCK if is_network else block_size(serving, n_items)
    encode = None
    if way == "plain":
        work = lambda users: plain(serving, events, users)  # noqa: E731
    else:
        work = lambda users: best_items(serving, events, users, TOP_K, False)  # noqa: E731
    if is_network:
        encode = medians(
            lambda users: serving.user_vectors(
                events.item, events.offsets[users], events.offsets[users + 1], users
            ),
            size,
        )
    rate = medians(work, size)
    some = np.arange(size)
    found, values = best_items(serving, events, some, TOP_K, False)
    if way == "plain":  # the same work, or the comparison says nothing
        theirs = plain(serving, events, some)[1]
        if not np.allclose(values, theirs, atol=1e-4):
            raise SystemExit("plain: must find the scores that the tiles find")
    return {
        "way": way,
        "items": n_items,
        "block": size,
        "users_per_s": round(rate, 1),
        "encode_users_per_s": round(encode, 1) if encode else None,
        "fit_s": round(fit_s, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "found": int(np.isfinite(values).sum() if found.size else 0),
    }


def in_a_process(way: str, n_items: int) -> dict[str, Any]:
    """One row in a process that may use one core."""
    trainer = Path(__file__).resolve().parent.parent
    env = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(trainer)}
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        env[name] = "1"
    env["TF_CPP_MIN_LOG_LEVEL"] = "2"
    arguments = [sys.executable, __file__, "--one", way, str(n_items)]
    core = max(os.sched_getaffinity(0))
    done = subprocess.run(
        arguments,
        env=env,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    return json.loads(done.stdout)


def machine() -> dict[str, Any]:
    """Where the figures come from, and how busy it was."""
    from importlib.metadata import version

    model = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "load": [round(x, 2) for x in os.getloadavg()],
        "versions": {name: version(name) for name in ("numpy", "scipy", "jax", "keras")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "ITEMS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]))))  # noqa: T201
        return
    about, rows = machine(), []
    print(f"{about['cpu']}, one core; load before {about['load'][0]}", flush=True)  # noqa: T201
    print(f"{'':18}{'items':>9}{'users/core-s':>13}{'encode':>11}{'peak MiB':>10}")  # noqa: T201
    for way in WAYS:
        for n_items in SIZES:
            row = in_a_process(way, n_items)
            rows.append(row)
            encode = row["encode_users_per_s"] or ""
            print(  # noqa: T201
                f"{way:18}{n_items:>9,}{row['users_per_s']:>13,}{encode:>11}{row['peak_mib']:>10}",
                flush=True,
            )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
