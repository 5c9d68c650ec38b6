"""Scores settings of a candidate inside the first 80 % of a dataset, split again at its own 80 %.

    python -m quality.choose <folder with the imported data> ease RIDGE=500 WINDOW=20

The events that the page is made of take no part: this is the only place where constants may be
tried. It prints NDCG@10 and Recall@20 on P2-rolling by the rule for repeats that the data decide.
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from trainer import baselines, ease, ials, metrics, neighbours, rule
from trainer.config import BASELINES
from trainer.dataset import Interactions, read_interactions
from trainer.failure import ConfigurationError, Refusal
from trainer.split import before_split, p2_rolling

CONSTANTS: dict[str, ModuleType] = {"item-knn": neighbours, "ease": ease, "ials": ials}


def main(arguments: list[str]) -> int:
    """Prints one line; the exit code is that of the refusal, if there is one."""
    try:
        if len(arguments) < 2:
            raise ConfigurationError(
                "a folder and a candidate must be named, received: " + " ".join(arguments)
            )
        folder, name, *settings = arguments
        constants = parsed(name, settings)
        scored = inside(read_interactions(Path(folder)), name, constants)
    except Refusal as refusal:
        sys.stderr.write(f"choose: {refusal.reason}\n")
        return refusal.exit_code
    shown = ", ".join(f"{metric} {value:.4f}" for metric, value in scored.items())
    sys.stdout.write(f"{name} {' '.join(settings)}: {shown}\n")
    return 0


def parsed(name: str, settings: list[str]) -> dict[str, float]:
    """Constants of the candidate's module, by name."""
    if name not in BASELINES:
        raise ConfigurationError(
            f"the candidate must be one of {', '.join(BASELINES)}, received: {name}"
        )
    module = CONSTANTS.get(name, baselines)
    made = {}
    for setting in settings:
        constant, _, text = setting.partition("=")
        old = getattr(module, constant, None)
        if not constant.isupper() or not isinstance(old, int | float):
            raise ConfigurationError(f"`{constant}` must be a constant of {module.__name__}")
        try:
            made[constant] = type(old)(text)
        except ValueError as error:
            raise ConfigurationError(
                f"`{constant}` must be a number such as {old}, received: {text}"
            ) from error
    return made


def inside(events: Interactions, name: str, settings: dict[str, float]) -> dict[str, float]:
    """NDCG@10 and Recall@20 of a setting on the inner split; the constants are put back."""
    early = before_split(events)
    repeats = rule.decide(events).repeats
    split = p2_rolling(early, repeats)
    module = CONSTANTS.get(name, baselines)
    before = {constant: getattr(module, constant) for constant in settings}
    try:
        for constant, value in settings.items():
            setattr(module, constant, value)
        candidate = baselines.fit(name, split.fit)
        outcome = metrics.run_candidate(
            candidate, early.item, split.cases, early.n_items, not repeats
        )
    finally:
        for constant, value in before.items():
            setattr(module, constant, value)
    user = split.cases.user[split.cases.target_row]
    values = metrics.metric_values(outcome.ranks)
    users = np.unique(user)
    return {
        metric: float(metrics.per_user(values[metric], user, users).mean())
        for metric in ("ndcg_at_10", "recall_at_20")
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
