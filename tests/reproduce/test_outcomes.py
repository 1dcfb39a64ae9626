"""The rule by which a claim of the paper agrees with our runs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from novelweights.reproduce.outcomes import (
    ClaimRow,
    Effect,
    Outcome,
    less_than,
    more_than,
    outcome_of,
)
from novelweights.reproduce.reported import PaperEffect

AGREES, DISAGREES, TOO_SMALL = Outcome


@pytest.mark.parametrize(
    ("value", "lower", "upper", "outcome"),
    [
        (0.5, 0.1, 0.9, AGREES),  # excludes 0, at least half
        (0.4, 0.1, 0.7, AGREES),
        (0.39, 0.1, 0.7, TOO_SMALL),  # less than half, but half is not excluded
        (0.5, -0.1, 1.1, TOO_SMALL),
        (0.1, 0.05, 0.39, DISAGREES),
        (-0.5, -0.6, -0.4, DISAGREES),
        (2.0, 1.9, 2.1, AGREES),  # more than the paper's
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_half_of_the_papers_effect_decides(value, lower, upper, outcome, sign):
    limits = sorted((sign * lower, sign * upper))
    assert outcome_of(Effect(sign * value, *limits, 10), sign * 0.8) is outcome


def row(effect: Effect, *also: Effect) -> ClaimRow:
    paper = PaperEffect("8 against 40 (table 9)", 0.8)
    others = tuple((f"way {i}", one) for i, one in enumerate(also))
    return ClaimRow("nearer", "g-pt", "figure 4", "share", paper, effect, others)


def test_where_ways_to_measure_differ_a_claim_does_not_agree():
    yes, no, unclear = (
        Effect(0.7, 0.6, 0.8, 9),
        Effect(0.0, -0.1, 0.1, 9),
        Effect(0.5, -1.0, 2.0, 9),
    )
    assert row(yes, yes).outcome is AGREES
    assert row(yes, no).outcome is TOO_SMALL
    assert row(yes, unclear).outcome is TOO_SMALL
    assert row(no, yes).outcome is DISAGREES
    assert row(yes, no).to_json()["also"]["way 0"]["upper"] == 0.1


def test_effects_have_the_intervals_of_an_independent_bootstrap(rng):
    few, many = (
        np.random.default_rng(0).normal(2, 0.5, 40),
        np.random.default_rng(1).normal(4, 1, 90),
    )
    for ours, statistic in (
        (less_than, lambda a, b, axis: 1 - a.mean(axis) / b.mean(axis)),
        (more_than, lambda a, b, axis: a.mean(axis) - b.mean(axis)),
    ):
        found = ours(few, many, "test")
        again = stats.bootstrap(
            (few, many),
            statistic,
            method="percentile",
            n_resamples=4000,
            rng=np.random.default_rng(2),
        ).confidence_interval
        assert found.value == pytest.approx(float(statistic(few, many, -1)))
        width = again.high - again.low
        assert abs(found.lower - again.low) < 0.12 * width
        assert abs(found.upper - again.high) < 0.12 * width
        assert found.n == 130


def test_quality_stands_beside_an_outcome_and_decides_nothing():
    effect, paper = Effect(0.9, 0.8, 1.0, 10), PaperEffect("1 (table 9)", 1.0)
    row = ClaimRow("near", "g-pt", "table 9", "share", paper, effect)
    broken = replace(row, quality={"measure": "Mean accuracy", "generated": 10.0})
    assert broken.outcome is row.outcome is Outcome.AGREES
    assert broken.to_json()["quality"] == {"measure": "Mean accuracy", "generated": 10.0}
