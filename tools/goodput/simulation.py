"""Hosts come, work and are taken back, on a virtual clock.

Ours decides when to checkpoint by the trainer's own `checkpoint_interval_s`, and ships as the agent
does: finished folders are looked for every second, the newest one is shipped, never two at once,
and only what is shipped whole counts. Pure: the same costs and the same ends give the same outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from trainer.interval import checkpoint_interval_s

from goodput.costs import HOUR, Costs

LONGEST_S = 720 * HOUR  # whoever is not done after a month of hosts never will be

# From the start of a host to its end: the moment at which it is gone; infinity when it stays.
Ends = Callable[[float], float]


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    is_done: bool
    work_s: float
    host_s: float
    reclaims: int
    repeated_s: float

    @property
    def goodput(self) -> float:
        """The share of the hosts' time that became work; 0 when the job never ended."""
        return self.work_s / self.host_s if self.is_done else 0.0


@dataclass(frozen=True)
class Life:
    """What one host came to."""

    until: float  # when the next host may begin
    kept_s: float  # work that the next host goes on from
    reached_s: float  # work that was done, kept or not
    is_done: bool = False


Policy = Callable[[Costs, float, float, float], Life]


def run(
    policy: Policy, costs: Costs, ends: Ends, begin: float = 0.0, has_others: bool = True
) -> Outcome:
    """Host after host until the work is done. Waiting for a host is not counted.

    With `has_others`, whoever leaves a host early gets another at once; without, no host is to be
    had until the one that was left would have ended.
    """
    now, kept, host_s, repeated, reclaims, last_end = begin, 0.0, 0.0, 0.0, 0, begin
    while host_s < LONGEST_S:
        # A reclaim is one host's: the next host has the next one.
        end = ends(max(now, last_end))
        life = policy(costs, now, end, kept)
        host_s += life.until - now
        if life.is_done:
            return Outcome(True, costs.work_s, host_s, reclaims, repeated)
        reclaims += 1
        repeated += life.reached_s - life.kept_s
        last_end, kept = end, life.kept_s
        now = life.until if has_others else end
    return Outcome(False, costs.work_s, host_s, reclaims, repeated)


def first_step_at(costs: Costs, begin: float, kept: float) -> float:
    """When a host begins to work."""
    return begin + costs.cold_start_s + (costs.restore_s if kept > 0 else 0.0)


def ours(costs: Costs, begin: float, end: float, kept: float) -> Life:
    """The reference trainer under the agent, with or without notices."""
    now, done = first_step_at(costs, begin, kept), kept
    if now >= end:
        return Life(end, kept, kept)
    heard_at = math.inf
    if costs.notice_s is not None and end < math.inf:
        polls = math.ceil(max(0.0, end - costs.notice_s - begin) / costs.poll_s)
        heard_at = begin + polls * costs.poll_s
    if heard_at <= now:
        return Life(heard_at if heard_at - begin >= costs.deaf_s else end, kept, kept)
    every = checkpoint_interval_s(0.0, costs.expected_reclaim_s)
    saved_at, writer_free_at = now, now
    written: list[tuple[float, float]] = []  # when it was whole on the disk, and its work
    while True:
        due = max(saved_at + every, writer_free_at)
        due = now + math.ceil((due - now) / costs.chunk_s) * costs.chunk_s
        finished = now + costs.work_s - done
        first = min(due, finished, heard_at, end)
        done += max(0.0, first - now)
        now = max(now, first)
        if first == finished:
            return Life(now, done, done, is_done=True)
        if first == end:
            return Life(end, shipped(costs, written, end, kept)[0], done)
        if first == due:
            now += costs.stall_s
            saved_at, writer_free_at = now, now + costs.write_s
            every = checkpoint_interval_s(costs.stall_s, costs.expected_reclaim_s)
            written.append((writer_free_at, done))
            continue
        # Told to go: the stretch is finished, the checkpoint is made and shipped, the agent leaves.
        stopped = max(now + costs.chunk_s, writer_free_at)
        done = min(done + costs.chunk_s, costs.work_s)
        written.append((stopped + costs.stall_s + costs.write_s, done))
        newest, free_at = shipped(costs, written, end, kept)
        return Life(min(free_at, end), newest, done)


def shipped(
    costs: Costs, written: list[tuple[float, float]], end: float, kept: float
) -> tuple[float, float]:
    """The work of the newest checkpoint published by `end`, and when the agent was at rest."""
    newest, free_at, at = kept, 0.0, 0
    while at < len(written):
        start = max(written[at][0], free_at)
        start = math.ceil(start / costs.sweep_s) * costs.sweep_s
        while at + 1 < len(written) and written[at + 1][0] <= start:
            at += 1
        if start + costs.ship_s > end:
            return newest, end
        free_at, newest = start + costs.ship_s, written[at][1]
        at += 1
    return newest, free_at


def epochs_only(costs: Costs, begin: float, end: float, kept: float) -> Life:
    """Keras's `BackupAndRestore` with its default, on storage that outlives the host at no cost.

    Generous: what it saved is safe the moment it is written, and nothing has to be shipped.
    """
    now, done = first_step_at(costs, begin, kept), kept
    while now < end:
        stretch = min(costs.epoch_s, costs.work_s - done)
        if now + stretch > end:
            return Life(end, done, done + end - now)
        now, done = now + stretch, done + stretch
        if done >= costs.work_s:
            return Life(now, done, done, is_done=True)
        # Training stands still while it writes; a host that goes meanwhile leaves the epoch before.
        if now + costs.write_s > end:
            return Life(end, done - stretch, done)
        now += costs.write_s
    return Life(end, done, done)


def from_scratch(costs: Costs, begin: float, end: float, _kept: float) -> Life:
    """No checkpoints."""
    now = begin + costs.cold_start_s
    if now + costs.work_s <= end:
        return Life(now + costs.work_s, costs.work_s, costs.work_s, is_done=True)
    return Life(end, 0.0, max(0.0, end - now))
