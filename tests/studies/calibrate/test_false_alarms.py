"""Intervals of false-alarm rates, against simulated pools whose error is known."""

import numpy as np

from novelweights.studies.calibrate.judging import intervals


def test_interval_is_the_error_of_the_mean_where_pools_do_not_differ():
    rng = np.random.default_rng(0)
    rates = 0.5 + 0.1 * rng.standard_normal((400, 1))
    resampled = 0.5 + 0.1 * rng.standard_normal((200, 5, 1))
    lower, upper = intervals(rates, resampled)
    assert 1.96 * 0.1 / 20 * 0.8 < (upper - lower)[0] / 2 < 3 * 1.96 * 0.1 / 20


def test_interval_grows_by_what_pools_differ():
    rng = np.random.default_rng(1)
    of_pools = 0.05 * rng.standard_normal((500, 1, 1))
    resampled = 0.5 + of_pools + 0.1 * rng.standard_normal((500, 4, 1))
    rates = 0.5 + 0.1 * rng.standard_normal((400, 1))
    lower, upper = intervals(rates, resampled)
    expected = 1.96 * np.hypot(0.05, 0.1 / 20)
    assert np.isclose((upper - lower)[0] / 2, expected, rtol=0.15)


def test_rates_have_no_negative_limits():
    lower, upper = intervals(np.zeros((5, 2)), np.zeros((4, 3, 2)))
    assert (lower == 0).all()
    assert (upper == 0).all()
