"""A minute's job under the real agent, whose hosts are taken back; and the same, simulated.

The real run is the reference trainer in `trainspot local run` with chaos over its hosts. Its
records say what a start cost, how fast it trained, when each host was told to go; the simulation
gets those figures and must come to the same goodput. What it gets it cannot be blamed for: what
is compared is the accounting of losses, nothing else.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from goodput.costs import Costs
from goodput.simulation import Outcome, ours, run

NOTICE_S = 6.0
CHAOS = f"[hosts]\nreclaim = 80\nwithin_s = 120\nnotice_s = {NOTICE_S}\n"
EPOCHS = 1500
SPEC = f"""name = "goodput"
[data]
prefix = "interactions/"
[train]
program = ["python", "-m", "trainer", "train"]
gpus = 1
memory_gib = 8
timeout = "1h"
params = {{ epochs = {EPOCHS}, refit_epochs = 0, seed = 3, dim = 32, checkpoint_every_s = 5 }}
"""
USERS, EACH, ITEMS = 400, 20, 40
# Of a small state on this machine: the copy, the write, the shipment.
STALL_S, WRITE_S, SHIP_S, POLL_S = 0.01, 0.1, 0.2, 1.0


def seconds(record: dict[str, Any], first: str, last: str) -> float:
    """Between two times of an attempt's record."""
    at = [datetime.fromisoformat(record[name]) for name in (first, last)]
    return (at[1] - at[0]).total_seconds()


def trained(root: Path, folder: Path, seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Runs it; the records of its attempts, first to last, and what training says of itself."""
    python = root / ".venv/bin/python"
    lines = [
        f"{user},{(user * 7 + n * n * 3 + n) % ITEMS},{1_700_000_000 + n * 5_000 + user * 13}\n"
        for user in range(USERS)
        for n in range(EACH)
    ]
    (folder / "events.csv").write_text("user,item,at\n" + "".join(lines))
    (folder / "goodput.toml").write_text(SPEC)
    (folder / "chaos.toml").write_text(CHAOS)
    words = ["-m", "trainer", "import", "csv"]
    columns = ["--user", "user", "--item", "item", "--timestamp", "at"]
    subprocess.run(
        [python, *words, folder / "events.csv", *columns, "--to", folder / "data"],
        check=True,
        env={**os.environ, "PYTHONPATH": str(root / "trainer")},
        stdout=subprocess.DEVNULL,
    )
    where = ["--folder", folder / "cloud", "--data", folder / "data"]
    chaos = ["--chaos", folder / "chaos.toml", "--seed", str(seed)]
    command = [root / "target/debug/trainspot", "local", "run", folder / "goodput.toml"]
    done = subprocess.run(
        [*command, *where, *chaos, "--json"],
        check=True,
        cwd=root,
        stdout=subprocess.PIPE,
    )
    stage = json.loads(done.stdout)["stages"]["train"]
    records = [record for each in stage["submissions"] for record in each["records"]]
    [training] = (folder / "cloud/buckets").glob(f"*/{stage['output']['prefix']}training.json")
    return records, json.loads(training.read_text())


def compared(root: Path, seed: int) -> tuple[Outcome, Outcome, dict[str, Any]]:
    """The real outcome, the simulated one, and the figures that the simulation was given."""
    with tempfile.TemporaryDirectory(prefix="goodput-") as name:
        records, training = trained(root, Path(name), seed)
    begin_s = sum(training["stages"][part] for part in ("import_s", "data_s", "compile_s"))
    lives = [seconds(record, "started_at", "ended_at") for record in records]
    # An attempt that was gone before its program began trained nothing.
    began = [r for r in records if r.get("program_started_at")]
    cold_s = statistics.median(
        seconds(record, "started_at", "program_started_at") + begin_s for record in began
    )
    steps = worked_s = 0.0
    for record in began:
        last = "notice_at" if record.get("notice_at") else "ended_at"
        trained_s = seconds(record, "started_at", last) - cold_s
        done = (record.get("last_step") or 0) - (record.get("resumed_from") or 0)
        if trained_s > 0 and done > 0:
            steps, worked_s = steps + done, worked_s + trained_s
    work_s = training["steps"] * worked_s / steps
    heard = [seconds(r, "started_at", "notice_at") for r in records if r.get("notice_at")]
    repeated_s = sum(
        max(0, (before.get("last_step") or 0) - (after.get("resumed_from") or 0)) * worked_s / steps
        for before, after in itertools.pairwise(records)
    )
    costs = Costs(
        work_s=work_s,
        cold_start_s=cold_s,
        restore_s=0.0,
        stall_s=STALL_S,
        write_s=WRITE_S,
        ship_s=SHIP_S,
        notice_s=NOTICE_S,
        poll_s=POLL_S,
        deaf_s=0.0,  # a record begins with its agent
    )
    ends: Iterator[float] = iter(at - POLL_S / 2 + NOTICE_S for at in heard)
    real = Outcome(True, work_s, sum(lives), len(heard), repeated_s)
    simulated = run(ours, costs, lambda begin: begin + next(ends, math.inf))
    facts = {
        "seed": seed,
        "work_s": round(work_s, 2),
        "cold_start_s": round(cold_s, 2),
        "told_to_go_after_s": [round(at, 2) for at in heard],
        "host_s": round(real.host_s, 2),
        "simulated_host_s": round(simulated.host_s, 2),
    }
    return real, simulated, facts
