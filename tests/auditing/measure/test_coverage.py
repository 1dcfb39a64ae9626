"""Counting what a generator reproduces: simulated generators whose truth is known."""

import math

import numpy as np
import pytest

from novelweights.auditing.measure.coverage import Coverage, coverage, coverage_quantities
from novelweights.auditing.result import Quantity

REPETITIONS = 400


def chances(kind):
    """Probability that a replica copies each of 100 rows."""
    rank = np.arange(1, 101)
    p = {
        "50 equal": (rank <= 50) * 1.0,
        "50 linear": (rank <= 50) * rank,
        "50 by 1/rank": (rank <= 50) / rank,
        "100 log-normal": np.exp(np.random.default_rng(1).normal(0, 1, 100)),
    }[kind]
    return p / p.sum()


def shares_held(kind, k):
    """How often the limits hold the unseen share, and the lower and both limits the number."""
    p, rng, held = chances(kind), np.random.default_rng(0), np.zeros(3)
    truth = int((p > 0).sum())
    for _ in range(REPETITIONS):
        hits = rng.choice(100, k, p=p)
        found = coverage(hits, 100)
        missing = p[np.setdiff1d(np.arange(100), hits)].sum()
        lower, upper = found.reproducible_lower, found.reproducible_upper
        held += (
            found.unseen_lower - 1e-9 <= missing <= found.unseen_upper + 1e-9,
            lower <= truth,
            lower <= truth <= upper,
        )
    return held / REPETITIONS


@pytest.mark.parametrize("kind", ["50 equal", "50 linear", "50 by 1/rank", "100 log-normal"])
@pytest.mark.parametrize("k", [5, 20, 50, 200, 1000])
def test_limits_hold_as_often_as_the_docstring_says(kind, k):
    unseen, lower, both = shares_held(kind, k)
    slack = 4 * math.sqrt(0.1 * 0.9 / REPETITIONS)
    assert unseen > 0.9 - slack
    assert lower > 0.975 - slack / 2
    if kind == "50 equal" and k >= 50:
        assert both > 0.95 - slack / 2
    elif k >= 50:
        assert both > 0.8 - slack


def test_the_estimates_are_right_on_average_where_rows_are_copied_equally_often():
    p, rng = chances("50 equal"), np.random.default_rng(0)
    found, errors = [], []
    for _ in range(REPETITIONS):
        hits = rng.choice(100, 100, p=p)
        found.append(coverage(hits, 100).reproducible)
        errors.append(coverage(hits, 100).unseen - p[np.setdiff1d(range(100), hits)].sum())
    assert np.mean(found) == pytest.approx(50, abs=1)
    assert np.mean(errors) == pytest.approx(0, abs=0.01)


def test_the_formulas_are_those_of_a_count_by_hand():
    found = coverage(np.array([0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6]), 20)  # f1 = 4, f2 = 2, k = 11
    assert (found.replicas, found.reproduced) == (11, 7)
    assert found.unseen == pytest.approx(4 / 11)
    a = 10 / 11
    added = a * 4 * 3 / (2 * 3)
    variance = added + a**2 * 4 * 7**2 / (4 * 3**2) + a**2 * 4**2 * 2 * 3**2 / (4 * 3**4)
    factor = math.exp(1.959964 * math.sqrt(math.log(1 + variance / added**2)))
    assert found.reproducible == pytest.approx(7 + added)
    assert found.reproducible_lower == math.floor(7 + added / factor)
    assert found.reproducible_upper == min(20, math.ceil(7 + added * factor))
    assert found.reproducible_share == pytest.approx(
        ((7 + added) / 20, found.reproducible_lower / 20, found.reproducible_upper / 20)
    )


def test_no_replica_says_nothing_of_what_could_be_copied():
    found = coverage(np.zeros(0, dtype=int), 30)
    assert found == Coverage(0, 30, 0, None, None, None, None, None, None)
    assert found.reproducible_share is None
    shown = {q.key: q for q in coverage_quantities(found)}
    assert shown["reproduced_share"].value == 0
    assert shown["reproducible_share"].value is None
    assert shown["unseen_replica_share"].level is None
    assert "cannot be had" in shown["unseen_replica_share"].definition


def test_rows_that_never_repeat_leave_the_number_open_above():
    for k in (1, 2, 12):
        found = coverage(np.arange(k), 200)
        assert found.unseen == 1
        assert found.unseen_lower < 1 == found.unseen_upper
        assert k <= found.reproducible_lower <= found.reproducible <= 200
        assert found.reproducible_upper == 200


def test_one_row_over_and_over_is_all_there_is():
    few, many = (coverage(np.full(k, 7), 200) for k in (3, 500))
    assert few.unseen == many.unseen == 0
    assert few.unseen_upper > 0.5 > 0.01 > many.unseen_upper > 0
    assert many.reproducible == many.reproducible_lower == many.reproducible_upper == 1


def test_nothing_is_unseen_once_all_rows_are_reproduced():
    found = coverage(np.arange(10), 10)
    assert (found.unseen, found.unseen_lower, found.unseen_upper) == (0, 0, 0)
    assert found.reproducible_share == (1, 1, 1)


def test_order_does_not_matter_and_wrong_rows_are_refused():
    hits = np.random.default_rng(0).integers(0, 9, 40)
    assert coverage(hits, 9) == coverage(hits[::-1].copy(), 9)
    for wrong in ([9], [-1]):
        with pytest.raises(ValueError, match="rows of the 9 training checkpoints"):
            coverage(np.array(wrong), 9)
    with pytest.raises(ValueError, match="training checkpoints"):
        coverage(np.zeros(0, dtype=int), 0)


def test_quantities_are_shares_with_limits_around_them():
    for quantity in coverage_quantities(coverage(np.array([0, 1, 1, 2, 2, 2, 3]), 20)):
        assert isinstance(quantity, Quantity)
        assert quantity.unit == "share"
        if quantity.lower is not None:
            assert 0 <= quantity.lower <= quantity.value <= quantity.upper <= 1
