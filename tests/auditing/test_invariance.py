"""What must not change a number: neurons' order and sign, rows' order, blocks, duplicates, size."""

from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import cached_property
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import audit, seeded
from tiny import ALIGNMENT, NETWORK, drawn, move, named, task

from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.measure.measurements import NearestIndex, ladder_of, like, measure
from novelweights.auditing.result import Measurements
from novelweights.metrics import neighbors, sources
from novelweights.weights.population import Population

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("any_behavior")]

few = settings(max_examples=6, deadline=None, derandomize=True, database=None)
EITHER = pytest.mark.parametrize("alignment", [None, ALIGNMENT])
TASK = task()
ROWS = {"neighbor_rows", "layer_rows", "canonical_rows"}
SOURCES = {"source_rows", "source_weights"}


KINDS = ("fresh", "copy", "noisy copy", "average", "noisy average", "shrunk")


@dataclass(frozen=True)
class Case:
    """Independent runs or runs around one network; samples that are fresh, near, mixed, shrunk."""

    m: int
    seed: int
    is_shared: bool
    kinds: tuple[str, ...]

    @cached_property
    def train(self) -> Population:
        weights = drawn(self.m, self.seed)
        if self.is_shared:
            weights = drawn(1, self.seed + 1) + 0.3 * weights
        return named(weights, "train")

    @cached_property
    def queries(self) -> Population:
        weights, seed = self.train.weights, self.seed
        made = {
            "fresh": drawn(1, seed + 2),
            "copy": weights[1:2],
            "noisy copy": weights[2:3] + 0.1 * drawn(1, seed + 3),
            "average": weights[3:5].mean(dim=0, keepdim=True),
            "noisy average": weights[4:7].mean(dim=0, keepdim=True) + 0.1 * drawn(1, seed + 4),
            "shrunk": 0.5 * drawn(1, seed + 5),
        }
        return like(self.train, torch.cat([made[kind] for kind in self.kinds]))

    def found(self, alignment, **options) -> Measurements:
        return measured(self.train, self.queries, alignment, **options)


cases = st.builds(
    Case,
    m=st.integers(8, 20),
    seed=st.integers(0, 10**6),
    is_shared=st.booleans(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4, unique=True).map(tuple),
)


def measured(train, queries, alignment, **options) -> Measurements:
    return measure("generated", queries, NearestIndex.of(train, alignment, TASK), **options)


def arrays(found: Measurements) -> dict[str, np.ndarray]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def assert_same(one: Measurements, other: Measurements, *, but=frozenset(), atol=2e-5) -> None:
    """The same numbers up to rounding of float32 weights, 6e-8 of their size a few times over."""
    mine, yours = arrays(one), arrays(other)
    assert set(mine) == set(yours)
    for name in set(mine) - but - SOURCES:
        np.testing.assert_allclose(mine[name], yours[name], atol=atol, err_msg=name)
    if "source_weights" in mine:  # of sources that weigh nothing, the rows are anybody's
        np.testing.assert_allclose(mine["source_weights"], yours["source_weights"], atol=1e-4)


def raw_columns(found: Measurements) -> set[str]:
    return {name for name in arrays(found) if name.startswith("raw_")}


# --- the group ---------------------------------------------------------------------------------


@few
@given(cases, st.booleans(), st.booleans())
def test_moving_any_checkpoint_changes_no_aligned_number(case, move_train, move_queries):
    train, queries = case.train, case.queries
    if move_train:
        train = replace(train, weights=move(train.weights, case.seed + 6))
    if move_queries:
        queries = replace(queries, weights=move(queries.weights, case.seed + 7))
    before, after = case.found(ALIGNMENT), measured(train, queries, ALIGNMENT)
    assert_same(before, after, but=raw_columns(before))
    if move_train and move_queries:
        assert not np.allclose(before.raw_distance, after.raw_distance, atol=1e-3)


@few
@given(cases)
def test_moving_everything_changes_no_ladder(case):
    moved_train = replace(case.train, weights=move(case.train.weights, case.seed + 6))
    moved = replace(case.queries, weights=move(case.queries.weights, case.seed + 7))
    one = ladder_of(case.queries, NearestIndex.of(case.train, ALIGNMENT, None), aligned=True)
    other = ladder_of(moved, NearestIndex.of(moved_train, ALIGNMENT, None), aligned=True)
    for name in ("norms", "distances", "hull_distances"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-5)


# --- the order of rows -------------------------------------------------------------------------


@EITHER
@few
@given(cases)
def test_the_order_of_training_checkpoints_changes_no_number(alignment, case):
    order = torch.randperm(len(case.train), generator=seeded(case.seed)).numpy()
    before, after = (
        case.found(alignment),
        measured(case.train.select(order), case.queries, alignment),
    )
    assert_same(before, after, but=ROWS)
    for name in ROWS & set(arrays(before)):
        np.testing.assert_array_equal(getattr(before, name), order[getattr(after, name)])
    used = before.source_weights > 1e-3
    np.testing.assert_array_equal(before.source_rows[used], order[after.source_rows][used])


@EITHER
@few
@given(cases)
def test_the_order_of_samples_only_reorders_their_numbers(alignment, case):
    order = torch.randperm(len(case.queries), generator=seeded(case.seed)).numpy()
    after = measured(case.train, case.queries.select(order), alignment)
    assert_same(case.found(alignment).select(order), after, atol=1e-9)


@settings(few, max_examples=3)
@given(cases)
def test_the_order_of_held_out_runs_changes_no_rank(case):
    compared = NearestIndex.of(case.train, ALIGNMENT, TASK)
    fresh = like(case.train, drawn(9, case.seed + 8))
    made = measure("generated", case.queries, compared)
    null = NullDistribution(
        measure("heldout", fresh, compared),
        ladder_of(fresh, compared, aligned=True),
        ladder_of(fresh, compared, aligned=False),
        TASK.quality,
        TASK.novelty,
    )
    order = torch.randperm(9, generator=seeded(case.seed)).numpy()
    before, after = null.p_values(made), null.select(order).p_values(made)
    assert set(before) == set(after)
    assert {"direction_near", "mixture_near", "layers_all_near", "quality_low"} <= set(before)
    for name, p_values in before.items():
        np.testing.assert_array_equal(p_values, after[name], err_msg=name)


@pytest.mark.usefixtures("quick")
def test_the_order_of_all_three_populations_only_reorders_an_audit():
    train, heldout = named(drawn(14, 1), "train"), named(drawn(20, 2), "heldout")
    made = torch.cat([drawn(10, 3), train.weights[:5], train.weights[5:10] + 0.1 * drawn(5, 4)])
    generated = named(made, "generated")

    def run(*orders):
        t, h, g = (p.select(o) for p, o in zip((train, heldout, generated), orders, strict=True))
        return audit(t, g, heldout=h, symmetry=NETWORK.symmetry, task=TASK, n_controls=0)

    plain = run(np.arange(14), np.arange(20), np.arange(20))
    orders = [torch.randperm(n, generator=seeded(n)).numpy() for n in (14, 20, 20)]
    mixed = run(*orders)
    for name, order in zip(("training", "heldout", "generated"), orders, strict=True):
        before, after = getattr(plain, name).select(order), getattr(mixed, name)
        assert before.names == after.names
        assert_same(before, after, but=ROWS)
    for name, p_values in plain.p_values.items():
        np.testing.assert_array_equal(p_values[orders[2]], mixed.p_values[name], err_msg=name)
    assert plain.table()["nearest_run"][orders[2]].tolist() == mixed.table()["nearest_run"].tolist()


# --- blocks ------------------------------------------------------------------------------------


@EITHER
@few
@given(cases, st.integers(1, 3))
def test_samples_measured_in_blocks_have_the_same_numbers(alignment, case, size):
    whole = case.found(alignment, groups=np.zeros(len(case.queries), np.int64))
    every = np.arange(len(case.queries))
    for part in np.split(every, every[size::size]):
        alone = measured(case.train, case.queries.select(part), alignment)
        mine, yours = arrays(whole.select(part)), arrays(alone)
        # the recentred cosine is about the population, which is another one
        for name in set(mine) - {"recentred_cosine"}:
            np.testing.assert_allclose(mine[name], yours[name], atol=1e-9, err_msg=name)


@EITHER
@few
@given(cases)
def test_no_block_size_inside_changes_a_number(alignment, case):
    whole = case.found(alignment)
    with ExitStack() as stack:
        for part, name in (
            (neighbors, "BLOCK_BYTES"),
            (neighbors, "PAIR_BYTES"),
            (sources, "MEAN_ROWS"),
        ):
            if hasattr(part, name):
                stack.enter_context(patch.object(part, name, 1))
        assert_same(whole, case.found(alignment), atol=1e-9)


# --- duplicates --------------------------------------------------------------------------------


@EITHER
@few
@given(cases)
def test_equal_samples_have_equal_numbers(alignment, case):
    twice = case.queries.select([*range(len(case.queries))] * 2)
    found = measured(case.train, twice, alignment)
    n = len(case.queries)
    assert_same(found.select(np.arange(n)), found.select(np.arange(n, 2 * n)), atol=1e-9)


@EITHER
@few
@given(cases, st.data())
def test_duplicated_training_checkpoints_change_no_distance(alignment, case, data):
    m = len(case.train)
    again = data.draw(st.lists(st.integers(0, m - 1), min_size=1, max_size=5))
    before = case.found(alignment)
    after = measured(case.train.select([*range(m), *again]), case.queries, alignment)
    np.testing.assert_array_equal(before.neighbor_rows[:, 0], after.neighbor_rows[:, 0])
    for name in ("distance", "raw_distance", "hull_distance", "raw_hull_distance"):
        np.testing.assert_allclose(
            getattr(before, name), getattr(after, name), atol=2e-5, err_msg=name
        )
    np.testing.assert_allclose(before.layer_distance, after.layer_distance, atol=1e-9)
    np.testing.assert_array_equal(before.novelty, after.novelty)


@few
@given(cases)
def test_a_training_population_given_twice_gives_the_same_directions(case):
    """Its mean is the same, so every direction is."""
    m = len(case.train)
    twice = measured(case.train.select([*range(m)] * 2), case.queries, ALIGNMENT)
    before = case.found(ALIGNMENT)
    for name in ("cosine", "norm", "raw_norm", "layer_cosine"):
        np.testing.assert_allclose(getattr(before, name), getattr(twice, name), atol=1e-6)


# --- size --------------------------------------------------------------------------------------


@few
@given(cases, st.floats(0.2, 2.0))
def test_shrinking_a_sample_changes_no_direction(case, factor):
    """Towards the mean, plain. Aligned it may: a shrunk network is aligned anew."""
    weights, mu = case.queries.weights, case.train.weights.double().mean(dim=0)
    shrunk = (mu + factor * (weights - mu)).float()
    before = case.found(None)
    after = measured(case.train, like(case.train, shrunk), None)
    # float32 moves x - mu, at least .2 of .5 long, by 6e-8 |x|: 1e-5 of its size at most; the
    # sparse ratio is one of squares
    for name in ("cosine", "sparse_ratio", "pca_residual"):
        np.testing.assert_allclose(
            getattr(before, name), getattr(after, name), atol=1e-4, err_msg=name
        )
    np.testing.assert_allclose(after.norm, factor * before.norm, rtol=1e-4)


@EITHER
@few
@given(cases, st.sampled_from([1 / 16, 4.0]))
def test_other_units_scale_distances_and_change_nothing_else(alignment, case, unit):
    train = replace(case.train, weights=unit * case.train.weights)
    queries = replace(case.queries, weights=unit * case.queries.weights)
    before, after = case.found(alignment), measured(train, queries, alignment)
    behavior = {"quality", "novelty", "overlap", "expected_novelty"}  # tanh has a unit
    ends = ("norm", "canonical_lower")
    lengths = {name for name in arrays(before) if "distance" in name or name.endswith(ends)}
    assert_same(before, after, but=behavior | lengths, atol=1e-6)
    for name in lengths:
        np.testing.assert_allclose(unit * getattr(before, name), getattr(after, name), rtol=1e-9)
