"""Nearness neuron by neuron, against a loop over all pairs."""

import numpy as np
import pytest
import torch
from planted import seeded

from novelweights.metrics import neurons
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.frame import Frame
from novelweights.metrics.neurons import Neurons, neuron_places
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import random_transform

RELU, TANH = OneHiddenMLP(5, 4, 3, "relu"), OneHiddenMLP(5, 4, 3, "tanh")


def drawn(n, size, seed):
    return torch.randn(n, size, generator=seeded(seed))


def in_a_loop(x, y, places, flips, banned):
    """Of every neuron of every checkpoint, how far the nearest lies over the length of both."""
    found = np.empty((len(x), len(places)))
    for i, one in enumerate(x.double().numpy()):
        for j, mine in enumerate(places.numpy()):
            near = []
            for k, other in enumerate(y.double().numpy()):
                for theirs in places.numpy():
                    a, b = one[mine], other[theirs]
                    apart = min(np.linalg.norm(a - b), np.linalg.norm(a + b) if flips else np.inf)
                    if not banned[i, k]:
                        near.append(apart / np.sqrt(a @ a + b @ b))
            found[i, j] = min(near)
    return found


@pytest.mark.parametrize("network", [RELU, TANH])
@pytest.mark.parametrize("excluded", [False, True])
def test_every_neuron_is_compared_with_those_of_all_places(network, excluded):
    alignment = Alignment(network.layout, network.symmetry)
    train, queries = drawn(6, network.layout.size, 1), drawn(5, network.layout.size, 2)
    frame = Frame.of(train, alignment)
    exclude = np.arange(30).reshape(5, 6) % 4 == 0 if excluded else None
    found = Neurons.of(frame, network.layout).nearness(frame.place(queries), exclude=exclude)
    banned = np.zeros((5, 6), bool) if exclude is None else exclude
    [places] = neuron_places(network.layout, alignment)
    # where neurons stand in the common frame tells what is usual for each
    there = frame.around + frame.center
    own = np.eye(6, dtype=bool)
    usual = torch.from_numpy(in_a_loop(there, there, places, alignment.flips, own))
    placed = frame.place(queries) + frame.center
    apart = in_a_loop(placed, there, places, alignment.flips, banned)
    shares = apart / usual.median(dim=0).values.numpy()
    np.testing.assert_allclose(found.least, shares.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.mean, shares.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.greatest, shares.max(axis=1), rtol=1e-6)


def test_large_networks_are_compared_place_by_place(monkeypatch):
    train, queries = drawn(6, RELU.layout.size, 1), drawn(5, RELU.layout.size, 2)
    frame = Frame.of(train, Alignment(RELU.layout, RELU.symmetry))
    measured = Neurons.of(frame, RELU.layout)
    anywhere = measured.nearness(frame.place(queries))
    monkeypatch.setattr(neurons, "MOST_PRODUCTS", 0)
    in_place = measured.nearness(frame.place(queries))
    assert (in_place.least >= anywhere.least).all()
    assert (in_place.greatest >= anywhere.greatest).all()
    copies = measured.nearness(frame.place(train))
    np.testing.assert_allclose(copies.greatest, 0, atol=1e-6)


def test_neurons_of_several_runs_are_found_wherever_they_stand():
    """In a network with one hidden layer, its neurons in random order."""
    train = drawn(8, RELU.layout.size, 1)
    alignment = Alignment(RELU.layout, RELU.symmetry)
    [places] = neuron_places(RELU.layout, alignment)
    mixed = train[:1].clone()
    for run, columns in enumerate(places):
        mixed[0, columns] = train[run, columns]
    moved = random_transform(mixed, RELU.layout, RELU.symmetry, rng=seeded(2))
    frame = Frame.of(train, alignment)
    found = Neurons.of(frame, RELU.layout).nearness(frame.place(moved))
    assert found.greatest[0] < 1e-6
    fresh = Neurons.of(frame, RELU.layout).nearness(frame.place(drawn(20, RELU.layout.size, 3)))
    assert fresh.least.min() > 0.1


def test_without_a_symmetry_a_neuron_is_a_row_with_its_bias():
    layout = WeightLayout((("a.weight", (2, 3)), ("a.bias", (2,)), ("scale", (4,))))
    [rows] = neuron_places(layout, None)
    assert rows.tolist() == [[0, 1, 2, 6], [3, 4, 5, 7]]
    vectors = WeightLayout((("scale", (4,)),))
    assert Neurons.of(Frame.of(drawn(3, 4, 1), None), vectors) is None


def test_neurons_of_zeros_are_no_copies():
    layout = WeightLayout((("a.weight", (2, 3)),))
    frame = Frame.of(torch.zeros(3, 6), None)
    found = Neurons.of(frame, layout).nearness(frame.place(torch.zeros(2, 6)))
    assert found.least.tolist() == found.mean.tolist() == found.greatest.tolist() == [1, 1]
