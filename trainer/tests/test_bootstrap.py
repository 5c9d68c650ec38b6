"""The bootstrap says what the textbook says."""

import numpy as np

from trainer.bootstrap import RESAMPLES, RESAMPLES_AT_ONCE, interval, resampled_means


def test_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.Generator(np.random.PCG64(1)).normal(2.0, 3.0, (900, 1))

    low, high = interval(resampled_means(values, 7)[:, 0])

    half = 1.96 * values.std() / 30
    assert abs(low - (values.mean() - half)) < 0.05
    assert abs(high - (values.mean() + half)) < 0.05


def test_same_seed_gives_the_same_resamples():
    values = np.arange(20.0).reshape(10, 2)

    assert np.array_equal(resampled_means(values, 3), resampled_means(values, 3))
    assert not np.array_equal(resampled_means(values, 3), resampled_means(values, 4))


def test_a_sign_of_life_comes_after_each_few_resamples():
    said = []

    resampled_means(np.arange(20.0).reshape(10, 2), 3, alive=said.append)

    assert said == ["resampling users"] * (RESAMPLES // RESAMPLES_AT_ONCE)


def test_differences_are_paired():
    # Users differ much, candidates differ by the same bit for each user: no doubt is left.
    user = np.random.Generator(np.random.PCG64(1)).normal(0, 10, 200)
    drawn = resampled_means(np.stack([user + 0.1, user], axis=1), 7)

    low, high = interval(drawn[:, 0] - drawn[:, 1])

    assert abs(low - 0.1) < 1e-9
    assert abs(high - 0.1) < 1e-9
