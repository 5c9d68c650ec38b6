"""A plain `model.fit` that survives a reclaim: BackupAndRestore, and a bridge to the agent."""

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import keras
import numpy as np
import pyarrow.dataset as dataset

DATA = Path(os.environ["TRAINSPOT_DATA_DIR"])
CHECKPOINTS = Path(os.environ["TRAINSPOT_CHECKPOINT_DIR"])
OUTPUT = Path(os.environ["TRAINSPOT_OUTPUT_DIR"])
PARAMS = json.loads(Path(os.environ["TRAINSPOT_PARAMS"]).read_text())
# Where BackupAndRestore keeps its two files. The agent ships folders named by a number, no other.
BACKUP = CHECKPOINTS / "backup"
STOPPED = 143
FINISH_WITHIN_S = 15  # a SIGTERM leaves 20 s, a Spot notice 90 s


class Batches(keras.utils.PyDataset):
    """Users and the items they took, in an order that is a function of (seed, epoch)."""

    def __init__(self, users: np.ndarray, items: np.ndarray) -> None:
        super().__init__()
        self.users, self.items = users, items
        self.size = PARAMS["batch_size"]
        self.shuffle(0)

    def shuffle(self, epoch: int) -> None:
        self.order = np.random.default_rng([PARAMS["seed"], epoch]).permutation(len(self.users))

    def __len__(self) -> int:
        return len(self.users) // self.size

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[batch * self.size : (batch + 1) * self.size]
        return self.users[rows], self.items[rows]


class Bridge(keras.callbacks.Callback):
    """Stands behind BackupAndRestore in the list: what that one saved becomes a checkpoint.

    Steps are batches everywhere, in folders' names and in progress.json, so that the agent can tell
    what a reclaim cost.
    """

    def __init__(self, batches: Batches, epochs: int) -> None:
        super().__init__()
        self.batches, self.total = batches, epochs * len(batches)
        self.is_told_to_stop = False
        signal.signal(signal.SIGTERM, self.hear)
        # BackupAndRestore knows no checkpoint in the middle: a rebalance hint must not kill us.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        self.told_at = 0.0

    def hear(self, *_: object) -> None:
        self.is_told_to_stop = True

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.first = epoch * len(self.batches)
        self.began = time.monotonic()
        self.batches.shuffle(epoch)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now, done = time.monotonic(), batch + 1
        each = (now - self.began) / done
        if now - self.told_at > 1 or self.first + done == self.total:
            self.told_at = now
            progress = {"step": self.first + done, "total": self.total, "rate": 1 / each}
            partial = OUTPUT / "progress.json.partial"
            partial.write_text(json.dumps(progress))
            partial.rename(OUTPUT / "progress.json")
        # `fit` cannot go on in the middle of an epoch. Finish it if there is time, else leave at
        # once: the next host begins this epoch again.
        if self.is_told_to_stop and each * (len(self.batches) - done) > FINISH_WITHIN_S:
            raise SystemExit(STOPPED)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        step = (epoch + 1) * len(self.batches)
        partial = CHECKPOINTS / f"{step}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(BACKUP, partial)
        partial.rename(CHECKPOINTS / str(step))
        if self.is_told_to_stop and step < self.total:
            raise SystemExit(STOPPED)


def restore() -> int:
    """Lays the newest checkpoint where BackupAndRestore looks for it."""
    shutil.rmtree(BACKUP, ignore_errors=True)
    steps = [int(path.name) for path in CHECKPOINTS.iterdir() if path.name.isdigit()]
    if not steps:
        return 0
    shutil.copytree(CHECKPOINTS / str(max(steps)), BACKUP)
    return max(steps)


def build(n_users: int, n_items: int) -> keras.Model:
    """Any compiled model will do; it must be built before `fit`."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((), dtype="int32"),
            layers.Embedding(n_users, PARAMS["dim"]),
            layers.Dense(n_items),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(PARAMS["learning_rate"]), loss=loss)
    return model


def main() -> None:
    keras.utils.set_random_seed(PARAMS["seed"])
    events = dataset.dataset(DATA, format="parquet").to_table(columns=["user_id", "item_id"])
    users, user = np.unique(events["user_id"].to_numpy(), return_inverse=True)
    items, item = np.unique(events["item_id"].to_numpy(), return_inverse=True)
    resumed_from = restore()
    model = build(len(users), len(items))
    batches = Batches(user.astype(np.int32), item.astype(np.int32))
    callbacks = [
        keras.callbacks.BackupAndRestore(BACKUP, delete_checkpoint=False),
        Bridge(batches, PARAMS["epochs"]),
    ]
    # `shuffle` would draw the order of batches from a state that no checkpoint holds.
    model.fit(batches, epochs=PARAMS["epochs"], shuffle=False, callbacks=callbacks, verbose=0)
    weights = model.get_weights()
    np.savez(OUTPUT / "weights.npz", *weights)
    digest = hashlib.sha256(b"".join(value.tobytes() for value in weights)).hexdigest()
    result = {"digest": digest, "resumed_from": resumed_from}
    (OUTPUT / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
