import numpy as np
import pytest
from scipy.stats import binom, binomtest, mannwhitneyu

from novelweights.auditing.judge import statistics
from novelweights.auditing.judge.statistics import (
    clopper_pearson,
    mean,
    median,
    nearer_probability,
    rank_high,
    rank_low,
    resampled,
    share_beyond,
    smallest_detectable,
)


@pytest.fixture
def numpy_rng():
    return np.random.default_rng(0)


def test_ranks_are_counts_of_the_held_out_values_beyond(numpy_rng):
    heldout = numpy_rng.integers(0, 10, 17).astype(float)  # with ties
    values = np.concatenate([np.arange(-1.0, 12), [3.5, -np.inf, np.inf]])
    low = [(1 + sum(h <= v for h in heldout)) / 18 for v in values]
    high = [(1 + sum(h >= v for h in heldout)) / 18 for v in values]
    np.testing.assert_allclose(rank_low(values, heldout), low)
    np.testing.assert_allclose(rank_high(values, heldout), high)


def test_a_rank_of_a_fresh_value_is_a_p_value(numpy_rng):
    pool = numpy_rng.random((20_000, 20))
    p_values = np.array([rank_low(row[:1], row[1:])[0] for row in pool[:4000]])
    for size in (0.05, 0.2, 0.5):
        assert np.mean(p_values <= size) == pytest.approx(size, abs=4 * np.sqrt(size / 4000))


@pytest.mark.parametrize(
    ("n_heldout", "m", "smallest"),
    [(50, 100, 8), (100, 100, 5), (100, 200, 8), (200, 200, 5), (400, 200, 3), (150, 1000, 22)],
)
def test_the_smallest_detectable_count_is_that_of_the_trials(n_heldout, m, smallest):
    # Source: ours, simulated on real zoos before this code was written
    assert smallest_detectable(m, n_heldout) == smallest
    assert share_beyond(smallest, m, n_heldout).p_value <= 0.05
    assert share_beyond(smallest - 1, m, n_heldout).p_value > 0.05


def test_too_few_held_out_runs_can_detect_nothing():
    assert smallest_detectable(5, 1) is None
    assert smallest_detectable(1, 20) == 1
    assert smallest_detectable(1, 18) is None


@pytest.mark.parametrize(("n_heldout", "m", "r"), [(20, 30, 1), (50, 80, 1), (50, 80, 5)])
def test_the_p_value_is_that_of_a_simulation(numpy_rng, n_heldout, m, r):
    draws = 20_000
    heldout = np.sort(numpy_rng.random((draws, n_heldout)), axis=1)[:, r - 1]
    counts = (numpy_rng.random((draws, m)) <= heldout[:, None]).sum(axis=1)
    for count in (1, 3, 6, 12):
        simulated = np.mean(counts >= count)
        error = 4 * np.sqrt(simulated * (1 - simulated) / draws) + 1e-3
        assert share_beyond(count, m, n_heldout, r=r).p_value == pytest.approx(simulated, abs=error)


@pytest.mark.parametrize(("n_heldout", "m", "r"), [(50, 100, 1), (200, 200, 1), (100, 200, 2)])
@pytest.mark.parametrize("copied", [0.0, 0.03, 0.1, 0.5])
def test_the_lower_limit_rarely_lies_above_the_truth(numpy_rng, n_heldout, m, r, copied):
    repetitions = 2000
    level = np.sort(numpy_rng.random((repetitions, n_heldout)), axis=1)[:, r - 1]
    counts = numpy_rng.binomial(m, copied + (1 - copied) * level)
    limits = {k: share_beyond(int(k), m, n_heldout, r=r) for k in np.unique(counts)}
    lower = np.array([limits[k].lower for k in counts])
    assert np.mean(lower > copied) < 0.025 + 4 * np.sqrt(0.025 / repetitions)
    if copied >= 0.1:
        assert np.mean(lower > copied) > 0.01  # and it is no looser than it has to be
        assert np.mean(lower > 0) > (0.95 if n_heldout >= 100 else 0.75)
        assert np.mean([limits[k].estimate for k in counts]) == pytest.approx(copied, abs=0.01)


def test_at_the_lower_limit_the_count_is_just_improbable(numpy_rng):
    share = share_beyond(30, 200, 100)
    level = numpy_rng.beta(1, 100, 200_000)
    tail = binom.sf(29, 200, share.lower + (1 - share.lower) * level).mean()
    assert tail == pytest.approx(0.025, abs=5e-4)
    assert 0 < share.lower < share.estimate < share.upper < 1
    assert share.upper == clopper_pearson(30, 200)[1]


def test_no_count_and_all_counts():
    none, all_of_them = share_beyond(0, 72, 100), share_beyond(72, 72, 100)
    assert (none.estimate, none.lower) == (0, 0)
    assert none.p_value == pytest.approx(1)
    assert none.upper == pytest.approx(1 - 0.025 ** (1 / 72))
    assert none.upper <= 0.05 < share_beyond(0, 71, 100).upper
    assert all_of_them.upper == all_of_them.estimate == 1
    assert 0.9 < all_of_them.lower < 1
    for count, m, n in ((-1, 5, 9), (6, 5, 9), (0, 0, 9), (1, 5, 0)):
        with pytest.raises(ValueError, match="held-out runs"):
            share_beyond(count, m, n)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_binomial_limits_are_scipys(level):
    for m in (1, 7, 200):
        for count in {0, 1, m // 2, m - 1, m}:
            interval = binomtest(count, m).proportion_ci(level, method="exact")
            assert clopper_pearson(count, m, level=level) == pytest.approx(tuple(interval))


def test_bootstrap_intervals_cover_about_as_often_as_they_say(numpy_rng, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 300)
    covered = 0
    for i in range(200):
        sample = np.random.default_rng(i).normal(3, 1, 60)
        lower, upper = np.quantile(resampled(mean, sample, rng=numpy_rng), [0.05, 0.95])
        covered += lower <= 3 <= upper
    assert 0.82 <= covered / 200 <= 0.96


def test_samples_are_resampled_independently(numpy_rng):
    a = numpy_rng.normal(0, 1, 400)
    drawn = resampled(lambda x, y: mean(x) - mean(y), a, a, rng=numpy_rng)
    lower, upper = np.quantile(drawn, [0.025, 0.975])
    # two independent means: standard error sqrt(2 / 400)
    assert upper - lower == pytest.approx(2 * 1.96 * np.sqrt(2 / 400), rel=0.15)


@pytest.mark.parametrize("block", [1, 700, 2**22])
def test_draws_are_those_of_a_plain_loop(block, monkeypatch):
    monkeypatch.setattr(statistics, "BLOCK", block)
    monkeypatch.setattr(statistics, "DRAWS", 250)
    one, other = np.random.default_rng(1).normal(2, 1, 31), np.random.default_rng(2).normal(5, 1, 8)
    rng, values = np.random.default_rng(3), []
    for _ in range(250):
        a, b = (x[rng.integers(0, len(x), len(x))] for x in (one, other))
        values.append(np.median(a) / np.mean(b))
    rng = np.random.default_rng(3)
    found = resampled(lambda x, y: median(x) / mean(y), one, other, rng=rng)
    np.testing.assert_array_equal(found, values)


def test_nothing_cannot_be_drawn(numpy_rng):
    with pytest.raises(ValueError, match="nothing to draw"):
        resampled(mean, np.ones(0), rng=numpy_rng)


def test_the_chance_of_being_nearer_is_counted_over_all_pairs(numpy_rng):
    for heldout in (numpy_rng.normal(0.5, 1, 30), numpy_rng.integers(0, 5, 30).astype(float)):
        values = numpy_rng.normal(0, 1, 20) if heldout.dtype == float else heldout
        values = np.round(values) if len(np.unique(heldout)) < 10 else values
        pairs = [(v < h) + 0.5 * (v == h) for v in values for h in heldout]
        chance, p_value = nearer_probability(values, heldout)
        assert chance == pytest.approx(np.mean(pairs))
        assert 0 < p_value <= 1
    separate, p_value = nearer_probability(np.arange(5.0), np.arange(5.0) + 10)
    assert separate == 1
    assert p_value == pytest.approx(2 / 252)  # one of the C(10, 5) orders, and its mirror image
    tied = nearer_probability(np.ones(8), np.ones(9))
    assert tied[0] == 0.5


def test_equal_populations_get_uniform_p_values():
    p_values = []
    for i in range(300):
        rng = np.random.default_rng(i)
        p_values.append(nearer_probability(rng.random(15), rng.random(12))[1])
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.06)
    a, b = np.random.default_rng(0).random((2, 9))
    assert nearer_probability(a, b)[1] == pytest.approx(mannwhitneyu(a, b, method="exact").pvalue)
