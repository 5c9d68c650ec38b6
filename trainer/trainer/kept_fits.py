"""Fits that evaluate leaves for recommend: `serving/<candidate>.safetensors`, and what it is in
`serving/<candidate>.json`.

A child of a fan-out that fitted a baseline itself would spend more on that than on its share of the
users: at 100,000 items and 20 million events item-kNN takes 18 minutes of a core, iALS 6. Rules and
popularities are counted in less time than a file is fetched, so there are none of them here. What
lies here is read only where it is of the same candidate, dataset and constants; else recommend fits
as it did before.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from trainer import decay, ease, ials, neighbours
from trainer.atomic import sha256_of, write_json, write_with
from trainer.failure import DataError
from trainer.metrics import Candidate

SCHEMA = 1
STAGE, FOLDER = "evaluate", "serving"
PARTS = ("data", "indices", "indptr")  # of a sparse matrix; its arrays are named `field.part`
# The module of each candidate that is kept, and its class: a dataclass of arrays and CSR matrices.
KEPT = {
    "ease": (ease, ease.Ease),
    "ials": (ials, ials.Ials),
    "item-knn": (neighbours, neighbours.Neighbours),
}


@dataclass(frozen=True)
class Kept:
    """A fit that lies in a file."""

    path: Path
    candidate: str
    sha256: str
    shapes: dict[str, list[int]]

    def read(self) -> Candidate:
        """The candidate, bit by bit as it was fitted. Raises `DataError` where the file is torn."""
        made = KEPT[self.candidate][1]
        try:
            if sha256_of(self.path) != self.sha256:
                raise DataError(f"{shown(self.path)} must match its checksum")
            tensors = load_file(self.path)
            values = {field.name: self.value(tensors, field.name) for field in fields(made)}
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise DataError(f"{shown(self.path)} must be whole ({error!r})") from error
        return made(**values)

    def value(self, tensors: dict[str, np.ndarray], name: str) -> np.ndarray | sparse.csr_matrix:
        """One field of the candidate."""
        if name not in self.shapes:
            return tensors[name]
        parts = tuple(tensors[f"{name}.{part}"] for part in PARTS)
        return sparse.csr_matrix(parts, shape=tuple(self.shapes[name]))


def keep(folder: Path, name: str, candidate: Candidate, fingerprint: str) -> None:
    """Writes a candidate that was fitted on all events of the dataset with this fingerprint, if it
    is one that is kept. The record comes last: without it there is no fit."""
    if name not in KEPT:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    write_with(path, partial(save_file, dict(tensors_of(candidate))))
    matrices = {
        field.name: getattr(candidate, field.name)
        for field in fields(candidate)
        if sparse.issparse(getattr(candidate, field.name))
    }
    about = {
        **wanted(name, fingerprint),
        "shapes": {field: list(matrix.shape) for field, matrix in matrices.items()},
        "sha256": sha256_of(path),
    }
    write_json(folder / f"{name}.json", about)


def kept(folder: Path, name: str, fingerprint: str) -> Kept | None:
    """What lies in the folder of this candidate, dataset and version; not read yet. Raises
    `DataError` where its record is torn."""
    record = folder / f"{name}.json"
    if name not in KEPT or not record.is_file():
        return None
    try:
        about = json.loads(record.read_text(encoding="utf-8"))
        if any(about.get(key) != value for key, value in wanted(name, fingerprint).items()):
            return None
        path = folder / f"{name}.safetensors"
        return Kept(path, name, str(about["sha256"]), dict(about["shapes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{shown(record)} must be readable ({error!r})") from error


def wanted(name: str, fingerprint: str) -> dict[str, Any]:
    """What must be the same where a fit is written and where it is read."""
    constants = {
        f"{module.__name__}.{key}": value
        for module in (KEPT[name][0], neighbours, decay)
        for key, value in vars(module).items()
        if key.isupper() and isinstance(value, int | float)
    }
    return {
        "schema": SCHEMA,
        "candidate": name,
        "dataset_fingerprint": fingerprint,
        "constants": constants,
    }


def tensors_of(candidate: Candidate) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a candidate by name."""
    for field in fields(candidate):
        value = getattr(candidate, field.name)
        if sparse.issparse(value):
            for part in PARTS:
                yield f"{field.name}.{part}", getattr(value, part)
        else:
            yield field.name, np.ascontiguousarray(value)


def shown(path: Path) -> str:
    """A file as errors name it."""
    return f"`{STAGE}/{FOLDER}/{path.name}`"
