import numpy as np
import pytest
import torch

from novelweights.metrics.alignment import Alignment
from novelweights.metrics.layers import Layers, modules_of
from novelweights.metrics.neighbors import nearest
from novelweights.networks.mlp import DeepMLP, OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(12, 5, 4, "tanh")
ALIGNMENT = Alignment(NETWORK.layout, NETWORK.symmetry)
FIRST = 12 * 5 + 5  # weights of the hidden layer


@pytest.fixture
def reference(rng):
    return torch.randn(20, NETWORK.layout.size, generator=rng)


def test_parameters_are_grouped_by_module():
    shapes = (("a.weight", (2,)), ("b.0.weight", (3,)), ("a.bias", (1,)), ("b.0.bias", (1,)))
    layout = WeightLayout((*shapes, ("scale", (1,))))
    assert modules_of(layout) == {
        "a": ["a.weight", "a.bias"],
        "b.0": ["b.0.weight", "b.0.bias"],
        "scale": ["scale"],
    }


def test_a_network_of_one_module_has_no_layers(reference):
    layout = WeightLayout((("only.weight", (NETWORK.layout.size,)),))
    assert Layers.of(reference, layout, None) is None


@pytest.mark.parametrize("aligned", [False, True])
def test_a_mosaic_points_to_the_run_of_each_layer(reference, rng, aligned):
    layers = Layers.of(reference, NETWORK.layout, ALIGNMENT if aligned else None)
    assert layers is not None
    assert layers.names == ("hidden", "out")
    mosaic = torch.cat([reference[:6, :FIRST], reference[6:12, FIRST:]], dim=1)
    if aligned:
        mosaic = random_transform(mosaic, NETWORK.layout, NETWORK.symmetry, rng=rng)
    found = layers.nearness(mosaic)
    assert found.rows.tolist() == [[i, i + 6] for i in range(6)]
    np.testing.assert_allclose(found.distance, 0, atol=1e-6)
    np.testing.assert_allclose(found.cosine, 1, atol=1e-6)


def test_plain_distances_of_layers_add_up_to_that_of_a_copy(reference, rng):
    layers = Layers.of(reference, NETWORK.layout, None)
    assert layers is not None
    query = reference[3:4] + 0.1 * torch.randn(1, NETWORK.layout.size, generator=rng)
    found = layers.nearness(query)
    whole = nearest(query, reference).distances[0, 0]
    assert np.sqrt(np.square(found.distance).sum()) == pytest.approx(whole)
    exclude = np.zeros((1, 20), dtype=bool)
    exclude[0, 3] = True
    apart = layers.nearness(query, exclude=exclude)
    assert 3 not in apart.rows
    assert (apart.distance > found.distance).all()


def test_a_symmetry_acts_on_some_parameters_as_on_all():
    part = NETWORK.symmetry.only(["out.weight", "out.bias"])
    assert dict(part.axes) == {"out.weight": (None, "h"), "out.bias": (None,)}
    assert part.sign_groups == {"h"}
    bias = NETWORK.symmetry.only(["out.bias"])
    assert (dict(bias.axes), bias.sign_groups) == ({"out.bias": (None,)}, frozenset())


def test_every_layer_of_a_noisy_permuted_copy_points_to_its_run(rng):
    network = DeepMLP(64, (32, 32), 10)  # where descents rarely end in a wrong place
    reference = torch.randn(50, network.layout.size, generator=rng)
    alignment = Alignment(network.layout, network.symmetry)
    layers = Layers.of(reference, network.layout, alignment)
    assert layers is not None
    moved = random_transform(reference[:20], network.layout, network.symmetry, rng=rng)
    found = layers.nearness(moved + 0.1 * torch.randn(moved.shape, generator=rng))
    assert (found.rows == np.arange(20)[:, None]).all(axis=1).mean() >= 0.95
    assert (found.cosine > 0.9).all(axis=1).mean() >= 0.95
