"""Small jobs whose outcome can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from goodput.costs import Costs
from goodput.reclaims import Trace, drawn, starts, traces
from goodput.simulation import LONGEST_S, epochs_only, from_scratch, ours, run

# A stall of 0.5 s gives an interval of 100 s by the rule: sqrt(2 x 0.5 x 10000).
COSTS = Costs(
    work_s=1000.0,
    cold_start_s=50.0,
    restore_s=10.0,
    stall_s=0.5,
    write_s=5.0,
    ship_s=7.0,
    notice_s=120.0,
    poll_s=5.0,
    deaf_s=50.0,
    chunk_s=0.25,
    expected_reclaim_s=10_000.0,
    epoch_s=300.0,
)


def never(_: float) -> float:
    """Nobody takes a host back."""
    return math.inf


def at(*times: float):
    """Hosts are gone at these times."""
    return lambda begin: next((time for time in times if time > begin), math.inf)


def test_undisturbed_ours_pays_the_start_and_its_stalls():
    outcome = run(ours, COSTS, never)

    # The first interval is the shortest one, 60 s, as nothing was measured yet; then every 100 s.
    stalls = 1 + math.floor((1000 - 60) / 100)
    assert outcome.host_s == 50 + 1000 + stalls * 0.5
    assert (outcome.reclaims, outcome.repeated_s) == (0, 0)


def test_with_notice_nothing_is_done_twice_and_the_host_is_left_early():
    outcome = run(ours, COSTS, at(600.0))

    # Told at 480 s: a stretch, the copy, 5 s to write, up to a second until it is looked for, 7 s to ship.
    assert outcome.repeated_s == 0
    assert outcome.reclaims == 1
    undisturbed = run(ours, COSTS, never)
    extra = outcome.host_s - undisturbed.host_s
    assert 50 + 10 + 5 + 7 < extra < 50 + 10 + 5 + 7 + 3


def test_without_notice_the_work_since_the_newest_shipped_checkpoint_is_done_again():
    outcome = run(ours, replace(COSTS, notice_s=None), at(400.0))

    # Work begins at 50; checkpoints at work 60, 160 and 260 (311 s): the last one is on the disk at 316,
    # shipped at 323. At 400 s the work stands at about 349.
    assert 85 < outcome.repeated_s < 92


def test_a_checkpoint_that_is_not_shipped_whole_does_not_count():
    outcome = run(ours, replace(COSTS, notice_s=None), at(320.0))

    assert 105 < outcome.repeated_s < 112


def test_a_host_that_goes_before_its_first_step_is_lost_and_no_more():
    undisturbed = run(ours, COSTS, never)

    outcome = run(ours, COSTS, at(30.0))

    assert outcome.host_s == undisturbed.host_s + 30
    assert outcome.repeated_s == 0


def test_a_notice_that_is_heard_before_the_first_step_ends_the_host_at_once():
    undisturbed = run(ours, COSTS, never)

    outcome = run(ours, replace(COSTS, deaf_s=10.0), at(150.0))

    # Told at 30 s, and asked every 5 s.
    assert outcome.host_s == undisturbed.host_s + 30


def test_epochs_only_goes_back_to_the_last_whole_epoch():
    outcome = run(epochs_only, COSTS, at(700.0))

    # 50 to 350 and 355 to 655 are whole epochs; 660 to 700 is lost.
    assert outcome.repeated_s == 40
    assert outcome.host_s == 700 + 50 + 10 + 400 + 5


def test_an_epoch_that_is_being_saved_when_the_host_goes_is_lost():
    outcome = run(epochs_only, COSTS, at(352.0))

    assert outcome.repeated_s == 300


def test_from_scratch_begins_anew_and_a_job_that_cannot_end_is_worth_nothing():
    once = run(from_scratch, COSTS, at(700.0))
    never_done = run(from_scratch, COSTS, lambda begin: begin + 900)

    assert once.host_s == 700 + 50 + 1000
    assert once.repeated_s == 650
    assert not never_done.is_done
    assert never_done.host_s >= LONGEST_S
    assert never_done.goodput == 0


@pytest.mark.parametrize("policy", [ours, epochs_only, from_scratch])
def test_the_same_seed_gives_the_same_outcome(policy):
    outcomes = {run(policy, COSTS, drawn(3, 3600.0)) for _ in range(2)}

    assert len(outcomes) == 1


def test_reclaims_come_as_often_as_was_asked_for():
    ends, now, n = drawn(1, 3600.0), 0.0, 0
    while now < LONGEST_S:
        now, n = ends(now), n + 1

    assert n == pytest.approx(LONGEST_S / 3600, rel=0.15)


def test_a_trace_ends_hosts_where_capacity_ended_and_not_where_the_trace_did():
    trace = Trace("t", ((0.0, 100.0), (200.0, 250.0)), 300.0)

    assert trace.up_s() == 150
    assert trace.ends()(0.0) == 100
    assert trace.ends()(100.0) == math.inf
    assert starts(trace, 1000.0) == []


def test_a_folder_without_traces_has_none(tmp_path: Path):
    assert traces(tmp_path) == []
    assert traces(tmp_path / "missing") == []
