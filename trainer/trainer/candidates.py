"""Fits or loads a candidate by its name. Only the network costs an import of Keras and JAX."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from trainer import baselines, factory, model_files
from trainer.alive import Alive, silent
from trainer.config import BASELINES, TrainConfig
from trainer.dataset import Interactions
from trainer.failure import ConfigurationError, DataError, Unfitting
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
        return baseline(name, fit, alive)
    return network(model_files.load(model_dir, weights), events)


def baseline(name: str, fit: Interactions, alive: Alive = silent) -> Candidate:
    """A baseline that is to serve. Raises `DataError` where it cannot be fitted."""
    try:
        return baselines.fit(name, fit, alive)
    except Unfitting as reason:
        raise DataError(
            f"candidate {name} must fit this dataset: {reason}",
            "run evaluate on it: another candidate is chosen there",
        ) from reason


def network(saved: model_files.SavedModel, events: Interactions) -> Candidate:
    """A saved network, its ids matched with those of `events`. Raises `ConfigurationError` where
    the code that builds it is not what its weights were trained with."""
    refuse_other_code(saved)
    from trainer.network_candidate import NetworkCandidate

    return NetworkCandidate(
        config=saved.config,
        weights=saved.weights,
        fitted=saved.fitted,
        item_rows=saved.item_rows(events),
        user_rows=saved.user_rows(events),
        n_model_users=len(saved.user_ids),
    )


def refuse_other_code(saved: model_files.SavedModel) -> None:
    """A factory's model is built anew from today's module: weights in other layers score, and score
    wrong. A model from before its code was recorded is taken at its word."""
    model = saved.config.model
    if not factory.is_own(model):
        return
    factory.factory(model)  # what cannot be imported is refused in its words
    trained, here = saved.about.get(model_files.CODE), factory.identity(model)
    if trained not in (None, here):
        raise ConfigurationError(
            f"`model` {model} must be the code that these weights were trained with ({trained}), "
            f"received: {here}",
            "give changed code another name, and keep the old one in the image while its model "
            "serves",
        )


def network_fitted_on(
    saved: model_files.SavedModel,
    events: Interactions,
    fit: Interactions,
    epochs: int,
    alive: Alive = silent,
) -> Candidate:
    """A network of the same configuration, fitted here and now on `fit`."""
    config = dataclasses.replace(saved.config, epochs=epochs)
    return of_loop(fitted_loop(config, fit, alive), events, fit)


def fitted_loop(config: TrainConfig, fit: Interactions, alive: Alive = silent) -> Any:
    """A training loop that went over `fit` as train does before it goes on over all events, early
    stopping included. It is not resumable, so it suits small data."""
    from trainer import validation
    from trainer.loop import MOST_STEPS, Judged, TrainingLoop
    from trainer.train import parts

    from_ms = validation.slice_from(fit) if config.patience else None
    judged = None if from_ms is None else Judged(fit, from_ms)
    legs = parts(config, fit, fit, from_ms)
    loop = TrainingLoop(config, legs[:-1] if config.refit_epochs else legs, judged)
    loop.compile()
    while loop.step < loop.total:
        if loop.validation_due:
            loop.validate()
        else:
            loop.advance(MOST_STEPS)
        alive("fitting the network")
    return loop


def of_loop(loop: Any, events: Interactions, fit: Interactions) -> Candidate:
    """The network of a finished loop over `fit`, for the ids of `events`, which are `fit`'s."""
    from trainer.network_candidate import NetworkCandidate

    return NetworkCandidate(
        config=loop.config,
        weights=list(loop.weights()[1].values()),
        fitted=np.bincount(fit.item, minlength=events.n_items) > 0,
        item_rows=np.arange(events.n_items),
        user_rows=np.arange(events.n_users),
        n_model_users=events.n_users,
    )
