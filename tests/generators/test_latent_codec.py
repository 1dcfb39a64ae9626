"""P-diff's codec: normalization tensor by tensor, and who is encoded and decoded with whom."""

from dataclasses import replace

import numpy as np
import torch
from methods import NAMES, fitted, walk_of_norms

from novelweights.generators.parts.latent_codec import TensorScale
from novelweights.weights.layout import WeightLayout


def test_means_and_deviations_are_of_each_checkpoint_then_averaged():
    population = walk_of_norms(20, 16)
    scale = TensorScale.of(population.weights, population.layout)
    normalized = scale.normalize(population.weights)
    parts = population.layout.unflatten(normalized)
    for i, name in enumerate(NAMES):
        entries = population.layout.unflatten(population.weights)[name].double().numpy()
        np.testing.assert_allclose(scale.center[i], entries.mean(axis=1).mean(), rtol=1e-6)
        np.testing.assert_allclose(scale.spread[i], entries.std(axis=1, ddof=1).mean(), rtol=1e-6)
        assert abs(float(parts[name].mean())) < 1e-5
        assert abs(float(parts[name].std(dim=1).mean()) - 1) < 1e-5
    assert torch.allclose(scale.restore(normalized), population.weights, atol=1e-6)


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


def test_checkpoints_are_encoded_in_batches_and_decoded_alone():
    weights, codec = walk_of_norms(40, 24).weights, fitted("p-diff").codec
    normalized, latents = codec.scale.normalize(weights), codec.encode(weights)
    for first in (0, 1):  # 40 rows in batches of about 16 are two of 20
        by_hand = codec.autoencoder.encode(normalized[first::2], "batch")
        assert torch.equal(latents[first::2], by_hand)
    alone = torch.cat([codec.decode(row[None]) for row in latents])
    assert torch.allclose(codec.decode(latents), alone, atol=1e-5)
    frozen = replace(codec, is_frozen=True)
    alone = torch.cat([frozen.encode(row[None]) for row in weights])
    assert torch.allclose(frozen.encode(weights), alone, atol=1e-5)
    assert not torch.allclose(frozen.encode(weights), latents, atol=1e-2)
    assert not torch.allclose(frozen.decode(latents), codec.decode(latents), atol=1e-3)


def test_held_out_runs_are_encoded_as_many_together_as_the_fit_had():
    codec = fitted("p-diff").codec
    walks = [walk_of_norms(20, 24, seed=i, run=f"run-{i}") for i in range(3)]
    weights = torch.cat([walk.weights for walk in walks])
    runs = np.repeat([walk.records.run[0] for walk in walks], 20)
    alone = torch.cat([codec.encode(walk.weights) for walk in walks])
    assert codec.runs == 1
    assert torch.equal(codec.encode(weights, runs), alone)
    mixed = torch.arange(60).view(3, 20).T.flatten()  # rows of the runs in turn
    assert torch.equal(codec.encode(weights[mixed], runs[mixed]), alone[mixed])
    of_three = replace(codec, runs=3)
    assert not torch.allclose(of_three.encode(weights, runs), alone, atol=1e-3)
    assert torch.equal(of_three.encode(weights, runs), codec.encode(weights))
