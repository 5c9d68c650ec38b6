"""What a step must move through the memory at least, and what the memory could move.

A model, not a measurement: every array that does not fit into a cache is counted as often as it
must be read or written. A share near 1 means that the memory is the limit; a low one that launches,
the host or arithmetic are.
"""

from bench.problem import Problem
from trainer.config import TrainConfig
from trainer.tables import DENSE_PASSES, SPARSE_PASSES, most_rows

FLOAT = 4
# Written and read forward, read backward, its gradient written and read.
ACTIVATION_PASSES = 5
# Written, read by the softmax; backward read, the gradient written, read by two products.
LOGIT_PASSES = 6
# Of one layer, in vectors of `dim` for each place: norm, queries, keys, values, mixed, projected,
# norm, twice the doubled width, narrowed.
ACTIVATIONS = 12

# Bytes a second, as NVIDIA's data sheets say. The first name that is part of the GPU's counts.
PEAKS = {
    "H200": 4.8e12,
    "H100 NVL": 3.9e12,
    "H100 PCIe": 2.0e12,
    "H100": 3.35e12,
    "A100-SXM4-80GB": 2.039e12,
    "A100 80GB": 1.935e12,
    "A100": 1.555e12,
    "L40S": 8.64e11,
    "L4": 3.0e11,
    "A10G": 6.0e11,
    "A10": 6.0e11,
    "T4": 3.2e11,
}


def peak_of(name: str) -> float | None:
    """Of a GPU; nothing for one that is not in the table."""
    return next((value for part, value in PEAKS.items() if part in name), None)


def rest_parameters(of: Problem) -> int:
    """All but the item table: places, the layers, the last norm."""
    d = of.dim
    layer = 2 * 2 * d + 3 * d * d + d * d + (2 * d * d + 2 * d) + (2 * d * d + d)
    return of.length * d + of.layers * layer + 2 * d


def bytes_per_step(of: Problem, by_rows: bool, element: int = FLOAT) -> int:
    """Of one step; `element` is the size of what lies between variables."""
    table = (of.items + 1) * DENSE_PASSES
    if by_rows:
        table = most_rows(TrainConfig(**of.params), of.length, of.items) * SPARSE_PASSES
    variables = (table * of.dim + rest_parameters(of) * DENSE_PASSES) * FLOAT
    places = of.batch_size * of.length
    inside = places * (ACTIVATIONS * of.dim + 2 * of.length) * of.layers
    against = of.negatives or of.items
    return (
        variables + inside * element * ACTIVATION_PASSES + places * against * FLOAT * LOGIT_PASSES
    )


def share(
    of: Problem, samples_per_s: float, by_rows: bool, peak: float | None, element: int
) -> float | None:
    """Of the peak that a contender's steps must have moved."""
    if peak is None:
        return None
    steps_per_s = samples_per_s / of.batch_size
    return round(bytes_per_step(of, by_rows, element) * steps_per_s / peak, 4)
