"""Which numbers training computes in, and the scaling of the loss that float16 needs.

Variables, the softmax and what is summed over stay float32. The state is laid out the same in
every precision, so that a training may go on where the hardware is another.
"""

from typing import Any

import jax
import jax.numpy as jnp

FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"
AMPERE, TURING = 8.0, 7.5  # the first with bfloat16, and with float16 in the tensor cores
FIRST_SCALE = 2.0**15
GROW_AFTER = 2000  # steps without an overflow
LEAST_SCALE = 1.0


def chosen(asked: str, platform: str, capability: float | None) -> str:
    """What is computed in, as asked or by what the device is good at."""
    if asked != "auto":
        return asked
    if platform != "gpu" or capability is None:
        return FLOAT32
    if capability >= AMPERE:
        return BFLOAT16
    return FLOAT16 if capability >= TURING else FLOAT32


def capability_of(device: Any) -> float | None:
    """Such as 8.6; nothing for what is no NVIDIA GPU."""
    text = getattr(device, "compute_capability", None)
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def first_scaling() -> list[jax.Array]:
    """The factor, and the steps since it last changed."""
    return [jnp.float32(FIRST_SCALE), jnp.int32(0)]


def unscaled(precision: str, gradients: list, scaling: list) -> tuple[list, jax.Array]:
    """The gradients without the factor, and whether all are numbers."""
    if precision != FLOAT16:
        return gradients, jnp.bool_(True)
    gradients = [gradient / scaling[0] for gradient in gradients]
    return gradients, jnp.stack([jnp.isfinite(g).all() for g in gradients]).all()


def scaled_update(
    precision: str, old: Any, new: Any, finite: jax.Array, leave: frozenset | set = frozenset()
) -> Any:
    """The new state, or where float16 overflowed the old one with half the factor. Variables in
    `leave` were left alone already, and their sums with them."""
    if precision != FLOAT16:
        return new

    def either(one: list, other: list) -> list:
        return [jnp.where(finite, a, b) for a, b in zip(one, other, strict=True)]

    trainable = [
        value if i in leave else jnp.where(finite, value, before)
        for i, (value, before) in enumerate(zip(new.trainable, old.trainable, strict=True))
    ]
    factor, since = old.scaling
    grown = since + 1 >= GROW_AFTER
    factor = jnp.where(
        finite,
        jnp.where(grown, factor * 2, factor),
        jnp.maximum(factor / 2, LEAST_SCALE),
    )
    since = jnp.where(finite & ~grown, since + 1, 0)
    return new._replace(
        trainable=trainable,
        other=either(new.other, old.other),
        slots=either(new.slots, old.slots),
        scaling=[factor, since],
    )
