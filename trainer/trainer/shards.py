"""The data of a training on the device: all of it where it fits, else shard after shard.

A shard holds whole users, who are spread over the shards by a fixed scramble, so that each looks
like all. What is in which shard depends on the data and on `shard_events` alone, and so does the
order of the steps: whether the shards stay on the device or come one after the other changes no
number. The next one is laid out on a thread while the device works on this one.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer import batches, order
from trainer.dataset import Interactions

SPREAD = 3
BYTES_PER_EVENT = 8  # item and weight
BYTES_PER_WINDOW = 16


@dataclass(frozen=True)
class Room:
    """What every shard is padded to, so that all share their programs."""

    events: int
    windows: tuple[int, ...]  # by bucket

    @property
    def n_bytes(self) -> int:
        """On the device, of one shard."""
        return BYTES_PER_EVENT * self.events + BYTES_PER_WINDOW * sum(self.windows)


@dataclass(frozen=True)
class Resident:
    """A shard as the compiled loop reads it."""

    data: batches.Sequences
    buckets: list[batches.Bucket]


@dataclass(frozen=True)
class Part:
    """One part of the data, cut into shards, with its batches counted."""

    events: Interactions
    shard_of_user: np.ndarray
    n_shards: int
    windows: list[list[int]]  # by shard and bucket
    lengths: tuple[int, ...]
    most_events: int

    def shard(self, number: int) -> Interactions:
        """The events of one shard, under the same ids."""
        if self.n_shards == 1:
            return self.events
        return self.events.only(self.shard_of_user[self.events.user] == number)

    def batches(self, batch_size: int) -> list[list[int]]:
        """How many, by shard and bucket."""
        return [[-(-n // batch_size) for n in of_shard] for of_shard in self.windows]


def part(events: Interactions, n_shards: int, lengths: tuple[int, ...]) -> Part:
    """Cuts a part into `n_shards` and counts what comes of it."""
    spread = order.host_mix(np.arange(events.n_users, dtype=np.uint32) ^ np.uint32(SPREAD))
    shard_of_user = spread % np.uint32(n_shards)
    cut = batches.windows(events, lengths[-1])
    of_window = shard_of_user[cut.user]
    by_length = np.searchsorted(lengths, cut.sizes(lengths[-1]))
    found = np.bincount(
        of_window * len(lengths) + by_length, minlength=n_shards * len(lengths)
    ).reshape(n_shards, len(lengths))
    of_event = np.bincount(shard_of_user[events.user], minlength=n_shards)
    most = int(of_event.max(initial=0))
    return Part(events, shard_of_user, n_shards, found.tolist(), lengths, most)


def room_of(parts: list[Part]) -> Room:
    """Enough for every shard of every part; never empty: nothing can be gathered from that."""
    widths = [
        max(1, *(of_shard[at] for one in parts for of_shard in one.windows))
        for at in range(len(parts[0].lengths))
    ]
    return Room(max(1, *(one.most_events for one in parts)), tuple(widths))


def n_shards(n_events: int, shard_events: int) -> int:
    """How many shards the largest part is cut into; all parts get as many."""
    return max(1, -(-n_events // shard_events))


def laid_out(of: Part, number: int, room: Room) -> Resident:
    """Puts one shard on the device."""
    events = of.shard(number)
    cut = batches.in_buckets(batches.windows(events, of.lengths[-1]), of.lengths)
    return Resident(
        batches.sequences(events, room.events),
        [batches.bucket(one, width) for one, width in zip(cut, room.windows, strict=True)],
    )


class Shelf:
    """The shards on the device: all that were asked for, or the one at work and the next."""

    def __init__(
        self,
        parts: list[Part],
        room: Room,
        resident_bytes: float,
        place: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """`place` puts arrays on the devices."""
        self.parts, self.room, self.place = parts, room, place
        shards = sum(one.n_shards for one in parts)
        self.streams = shards * room.n_bytes > resident_bytes
        self.here: dict[tuple[int, int], Future[Resident]] = {}
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="shards")

    def ask(self, which: tuple[int, int]) -> Future[Resident]:
        """Has a (part, shard) laid out, on the thread."""
        if which not in self.here:
            number, shard = which
            self.here[which] = self.thread.submit(self.lay_out, self.parts[number], shard)
        return self.here[which]

    def lay_out(self, part: Part, shard: int) -> Resident:
        """Runs on the thread."""
        made = laid_out(part, shard, self.room)
        return Resident(self.place(made.data), self.place(made.buckets))

    def take(self, which: tuple[int, int], following: tuple[int, int] | None) -> Resident:
        """The shard to work on now; where shards stream, all others but the next one go."""
        if self.streams:
            self.here = {k: v for k, v in self.here.items() if k in (which, following)}
        found = self.ask(which)
        if following is not None and self.streams:
            self.ask(following)
        return found.result()
