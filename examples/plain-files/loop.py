"""A training loop as in PyTorch, here in NumPy: a state, a step, files, two signals."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.dataset as dataset

DATA = Path(os.environ["TRAINSPOT_DATA_DIR"])
CHECKPOINTS = Path(os.environ["TRAINSPOT_CHECKPOINT_DIR"])
OUTPUT = Path(os.environ["TRAINSPOT_OUTPUT_DIR"])
PARAMS = json.loads(Path(os.environ["TRAINSPOT_PARAMS"]).read_text())
STOPPED = 143
MOMENTUM = 0.9


class Factors:
    """Users and items as vectors; in PyTorch an `nn.Module` and its optimizer."""

    def __init__(self, n_users: int, n_items: int) -> None:
        draw = np.random.default_rng(PARAMS["seed"])
        self.weights = {
            "users": draw.normal(0, 0.1, (n_users, PARAMS["dim"])),
            "items": draw.normal(0, 0.1, (n_items, PARAMS["dim"])),
        }
        self.slots = {name: np.zeros_like(value) for name, value in self.weights.items()}

    def step(self, user: np.ndarray, item: np.ndarray, other: np.ndarray) -> float:
        """One step towards liking `item` more than `other` (BPR); returns the mean loss."""
        users, items = self.weights["users"][user], self.weights["items"]
        apart = items[item] - items[other]
        margin = (users * apart).sum(1)
        pull = (1 / (1 + np.exp(margin)))[:, None]
        gradients = {name: np.zeros_like(value) for name, value in self.weights.items()}
        np.add.at(gradients["users"], user, -pull * apart)
        np.add.at(gradients["items"], item, -pull * users)
        np.add.at(gradients["items"], other, pull * users)
        for name, gradient in gradients.items():
            self.slots[name] = MOMENTUM * self.slots[name] + gradient
            self.weights[name] -= PARAMS["learning_rate"] * self.slots[name]
        return float(np.log1p(np.exp(-margin)).mean())

    def save(self, folder: Path) -> None:
        """All that the next step depends on: weights and the optimizer's slots."""
        for name in self.weights:
            np.save(folder / f"{name}.npy", self.weights[name])
            np.save(folder / f"{name}-slots.npy", self.slots[name])

    def load(self, folder: Path) -> None:
        for name in self.weights:
            self.weights[name] = np.load(folder / f"{name}.npy")
            self.slots[name] = np.load(folder / f"{name}-slots.npy")


def checkpoint(model: Factors, step: int) -> None:
    """Whole or not at all: the agent ships `<step>/`, and never looks into `<step>.partial/`."""
    partial = CHECKPOINTS / f"{step}.partial"
    partial.mkdir(exist_ok=True)
    model.save(partial)
    partial.rename(CHECKPOINTS / str(step))


def tell(step: int, total: int, rate: float) -> None:
    """The heartbeat: by rename, so that nobody reads half of it."""
    partial = OUTPUT / "progress.json.partial"
    partial.write_text(json.dumps({"step": step, "total": total, "rate": rate}))
    partial.rename(OUTPUT / "progress.json")


def main() -> int:
    wishes: set[int] = set()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda wish, _: wishes.add(wish))
    events = dataset.dataset(DATA, format="parquet").to_table(columns=["user_id", "item_id"])
    users, user = np.unique(events["user_id"].to_numpy(), return_inverse=True)
    items, item = np.unique(events["item_id"].to_numpy(), return_inverse=True)
    model = Factors(len(users), len(items))

    done = [int(path.name) for path in CHECKPOINTS.iterdir() if path.name.isdigit()]
    first = max(done, default=0)
    if first:
        model.load(CHECKPOINTS / str(first))

    size = PARAMS["batch_size"]
    per_epoch = len(user) // size
    total = per_epoch * PARAMS["epochs"]
    order, epoch_of_order = np.arange(0), -1
    began = told_at = saved_at = time.monotonic()
    for step in range(first, total):
        # The order is a function of (seed, epoch), the draws of (seed, step): neither is saved.
        epoch, place = divmod(step, per_epoch)
        if epoch != epoch_of_order:
            order = np.random.default_rng([PARAMS["seed"], epoch]).permutation(len(user))
            epoch_of_order = epoch
        rows = order[place * size : (place + 1) * size]
        draw = np.random.default_rng([PARAMS["seed"], 1, step])
        model.step(user[rows], item[rows], draw.integers(0, len(items), size))

        now, step_done = time.monotonic(), step + 1
        if now - told_at > 1:
            told_at = now
            tell(step_done, total, (step_done - first) / (now - began))
        if wishes or now - saved_at > PARAMS["checkpoint_every_s"]:
            is_told_to_stop = signal.SIGTERM in wishes
            wishes.clear()
            saved_at = now
            if step_done < total:
                checkpoint(model, step_done)
                if is_told_to_stop:
                    return STOPPED

    np.save(OUTPUT / "items.npy", model.weights["items"])
    np.save(OUTPUT / "users.npy", model.weights["users"])
    result = {"steps": total, "resumed_from": first}
    (OUTPUT / "result.json").write_text(json.dumps(result))
    tell(total, total, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
