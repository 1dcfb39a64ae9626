import numpy as np
import pytest
import torch

from novelweights.metrics import sources
from novelweights.metrics.alignment import Alignment, aligned_to
from novelweights.metrics.hull import hull_weights
from novelweights.metrics.sources import (
    Alignable,
    find_directions,
    find_sources,
    shrunk_towards_mean,
)
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(12, 5, 4, "tanh")
ALIGNMENT = Alignment(NETWORK.layout, NETWORK.symmetry)


@pytest.fixture
def reference():
    return torch.randn(20, NETWORK.layout.size, generator=torch.Generator().manual_seed(0))


def permuted(weights, rng):
    return random_transform(weights, NETWORK.layout, NETWORK.symmetry, rng=rng)


@pytest.mark.parametrize("aligned", [False, True])
def test_a_copy_has_one_source_and_its_direction(reference, rng, aligned):
    queries = permuted(reference, rng) if aligned else reference
    found = find_sources(queries, Alignable.of(reference, ALIGNMENT if aligned else None))
    assert found.rows[:, 0].tolist() == list(range(20))
    np.testing.assert_allclose(found.weights[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(found.weights[:, 1:], 0, atol=1e-6)
    np.testing.assert_allclose(found.cosine, 1, atol=1e-9)
    np.testing.assert_allclose(found.hull_distance, 0, atol=1e-5)


@pytest.mark.parametrize("aligned", [False, True])
def test_an_average_of_two_has_two_sources_half_each(reference, rng, aligned):
    pairs = [(i, (i + 7) % 20) for i in range(20)]
    queries = []
    for i, j in pairs:
        other = reference[j : j + 1]
        if aligned:
            other = aligned_to(reference[i], other, ALIGNMENT)
        queries.append((reference[i] + other[0]) / 2)
    query = torch.stack(queries)
    if aligned:
        query = permuted(query, rng)
    found = find_sources(query, Alignable.of(reference, ALIGNMENT if aligned else None))
    assert [set(rows[:2]) for rows in found.rows.tolist()] == [set(pair) for pair in pairs]
    np.testing.assert_allclose(found.weights, [[0.5, 0.5, 0.0]] * 20, atol=1e-5)
    np.testing.assert_allclose(found.hull_distance, 0, atol=1e-4)


def test_numbers_are_those_of_their_definitions(reference):
    query = torch.randn(3, NETWORK.layout.size, generator=torch.Generator().manual_seed(1))
    found = find_sources(query, Alignable.of(reference, None))
    mu = reference.double().mean(dim=0)
    around, directions = query.double() - mu, reference.double() - mu
    np.testing.assert_allclose(found.norm, around.norm(dim=1).numpy())
    cosine = torch.nn.functional.cosine_similarity(around[:, None], directions[None], dim=2)
    np.testing.assert_allclose(found.cosine, cosine.amax(dim=1).numpy())
    for i in range(3):
        w = hull_weights((directions @ directions.T).numpy(), (directions @ around[i]).numpy())
        point = torch.from_numpy(w) @ reference.double()
        assert found.hull_distance[i] == pytest.approx(float((query[i].double() - point).norm()))
        assert found.weights[i].tolist() == pytest.approx(np.sort(w)[::-1][:3].tolist())
        assert w[found.rows[i]].tolist() == pytest.approx(found.weights[i].tolist())


@pytest.mark.parametrize("aligned", [False, True])
def test_excluded_checkpoints_explain_nothing(reference, aligned):
    alignment = ALIGNMENT if aligned else None
    exclude = np.eye(20, dtype=bool)
    exclude[3, :5] = True
    found = find_sources(reference, Alignable.of(reference, alignment), exclude=exclude)
    for i in range(20):
        rest = torch.from_numpy(np.flatnonzero(~exclude[i]))
        alone = find_sources(reference[i : i + 1], Alignable.of(reference[rest], alignment))
        assert found.cosine[i] == pytest.approx(alone.cosine[0])
        assert found.hull_distance[i] == pytest.approx(alone.hull_distance[0])
        assert found.rows[i].tolist() == rest[alone.rows[0]].tolist()
        assert not exclude[i, found.rows[i]][found.weights[i] > 0].any()
    assert (found.hull_distance > 1).all()
    exclude[3, :] = True
    exclude[3, 0] = False
    with pytest.raises(ValueError, match="at least two"):
        find_sources(reference, Alignable.of(reference, None), exclude=exclude)


def test_direction_and_sources_do_not_shrink_with_the_checkpoint(reference):
    query = reference[4] + 0.3 * torch.randn(
        NETWORK.layout.size, generator=torch.Generator().manual_seed(1)
    )
    factors = (0.2, 0.5, 1.0, 2.0)
    [ladder] = shrunk_towards_mean(query[None], Alignable.of(reference, None), factors)
    assert torch.allclose(ladder[2], query, atol=1e-6)
    found = find_sources(ladder, Alignable.of(reference, None))
    np.testing.assert_allclose(found.cosine, found.cosine[2], rtol=1e-5)
    np.testing.assert_allclose(found.norm / found.norm[2], factors, rtol=1e-5)
    assert (np.diff(found.hull_distance) > 0).all()


def test_an_aligned_checkpoint_shrinks_towards_the_mean_of_the_aligned(reference, rng):
    query = permuted(reference[4:5], rng)[0]
    mu = aligned_to(query, reference, ALIGNMENT).mean(dim=0)
    [ladder] = shrunk_towards_mean(query[None], Alignable.of(reference, ALIGNMENT), (0.0, 1.0))
    assert torch.allclose(ladder[0], mu, atol=1e-6)
    assert torch.allclose(ladder[1], query, atol=1e-6)
    assert not torch.allclose(mu, reference.mean(dim=0), atol=0.1)


def test_of_many_training_checkpoints_the_nearest_span_the_hull(monkeypatch):
    weights = torch.randn(60, NETWORK.layout.size, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(sources, "HULL_ROWS", 10)
    query = torch.cat([(weights[2:3] + weights[57:58]) / 2, weights[31:32]])
    found = find_sources(query, Alignable.of(weights, None))
    assert set(found.rows[0, :2].tolist()) == {2, 57}
    assert found.rows[1, 0] == 31
    np.testing.assert_allclose(found.weights[:, 0], [0.5, 1.0], atol=1e-6)


def test_two_training_checkpoints_are_enough(reference):
    found = find_sources(reference[:2], Alignable.of(reference[:2], None))
    assert found.rows[:, 0].tolist() == [0, 1]
    np.testing.assert_allclose(found.weights, [[1, 0, 0], [1, 0, 0]], atol=1e-9)


def test_a_checkpoint_equal_to_the_mean_has_no_direction(reference):
    twins = torch.cat([reference[:1], reference[:1]])
    found = find_sources(twins[:1], Alignable.of(twins, None))
    assert found.norm[0] == 0
    assert found.cosine[0] == 0
    assert found.hull_distance[0] == 0


@pytest.mark.parametrize("aligned", [False, True])
def test_directions_alone_are_those_of_the_sources(reference, rng, aligned):
    prepared = Alignable.of(reference, ALIGNMENT if aligned else None)
    query = torch.randn(6, NETWORK.layout.size, generator=rng)
    whole, alone = find_sources(query, prepared), find_directions(query, prepared)
    assert alone.cosine.tolist() == whole.cosine.tolist()
    assert alone.norm.tolist() == whole.norm.tolist()
    for i, row in enumerate(alone.row):
        others = reference if not aligned else aligned_to(query[i], reference, ALIGNMENT)
        around, mu = others.double(), others.double().mean(dim=0)
        cosines = torch.nn.functional.cosine_similarity(query[i].double() - mu, around - mu)
        assert row == int(cosines.argmax())
        assert alone.cosine[i] == pytest.approx(float(cosines.max()))


@pytest.mark.parametrize("aligned", [False, True])
def test_few_checkpoints_explain_a_mixture_but_not_a_copy_with_noise(reference, rng, aligned):
    prepared = Alignable.of(reference, ALIGNMENT if aligned else None)
    mixture = reference[:5].mean(dim=0)[None]
    noise = 0.3 * torch.randn(NETWORK.layout.size, generator=rng)
    assert find_sources(mixture, Alignable.of(reference, None)).sparse_ratio < 1e-6
    assert find_sources((reference[:1] + noise), prepared).sparse_ratio > 0.5
    assert find_sources(reference[:1], prepared).sparse_ratio == 1
    fresh = torch.randn(1, NETWORK.layout.size, generator=rng)
    shrunk = find_sources(
        torch.cat([fresh, 0.5 * fresh]), Alignable.of(reference - reference.mean(0), None)
    )
    assert shrunk.sparse_ratio[0] == pytest.approx(shrunk.sparse_ratio[1], rel=1e-4)
