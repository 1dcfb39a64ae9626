import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from novelweights.metrics import assignment
from novelweights.metrics.assignment import assign, promising_totals


def by_scipy(costs):
    return np.array([cost[linear_sum_assignment(cost)].sum() for cost in costs])


def check(costs):
    columns, totals = assign(costs)
    n = costs.shape[-1]
    np.testing.assert_array_equal(np.sort(columns, axis=1), np.tile(np.arange(n), (len(costs), 1)))
    chosen = np.take_along_axis(costs, columns[:, :, None], axis=2)[:, :, 0].sum(axis=1)
    np.testing.assert_allclose(totals, chosen, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(totals, by_scipy(costs), rtol=1e-12, atol=1e-12)
    return columns


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 25])
@pytest.mark.parametrize("kind", ["random", "negative", "tied", "integer", "constant", "scaled"])
def test_the_total_is_scipys(n, kind):
    rng = np.random.default_rng(n)
    draw = {
        "random": lambda size: rng.random(size),
        "negative": lambda size: rng.normal(size=size) - 3,
        "tied": lambda size: rng.integers(0, 3, size).astype(float),
        "integer": lambda size: rng.integers(-100, 100, size).astype(float),
        "constant": lambda size: np.full(size, 2.5),
        "scaled": lambda size: 10.0 ** rng.uniform(-6, 6, size),
    }[kind]
    check(draw((30, n, n)))


def test_the_columns_are_the_permutation_that_was_hidden():
    rng = np.random.default_rng(0)
    hidden = np.stack([rng.permutation(10) for _ in range(50)])
    costs = 1 + rng.random((50, 10, 10))
    np.put_along_axis(costs, hidden[:, :, None], 0.5, axis=2)
    np.testing.assert_array_equal(check(costs), hidden)


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(
            st.lists(st.lists(st.integers(-4, 4), min_size=n, max_size=n), min_size=n, max_size=n),
            min_size=1,
            max_size=4,
        )
    )
)
@settings(deadline=None)
def test_small_integer_costs_are_solved_exactly(costs):
    table = np.array(costs, dtype=np.float64)
    assert assign(table)[1].tolist() == by_scipy(table).tolist()


def test_many_threads_give_the_same(monkeypatch):
    costs = np.random.default_rng(0).random((200, 8, 8))
    one = assign(costs)
    monkeypatch.setattr(assignment, "SMALL", 0)
    many = assign(costs)
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])


def test_nothing_to_assign_is_fine_and_infinite_costs_are_not():
    columns, totals = assign(np.empty((0, 3, 3)))
    assert columns.shape == (0, 3)
    assert totals.shape == (0,)
    for bad in (np.nan, np.inf, -np.inf):
        costs = np.zeros((2, 3, 3))
        costs[1, 2, 0] = bad
        with pytest.raises(ValueError, match="finite"):
            assign(costs)


@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 4),
    n=st.integers(1, 4),
    levels=st.integers(1, 30),
    error=st.sampled_from([0.0, 0.3, 3.0]),
    excluded=st.booleans(),
    parallel=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_no_true_nearest_is_ever_dropped(seed, k, n, levels, error, excluded, parallel):
    rng = np.random.default_rng(seed)
    q, m = 3, 9
    true = rng.integers(0, levels, (q, m, n, n)).astype(float)  # few levels: many ties
    offset = rng.integers(0, levels, (q, m)).astype(float)
    if excluded:
        offset[np.arange(q), rng.integers(0, m, q)] = np.inf
    wrong = true + rng.uniform(-error, error, true.shape) / n  # totals err by at most `error`
    totals, errors = np.full(offset.shape, np.inf), np.full((q, m), error)
    assignment._solve_promising(wrong, offset, errors, k, totals, in_parallel=parallel)
    exact = by_scipy(true.reshape(-1, n, n)).reshape(q, m) + offset
    kth = np.partition(exact, k - 1, axis=1)[:, k - 1 : k]
    needed = exact <= kth if error == 0 else exact < kth  # one of several equals may stand in
    assert np.isfinite(totals[needed & np.isfinite(exact)]).all()
    solved = np.isfinite(totals)
    assert (np.abs(totals[solved] - exact[solved]) <= error + 1e-9).all()
    assert (solved.sum(axis=1) >= k).all()


def test_most_pairs_are_never_solved():
    rng = np.random.default_rng(0)
    costs = rng.random((4, 200, 6, 6)) + np.arange(200.0)[None, :, None, None]
    totals = promising_totals(costs, np.zeros((4, 200)), np.zeros((4, 200)), 3)
    assert (np.isfinite(totals).sum(axis=1) < 10).all()
    np.testing.assert_allclose(
        np.sort(totals, axis=1)[:, :3],
        np.sort(by_scipy(costs.reshape(-1, 6, 6)).reshape(4, 200), axis=1)[:, :3],
    )
