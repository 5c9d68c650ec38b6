"""The order of the training data as a pure function of (seed, epoch, position).

A permutation computed where it is needed, a few integer operations for each sample of a batch:
no array of the epoch's order has to be held, saved or restored, so the position of a run is one
integer. It is a balanced Feistel network over the next power of four, walked until it falls
inside the range.
"""

import jax
import jax.numpy as jnp
import numpy as np

ROUNDS = 4


def mix(x: jax.Array) -> jax.Array:
    """Scrambles 32 bits."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def key(seed: int, epoch: jax.Array) -> jax.Array:
    """One number for one epoch of one run."""
    return mix(jnp.uint32(seed) * jnp.uint32(0x9E3779B9) + mix(epoch.astype(jnp.uint32)))


def half_bits(n: int) -> int:
    """Half the bits of the smallest power of four that is at least `n`."""
    return max(1, -(-max(n - 1, 1).bit_length() // 2))


def shuffled(position: jax.Array, n: jax.Array, half: jax.Array, of: jax.Array) -> jax.Array:
    """Where `position` (below `n`) goes in the permutation `of` of 0..n."""
    low = (jnp.uint32(1) << half) - 1

    def once(x: jax.Array) -> jax.Array:
        left, right = x >> half, x & low
        for number in range(ROUNDS):
            scrambled = mix(right ^ mix(of + jnp.uint32(number))) & low
            left, right = right, left ^ scrambled
        return (left << half) | right

    outside = n.astype(jnp.uint32)
    return jax.lax.while_loop(
        lambda x: jnp.any(x >= outside),
        lambda x: jnp.where(x >= outside, once(x), x),
        once(position.astype(jnp.uint32)),
    ).astype(jnp.int32)


def host_mix(x: np.ndarray) -> np.ndarray:
    """`mix` for NumPy: the same bits."""
    x = np.asarray(x, np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def host_shuffled(n: int, *of: int) -> np.ndarray:
    """0..n in an order that follows from the numbers `of`; for few things, on the host."""
    word = np.zeros(1, np.uint32)
    for number in of:
        word = host_mix(word * np.uint32(0x9E3779B9) + host_mix(np.array([number], np.uint32)))
    return np.argsort(host_mix(np.arange(n, dtype=np.uint32) ^ word), kind="stable")
