"""Measures every cell that is not kept yet, one after the other, a line for each."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from quality import cells
from quality.cells import Cell, Result
from quality.datasets import Dataset
from trainer import baselines, candidates, metrics
from trainer.config import TrainConfig, parse
from trainer.dataset import Interactions
from trainer.failure import Unfitting
from trainer.metrics import Candidate

SEEDS = (7, 8, 9)
# Train's defaults. With a `patience` validation would end each fit, which is quicker, and on
# MovieLens-100K worse: see "Early stopping" in trainer/README.md.
SETTINGS = {"patience": 0}

Say = Callable[[str], None]


def say(line: str) -> None:
    """A line of progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measure(
    datasets: list[Dataset],
    folder: Path,
    seeds: tuple[int, ...] = SEEDS,
    settings: dict | None = None,
    tell: Say = say,
    kept_only: bool = False,
) -> tuple[dict[Cell, Result], dict[tuple[str, str], str]]:
    """All results, those kept in `folder` without being made again; and by (dataset, candidate)
    why one is not there. With `kept_only` nothing is measured."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS if settings is None else settings
    todo = [(data, cell) for data in datasets for cell in cells.cells(data, seeds, settings)]
    # What takes longest comes last, seed by seed: with fewer seeds a page can be had earlier.
    todo.sort(key=lambda one: -1 if one[1].seed is None else seeds.index(one[1].seed))
    results, left_out = {}, {}
    for number, (data, cell) in enumerate(todo, 1):
        path = folder / cell.file_name
        head = f"[{number}/{len(todo)}] {cell.shown}"
        if path.exists():
            results[cell] = cells.load(path)
            tell(f"{head}: kept from before")
            continue
        if kept_only:
            left_out[cell.dataset, cell.named] = "not measured yet"
            tell(f"{head}: not measured yet")
            continue
        try:
            results[cell] = one(data, cell, settings)
        except Unfitting as reason:
            left_out[cell.dataset, cell.named] = str(reason)
            tell(f"{head}: left out, {reason}")
            continue
        cells.save(path, results[cell])
        tell(f"{head}: {described(data, results[cell])}")
    return results, left_out


def one(data: Dataset, cell: Cell, settings: dict) -> Result:
    """Fits the cell's candidate and ranks all cases of its questions."""
    began = time.process_time()
    questions = dict(data.questions)[cell.fit]
    fit = questions[0].split.fit
    epochs = None
    candidate: Candidate
    if cell.seed is None:
        candidate = baselines.fit(cell.candidate, fit)
    else:
        params = {"epochs": data.epochs, **settings, "seed": cell.seed}
        candidate, epochs = trained(parse(TrainConfig, params), data.events, fit)
    outcomes = {
        one.name: metrics.run_candidate(
            candidate, data.events.item, one.split.cases, data.events.n_items, not one.repeats
        )
        for one in questions
    }
    return Result(outcomes, time.process_time() - began, epochs)


def trained(
    config: TrainConfig, events: Interactions, fit: Interactions
) -> tuple[Candidate, int | None]:
    """The network, fitted as train fits what evaluate scores; and after how many epochs
    validation ended it, if it was asked."""
    loop = candidates.fitted_loop(config, fit)
    return candidates.of_loop(loop, events, fit), len(loop.validated) or None


def described(data: Dataset, result: Result) -> str:
    """Seconds and NDCG@10, by question."""
    parts = [f"{result.seconds:.0f} CPU s"]
    if result.epochs is not None:
        parts.append(f"{result.epochs} epochs")
    for name, outcome in result.outcomes.items():
        cases = data.by_name[name].split.cases
        user = cases.user[cases.target_row]
        values = metrics.metric_values(outcome.ranks)["ndcg_at_10"]
        mean = float(np.mean(metrics.per_user(values, user, np.unique(user))))
        parts.append(f"{name} NDCG@10 {mean:.4f}")
    return ", ".join(parts)
