"""How long to train between checkpoints."""

from math import sqrt

SHORTEST_S = 60.0
LONGEST_S = 600.0
MOST_OVERHEAD = 0.01  # of the time may be spent standing still for a copy


def checkpoint_interval_s(stall_s: float, expected_reclaim_s: float) -> float:
    """The square-root rule: what is lost at a reclaim against what every checkpoint costs.

    `stall_s` is how long training stood still for the last copy from device to host; writing
    goes on beside training and does not count.
    """
    best = sqrt(2.0 * stall_s * expected_reclaim_s)
    return max(min(max(best, SHORTEST_S), LONGEST_S), stall_s / MOST_OVERHEAD)
