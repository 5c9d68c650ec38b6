"""Recommendations: users a second of one core, at 1k, 12k and 100k items, beside a plain way.

Each row is a process of its own on one core, so that memory and threads are its own: the default
network with first weights (the arithmetic does not depend on their values), or a baseline fitted
on made-up histories of 2 to 120 events; the best 50 of all items for each of whole blocks of 256
users, what they had hidden. The plain way encodes alike, then makes the full matrix of scores and
takes `numpy.argpartition`. Seconds are the process's own on the core (CPU time), so that who else
works there changes little. Figures only, never a pass or a fail. Usage:

    python trainer/bench/recommend.py

It writes `recommend.json` as `tools/bench_format.md` says.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (1_000, 12_000, 100_000)
TRAINER = Path(__file__).resolve().parent.parent
PLAIN = "numpy, full matrix"
BASELINES = ("popularity", "sequential-rules", "item-knn", "ease", "ials")
TOP_K = 50
BLOCK = 256
USERS = 4_096
TIMES = 3
NAMES = ("case", "who")
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


def one(way: str, n_items: int) -> dict[str, Any] | None:
    """One row, in this process; nothing where the candidate cannot be fitted."""
    import numpy as np

    from trainer import baselines
    from trainer.best_items import best_items, block_size
    from trainer.failure import Unfitting

    events = interactions(n_items)
    is_network = way in ("network", PLAIN)
    try:
        serving = network(events) if is_network else baselines.fit(way, events)
    except Unfitting:
        return None
    size = BLOCK if is_network else block_size(serving, n_items)
    encode = None
    if way == PLAIN:
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
    if way == PLAIN:  # the same work, or the comparison says nothing
        some = np.arange(size)
        values = best_items(serving, events, some, TOP_K, False)[1]
        theirs = plain(serving, events, some)[1]
        if not np.allclose(values, theirs, atol=1e-4):
            raise SystemExit("plain: must find the scores that the tiles find")
    return {
        "case": f"{n_items:,} items" if is_network else f"{n_items:,} items, {way}",
        "who": way if is_network else "trainer",
        "users_per_core_s": round(rate, 1),
        "encode_users_per_core_s": round(encode, 1) if encode else None,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def in_a_process(way: str, n_items: int) -> dict[str, Any] | None:
    """One row in a process that may use one core; nothing where the candidate cannot be fitted."""
    env = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(TRAINER)}
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        env[name] = "1"
    env["TF_CPP_MIN_LOG_LEVEL"] = "2"
    core = max(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, __file__, "--one", way, str(n_items)],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    return json.loads(done.stdout)


def document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What `make bench` makes its table of."""
    from importlib.metadata import version

    return {
        "bench": "recommend",
        "title": "The best 50 of all items for every user, on one core",
        "command": "make bench-recommend",
        "versions": {name: version(name) for name in ("numpy", "scipy", "jax", "keras")},
        "compare": {"figure": "users_per_core_s", "better": "more", "ours": "network"},
        "notes": [
            "Users a second of CPU time: medians of 3; blocks of 256 users, what they had hidden.",
            f"`network` and `{PLAIN}` encode alike and find the same scores; "
            "encode_users_per_core_s is that part alone, the most that any ranking could reach.",
            f"The factor compares with `{PLAIN}` only; baselines are other candidates, of which "
            "ease refuses catalogues above its limit.",
            f"load average when it began: {os.getloadavg()[0]:.1f}",
        ],
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("WAY", "ITEMS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]))))  # noqa: T201
        return
    rows, begun = [], document([])
    for way in ("network", PLAIN, *BASELINES):
        for n_items in SIZES:
            row = in_a_process(way, n_items)
            if row is None:
                continue
            rows.append(row)
            figures = ", ".join(f"{key} {value}" for key, value in row.items() if key not in NAMES)
            print(f"{row['case']:36}{row['who']:20}{figures}", flush=True)  # noqa: T201
    out = Path(os.environ.get("BENCH_OUT") or TRAINER.parent / ".trainspot" / "bench")
    out.mkdir(parents=True, exist_ok=True)
    (out / "recommend.json").write_text(json.dumps(begun | {"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
