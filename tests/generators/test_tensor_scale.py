import numpy as np
import torch
from partial_networks import NAMES, walk_of_norms

from novelweights.generators.parts.tensor_scale import TensorScale
from novelweights.weights.layout import WeightLayout


def test_means_and_deviations_are_of_each_checkpoint_then_averaged():
    population = walk_of_norms(20, 16)
    scale = TensorScale.of(population.weights, population.layout)
    for i, name in enumerate(NAMES):
        entries = population.layout.unflatten(population.weights)[name].double().numpy()
        np.testing.assert_allclose(scale.center[i], entries.mean(axis=1).mean(), rtol=1e-6)
        np.testing.assert_allclose(scale.spread[i], entries.std(axis=1, ddof=1).mean(), rtol=1e-6)


def test_the_round_trip_gives_the_weights_back():
    population = walk_of_norms(20, 16)
    scale = TensorScale.of(population.weights, population.layout)
    normalized = scale.normalize(population.weights)
    assert torch.allclose(scale.restore(normalized), population.weights, atol=1e-6)
    parts = population.layout.unflatten(normalized)
    for name in NAMES:
        assert abs(float(parts[name].mean())) < 1e-5
        assert abs(float(parts[name].std(dim=1).mean()) - 1) < 1e-5


def test_tensors_that_do_not_vary_are_centered_and_not_divided():
    layout = WeightLayout((("constant", (40,)), ("zero", (3,)), ("single", ()), ("varied", (2,))))
    weights = torch.zeros(3, layout.size)
    weights[:, :40] = 0.1  # not exact in binary: its deviation is not exactly 0
    weights[:, 43] = torch.tensor([1.0, 2.0, 6.0])
    weights[:, 44] = 1.0
    scale = TensorScale.of(weights, layout)
    assert scale.spread[:3].tolist() == [1.0, 1.0, 1.0]
    normalized = scale.normalize(weights)
    assert float(normalized[:, :43].abs().max()) < 1e-7
    assert normalized[:, 43].tolist() == [-2.0, -1.0, 3.0]
    assert normalized[0, 44:].tolist() == torch.tensor([0.5**0.5, -(0.5**0.5)]).tolist()
