from dataclasses import replace

import numpy as np
import pytest
from invented import ACCURACY, SIMILARITY, invented_findings

from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.measure.measurements import Ladder
from novelweights.tasks.task import Measure

N = 60


def findings(n, seed, **columns):
    """n checkpoints whose measures are independent random numbers."""
    rng = np.random.default_rng(seed)
    found = invented_findings("found", n, distance=10 + rng.normal(size=n))
    drawn = {
        "cosine": 0.3 + 0.05 * rng.normal(size=n),
        "recentred_cosine": 0.3 + 0.05 * rng.standard_cauchy(size=n),
        "hull_ratio": 0.9 - 0.05 * rng.random(n),
        "raw_hull_ratio": 0.9 - 0.05 * rng.random(n),
        "sparse_ratio": 0.7 - 0.05 * rng.random(n),
        "raw_sparse_ratio": 0.7 - 0.05 * rng.exponential(size=n),
        "pca_residual": 0.6 + 0.05 * rng.normal(size=n),
        "raw_pca_residual": 0.6 + 0.05 * rng.normal(size=n),
        "layer_distance": 5 + rng.normal(size=(n, 2)),
        "layer_cosine": 0.3 + 0.05 * rng.normal(size=(n, 2)),
        "norm": 12 + rng.normal(size=n),
        "raw_norm": 12 + rng.normal(size=n),
    }
    return replace(found, **(drawn | columns))


def ladder(found, raw=False):
    """Distances and hull distances that shrink with the norm, those of the runs themselves at 1."""
    factors = np.array([0.25, 0.5, 1.0, 1.5])
    norm = found.raw_norm if raw else found.norm
    distance = found.raw_distance if raw else found.distance
    hull = found.raw_hull_distance if raw else found.hull_distance
    return Ladder(norm[:, None] * factors, distance[:, None] * factors, hull[:, None] * factors)


def null(n=N, seed=0, **columns):
    fresh = findings(n, seed, **columns)
    return NullDistribution(fresh, ladder(fresh), ladder(fresh, raw=True), ACCURACY, SIMILARITY)


@pytest.mark.parametrize("leg", ["direction", "mixture", "layers_any", "layers_all"])
def test_every_leg_accuses_fresh_runs_as_often_as_a_single_test(leg):
    """Several measures make one leg, yet one run of n + 1 lies beyond n others."""
    beyond = [
        (null(seed=2 * seed).p_values(findings(N, 2 * seed + 1))[f"{leg}_near"] <= 1 / (N + 1))
        for seed in range(60)
    ]
    share = np.mean(beyond)
    assert share == pytest.approx(1 / (N + 1), rel=0.45)  # beta-binomial: sd .13 of it for 60 draws


def test_a_leg_sees_what_one_of_its_measures_sees():
    p_values = null().p_values(findings(5, 1, sparse_ratio=np.full(5, 0.1)))
    assert (p_values["sparse_near"] == 1 / (N + 1)).all()
    assert (p_values["mixture_near"] == 1 / (N + 1)).all()
    p_values = null().p_values(findings(5, 1, cosine=np.full(5, 0.99)))
    assert (p_values["cosine_near"] == 1 / (N + 1)).all()


def test_a_heavy_tail_in_one_measure_does_not_hide_the_others():
    wild = np.full(N, 0.3)
    wild[0] = -1000.0  # one fresh run far out in one measure
    p_values = null(pca_residual=wild).p_values(findings(5, 1, sparse_ratio=np.full(5, 0.0)))
    assert (p_values["mixture_near"] <= 2 / (N + 1)).all()


def test_only_measures_with_a_large_effect_count_in_what_accuses():
    fresh, usual = null(), float(np.median(null().runs.sparse_ratio))
    for share, p_value in ((0.5, 1 / (N + 1)), (0.51, 1.0)):
        found = findings(5, 1, sparse_ratio=np.full(5, share * usual))
        assert (fresh.p_values(found)["large_mixture_near"] == p_value).all(), share
    p_values = fresh.p_values(findings(200, 2))
    assert (p_values["large_mixture_near"] >= p_values["mixture_near"]).all()


def test_a_shrunk_run_is_compared_with_runs_shrunk_as_much():
    fresh = findings(N, 0)
    half = replace(
        fresh,
        norm=fresh.norm / 2,
        neighbor_distances=fresh.neighbor_distances / 2,
    )
    p_values = null().p_values(half)
    assert (p_values["distance_near"] == 1 / (N + 1)).mean() > 0.9
    assert (p_values["matched_distance_near"] == 1 / (N + 1)).mean() < 0.1
    assert (p_values["unmatched_hull_distance_near"] == 1 / (N + 1)).mean() > 0.9
    assert (p_values["hull_distance_near"] == 1 / (N + 1)).mean() < 0.1


def test_p_values_of_single_measures_are_counts():
    fresh, found = findings(N, 0), findings(7, 1)
    p_values = NullDistribution(fresh, ladder(fresh), None, None, None).p_values(found)
    for j in range(7):
        nearer = (fresh.distance <= found.distance[j]).sum()
        assert p_values["distance_near"][j] == (1 + nearer) / (N + 1)
        more = (fresh.cosine >= found.cosine[j]).sum()
        assert p_values["cosine_near"][j] == (1 + more) / (N + 1)
    assert not any(name.startswith("raw_hull") for name in p_values)


def test_a_test_is_what_a_loop_over_checkpoints_says():
    measure, found = null(), findings(6, 1)
    fresh = measure.runs
    parts = {"cosine": (found.cosine, fresh.cosine)}
    matched = -measure.ladder.at(found.norm, "distance")
    own = -measure.ladder.at(fresh.norm, "distance")
    p_values = measure.p_values(found)["direction_near"]
    for j in range(6):
        scores, fresh_scores = [], []
        for ours, theirs in parts.values():
            together = np.append(theirs, ours[j])
            middle, top = np.median(together), np.sort(together)[-3:].mean()
            scores.append((ours[j] - middle) / (top - middle))
            fresh_scores.append((theirs - middle) / (top - middle))
        together = np.append(matched[:, j], -found.distance[j])
        middle, top = np.median(together), np.sort(together)[-3:].mean()
        scores.append((-found.distance[j] - middle) / (top - middle))
        middles, tops = np.median(own, axis=0), np.sort(own, axis=0)[-3:].mean(axis=0)
        fresh_scores.append((-fresh.distance - middles) / (tops - middles))
        as_near = (np.max(fresh_scores, axis=0) >= max(scores)).sum()
        assert p_values[j] == (1 + as_near) / (N + 1)


def test_who_is_past_every_fresh_run_in_the_only_measure_is_past_them_in_its_test():
    """One fresh run far out has no null distribution of its own: an exact copy lies beyond it."""
    cosine = np.full((N, 2), 0.6) + 0.001 * np.arange(N)[:, None]
    cosine[0] = 0.97  # a twin of a training run among the fresh ones
    fresh = null(layer_cosine=cosine)
    copy = findings(3, 1, layer_cosine=np.ones((3, 2)))
    assert (fresh.p_values(copy)["layers_all_near"] == 1 / (N + 1)).all()
    assert (fresh.p_values(copy)["layers_any_near"] == 1 / (N + 1)).all()


def test_measures_that_are_missing_are_left_out():
    bare = {name: None for name in ("pca_residual", "raw_pca_residual", "recentred_cosine")}
    p_values = null(**bare).p_values(findings(5, 1))
    assert "pca_near" not in p_values
    assert "recentred_near" not in p_values
    assert {"direction_near", "mixture_near"} <= set(p_values)
    p_values = null().p_values(findings(5, 1, recentred_cosine=None))
    assert "recentred_near" not in p_values
    assert "direction_near" in p_values


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_or_equal_fresh_runs_give_finite_p_values(n):
    same = dict.fromkeys(("cosine", "recentred_cosine"), np.full(n, 0.3))
    p_values = null(n, **same).p_values(findings(4, 1))
    for values in p_values.values():
        assert ((values > 0) & (values <= 1)).all()


def test_where_more_is_worse_or_more_is_newer_p_values_turn_round():
    fresh = findings(N, 0, quality=np.arange(N) / N, novelty=np.arange(N) / N)
    distance = Measure("distance", "", higher_is_better=False)
    newer = Measure("distance to training", "", higher_is_better=True)
    turned = NullDistribution(fresh, ladder(fresh), None, distance, newer)
    found = findings(2, 1, quality=np.array([-1.0, 2.0]), novelty=np.array([-1.0, 2.0]))
    p_values = turned.p_values(found)
    np.testing.assert_allclose(p_values["quality_low"], [1, 1 / (N + 1)])
    np.testing.assert_allclose(p_values["similarity_high"], [1 / (N + 1), 1])
    np.testing.assert_allclose(p_values["similarity_low"], [1, 1 / (N + 1)])
    p_values = null(quality=fresh.quality, novelty=fresh.novelty).p_values(found)
    np.testing.assert_allclose(p_values["quality_low"], [1 / (N + 1), 1])
    np.testing.assert_allclose(p_values["similarity_high"], [1, 1 / (N + 1)])
