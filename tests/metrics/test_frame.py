import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from novelweights.metrics.alignment import Alignment
from novelweights.metrics.frame import Frame
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(12, 5, 4, "tanh")
ALIGNMENT = Alignment(NETWORK.layout, NETWORK.symmetry)
D = NETWORK.layout.size


@pytest.fixture
def reference(rng):
    """Runs around one network, so that they have a frame in common."""
    base = torch.randn(D, generator=rng)
    return base + 0.3 * torch.randn(30, D, generator=rng)


def permuted(weights, rng):
    return random_transform(weights, NETWORK.layout, NETWORK.symmetry, rng=rng)


@pytest.mark.parametrize("n", [30, 200])
def test_residual_is_what_the_components_of_scikit_learn_leave(rng, n):
    reference, queries = torch.randn(n, D, generator=rng), torch.randn(7, D, generator=rng)
    frame = Frame.of(reference, None)
    pca = PCA(min(n, D) // 2, svd_solver="full").fit(reference.double().numpy())
    around = queries.double().numpy() - pca.mean_
    left = around - around @ pca.components_.T @ pca.components_
    expected = np.linalg.norm(left, axis=1) / np.linalg.norm(around, axis=1)
    np.testing.assert_allclose(frame.residual(frame.place(queries)), expected, rtol=1e-6)


def test_residual_has_no_scale_and_is_one_at_the_mean(reference, rng):
    frame = Frame.of(reference, None)
    query = frame.center + torch.randn(1, D, generator=rng)
    ladder = torch.cat([frame.center[None], query, frame.center + 0.1 * (query - frame.center)])
    found = frame.residual(ladder - frame.center)
    assert found[0] == 1
    assert found[1] == pytest.approx(found[2])


def test_permuted_networks_have_the_same_place(reference, rng):
    frame = Frame.of(permuted(reference, rng), ALIGNMENT)
    queries = reference[:6]
    np.testing.assert_allclose(
        frame.residual(frame.place(permuted(queries, rng))),
        frame.residual(frame.place(queries)),
        rtol=1e-5,
    )
    assert float(frame.around.norm(dim=1).mean()) < 1.2 * 0.3 * D**0.5


def test_a_shared_drift_hides_copies_from_the_cosine_but_not_from_the_recentred_one(reference, rng):
    frame = Frame.of(reference, None)
    drift = 3 * torch.randn(D, generator=rng)
    copies = frame.place(reference + drift)
    plain = torch.nn.functional.cosine_similarity(copies[:, None], frame.around[None], dim=2)
    assert float(plain.max()) < 0.5
    assert frame.recentred_cosine(copies).min() > 0.9
    fresh = frame.place(torch.randn(30, D, generator=rng))
    assert frame.recentred_cosine(fresh).max() < 0.6


def test_the_recentred_cosine_is_blind_where_all_checkpoints_are_one(reference):
    frame = Frame.of(reference, None)
    collapsed = frame.place(reference[:1].repeat(4, 1))
    assert frame.recentred_cosine(collapsed).tolist() == [0.0] * 4
    with pytest.raises(ValueError, match="at least two"):
        frame.recentred_cosine(collapsed[:1])


def test_equal_checkpoints_have_a_frame(rng):
    frame = Frame.of(torch.ones(4, D), None)
    found = frame.residual(frame.place(torch.randn(2, D, generator=rng)))
    np.testing.assert_allclose(found, 1)
