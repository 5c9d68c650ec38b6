"""Fits or loads a candidate by its name. Only the network costs an import of Keras and JAX."""

from pathlib import Path

from trainer import baselines, model_files
from trainer.alive import Alive, silent
from trainer.config import BASELINES
from trainer.dataset import Interactions
from trainer.failure import DataError, Unfitting
from trainer.metrics import Candidate


def candidate(
    name: str,
    fit: Interactions,
    events: Interactions,
    model_dir: Path,
    weights: str,
    alive: Alive = silent,
) -> Candidate:
    """A baseline fitted on `fit`, or the network in `model_dir` for the ids of `events`."""
    if name in BASELINES:
        try:
            return baselines.fit(name, fit, alive)
        except Unfitting as reason:
            raise DataError(
                f"candidate {name} must fit this dataset: {reason}",
                "run evaluate on it: another candidate is chosen there",
            ) from reason
    return network(model_files.load(model_dir, weights), events)


def network(saved: model_files.SavedModel, events: Interactions) -> Candidate:
    """A saved network, its ids matched with those of `events`."""
    from trainer.network_candidate import NetworkCandidate

    return NetworkCandidate(
        config=saved.config,
        weights=saved.weights,
        fitted=saved.fitted,
        item_rows=saved.item_rows(events),
        user_rows=saved.user_rows(events),
        n_model_users=len(saved.user_ids),
    )


def network_fitted_on(
    saved: model_files.SavedModel,
    events: Interactions,
    fit: Interactions,
    epochs: int,
    alive: Alive = silent,
) -> Candidate:
    """A network of the same configuration, fitted here and now on `fit`. It is not resumable,
    so it suits small data and few epochs."""
    import dataclasses

    import numpy as np

    from trainer.loop import MOST_STEPS, TrainingLoop
    from trainer.network_candidate import NetworkCandidate

    config = dataclasses.replace(saved.config, epochs=epochs, refit_epochs=0)
    loop = TrainingLoop(config, [(fit, epochs)])
    loop.compile()
    while loop.step < loop.total:
        loop.advance(MOST_STEPS)
        alive("fitting the network for P1")
    return NetworkCandidate(
        config=config,
        weights=list(loop.weights()[1].values()),
        fitted=np.bincount(fit.item, minlength=events.n_items) > 0,
        item_rows=np.arange(events.n_items),
        user_rows=np.arange(events.n_users),
        n_model_users=events.n_users,
    )
