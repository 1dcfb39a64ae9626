import numpy as np
import pytest
import torch

from novelweights.metrics.alignment import Alignment, lower_bounds, pair_distances
from novelweights.metrics.brackets import CANDIDATES, Framed
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.sources import Alignable, find_directions, find_sources
from novelweights.networks.mlp import DeepMLP
from novelweights.weights.symmetry import random_transform

NETWORK = DeepMLP(6, (5, 4), 3, "tanh")
ALIGNMENT = Alignment(NETWORK.layout, NETWORK.symmetry)


@pytest.fixture
def reference(rng):
    return torch.randn(60, NETWORK.layout.size, generator=rng)


def permuted_at_random(weights, rng):
    return random_transform(weights, NETWORK.layout, NETWORK.symmetry, rng=rng)


def test_permuted_copies_find_their_original(reference, rng):
    queries = permuted_at_random(reference[40:], rng)
    found = nearest(queries, reference, k=2, alignment=ALIGNMENT)
    assert (found.rows[:, 0] == np.arange(40, 60)).mean() >= 0.95
    assert (found.distances[:, 0] == 0).mean() >= 0.95
    assert (found.lower <= found.distances[:, 0]).all()
    assert (found.distances[:, 1] > 1).all()


def test_copies_far_from_the_frame_are_found_by_their_bound(reference, rng):
    # a copy of a reference that is among the last in the common frame
    assert len(reference) > CANDIDATES
    noise = 0.01 * torch.randn(reference.shape, generator=rng)
    found = nearest(permuted_at_random(reference, rng) + noise, reference, alignment=ALIGNMENT)
    assert (found.rows[:, 0] == np.arange(60)).mean() >= 0.95


def test_distances_are_at_least_as_good_as_pair_by_pair_and_above_every_bound(reference, rng):
    queries = torch.randn(6, NETWORK.layout.size, generator=rng)
    found = nearest(queries, reference, k=3, alignment=ALIGNMENT)
    every = np.stack(
        [
            pair_distances(q.expand_as(reference), reference, alignment=ALIGNMENT)
            for q in queries.clone()
        ]
    )
    bounds = np.stack(
        [lower_bounds(q.expand_as(reference), reference, alignment=ALIGNMENT) for q in queries]
    )
    assert (found.distances[:, 0] <= 1.05 * every.min(axis=1)).all()
    assert (found.distances >= np.take_along_axis(bounds, found.rows, 1)).all()
    assert np.allclose(found.lower, bounds.min(axis=1), rtol=1e-4)
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_what_is_excluded_is_no_neighbor(reference):
    exclude = np.eye(60, dtype=bool)
    found = nearest(reference, reference, exclude=exclude, alignment=ALIGNMENT)
    assert (found.rows[:, 0] != np.arange(60)).all()
    assert (found.lower > 0).all()


def test_the_frame_is_made_again_when_the_reference_changes(reference):
    first = Framed.of(reference, ALIGNMENT)
    assert Framed.of(reference, ALIGNMENT) is first
    assert Framed.of(reference, Alignment(NETWORK.layout, NETWORK.symmetry)) is first
    reference[0] += 1
    assert Framed.of(reference, ALIGNMENT) is not first


def test_sources_see_through_the_symmetries(reference, rng):
    movable = Alignable.of(reference, ALIGNMENT)
    copies = permuted_at_random(reference[:8], rng)
    found = find_sources(copies, movable)
    assert (found.rows[:, 0] == np.arange(8)).mean() >= 0.8
    assert np.median(found.weights[:, 0]) > 0.99
    assert np.median(found.cosine) > 0.99
    plain = find_sources(copies, Alignable.of(reference, None))
    assert np.median(plain.cosine) < 0.9
    directions = find_directions(copies, movable)
    assert np.allclose(directions.cosine, found.cosine)
