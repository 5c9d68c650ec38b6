"""The files of the published comparison, if somebody has them: readers for their two layouts.

Sequence files, one user a line (`user item item …`, oldest first), or one pair a line, as the
repositories of S3-Rec and SASRec carry them; and `ratings.dat` of MovieLens-1M
(`user::item::rating::second`). The files are never fetched and never passed on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from quality.datasets import Dataset, Question, as_in_papers
from trainer.dataset import Interactions
from trainer.failure import DataError

DAY_MS = 86_400_000
FIT = "before each user's last two"


@dataclass(frozen=True)
class Source:
    """A dataset of the papers and the names under which its file is known."""

    name: str
    title: str
    files: tuple[str, ...]
    epochs: int


SOURCES = (
    Source("beauty", "Beauty", ("Beauty.txt", "beauty.txt"), 20),
    Source("toys", "Toys", ("Toys_and_Games.txt", "Toys.txt", "toys.txt"), 20),
    Source("sports", "Sports", ("Sports_and_Outdoors.txt", "Sports.txt", "sports.txt"), 20),
    Source("ml-1m", "ML-1M", ("ratings.dat", "ml-1m.txt", "ML-1M.txt", "ml1m.txt"), 20),
)


def datasets(folder: Path) -> tuple[list[Dataset], list[str]]:
    """What the folder has, and the names of what it lacks."""
    if not folder.is_dir():
        raise DataError(
            f"`TRAINSPOT_BENCH_DATA` must be a folder, received: {folder}",
            "unset it to leave the published comparison out",
        )
    found, missing = [], []
    for source in SOURCES:
        path = find(folder, source)
        if path is None:
            missing.append(source.title)
            continue
        events = ratings(path) if path.suffix == ".dat" else sequences(path)
        question = Question("paper", "leave-one-out", as_in_papers(events), False)
        found.append(
            Dataset(source.name, source.title, events, source.epochs, ((FIT, (question,)),))
        )
    if not found:
        raise DataError(
            f"`TRAINSPOT_BENCH_DATA` must hold a file of the comparison, found none in {folder}",
            f"such as {', '.join(source.files[0] for source in SOURCES)}, at any depth",
        )
    return found, missing


def find(folder: Path, source: Source) -> Path | None:
    """The file of a source, at any depth; the first name that is there."""
    for name in source.files:
        below = sorted(folder.rglob(name))
        if below:
            return below[0]
    return None


def sequences(path: Path) -> Interactions:
    """Events from a sequence file. It has no times: an event is as many days old as events of its
    user came after it, so that candidates which weigh by age have an age to weigh by."""
    of_user: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2:
            raise DataError(
                f"{path.name}, line {number}: must be a user and items, received: {line}"
            )
        of_user.setdefault(fields[0], []).extend(fields[1:])
    return built(
        path,
        [
            (user, item, (place + 1 - len(items)) * DAY_MS)
            for user, items in of_user.items()
            for place, item in enumerate(items)
        ],
    )


def ratings(path: Path) -> Interactions:
    """Events from MovieLens's `ratings.dat`; what was rated counts, how does not."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        fields = line.split("::")
        if len(fields) != 4 or not fields[3].strip().isdecimal():
            raise DataError(
                f"{path.name}, line {number}: must be user::item::rating::second, received: {line}"
            )
        rows.append((fields[0], fields[1], int(fields[3]) * 1000))
    rows.sort(key=lambda row: row[2])  # stable: equal seconds keep the file's order
    return built(path, rows)


def built(path: Path, rows: list[tuple[str, str, int]]) -> Interactions:
    """Dense ids, users together, each user's events in the order of `rows`: unlike the trainer's
    own reader, which has no order among simultaneous events, these files are an order."""
    if not rows:
        raise DataError(f"{path.name}: must hold events, received none")
    users, user = np.unique([row[0] for row in rows], return_inverse=True)
    items, item = np.unique([row[1] for row in rows], return_inverse=True)
    time_ms = np.array([row[2] for row in rows], np.int64)
    order = np.argsort(user, kind="stable")
    return Interactions(
        pa.array(users.tolist()),
        pa.array(items.tolist()),
        user[order].astype(np.int32),
        item[order].astype(np.int32),
        time_ms[order],
        np.ones(len(rows), np.float32),
    )
