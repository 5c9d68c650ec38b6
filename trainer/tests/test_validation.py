"""Early stopping: judged inside the training data, and remembered by whoever resumes."""

import numpy as np
import pytest
from conftest import TINY, interactions_of, run_to, table

from trainer import validation
from trainer.config import TrainConfig
from trainer.loop import Judged, TrainingLoop
from trainer.split import p2_rolling


@pytest.fixture(scope="module")
def events():
    return interactions_of(table())


def judged_loop(events, **more):
    config = TrainConfig(**{**TINY, "epochs": 12, "patience": 2, "learning_rate": 0.1, **more})
    fit = p2_rolling(events).fit
    from_ms = validation.slice_from(fit)
    early = fit.only(fit.time_ms < from_ms)
    return TrainingLoop(
        config, [(early, config.epochs), (fit, 1), (events, 1)], Judged(fit, from_ms)
    )


def end(loop, stop_at=None):
    """As the stage goes on: judges where that is due."""
    while loop.step < loop.total:
        if loop.validation_due:
            loop.validate()
        elif stop_at is not None and loop.step >= stop_at:
            break
        else:
            loop.advance(3)
    return loop.digest()


def test_the_slice_is_the_newest_of_what_may_be_learnt_from(events):
    fit = p2_rolling(events).fit

    from_ms = validation.slice_from(fit)

    share = (fit.time_ms >= from_ms).mean()
    assert 0.05 < share < 0.15
    assert fit.time_ms.max() < p2_rolling(events).at_ms


@pytest.mark.parametrize("n", [0, 1])
def test_too_little_to_judge_by_is_no_slice(events, n):
    assert validation.slice_from(events.only(np.arange(events.n_events) < n)) is None


def test_every_target_of_the_slice_is_judged_once_by_its_rank(events):
    loop = judged_loop(events)
    judge = loop.validation

    sums = sum(
        judge.batch(loop.state.trainable, loop.state.other, number)
        for number in range(judge.batches)
    )

    fit, from_ms = loop.judged_by.fit, loop.judged_by.from_ms
    assert sums[1] == (fit.time_ms >= from_ms).sum()
    assert 0 < sums[0] / sums[1] < 1
    # Again, slowly and by another road.
    gains = []
    for at in np.flatnonzero(fit.time_ms >= from_ms):
        windows = judge.cut
        row = next(
            i
            for i, (end, user) in enumerate(zip(windows.end, windows.user, strict=True))
            if end - 5 <= at <= end and user == fit.user[at]
        )
        first = max(windows.start[row], windows.end[row] - 6)
        shown = fit.item[first:at]
        history = np.zeros((1, 6), np.int32)
        history[0, 6 - len(shown[-6:]) :] = shown[-6:] + 1
        # A window's earlier places are padding where its end is later than this target.
        places = 6 - (windows.end[row] - at)
        history = history[:, -places:] if places < 6 else history
        for variable, value in zip(loop.model.trainable_variables, loop.state[0], strict=True):
            variable.assign(value)
        padded = np.zeros((1, 6), np.int32)
        padded[0, :places] = history[0, -places:]
        vector = np.asarray(loop.model(padded, np.zeros(1, int)))[0, places - 1]
        scores = np.asarray(loop.state[0][0]) @ vector
        rivals = [i for i in range(1, len(scores)) if i - 1 not in shown and i != fit.item[at] + 1]
        rank = 1 + (scores[rivals] > scores[fit.item[at] + 1]).sum()
        gains.append(1 / np.log2(rank + 1) if rank <= 10 else 0)
    assert sums[0] == pytest.approx(sum(gains), rel=1e-3)


def test_the_fit_ends_early_and_goes_on_from_the_best_weights(events):
    loop = judged_loop(events)
    planned = loop.total

    end(loop)

    history = loop.validated
    assert len(history) < 12, "the fit did not end early: choose a test in which it does"
    assert max(history) == history[-3]
    assert loop.total < planned
    assert loop.step == loop.total == len(history) * loop.per_epoch[0] + sum(loop.per_epoch[1:])
    assert loop.evaluated is not None


def test_best_state_and_early_stopping_survive_a_resume(events):
    loop = judged_loop(events)
    loop.compile()
    first, whole = loop.tensors(), end(loop)
    stopped_after, total = len(loop.validated), loop.total
    best_epoch = stopped_after - 2
    per_epoch = loop.per_epoch[0]

    # In an epoch, at its end and not yet judged, after the best, after the fit, in the last leg.
    for stop in (2, per_epoch, best_epoch * per_epoch + 1, stopped_after * per_epoch, total - 2):
        loop.restore(first, 0)
        end(loop, stop) if stop % per_epoch else run_to_unjudged(loop, stop)
        copied, at = loop.tensors(), loop.step
        end(loop)
        loop.restore(copied, at)

        assert end(loop) == whole, stop
        assert loop.total == total


def run_to_unjudged(loop, stop):
    while loop.step < stop:
        if loop.validation_due:
            loop.validate()
        else:
            loop.advance(3)
    assert loop.validation_due


def test_without_patience_nothing_is_judged_and_all_of_the_fit_is_used(events):
    loop = TrainingLoop(TrainConfig(**TINY), [(p2_rolling(events).fit, 2)])

    run_to(loop, loop.total, 50)

    assert loop.validated == []
    assert not loop.validation_due


def test_weights_that_are_no_numbers_are_never_the_best(events):
    loop = judged_loop(events)
    run_to_unjudged(loop, loop.per_epoch[0])
    good, other = loop.state.trainable, loop.state.other
    broken = [np.full(value.shape, np.nan, np.float32) for value in good]

    sums = loop.validation.batch(broken, other, 0)

    assert sums[0] == 0
    assert 0 < loop.validation.batch(good, other, 0)[0] < sums[1]
