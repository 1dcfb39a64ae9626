"""Hyper-Representations: a fit that learns, its latent density, and the published size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from methods import fit, fitted, known, seeded
from refused import refused
from sklearn.neighbors import KernelDensity

from novelweights.generators import make_generator
from novelweights.generators.hyper_representations import (
    LEAST_STD,
    SCALES,
    draw_latents,
    layer_spread,
)
from novelweights.generators.parts.fitted import parameter_count
from novelweights.generators.parts.neuron_autoencoder import neuron_layers
from novelweights.generators.parts.training import Workspace
from novelweights.metrics.neighbors import nearest
from novelweights.networks.small_cnn import SmallCNN
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records


def scored(population, accuracies=None):
    """The population with accuracies 0, 1, 2, ... as its only score."""
    n = len(population)
    scores = {"test_accuracy": np.arange(n) if accuracies is None else np.asarray(accuracies)}
    return replace(population, records=replace(population.records, scores=scores))


@pytest.mark.integration
def test_it_overfits_four_checkpoints_and_shared_draws_are_copies(make_population, tmp_path):
    training = make_population(4)
    learned = replace(
        SCALES["smoke"],
        width=48,
        hidden=64,
        heads=4,
        latent=24,
        permutations=0,
        steps=400,
        batch_size=16,
        learning_rate=3e-3,
        schedule="cosine",
        top_share=1.0,
    ).fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    rows = [line.split(",") for line in (tmp_path / "loss.csv").read_text().splitlines()[1:]]
    losses = [float(loss) for _, loss in rows]
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    reference = learned.as_reference(training)
    spacing = float(torch.pdist(training.weights).median())
    assert float((reference.weights - training.weights).norm(dim=1).max()) < 0.3 * spacing
    # the released sampler: one training latent plus one number, so nearly a reconstruction
    shared = nearest(learned.sample(32, rng=seeded(2)).weights, reference.weights)
    assert shared.distances.max() < 0.1 * spacing
    assert len(set(shared.rows[:, 0])) == 4
    # as described: every dimension from another checkpoint
    mixed = learned.sampling(shared_draws=False).sample(32, rng=seeded(2))
    assert np.median(nearest(mixed.weights, reference.weights).distances) > 0.2 * spacing


def test_shared_draws_are_what_one_random_state_for_all_dimensions_gives(rng):
    latents = torch.randn(50, 6, generator=rng)
    by_library = np.stack(
        [
            KernelDensity(bandwidth=0.002).fit(column[:, None]).sample(40, random_state=42)[:, 0]
            for column in latents.double().numpy().T
        ],
        axis=1,
    )
    near = nearest(torch.from_numpy(by_library).float(), latents)
    residual = by_library - latents.double().numpy()[near.rows[:, 0]]
    assert np.ptp(residual, axis=1).max() < 1e-9  # one number in all dimensions
    assert np.abs(residual).std() == pytest.approx(0.0012, abs=0.0006)  # |N(0, .002)|
    ours = draw_latents(latents, 4000, bandwidth=0.002, shared=True, rng=rng).double()
    found = nearest(ours.float(), latents).rows[:, 0]
    shift = (ours - latents[torch.from_numpy(found)]).numpy()
    assert np.ptp(shift, axis=1).max() < 1e-6
    assert shift[:, 0].std() == pytest.approx(0.002, rel=0.05)
    assert np.bincount(found, minlength=50).min() > 40  # uniform over what is kept


def test_independent_draws_mix_checkpoints_in_every_dimension(rng):
    latents = torch.arange(20.0)[:, None].expand(20, 6)  # a value says whose it is
    drawn = draw_latents(latents, 2000, bandwidth=0.002, shared=False, rng=rng)
    whose = drawn.round()
    assert (drawn - whose).abs().max() < 0.012
    assert (whose == whose[:, :1]).all(dim=1).float().mean() < 0.01
    assert abs(float(torch.corrcoef(whose.T)[0, 1])) < 0.1


def test_latents_of_the_best_checkpoints_are_kept(make_population):
    training = scored(make_population(10))
    learned = fit("hyper-representations", training, top_share=0.3)
    assert learned.latents.shape == (3, 16)
    # encoded beside others: sums in another order, of numbers of the size of latents
    assert torch.allclose(learned.latents, learned.encode(training.weights[7:]), atol=1e-5)
    assert list(learned.parents(training).records.run) == list(training.records.run[7:])


def test_what_it_cannot_learn_from_is_refused(make_population):
    training = make_population(4)
    bare = replace(training, records=replace(training.records, scores={}))
    with refused("wrong-records", "training", "test_accuracy"):
        fit("hyper-representations", bare)
    with refused("wrong-records", "1 of 4"):
        fit("hyper-representations", scored(training, [1.0, np.nan, 2.0, 3.0]))
    with refused("unsuited", "population.json"):
        fit("hyper-representations", replace(training, info=PopulationInfo()))


def test_layer_spread_pools_weights_and_biases(rng):
    layout = WeightLayout((("a.weight", (2, 3)), ("a.bias", (2,)), ("b.weight", (1, 2))))
    weights = torch.randn(5, layout.size, generator=rng)
    weights[:, 8:] = 3.0  # no spread at all
    spread = layer_spread(weights, neuron_layers(layout))
    assert torch.allclose(spread[:8], weights[:, :8].flatten().std().expand(8))
    assert torch.allclose(spread[8:], torch.full((2,), LEAST_STD))


def test_loss_is_the_normalized_error_of_each_runs_last_checkpoint():
    training, generator = known("hyper-representations"), fitted("hyper-representations")
    last = training.select(training.records.step == 30)
    loss = generator.loss(training, timesteps=(0,), rng=seeded(2))
    decoded = generator.as_reference(last).weights
    by_hand = ((decoded - last.weights) / generator.spread).square().mean(dim=1)
    assert torch.allclose(loss[:, 0], by_hand, rtol=1e-4)


@pytest.mark.parametrize(
    ("variant", "printed"),
    [
        (None, 222.7),
        ("deeper", 361.5),
        ("shallower", 153.3),
        ("wider", 358.6),
        ("narrower", 117.6),
    ],
)
def test_parameter_counts_at_the_papers_scale(variant, printed):
    # Source: paper, table 1 (223M, 362M, 154M, 359M, 118M)
    with torch.device("meta"):
        generator = make_generator("hyper-representations", "paper", variant=variant)
        network = generator.network(SmallCNN().layout)
    assert round(parameter_count(network) / 1e6, 1) == printed


@pytest.mark.slow
def test_one_step_at_the_papers_scale(rng):
    # 2,896 checkpoints as published; fewer latents are kept than the best 30%, to save minutes
    network = SmallCNN()
    weights = torch.stack([network.initial(rng) for _ in range(2896)])
    training = scored(
        Population(
            weights,
            network.layout,
            Records.of([f"run-{i // 5}" for i in range(2896)], split="train"),
            PopulationInfo(symmetry=network.symmetry),
        )
    )
    assert training.weights.shape == (2896, 2464)
    learned = replace(SCALES["paper"], steps=1, top_share=0.01).fit(training, rng=rng)
    assert learned.parameters == 222_704_262
    assert learned.latents.shape == (29, 512)
    assert learned.sample(3, rng=rng).weights.isfinite().all()
    assert learned.as_reference(training.select(slice(3))).weights.isfinite().all()
