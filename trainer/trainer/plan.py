"""Which steps a training makes, and when it may stop: plain functions over plain numbers.

A leg is a stretch of steps over one part of the data: first what is fitted on, at last all
events. Where validation ends the first leg early, the later ones move forward; that follows from
the validation's history alone, so a resumed run has the same legs.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer import order

# Batches of one length that follow each other where there are several: enough that the host is
# not asked between any two, few enough that all lengths take part in every part of an epoch.
RUN_LENGTH = 8
SHARDS, RUNS = 1, 2  # tell the two orders of an epoch apart


@dataclass(frozen=True)
class Leg:
    """Epochs over one part of the data; steps and epochs are counted over all legs."""

    part: int
    epochs: int
    steps_per_epoch: int
    first_step: int
    first_epoch: int

    @property
    def last_step(self) -> int:
        """The step after the last one."""
        return self.first_step + self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Run:
    """Batches `first..first + count` of one bucket of one shard, one after the other."""

    shard: int
    bucket: int
    first: int
    count: int


def legs(parts: Sequence[tuple[int, int]], stopped_after: int | None = None) -> list[Leg]:
    """The legs of (steps in an epoch, epochs) by part; the first ends after `stopped_after`
    epochs if that is known."""
    made, step, epoch = [], 0, 0
    for number, (steps_per_epoch, epochs) in enumerate(parts):
        if number == 0 and stopped_after is not None:
            epochs = stopped_after
        leg = Leg(number, epochs, steps_per_epoch, step, epoch)
        made.append(leg)
        step, epoch = leg.last_step, epoch + epochs
    return made


def epoch_firsts(all_legs: Sequence[Leg]) -> list[int]:
    """The first step of each epoch."""
    return [
        leg.first_step + number * leg.steps_per_epoch
        for leg in all_legs
        for number in range(leg.epochs)
    ]


def best_of(history: Sequence[float]) -> int:
    """The validation, from 0, that was highest; the first of equals."""
    return int(np.argmax(history))


def stopped_after(history: Sequence[float], epochs: int, patience: int) -> int | None:
    """After how many epochs the first leg ends, if that is decided: no better validation for
    `patience` epochs, or no epoch left."""
    for done in range(1, len(history) + 1):
        if done == epochs or done - 1 - best_of(history[:done]) >= patience:
            return done
    return None


def runs(batches: Sequence[Sequence[int]], seed: int, epoch: int) -> list[Run]:
    """An epoch's runs. `batches[s][b]` is how many batches shard s has of bucket b.

    Shards come one after the other, in an order of their own for every epoch, since not all may
    be on the device; inside a shard the runs of all lengths are mixed.
    """
    found: list[Run] = []
    for shard in order.host_shuffled(len(batches), SHARDS, seed, epoch):
        counts = batches[shard]
        longest = RUN_LENGTH if sum(1 for count in counts if count) > 1 else max(1, *counts)
        of_shard = [
            Run(int(shard), bucket, first, min(longest, count - first))
            for bucket, count in enumerate(counts)
            for first in range(0, count, longest)
        ]
        mixed = order.host_shuffled(len(of_shard), RUNS, seed, epoch, int(shard))
        found += [of_shard[at] for at in mixed]
    return found


class Epoch:
    """The runs of one epoch, found by their place in it."""

    def __init__(self, of: list[Run]) -> None:
        self.runs = of
        self.firsts = [0]
        for run in of:
            self.firsts.append(self.firsts[-1] + run.count)

    @property
    def steps(self) -> int:
        """Batches of the epoch."""
        return self.firsts[-1]

    def at(self, place: int) -> tuple[int, int]:
        """The number of the run of step `place` of the epoch, and how far in it that is."""
        number = bisect.bisect_right(self.firsts, place) - 1
        return number, place - self.firsts[number]
