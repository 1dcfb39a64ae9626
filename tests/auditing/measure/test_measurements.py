"""Measures of a population: whole, in parts, without mixtures, and shrunk."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from tiny import ALIGNMENT, NETWORK, D, drawn, move, named, task

from novelweights.auditing.measure import measurements as module
from novelweights.auditing.measure.measurements import (
    SHRINK_FACTORS,
    Ladder,
    NearestIndex,
    hull_ratio,
    ladder_of,
    like,
    measure,
    one_left_out,
)
from novelweights.auditing.result import Measurements
from novelweights.metrics.alignment import aligned_to
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.sources import find_sources
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, sampled_records

TRAIN = named(drawn(14, 1), "train")
TASK = task()
QUERIES = like(TRAIN, torch.cat([drawn(6, 2), move(TRAIN.weights[:2], 3), drawn(4, 4) / 2]))
EITHER = pytest.mark.parametrize("alignment", [None, ALIGNMENT])
NEAR = {"neighbor_distances", "neighbor_rows", "distance_lower", "raw_distance", "cosine", "norm"}
CANONICAL = {"canonical_distance", "canonical_lower", "canonical_ratio", "canonical_rows"}
BEHAVIOR = {"quality", "novelty", "overlap", "expected_novelty"}


def reference_of(train=TRAIN, alignment=ALIGNMENT, task=TASK):
    return NearestIndex.of(train, alignment, task)


def columns(found: Measurements) -> dict[str, np.ndarray]:
    """Every array that is there."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def assert_same(
    one: Measurements, other: Measurements, *, but: frozenset[str] = frozenset()
) -> None:
    """float32 products choose in blocks, float64 measures: what differs is rounding."""
    mine, yours = columns(one), columns(other)
    assert set(mine) - but == set(yours) - but
    for name in set(mine) - but:
        np.testing.assert_allclose(mine[name], yours[name], rtol=1e-6, atol=1e-6, err_msg=name)


# --- which columns -----------------------------------------------------------------------------


@EITHER
def test_every_column_is_there_for_a_population_with_a_task(alignment):
    found = measure("generated", QUERIES, reference_of(alignment=alignment))
    everything = {field.name for field in fields(Measurements)} - {"label", "names"}
    others = {"step_distance", "step_rows", "has_surface"}  # of an audit, and of shapes
    if alignment is None:
        others |= CANONICAL
    assert set(columns(found)) == everything - others
    assert {len(values) for values in columns(found).values()} == {len(QUERIES)}
    assert all(np.isfinite(values).all() for values in columns(found).values())


@EITHER
def test_only_near_gives_the_same_numbers_without_the_mixtures(alignment):
    compared = reference_of(alignment=alignment)
    whole = measure("noise", QUERIES, compared)
    near = measure("noise", QUERIES, compared, only_near=True)
    wanted = NEAR | BEHAVIOR | (set() if alignment is None else CANONICAL)
    assert set(columns(near)) == wanted
    assert_same(near, whole, but=frozenset(set(columns(whole)) - wanted))


def test_training_against_itself_has_no_components_and_one_checkpoint_no_mean_of_others():
    own = np.eye(14, dtype=bool)
    found = measure("training", TRAIN, reference_of(), exclude=own)
    assert found.pca_residual is None
    assert found.raw_pca_residual is None
    assert not (found.neighbor_rows == np.arange(14)[:, None]).any()
    one = measure("generated", QUERIES.select([0]), reference_of())
    assert one.recentred_cosine is None
    assert one.pca_residual is not None


def test_a_network_of_one_module_has_no_layers():
    layout = WeightLayout((("only.weight", (D - 3,)), ("only.bias", (3,))))
    train, queries = (
        Population(weights, layout, sampled_records(len(weights)))
        for weights in (TRAIN.weights, QUERIES.weights)
    )
    found = measure("generated", queries, NearestIndex.of(train, None, None))
    assert found.layer_distance is found.layer_cosine is found.layer_rows is None
    assert set(columns(found)) & BEHAVIOR == set()


# --- in parts ----------------------------------------------------------------------------------


@EITHER
@pytest.mark.parametrize("left_out", [False, True])
def test_populations_measured_together_have_the_numbers_they_have_apart(alignment, left_out):
    compared = reference_of(alignment=alignment)
    groups = np.array([0, 0, 1, 1, 1, 2, 2, 0, 1, 2, 2, 1])
    exclude = one_left_out(QUERIES, TRAIN, 0) if left_out else None
    together = measure("controls", QUERIES, compared, groups=groups, exclude=exclude)
    for label in range(3):
        rows = np.flatnonzero(groups == label)
        banned = None if exclude is None else exclude[rows]
        apart = measure("controls", QUERIES.select(rows), compared, exclude=banned)
        assert_same(apart, together.select(rows))


def test_the_recentred_cosine_needs_groups():
    """Without them all would be one population, with another mean of the others."""
    groups = np.repeat([0, 1], 6)
    compared = reference_of()
    by_group = measure("controls", QUERIES, compared, groups=groups).recentred_cosine
    as_one = measure("controls", QUERIES, compared).recentred_cosine
    assert not np.allclose(by_group, as_one, atol=1e-3)


@EITHER
def test_left_out_checkpoints_are_as_if_they_were_not_there(alignment):
    exclude = np.zeros((len(QUERIES), 14), dtype=bool)
    exclude[:, [4, 9]] = True
    rest = np.delete(np.arange(14), [4, 9])
    without = measure("generated", QUERIES, reference_of(alignment=alignment), exclude=exclude)
    fewer = measure("generated", QUERIES, reference_of(TRAIN.select(rest), alignment))
    rows = {"neighbor_rows", "source_rows", "layer_rows"}
    rows |= set() if alignment is None else {"canonical_rows"}
    # the frame is that of all training checkpoints, and so is the error rate that chance expects
    frame = {"recentred_cosine", "pca_residual", "raw_pca_residual", "expected_novelty"}
    frame |= {"neurons_any", "neurons_mean", "neurons_all"}  # what is usual at a place
    assert_same(without, fewer, but=frozenset(rows | frame))
    for name in rows:
        np.testing.assert_array_equal(getattr(without, name), rest[getattr(fewer, name)])


# --- hull ratios and behavior ------------------------------------------------------------------


def test_hull_ratios_lie_between_zero_and_one_and_are_one_for_copies():
    ratio = hull_ratio(np.array([0.0, 0.0, 1.0, 2.0, 2.1]), np.array([0.0, 1.0, 2.0, 2.0, 2.0]))
    assert ratio.tolist() == [1, 0, 0.5, 1, 1]
    found = measure("generated", TRAIN, reference_of())
    assert (found.hull_ratio == 1).all()
    assert (found.raw_hull_ratio == 1).all()


@EITHER
def test_hull_distances_are_ratio_times_distance(alignment):
    compared = reference_of(alignment=alignment)
    found = measure("generated", QUERIES, compared)
    direct = find_sources(QUERIES.weights, compared.alignable).hull_distance
    fresh = found.distance > 0
    np.testing.assert_allclose(found.hull_distance[fresh], direct[fresh], rtol=1e-6)
    raw = find_sources(QUERIES.weights, compared.raw).hull_distance
    np.testing.assert_allclose(found.raw_hull_distance, raw, rtol=1e-6)


def test_expected_novelty_is_that_of_independent_mistakes():
    compared = reference_of()
    found = measure("generated", QUERIES, compared)
    mine = 1 - found.quality / 100
    usual = 1 - np.mean(TASK.score(compared.behavior).numpy()) / 100
    expected = mine * usual / (mine + usual - mine * usual)
    np.testing.assert_allclose(found.expected_novelty, expected, rtol=1e-12)
    perfect = like(TRAIN, drawn(1, 101))  # the network that made the labels
    assert measure("generated", perfect, compared).quality.tolist() == [100]
    assert measure("generated", perfect, compared).expected_novelty.tolist() == [0]


def test_overlap_is_that_with_the_nearest_training_checkpoint():
    compared = reference_of()
    found = measure("generated", QUERIES, compared)
    classes = TASK.behave(QUERIES)
    nearest_classes = TASK.behave(TRAIN)[found.neighbor_rows[:, 0].tolist()]
    expected = (classes == nearest_classes).double().mean(dim=1).numpy()
    np.testing.assert_allclose(found.overlap, expected)
    assert found.overlap[6:8].tolist() == [1, 1]  # moved copies


# --- ladders -----------------------------------------------------------------------------------


@EITHER
def test_a_ladder_holds_what_shrinking_by_hand_gives(alignment):
    compared, fresh = reference_of(alignment=alignment), named(drawn(5, 6), "heldout")
    ladder = ladder_of(fresh, compared, aligned=alignment is not None)
    assert ladder.norms.shape == (5, len(SHRINK_FACTORS))
    assert (np.diff(ladder.norms) >= 0).all()
    for i, run in enumerate(fresh.weights):
        others = TRAIN.weights if alignment is None else aligned_to(run, TRAIN.weights, alignment)
        mu = others.double().mean(dim=0)
        steps = torch.stack([mu + factor * (run - mu) for factor in SHRINK_FACTORS]).float()
        sources = find_sources(steps, compared.alignable)
        order = sources.norm.argsort()
        near = nearest(steps, TRAIN.weights, alignment=alignment).distances[:, 0]
        # two ways to the same float32 steps: they differ by their rounding
        np.testing.assert_allclose(ladder.norms[i], sources.norm[order], rtol=1e-5)
        np.testing.assert_allclose(ladder.distances[i], near[order], rtol=1e-5)
        hull = sources.hull_distance[order]
        np.testing.assert_allclose(ladder.hull_distances[i], hull, rtol=1e-4, atol=1e-5)


@EITHER
def test_matched_at_its_own_norm_a_run_has_its_own_numbers(alignment):
    compared, fresh = reference_of(alignment=alignment), named(drawn(9, 6), "heldout")
    found = measure("heldout", fresh, compared)
    ladder = ladder_of(fresh, compared, aligned=alignment is not None)
    own = np.arange(9)
    for column in ("distance", "hull_distance", "hull_ratio"):
        # a norm that is rounded differently lies between two rungs, 1e-7 from one of them
        matched = ladder.at(found.norm, column)[own, own]
        np.testing.assert_allclose(matched, getattr(found, column), rtol=1e-5)
    raw = ladder_of(fresh, compared, aligned=False)
    np.testing.assert_allclose(
        raw.at(found.raw_norm, "hull_ratio")[own, own], found.raw_hull_ratio, rtol=1e-5
    )


def test_a_ladder_is_linear_between_its_rungs_and_constant_beyond():
    ladder = Ladder(
        np.array([[1.0, 2.0, 4.0]]), np.array([[5.0, 6.0, 8.0]]), np.array([[0.0, 3.0, 8.0]])
    )
    norms = np.array([0.5, 1.0, 1.5, 3.0, 9.0])
    assert ladder.at(norms, "distance").tolist() == [[5, 5, 5.5, 7, 8]]
    assert ladder.at(norms, "hull_distance").tolist() == [[0, 0, 1.5, 5.5, 8]]
    assert ladder.at(norms, "hull_ratio").tolist() == [[0, 0, 0.25, 0.75, 1]]
    assert ladder.select(np.array([0, 0])).at(norms, "distance").shape == (2, 5)


def test_ladders_of_many_runs_are_made_in_blocks(monkeypatch):
    compared, own = reference_of(), np.eye(14, dtype=bool)
    whole = ladder_of(TRAIN, compared, aligned=True, exclude=own)
    monkeypatch.setattr(module, "HELDOUT_BLOCK", 3)
    blocks = ladder_of(TRAIN, compared, aligned=True, exclude=own)
    np.testing.assert_allclose(whole.norms, blocks.norms, rtol=1e-6)
    np.testing.assert_allclose(whole.distances, blocks.distances, rtol=1e-6)
    np.testing.assert_allclose(whole.hull_distances, blocks.hull_distances, rtol=1e-5, atol=1e-6)
    assert (whole.distances > 0.5).all()  # each against the others


# --- one left out ------------------------------------------------------------------------------


def test_one_training_checkpoint_is_left_out_for_each_generated_one():
    many = like(TRAIN, drawn(2800, 1))
    exclude = one_left_out(many, TRAIN, 0)
    assert exclude.shape == (2800, 14)
    assert (exclude.sum(axis=1) == 1).all()
    # each of 14 is left out 200 times on average: 5 binomial deviations of 13.6
    np.testing.assert_allclose(exclude.sum(axis=0), 200, atol=5 * 13.6)
    np.testing.assert_array_equal(exclude, one_left_out(many, TRAIN, 0))
    assert (exclude != one_left_out(many, TRAIN, 1)).any()


def test_what_is_needed_is_never_left_out():
    many = like(TRAIN, drawn(2600, 1))
    needed = np.zeros((2600, 14), dtype=bool)
    needed[:, 3] = True
    needed[:1000, 4:14] = True
    exclude = one_left_out(many, TRAIN, 0, needed=needed)
    assert (exclude.sum(axis=1) == 1).all()
    assert not (exclude & needed).any()
    # the others are left out equally often: 1600 / 13 = 123 times, five deviations of 10.7
    np.testing.assert_allclose(exclude[1000:].sum(axis=0)[4:], 123, atol=5 * 10.7)


def test_like_makes_samples_of_the_same_network():
    made = like(TRAIN, drawn(2, 1))
    assert (made.layout, made.info) == (NETWORK.layout, TRAIN.info)
    assert made.records.run.tolist() == ["sample-00000", "sample-00001"]
