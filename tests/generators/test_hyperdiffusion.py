"""HyperDiffusion: a fit that learns, reordered copies, and the published size and setting."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from methods import TINY, fit, known, seeded, smoke
from refused import refused

from novelweights.generators import hyperdiffusion, make_generator
from novelweights.generators.hyperdiffusion import SCALES, HyperDiffusion
from novelweights.generators.parts.diffusion import add_noise_at
from novelweights.generators.parts.fitted import parameter_count
from novelweights.generators.parts.gap import final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.parts.transformer import SCALAR_FEATURES, tokens_of_parameters
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest
from novelweights.networks.neural_field import OccupancyField
from novelweights.weights.population import Population, Records
from novelweights.weights.symmetry import transform

FIELD = OccupancyField(width=128)
SIZE = 1_407_225_600  # Source: paper, Table 1 (1.4B); code of the method
DECREASE = 0.01
"""Share of the loss that one step is to take off, by the gradient: little, so that the loss is
about linear over the step, and far above what float32 sums of 36,737 errors lose."""


def test_it_overfits_four_checkpoints_and_its_gap_opens(make_population, tmp_path):
    training, heldout = make_population(4), make_population(4, seed=9, split="heldout")
    settings = smoke(
        "hyperdiffusion",
        width=64,
        layers=2,
        heads=4,
        timesteps=100,
        steps=400,
        batch_size=32,
        learning_rate=2e-3,
        warmup_steps=20,
        schedule="cosine",
        sampling_steps=20,
    )
    fitted = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    rows = [line.split(",") for line in (tmp_path / "loss.csv").read_text().splitlines()[1:]]
    losses = [float(loss) for _, loss in rows]
    assert sum(losses[-10:]) < 0.2 * sum(losses[:10])
    sampled = fitted.sample(32, rng=seeded(2))
    found = nearest(sampled.weights, training.weights)
    spacing = float(torch.pdist(training.weights).median())
    assert (found.distances[:, 0] < 0.25 * spacing).mean() > 0.8
    assert len(set(found.rows[:, 0])) >= 3
    noise = torch.randn(32, training.layout.size, generator=seeded(3))
    assert nearest(noise, training.weights).distances.min() > 0.4 * spacing
    for level in final_gap(fitted, training, heldout).levels:
        assert level.ratio[0] > level.ratio[1] > 1.5
        assert level.difference[1] > 0
    early = replace(settings, steps=1, learning_rate=0.0).fit(training, rng=seeded(1))
    for level in final_gap(early, training, heldout).levels:
        assert level.ratio[0] == pytest.approx(1, abs=0.3)  # nothing is learned yet: no gap


def test_scaling_the_weights_changes_the_unit_only(make_population):
    training = make_population(6)
    large = replace(training, weights=8 * training.weights)
    one, other = fit("hyperdiffusion", training), fit("hyperdiffusion", large)
    assert one.scale == pytest.approx(1 / float(training.weights.std()))
    assert fit("hyperdiffusion", training, weight_scale=2.0).scale == 2
    samples = (fitted.sample(4, rng=seeded(2)).weights for fitted in (one, other))
    # a power of 2 scales float32 exactly, but for the standard deviation's own rounding
    assert torch.allclose(8 * next(samples), next(samples), rtol=1e-4, atol=1e-4)


def test_reordered_copies_are_the_same_networks_in_orders_drawn_once(make_population, monkeypatch):
    training, seen = make_population(5), []

    def recorded(clean, noise, t, alphas):
        seen.append(clean)
        return add_noise_at(clean, noise, t, alphas)

    monkeypatch.setattr(hyperdiffusion, "add_noise_at", recorded)
    settings = smoke("hyperdiffusion", weight_scale=1.0, permutations=3)
    settings.fit(training, rng=seeded(1))
    learned = torch.cat(seen).unique(dim=0)
    assert 15 < len(learned) <= 20  # 5 checkpoints, each with 3 copies; of 24 orders some are alike
    found = nearest(learned, training.weights, alignment=Alignment(TINY.layout, TINY.symmetry))
    assert found.distances[:, 0].max() < 1e-6
    assert set(np.bincount(found.rows[:, 0])) <= {3, 4}
    assert nearest(training.weights, learned).distances[:, 0].max() == 0  # as they are, too
    copies = settings.learned_from(training, rng=seeded(1))
    assert torch.equal(copies[:5], training.weights)
    assert torch.equal(copies.unique(dim=0), learned)


@pytest.mark.parametrize("shared", [True, False])
def test_orders_are_shared_by_all_checkpoints_or_each_ones_own(shared):
    training = known("hyperdiffusion")
    settings = smoke("hyperdiffusion", permutations=2, shared_orders=shared)
    blocks = settings.learned_from(training, rng=seeded(1)).split(len(training))
    assert torch.equal(blocks[0], training.weights)
    [(group, size)] = TINY.symmetry.sizes(TINY.layout).items()
    orders = list(itertools.permutations(range(size)))
    n = len(training)
    for block in blocks[1:]:
        found = set()
        for row in range(n):
            for order in orders:
                moved = transform(
                    training.weights[row : row + 1],
                    TINY.layout,
                    TINY.symmetry,
                    {group: torch.tensor([order])},
                )
                if torch.equal(moved[0], block[row]):
                    found.add(order)
        assert (len(found) == 1) is shared


def test_reordering_needs_to_know_which_neurons():
    training = known("hyperdiffusion")
    unknown = replace(training, info=replace(training.info, symmetry=None))
    with refused("unsuited", "hyperdiffusion"):
        fit("hyperdiffusion", unknown, permutations=1)
    fit("hyperdiffusion", unknown, steps=1)


def test_chunks_cut_the_tokens_finer():
    chunked = smoke("hyperdiffusion", chunk=7)
    network = chunked.network(TINY.layout)
    assert [layer.out_features for layer in network.outputs] == [7, 7, 6, 4, 7, 5, 3]
    fitted = fit("hyperdiffusion", chunk=7, steps=1)
    assert fitted.sample(2, rng=seeded(2)).weights.shape == (2, 39)


# -- published numbers --------------------------------------------------------------------------


def test_the_paper_scale_is_the_published_setting():
    # Source: paper's HyperDiffusion, as released
    paper = SCALES["paper"]
    assert paper == HyperDiffusion()
    assert (paper.width, paper.layers, paper.heads, paper.timesteps) == (2880, 12, 16, 500)
    assert (paper.learning_rate, paper.weight_decay, paper.batch_size) == (2e-4, 0.01, 32)
    assert paper.sampling_steps == 500
    assert paper.steps == 6000 * 86
    rates = paper.training_settings()
    assert rates.rate_at(paper.steps - 1) == pytest.approx(9.4e-6, rel=0.01)
    assert (rates.ema_decay, rates.gradient_clip) == (0, 0)


def test_the_published_field_is_nine_tokens_and_has_the_published_size():
    sizes = tokens_of_parameters(FIELD.layout).sizes
    assert sizes == (3456, 128, 16384, 128, 16384, 128, 128, 1)
    with torch.device("meta"):
        network = HyperDiffusion().network(FIELD.layout)
        assert parameter_count(network) == SIZE
        inputs = [layer.in_features for layer in network.inputs]
        assert inputs == [*sizes, SCALAR_FEATURES]
        assert SCALAR_FEATURES == 257
        assert network([torch.empty(3, size) for size in inputs]).shape == (3, 36_737)


@pytest.mark.parametrize(
    ("variant", "billions"),
    [("wider", 2.13), ("narrower", 0.83), ("deeper", 2.00), ("shallower", 1.01)],
)
def test_the_papers_variants_have_their_sizes(variant, billions):
    # Source: paper, Table 1, with the widths recovered from the counts
    with torch.device("meta"):
        generator = make_generator("hyperdiffusion", "paper", variant=variant)
        size = parameter_count(generator.network(FIELD.layout))
    assert round(size / 1e9, 2) == billions


@pytest.mark.slow
def test_one_plain_step_at_the_published_size_does_what_its_gradient_says(monkeypatch):
    """1.4 billion parameters: forward, backward and gradient descent, for real (about 12 GB)."""
    weights = torch.stack([FIELD.initial(seeded(seed)) for seed in range(2)])
    records = Records.of(["a", "b"], split="train", step=[0, 0])
    training = Population(weights, FIELD.layout, records)

    def one_step(network, loss_at, settings, **kept):
        """In place of AdamW, whose two moments would take another 11 GB."""
        before = loss_at(network, seeded(5))
        before.backward()
        gradients = {name: value.grad for name, value in network.named_parameters()}
        missing = [name for name, gradient in gradients.items() if gradient is None]
        assert missing == []
        norms = {name: float(gradient.norm()) for name, gradient in gradients.items()}
        assert all(0 < norm < float("inf") for norm in norms.values()), norms
        squared = sum(norm**2 for norm in norms.values())
        rate = DECREASE * before.item() / squared
        sampled = {name: entries(value) for name, value in network.named_parameters()}
        torch.optim.SGD(network.parameters(), lr=rate).step()
        shares = 0.0
        for name, value in network.named_parameters():
            step = rate * entries(gradients[name])
            # the rate, its product with the gradient and the sum are rounded to float32
            rounding = 2**-22 * (sampled[name].abs() + step.abs())
            assert ((entries(value) - (sampled[name] - step)).abs() <= rounding).all(), name
            shares += float((step.abs() > rounding).double().mean())
        assert shares > 0.5 * len(sampled)  # else steps would be too small for that to mean much
        with torch.no_grad():
            after = loss_at(network, seeded(5))
        assert before.isfinite()
        assert after.isfinite()
        assert (before - after).item() == pytest.approx(rate * squared, rel=0.1)
        return network

    monkeypatch.setattr(hyperdiffusion, "train", one_step)
    fitted = HyperDiffusion(batch_size=2, sampling_steps=1).fit(training, rng=seeded(1))
    assert fitted.parameters == SIZE
    assert fitted.sample(1, rng=seeded(2)).weights.isfinite().all()


def entries(parameter):
    """Some 1,000 of a parameter's entries, as float64."""
    flat = parameter.detach().flatten()
    return flat[:: max(1, len(flat) // 1000)].double()
