"""The folder `model/`: weights, configuration and vocabulary of a trained network.

Reading it needs neither Keras nor JAX, so a stage can look at a model without paying for them.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trainer.atomic import rfc3339, sha256_of, write_json, write_with
from trainer.config import TrainConfig, parse
from trainer.dataset import Interactions
from trainer.failure import ConfigurationError, DataError
from trainer.rule import KEY, Rule
from trainer.split import Split

SCHEMA = 1
CODE = "code"
SERVED, EVALUATED = "weights.safetensors", "evaluated.safetensors"


@dataclass(frozen=True)
class SavedModel:
    """A model as it lies in its folder."""

    config: TrainConfig
    about: dict[str, Any]
    weights: list[np.ndarray]
    item_ids: pa.Array
    fitted: np.ndarray  # by item: whether it was in the training data of these weights
    user_ids: pa.Array

    def item_rows(self, events: Interactions) -> np.ndarray:
        """The model's item for each of the dataset's, or -1."""
        return rows_of(events.item_ids, self.item_ids)

    def user_rows(self, events: Interactions) -> np.ndarray:
        """The model's user for each of the dataset's, or -1."""
        return rows_of(events.user_ids, self.user_ids)


def rows_of(ids: pa.Array, known: pa.Array) -> np.ndarray:
    """Where each of `ids` stands in `known`, or -1."""
    if ids.type != known.type:
        return np.full(len(ids), -1, np.int64)
    return pc.index_in(ids, value_set=known).fill_null(-1).to_numpy().astype(np.int64)


def save(
    folder: Path,
    config: TrainConfig,
    events: Interactions,
    split: Split,
    rule: Rule,
    weights: dict[str, dict[str, np.ndarray]],
    code: str,
) -> dict[str, Any]:
    """Writes the folder and returns what `config.json` says. `weights` are by file name, `code` is
    the `factory.identity` of the model that they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in weights.items():
        write_with(folder / name, partial(save_file, tensors))
    fit = split.fit
    of_all = np.bincount(events.item, minlength=events.n_items)
    of_fit = np.bincount(fit.item, minlength=events.n_items)
    items = pa.table({"item_id": events.item_ids, "events": of_all, "events_before_split": of_fit})
    users = pa.table({"user_id": events.user_ids})
    write_with(folder / "items.parquet", partial(pq.write_table, items))
    write_with(folder / "users.parquet", partial(pq.write_table, users))
    refitted = config.refit_epochs > 0
    about = {
        "schema": SCHEMA,
        "candidate": "network",
        "model": config.model,
        CODE: code,
        "parameters": int(sum(value.size for value in weights[SERVED].values())),
        "params": asdict(config),
        "config_digest": config.digest(),
        "dataset_fingerprint": events.fingerprint,
        "users": events.n_users,
        "items": events.n_items,
        "events": events.n_events,
        "split_at": rfc3339(split.at_ms),
        KEY: rule.record(),
        "evaluated": {"fitted_on": "events before the split", "events": fit.n_events},
        "served": {
            "fitted_on": "events before the split, then all events" if refitted
            else "events before the split",
            "events": events.n_events if refitted else fit.n_events,
        },
        "sha256": {name: sha256_of(folder / name) for name in (SERVED, EVALUATED)},
        "versions": {name: version(name) for name in ("keras", "jax", "numpy")},
    }  # fmt: skip
    write_json(folder / "config.json", about)
    return about


def load(folder: Path, name: str) -> SavedModel:
    """Reads a model for serving (`SERVED`) or for evaluation (`EVALUATED`)."""
    shown = f"{folder.parent.name}/{folder.name}"
    if not folder.is_dir():
        raise ConfigurationError(
            f"`{shown}/` must hold a trained network, found no such folder",
            "the network needs the output of a train stage",
        )
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if about["schema"] != SCHEMA:
            raise DataError(
                f"`{shown}/config.json` must have schema {SCHEMA}, received: {about['schema']}"
            )
        if sha256_of(folder / name) != about["sha256"][name]:
            raise DataError(f"`{shown}/{name}` must match its checksum in `config.json`")
        tensors = load_file(folder / name)
        items = pq.read_table(folder / "items.parquet").combine_chunks()
        users = pq.read_table(folder / "users.parquet").combine_chunks()
        config = parse(TrainConfig, about["params"])
    except (OSError, ValueError, KeyError, pa.ArrowException, SafetensorError) as error:
        raise DataError(f"`{shown}/` must hold a whole model ({error})") from error
    counted = "events" if name == SERVED and config.refit_epochs > 0 else "events_before_split"
    return SavedModel(
        config=config,
        about=about,
        weights=[tensors[key] for key in sorted(tensors)],
        item_ids=items.column("item_id").chunk(0),
        fitted=items.column(counted).to_numpy() > 0,
        user_ids=users.column("user_id").chunk(0),
    )
