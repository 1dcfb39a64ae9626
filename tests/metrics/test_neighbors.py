import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from novelweights.metrics import neighbors
from novelweights.metrics.alignment import Alignment, aligned_to, pair_distances
from novelweights.metrics.neighbors import nearest
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_cnn import GRAY_CNN
from novelweights.weights.symmetry import NeuronSymmetry, random_transform, transform


def alignment_of(network):
    return Alignment(network.layout, network.symmetry)


def draw(network, n, *, seed=0, offset=0.0):
    rng = torch.Generator().manual_seed(seed)
    return offset + torch.randn(n, network.layout.size, generator=rng)


def every_symmetry(network, weights):
    """One checkpoint under all permutations and, for odd activations, sign flips."""
    coins = (1.0, -1.0) if network.symmetry.sign_groups else (1.0,)
    orders = itertools.permutations(range(network.hidden))
    signs = list(itertools.product(coins, repeat=network.hidden))
    every = [torch.tensor(part) for part in zip(*itertools.product(orders, signs), strict=True)]
    copies = weights.expand(len(every[0]), -1)
    return transform(copies, network.layout, network.symmetry, *({"h": part} for part in every))


def brute_force(network, queries, reference):
    """Aligned distances by trying every symmetry of every reference checkpoint."""
    columns = [
        cdist(queries.double().numpy(), every_symmetry(network, row).double().numpy()).min(axis=1)
        for row in reference
    ]
    return np.stack(columns, axis=1)


def by_sorting(distances, k):
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("is_aligned", [True, False])
@pytest.mark.parametrize("k", [1, 3, 9])
def test_many_reference_checkpoints_are_searched_block_by_block(
    tiny_network, k, is_aligned, monkeypatch
):
    alignment = alignment_of(tiny_network) if is_aligned else None
    queries, reference = draw(tiny_network, 9), draw(tiny_network, 30, seed=1)
    reference[[3, 17, 29]] = queries[4]  # ties in three blocks
    whole = nearest(queries, reference, k=k, alignment=alignment)
    monkeypatch.setattr(neighbors, "REFERENCE_ROWS", 8)
    blocks = nearest(queries, reference, k=k, alignment=alignment)
    assert np.array_equal(blocks.rows, whole.rows)
    assert np.array_equal(blocks.distances, whole.distances)
    reference[20, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        nearest(queries, reference, k=k, alignment=alignment)


@pytest.mark.parametrize("k", [1, 3, 20])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_plain_distances_are_scipys(tiny_network, k, offset):
    queries, reference = draw(tiny_network, 9, offset=offset), draw(tiny_network, 20, seed=1)
    found = nearest(queries, reference, k=k)
    rows, distances = by_sorting(cdist(queries.double().numpy(), reference.double().numpy()), k)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("hidden", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 4])
def test_aligned_distances_are_those_of_trying_every_symmetry(activation, hidden, k):
    network = OneHiddenMLP(3, hidden, 2, activation)
    queries, reference = draw(network, 8), draw(network, 12, seed=1)
    found = nearest(queries, reference, k=k, alignment=alignment_of(network))
    rows, distances = by_sorting(brute_force(network, queries, reference), k)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)
    plain = nearest(queries, reference, k=k).distances
    assert (found.distances <= plain + 1e-12).all()
    if hidden > 1 or activation == "tanh":
        assert (found.distances < plain - 1e-3).any()


def test_exact_copies_have_distance_zero_wherever_their_neurons_are(tiny_network, rng):
    reference = draw(tiny_network, 30, offset=5.0)
    moved = random_transform(reference, tiny_network.layout, tiny_network.symmetry, rng=rng)
    alignment = alignment_of(tiny_network)
    for queries in (reference, moved):
        found = nearest(queries, reference, alignment=alignment)
        assert found.rows[:, 0].tolist() == list(range(30))
        assert (found.distances == 0).all()
    assert (nearest(reference, reference).distances == 0).all()
    assert (nearest(moved, reference).distances > 0.1).sum() > 20


@pytest.mark.parametrize("aligned", [False, True])
def test_a_distance_of_a_ten_thousandth_is_measured_to_a_millionth_of_it(tiny_network, aligned):
    reference = draw(tiny_network, 40, offset=30.0).double()
    step = draw(tiny_network, 40, seed=2).double()
    near = reference + 1e-4 * step / step.norm(dim=1, keepdim=True)
    rng = torch.Generator().manual_seed(3)
    moved = near
    if aligned:
        moved = random_transform(near, tiny_network.layout, tiny_network.symmetry, rng=rng)
    alignment = alignment_of(tiny_network) if aligned else None
    found = nearest(moved, reference, alignment=alignment)
    assert found.rows[:, 0].tolist() == list(range(40))
    np.testing.assert_allclose(found.distances, 1e-4, rtol=1e-6)
    product = (near.float() @ reference.float().T).diagonal()
    squares = near.float().square().sum(1) + reference.float().square().sum(1)
    expanded = (squares - 2 * product).clamp_min(0).sqrt()
    assert not torch.allclose(expanded.double(), torch.tensor(1e-4).double(), rtol=0.5, atol=0)


def test_float32_copies_with_tiny_noise_too(tiny_network, rng):
    reference = draw(tiny_network, 40, offset=3.0)
    near = reference + 1e-6 * torch.randn(reference.shape, generator=rng)
    direct = (near.double() - reference.double()).norm(dim=1).numpy()
    np.testing.assert_allclose(nearest(near, reference).distances[:, 0], direct, rtol=1e-12)
    found = nearest(near, reference, alignment=alignment_of(tiny_network)).distances[:, 0]
    np.testing.assert_allclose(found, direct, rtol=1e-12)


@pytest.mark.parametrize("aligned", [False, True])
def test_excluded_checkpoints_are_no_neighbors(tiny_network, aligned):
    weights = draw(tiny_network, 9)
    runs = np.arange(9) // 3
    exclude = runs[:, None] == runs
    distances = cdist(weights.double().numpy(), weights.double().numpy())
    if aligned:
        distances = brute_force(tiny_network, weights, weights)
    distances[exclude] = np.inf
    alignment = alignment_of(tiny_network) if aligned else None
    found = nearest(weights, weights, k=6, exclude=exclude, alignment=alignment)
    rows, expected = by_sorting(distances, 6)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-12)


@pytest.mark.parametrize("aligned", [False, True])
def test_equally_near_checkpoints_come_in_row_order(tiny_network, aligned):
    reference = draw(tiny_network, 3)[[0, 1, 0, 2, 0]]
    alignment = alignment_of(tiny_network) if aligned else None
    queries = torch.cat([reference[:1], reference[:1] + 1e-3])
    found = nearest(queries, reference, k=3, alignment=alignment)
    assert found.rows.tolist() == [[0, 2, 4], [0, 2, 4]]


@pytest.mark.parametrize("aligned", [False, True])
def test_row_order_and_block_size_change_nothing(tiny_network, aligned, rng, monkeypatch):
    queries, reference = draw(tiny_network, 15), draw(tiny_network, 25, seed=1)
    alignment = alignment_of(tiny_network) if aligned else None
    found = nearest(queries, reference, k=4, alignment=alignment)
    order = torch.randperm(25, generator=rng)
    shuffled = nearest(queries, reference[order], k=4, alignment=alignment)
    np.testing.assert_array_equal(order.numpy()[shuffled.rows], found.rows)
    np.testing.assert_array_equal(shuffled.distances, found.distances)
    for size in (1, 5000):
        monkeypatch.setattr(neighbors, "BLOCK_BYTES", size)
        again = nearest(queries, reference, k=4, alignment=alignment)
        np.testing.assert_array_equal(again.rows, found.rows)
        np.testing.assert_array_equal(again.distances, found.distances)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_permuting_every_network_at_random_changes_no_aligned_distance(activation, rng):
    network = OneHiddenMLP(6, 5, 3, activation)
    queries, reference = draw(network, 15), draw(network, 25, seed=1)
    found = nearest(queries, reference, k=4, alignment=alignment_of(network))
    moved = [
        random_transform(w, network.layout, network.symmetry, rng=rng) for w in (queries, reference)
    ]
    again = nearest(*moved, k=4, alignment=alignment_of(network))
    np.testing.assert_array_equal(again.rows, found.rows)
    np.testing.assert_allclose(again.distances, found.distances, rtol=1e-12)


def test_distances_are_symmetric(tiny_network):
    a, b = draw(tiny_network, 7), draw(tiny_network, 7, seed=1)
    alignment = alignment_of(tiny_network)
    np.testing.assert_allclose(
        pair_distances(a, b, alignment=alignment), pair_distances(b, a, alignment=alignment)
    )


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_an_aligned_checkpoint_attains_the_aligned_distance(activation):
    network = OneHiddenMLP(6, 5, 3, activation)
    target, reference = draw(network, 1)[0], draw(network, 40, seed=1)
    moved = aligned_to(target, reference, alignment_of(network))
    attained = (moved.double() - target.double()).norm(dim=1).numpy()
    best = pair_distances(
        target.expand(40, -1).contiguous(), reference, alignment=alignment_of(network)
    )
    np.testing.assert_allclose(attained, best, rtol=1e-6)
    x = torch.randn(10, 6, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(network.forward(moved, x), network.forward(reference, x), atol=1e-4)


def test_too_few_checkpoints_and_nan_are_mistakes(tiny_network):
    weights = draw(tiny_network, 4)
    with pytest.raises(ValueError, match="5 neighbors expected, only 4"):
        nearest(weights, weights, k=5)
    exclude = np.zeros((4, 4), dtype=bool)
    exclude[2, :2] = True
    with pytest.raises(ValueError, match="3 neighbors expected, only 2"):
        nearest(weights, weights, k=3, exclude=exclude)
    assert nearest(weights, weights, k=2, exclude=exclude).rows.shape == (4, 2)
    for bad in (float("nan"), float("inf")):
        broken = weights.clone()
        broken[1, 1] = bad
        for pair in ((broken, weights), (weights, broken)):
            with pytest.raises(ValueError, match="finite"):
                nearest(*pair)


def test_alignment_says_what_it_does(tiny_network):
    assert alignment_of(tiny_network).describe() == (
        "permutations and sign flips of the 4 hidden neurons"
    )
    plain = NeuronSymmetry(tiny_network.symmetry.axes)
    assert (
        Alignment(tiny_network.layout, plain).describe() == "permutations of the 4 hidden neurons"
    )
    assert Alignment(tiny_network.layout, plain).is_exact
    deep = Alignment(GRAY_CNN.layout, GRAY_CNN.symmetry)
    assert not deep.is_exact
    assert deep.describe() == "permutations and sign flips of 8, 6, 4 and 20 neurons"
    many = Alignment(ResNet18(4, 32).layout, ResNet18(4, 32).symmetry)
    assert many.describe() == "permutations of 180 neurons in 12 groups"
    none = NeuronSymmetry({name: (None,) * len(s) for name, s in tiny_network.layout.shapes})
    with pytest.raises(ValueError, match="no group of neurons"):
        Alignment(tiny_network.layout, none)
    assert Alignment.of(tiny_network.layout, none) is None
    assert Alignment.of(tiny_network.layout, None) is None


def test_features_hold_every_weight_once(tiny_network):
    weights = torch.arange(float(tiny_network.layout.size))[None]
    features, rest = alignment_of(tiny_network).features(weights)
    assert features.shape == (1, 4, 5 + 1 + 3)
    state = tiny_network.layout.unflatten(weights[0])
    assert features[0, 2].tolist() == [
        *state["hidden.weight"][2].tolist(),
        state["hidden.bias"][2].item(),
        *state["out.weight"][:, 2].tolist(),
    ]
    assert rest[0].tolist() == state["out.bias"].tolist()
