"""What is to be measured: one fit of one candidate, and all questions that share it.

A finished cell is kept in a file, so that an interrupted run goes on where it was. The file's name
holds all that the result depends on: dataset, fit, candidate, seed, settings and the code.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quality.datasets import Dataset
from trainer.atomic import write_with
from trainer.config import BASELINES
from trainer.metrics import Outcome

TRAINER = Path(__file__).resolve().parent.parent / "trainer"
JUDGES = ("dataset", "decay", "metrics", "rule", "split")
FITTED = ("alive", "baselines", "ease", "ials", "neighbours")
TRAINED = (
    "batches",
    "candidates",
    "config",
    "devices",
    "engine",
    "loop",
    "network",
    "network_candidate",
    "order",
    "plan",
    "precision",
    "shards",
    "steps",
    "tables",
    "top_k",
    "train",
    "validation",
)


@dataclass(frozen=True)
class Cell:
    """One fit of one candidate."""

    dataset: str
    fit: str
    candidate: str
    seed: int | None  # nothing where the candidate has none
    digest: str

    @property
    def file_name(self) -> str:
        """Where its result is kept."""
        seed = "" if self.seed is None else f"-{self.seed}"
        fit = self.fit.replace(" ", "-").replace("'", "")
        return f"{self.dataset}-{fit}-{self.candidate}{seed}-{self.digest}.npz"

    @property
    def named(self) -> str:
        """What is fitted, and on what, in words."""
        seed = "" if self.seed is None else f" of seed {self.seed}"
        return f"{self.candidate}{seed}, fitted {self.fit}"

    @property
    def shown(self) -> str:
        """In a line of progress."""
        return f"{self.dataset}, {self.named}"


@dataclass(frozen=True)
class Result:
    """What came of a cell: by question, and what is known of the fit."""

    outcomes: dict[str, Outcome]
    seconds: float
    epochs: int | None  # that the network was trained for before validation ended it


def cells(dataset: Dataset, seeds: tuple[int, ...], settings: dict) -> list[Cell]:
    """All cells of a dataset: candidates without a seed once, the network with each seed."""
    made = []
    for fit, _ in dataset.questions:
        about = f"{dataset.events.fingerprint} {fit}"
        plain = digest(about, JUDGES + FITTED)
        trained = digest(
            f"{about} {json.dumps(settings, sort_keys=True)} {dataset.epochs}", JUDGES + TRAINED
        )
        made += [Cell(dataset.name, fit, name, None, plain) for name in BASELINES]
        made += [Cell(dataset.name, fit, "network", seed, trained) for seed in seeds]
    return made


def digest(about: str, modules: tuple[str, ...]) -> str:
    """Changes with the data, the settings and the code of `modules`."""
    made = hashlib.sha256(about.encode())
    for name in modules:
        made.update(name.encode() + b"\n" + (TRAINER / f"{name}.py").read_bytes())
    return made.hexdigest()[:12]


def save(path: Path, result: Result) -> None:
    """Keeps a result, by rename: a half one is never found."""
    arrays = {"about": np.array(json.dumps({"seconds": result.seconds, "epochs": result.epochs}))}
    for name, outcome in result.outcomes.items():
        arrays[f"ranks {name}"], arrays[f"listed {name}"] = outcome.ranks, outcome.listed

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_with(path, write)


def load(path: Path) -> Result:
    """A kept result."""
    with np.load(path) as arrays:
        about = json.loads(str(arrays["about"]))
        names = [key.removeprefix("ranks ") for key in arrays if key.startswith("ranks ")]
        outcomes = {
            name: Outcome(arrays[f"ranks {name}"], arrays[f"listed {name}"]) for name in names
        }
    return Result(outcomes, about["seconds"], about["epochs"])
