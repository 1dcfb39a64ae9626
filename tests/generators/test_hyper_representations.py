from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity

from novelweights.errors import InputError
from novelweights.generators.generator import FittedGenerator, WeightGenerator
from novelweights.generators.hyper_representations import (
    LEAST_STD,
    SCALES,
    FittedHyperRepresentations,
    HyperRepresentations,
    draw_latents,
    layer_spread,
)
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.parts.neuron_autoencoder import neuron_layers
from novelweights.generators.parts.training import Workspace
from novelweights.generators.parts.transformer import parameter_count
from novelweights.generators.store import load_fitted, save_fitted
from novelweights.metrics.neighbors import nearest
from novelweights.networks.small_cnn import SmallCNN
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records

SMALL = HyperRepresentations(
    width=48,
    hidden=64,
    heads=4,
    layers=1,
    latent=24,
    projection_hidden=16,
    projection_outputs=8,
    projection_layers=1,
    permutations=0,
    steps=400,
    batch_size=16,
    learning_rate=3e-3,
    schedule="cosine",
    top_share=1.0,
)
QUICK = replace(SMALL, width=16, heads=2, steps=12)


class Interrupted(Exception):
    """Power cut."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def scored(population, accuracies=None):
    """The population with accuracies 0, 1, 2, ... as its only score; "none": without scores."""
    n = len(population)
    scores = {"test_accuracy": np.arange(n) if accuracies is None else np.asarray(accuracies)}
    if isinstance(accuracies, str):
        scores = {}
    return replace(population, records=replace(population.records, scores=scores))


def test_it_overfits_four_checkpoints_and_shared_draws_are_copies(make_population, tmp_path):
    training = make_population(4)
    fitted = SMALL.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    rows = [line.split(",") for line in (tmp_path / "loss.csv").read_text().splitlines()[1:]]
    losses = [float(loss) for _, loss in rows]
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    reference = fitted.as_reference(training)
    spacing = float(torch.pdist(training.weights).median())
    assert float((reference.weights - training.weights).norm(dim=1).max()) < 0.3 * spacing
    # the released sampler: one training latent plus one number, so nearly a reconstruction
    shared = nearest(fitted.sample(32, rng=seeded(2)).weights, reference.weights)
    assert shared.distances.max() < 0.1 * spacing
    assert len(set(shared.rows[:, 0])) == 4
    # as described: every dimension from another checkpoint
    mixed = fitted.sampling(shared_draws=False).sample(32, rng=seeded(2))
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
    latents = torch.arange(20.0)[:, None].expand(20, 6)  # a value tells whose it is
    drawn = draw_latents(latents, 2000, bandwidth=0.002, shared=False, rng=rng)
    whose = drawn.round()
    assert (drawn - whose).abs().max() < 0.012
    assert (whose == whose[:, :1]).all(dim=1).float().mean() < 0.01
    assert abs(float(torch.corrcoef(whose.T)[0, 1])) < 0.1


def test_latents_of_the_best_checkpoints_are_kept(make_population):
    training = scored(make_population(10))
    fitted = replace(QUICK, top_share=0.3).fit(training, rng=seeded(1))
    assert fitted.latents.shape == (3, 24)
    assert torch.allclose(fitted.latents, fitted.encode(training.weights[7:]), atol=1e-6)
    assert list(fitted.parents(training).records.run) == list(training.records.run[7:])


def test_the_score_that_chooses_must_be_there(make_population):
    with pytest.raises(InputError, match="training: expected the score test_accuracy"):
        replace(QUICK, top_share=0.3).fit(scored(make_population(4), "none"), rng=seeded(1))
    broken = scored(make_population(4), [1.0, np.nan, 2.0, 3.0])
    with pytest.raises(InputError, match="missing or infinite in 1 of 4"):
        replace(QUICK, top_share=0.3).fit(broken, rng=seeded(1))


def test_layer_spread_pools_weights_and_biases(rng):
    layout = WeightLayout((("a.weight", (2, 3)), ("a.bias", (2,)), ("b.weight", (1, 2))))
    weights = torch.randn(5, layout.size, generator=rng)
    weights[:, 8:] = 3.0  # no spread at all
    spread = layer_spread(weights, neuron_layers(layout))
    assert torch.allclose(spread[:8], weights[:, :8].flatten().std().expand(8))
    assert torch.allclose(spread[8:], torch.full((2,), LEAST_STD))


def test_loss_is_the_normalized_error_of_each_runs_last_checkpoint(make_population):
    training = make_population(6)
    fitted = QUICK.fit(training, rng=seeded(1))
    loss = fitted.loss(training, timesteps=(0,), rng=seeded(2))
    decoded = fitted.as_reference(training).weights
    by_hand = ((decoded - training.weights) / fitted.spread).square().mean(dim=1)
    assert torch.allclose(loss[:, 0], by_hand, rtol=1e-5)
    assert isinstance(fitted, HasLoss)
    gap = final_gap(fitted, training, make_population(5, seed=9))
    assert gap.timesteps == 1
    assert len(gap.levels) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"contrast_weight": 0.0},
        {"dropout": 0.1, "noise": 0.01, "erasing": 0.5, "permutations": 4},
    ],
)
def test_an_interrupted_fit_ends_with_the_same_bits(make_population, tmp_path, changes):
    training, settings = make_population(6), replace(QUICK, **changes)
    whole = settings.fit(training, rng=seeded(1))

    def cut(step, of, loss):
        if step == 7:
            raise Interrupted

    with pytest.raises(Interrupted):
        settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, cut, 0.0))
    resumed = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert torch.equal(whole.latents, resumed.latents)


def test_an_unfinished_fit_goes_on_with_other_ways_to_sample(make_population, tmp_path):
    training = make_population(6)

    def cut(step, of, loss):
        if step == 7:
            raise Interrupted

    with pytest.raises(Interrupted):
        QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, cut, 0.0))
    other = replace(QUICK, bandwidth=0.1, shared_draws=False, top_share=0.5)
    resumed = other.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    assert len(resumed.latents) == 3
    with pytest.raises(InputError, match="begun with other settings"):
        replace(QUICK, latent=8).fit(training, rng=seeded(1), workspace=Workspace(tmp_path))


def test_it_is_a_generator_that_survives_its_folder(make_population, tmp_path):
    training = make_population(6)
    assert isinstance(QUICK, WeightGenerator)
    scaled = replace(QUICK, is_scaled=True)
    fitted = scaled.fit(training, rng=seeded(1))
    assert isinstance(fitted, FittedGenerator)
    save_fitted(
        fitted, tmp_path, method="hyper-representations", settings=scaled, training=training
    )
    state = torch.random.get_rng_state()
    loaded, method = load_fitted(tmp_path)
    assert torch.equal(state, torch.random.get_rng_state())  # loading draws nothing
    assert method == "hyper-representations"
    assert isinstance(loaded, FittedHyperRepresentations)
    before, after = (one.sample(5, rng=seeded(3)) for one in (fitted, loaded))
    assert torch.equal(before.weights, after.weights)
    through = (one.as_reference(training).weights for one in (fitted, loaded))
    assert torch.equal(*through)


def test_what_it_cannot_use_is_refused(make_population):
    training = make_population(6)
    fitted = QUICK.fit(training, rng=seeded(1))
    with pytest.raises(InputError, match="leave --start out"):
        fitted.sample(2, rng=seeded(1), start=training)
    other = WeightLayout((("w", (3, 2)),))
    with pytest.raises(InputError, match="hold different networks"):
        fitted.as_reference(Population(torch.zeros(2, 6), other, Records.of(["a", "b"], split="x")))
    with pytest.raises(InputError, match="which axes count neurons"):
        QUICK.fit(replace(training, info=PopulationInfo()), rng=seeded(1))
    spoiled = replace(training, weights=training.weights * torch.nan)
    with pytest.raises(InputError, match="NaN"):
        fitted.as_reference(spoiled)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"width": 30, "heads": 4}, "heads that divide"),
        ({"steps": 0}, "steps: expected a number of 1"),
        ({"latent": 0}, "latent: expected a number of 1"),
        ({"bandwidth": -1.0}, "bandwidth"),
        ({"contrast_weight": 1.0}, "contrast_weight"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_share": 0.0}, "top_share"),
        ({"erasing": 2.0}, "erasing"),
        ({"batch_size": 1}, "at least 2"),
        ({"schedule": "warm"}, "schedule"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_settings_are_checked(wrong, told):
    with pytest.raises(InputError, match=told):
        replace(QUICK, **wrong)


@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({}, 222.7),
        ({"layers": 8}, 361.5),
        ({"layers": 2}, 153.3),
        ({"width": 2240, "hidden": 2400, "heads": 16}, 358.6),
        ({"width": 1120, "hidden": 1200, "heads": 8}, 117.6),
    ],
)
def test_parameter_counts_at_the_papers_scale(changes, printed):
    # Source: paper, table 1 (223M, 362M, 154M, 359M, 118M)
    with torch.device("meta"):
        network = replace(SCALES["paper"], **changes).network(SmallCNN().layout)
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
    paper = replace(SCALES["paper"], steps=1, top_share=0.01)
    fitted = paper.fit(training, rng=rng)
    assert fitted.parameters == 222_704_262
    assert fitted.latents.shape == (29, 512)
    assert fitted.sample(3, rng=rng).weights.isfinite().all()
    assert fitted.as_reference(training.select(slice(3))).weights.isfinite().all()
