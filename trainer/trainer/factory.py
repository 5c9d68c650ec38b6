"""A Keras model of your own: train's parameter `model` as `module:factory`.

The interface, exactly:

    def factory(n_items: int, params: dict) -> keras.Model

- `module` is a Python module that can be imported where `python -m trainer` runs, in every stage
  (in the image, or in a folder on `PYTHONPATH`); `factory` is a name in it. It is called with the
  number of items of the dataset, and with train's parameters, defaults filled in (`dim`,
  `max_len`, `dropout` and so on), to which the entries of the parameter `model_params` are added.
- The model is called as `model(history, training=...)`. `history` is int32 of shape
  (batch, max_len): items as 1 to n_items, oldest first, the newest in the last place; 0 is
  padding, on the left.
- It returns floats of shape (batch, max_len, n_items): at each place the scores of all items as
  the next one after it; column j is item j + 1. Scores are logits: any numbers, higher is likelier.
- A place may look at what came before it and at itself, never at what came after it.
- Dropout and the like are Keras's layers; their generators are part of the state that is saved, so
  a resumed run is exact. Layers that keep other state while they train (BatchNormalization) are
  refused: use LayerNormalization. Frozen weights must be the same whenever the factory is called.

The factory is called again in each stage, and weights are put in by their order: the same
arguments must give the same layers. The model is trained against all items, so catalogues above
`full_softmax_up_to` are refused; raise it if the memory is there. Whatever does not keep to this
is refused with one sentence and exit code 64, before anything is trained. The candidate's name in
reports stays `network`. Importing this module imports neither Keras nor JAX.
"""

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config import TrainConfig
from trainer.failure import ConfigurationError

SPEC = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
GENERATOR = "seed_generator_state"  # what Keras calls the state of a layer's random numbers
TRIED_ROWS = 2
CLOSE = 1e-4  # scores of one place, computed beside different later places


def is_own(model: str) -> bool:
    """Whether train's `model` names a factory and not one of the reference models."""
    return ":" in model


def identity(model: str) -> str:
    """The model as a checkpoint names it: a factory goes with the checksum of its module's file, so
    that a checkpoint of other code is not resumed. What the module imports is not looked at.

    It is the first to import the module, so a factory that is not there is refused here."""
    if not is_own(model):
        return model
    factory(model)
    path = getattr(sys.modules[model.split(":")[0]], "__file__", None)
    if path is None:
        return model
    return f"{model} sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]}"


def factory(model: str) -> Callable[[int, dict[str, Any]], Any]:
    """The callable that `module:factory` names."""
    if not SPEC.fullmatch(model):
        raise ConfigurationError(
            f"`model` must be written as module:factory, received: {model}",
            "such as shop.models:gru, where shop/models.py has a function gru",
        )
    module_name, name = model.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"`model` must name a module that can be imported, found no module {error.name} "
                f"for {model}",
                "put it into the image, or its folder on PYTHONPATH",
            ) from error
        raise raised(model, "importing it", error) from error
    except (Exception, SystemExit) as error:  # a script that exits would end the stage as it likes
        raise raised(model, "importing it", error) from error
    if not hasattr(module, name):
        raise ConfigurationError(
            f"`model` must name something in module {module_name}, found no {name} there",
            f"the module's file: {getattr(module, '__file__', 'none')}",
        )
    made = getattr(module, name)
    if not callable(made):
        raise ConfigurationError(
            f"`model` {model} must be callable, received: {type(made).__name__}",
            "a function that takes (n_items, params) and returns a keras.Model",
        )
    return made


def arguments(config: TrainConfig) -> dict[str, Any]:
    """What a factory gets as `params`."""
    params = asdict(config)
    own = params.pop("model_params")
    for name in own:
        if name in params:
            raise ConfigurationError(
                f"`model_params` must not hold `{name}`, which is a parameter of train itself",
                f"set `{name}` beside `model_params`; the factory sees it",
            )
    return {**params, **own}


def build(config: TrainConfig, n_items: int) -> Any:
    """Calls the factory and returns its model, variables made, after all that the interface asks
    was tried on it."""
    import keras

    make = factory(config.model)
    params = arguments(config)
    if n_items > config.full_softmax_up_to:
        raise ConfigurationError(
            f"`model` {config.model} is trained against all items, which must be at most "
            f"`full_softmax_up_to` ({config.full_softmax_up_to}), received: {n_items}",
            "raise `full_softmax_up_to` if batch_size x max_len x items scores fit the memory",
        )
    keras.utils.set_random_seed(config.seed)
    try:
        model = make(n_items, params)
    except Exception as error:
        raise raised(config.model, f"called as factory({n_items}, params)", error) from error
    if not isinstance(model, keras.Model):
        raise ConfigurationError(
            f"`model` {config.model} must return a keras.Model, received: {type(model).__name__}"
        )
    try_out(config, model, n_items)
    return model


def try_out(config: TrainConfig, model: Any, n_items: int) -> None:
    """Calls the model as training and serving will, and refuses what they could not use."""
    import jax
    import keras

    generator = np.random.Generator(np.random.PCG64(config.seed))
    history = generator.integers(1, n_items + 1, (TRIED_ROWS, config.max_len), np.int32)
    history[0, : config.max_len // 2] = 0
    changed = history.copy()
    changed[:, -1] = history[:, -1] % n_items + 1
    try:
        scores, beside = (model(one, training=False) for one in (history, changed))
    except Exception as error:
        called = f"its model called with a history of shape {history.shape}"
        raise raised(config.model, called, error) from error
    expected = (TRIED_ROWS, config.max_len, n_items)
    shape = getattr(scores, "shape", None)
    if shape is None or tuple(shape) != expected:
        received = type(scores).__name__ if shape is None else tuple(shape)
        raise ConfigurationError(
            f"`model` {config.model} must return scores of shape (batch, max_len, n_items), here "
            f"{expected}, received: {received}",
            "the scores of all items at each place; the padding, item 0, has no column",
        )
    scores, beside = np.asarray(scores), np.asarray(beside)
    if not np.issubdtype(scores.dtype, np.floating) and scores.dtype.name != "bfloat16":
        raise ConfigurationError(
            f"`model` {config.model} must return floats, received: {scores.dtype}"
        )
    if not np.isfinite(np.asarray(scores, np.float32)).all():
        raise ConfigurationError(
            f"`model` {config.model} must return finite scores, received NaN or infinity",
            "a row may be padding alone: see that it never divides by what it counts",
        )
    if not np.allclose(scores[:, :-1], beside[:, :-1], rtol=CLOSE, atol=CLOSE):
        raise ConfigurationError(
            f"`model` {config.model} must not look ahead: another last item changed the scores "
            "of earlier places",
            "use causal attention, a forward recurrent layer or causal padding",
        )
    with keras.StatelessScope() as scope:
        jax.eval_shape(lambda one: model(one, training=True), history)
    for variable in model.non_trainable_variables:
        if variable.name != GENERATOR and scope.get_current_value(variable) is not None:
            raise ConfigurationError(
                f"`model` {config.model} must keep no state beside its weights while it trains, "
                f"received: {variable.path}",
                "use LayerNormalization in place of BatchNormalization",
            )


def raised(model: str, doing: str, error: BaseException) -> ConfigurationError:
    """One sentence for an exception in code that is not ours, and where it was raised."""
    # Python's importer leaves frames of its own behind the line that imports.
    frames = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib")
    ]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))  # never run, so no frame of it
    place = "raised at {}:{}".format(*frames[-1]) if frames else ""
    text = str(error).split("\n", 1)[0]
    return ConfigurationError(
        f"`model` {model} must not fail, {doing} raised {type(error).__name__}: {text}", place
    )
