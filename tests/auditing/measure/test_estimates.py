"""Numbers with bootstrap draws: their intervals against simulation, and their edges."""

import numpy as np

from novelweights.auditing.measure.estimates import Estimate, of_fixed_pairs, of_pairs, of_rows

WORDS = ("a number", "what it is", "why it is not there")


def limits(one: Estimate) -> tuple[float, float]:
    told = one.quantity("key", *WORDS)
    assert told.level == 0.95
    return told.lower, told.upper


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(3, 2, 400)
    one = of_rows(values, np.random.default_rng(1))
    lower, upper = limits(one)
    assert one.value == values.mean()
    assert abs((upper - lower) - 2 * 1.96 * 2 / 20) < 0.05


def test_the_mean_over_pairs_covers_the_truth():
    rng, hits = np.random.default_rng(2), 0
    truth = 2 / np.sqrt(np.pi)  # of |a - b| for two standard normal numbers
    for _ in range(100):
        points = rng.normal(size=30)
        one = of_pairs(np.abs(points[:, None] - points), rng)
        lower, upper = limits(one)
        hits += lower <= truth <= upper
    assert 83 <= hits <= 99


def test_pairs_of_few_units():
    distances = np.array([[0.0, 2.0], [2.0, 0.0]])
    assert of_pairs(distances, np.random.default_rng(0)).value == 2.0
    assert of_pairs(distances, np.random.default_rng(0)).draws is None
    assert of_fixed_pairs(distances[:1, :1]).value is None
    three = np.ones((3, 3)) - np.eye(3)
    drawn = of_pairs(three, np.random.default_rng(0)).draws
    np.testing.assert_allclose(drawn, 1)


def test_nothing_and_one_have_no_interval():
    rng = np.random.default_rng(0)
    assert of_rows(None, rng).value is None
    assert of_rows(np.zeros(0), rng).value is None
    assert of_rows(np.ones(1), rng).draws is None
    told = of_rows(None, rng).quantity("key", *WORDS)
    assert (told.value, told.definition) == (None, "why it is not there")


def test_ratio_and_difference_keep_what_is_fixed():
    drawn, fixed = Estimate(2.0, 9, np.array([1.0, 3.0])), Estimate(4.0, 5)
    ratio, difference = drawn.over(fixed), drawn.less(fixed)
    assert (ratio.value, ratio.n, ratio.draws.tolist()) == (0.5, 9, [0.25, 0.75])
    assert (difference.value, difference.draws.tolist()) == (-2.0, [-3.0, -1.0])
    assert fixed.over(fixed).draws is None
    assert drawn.over(Estimate(0.0, 3)).value is None
    assert drawn.less(Estimate(None, 0)).value is None
