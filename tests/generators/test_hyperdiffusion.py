from dataclasses import replace

import numpy as np
import pytest
import torch

from novelweights.errors import InputError
from novelweights.generators import hyperdiffusion
from novelweights.generators.generator import FittedGenerator, WeightGenerator
from novelweights.generators.hyperdiffusion import SCALES, HyperDiffusion
from novelweights.generators.parts.diffusion import add_noise_at
from novelweights.generators.parts.training import Workspace
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest

SMALL = HyperDiffusion(
    width=64,
    layers=2,
    heads=4,
    timesteps=100,
    weight_scale=0.0,
    steps=500,
    batch_size=32,
    learning_rate=2e-3,
    warmup_steps=20,
    schedule="cosine",
    sampling_steps=20,
)
QUICK = replace(SMALL, width=16, layers=1, steps=12)


class Interrupted(Exception):
    """Power cut."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_it_overfits_four_checkpoints_and_samples_near_them(make_population, tmp_path):
    training = make_population(4)
    fitted = SMALL.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    rows = [line.split(",") for line in (tmp_path / "loss.csv").read_text().splitlines()[1:]]
    losses = [float(loss) for _, loss in rows]
    assert sum(losses[-10:]) < 0.2 * sum(losses[:10])
    sampled = fitted.sample(32, rng=seeded(2))
    found = nearest(sampled.weights, training.weights)
    spacing = torch.pdist(training.weights).median()
    assert (found.distances[:, 0] < 0.25 * float(spacing)).mean() > 0.8
    assert len(set(found.rows[:, 0])) >= 3
    noise = torch.randn(32, training.layout.size, generator=seeded(3))
    assert nearest(noise, training.weights).distances.min() > 0.4 * float(spacing)
    # its loss knows what it has seen
    seen = fitted.loss(training, timesteps=(20, 60), rng=seeded(4))
    unseen = fitted.loss(make_population(4, seed=9), timesteps=(20, 60), rng=seeded(4))
    assert seen.shape == (4, 2)
    assert (seen.mean(dim=0) < 0.5 * unseen.mean(dim=0)).all()


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9, "dropout": 0.1, "noise": 0.01}])
def test_an_interrupted_fit_ends_with_the_same_bits(make_population, tmp_path, changes):
    training, settings = make_population(6), replace(QUICK, **changes)
    whole = settings.fit(training, rng=seeded(1))

    def cut(step, of, loss):
        if step == 7:
            raise Interrupted

    with pytest.raises(Interrupted):
        settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, cut, 0.0))
    assert (tmp_path / "training_state.pt").exists()
    resumed = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert torch.equal(
        whole.sample(3, rng=seeded(2)).weights, resumed.sample(3, rng=seeded(2)).weights
    )


def test_another_model_or_other_checkpoints_do_not_continue_a_fit(make_population, tmp_path):
    training = make_population(6)
    QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    for changes in ({"width": 32}, {"batch_size": 8}, {"weight_scale": 1.0}, {"steps": 13}):
        with pytest.raises(InputError, match="begun with other settings"):
            replace(QUICK, **changes).fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    with pytest.raises(InputError, match="or checkpoints"):
        QUICK.fit(make_population(6, seed=1), rng=seeded(1), workspace=Workspace(tmp_path))
    with pytest.raises(InputError, match="begun with other settings"):
        QUICK.fit(training, rng=seeded(2), workspace=Workspace(tmp_path))


def test_the_seed_decides_everything_and_the_global_stream_nothing(make_population):
    training = make_population(6)
    torch.manual_seed(0)
    one = QUICK.fit(training, rng=seeded(1))
    torch.manual_seed(1)
    other = QUICK.fit(training, rng=seeded(1))
    assert torch.equal(one.sample(3, rng=seeded(2)).weights, other.sample(3, rng=seeded(2)).weights)
    assert not torch.equal(
        one.sample(3, rng=seeded(2)).weights, one.sample(3, rng=seeded(3)).weights
    )
    different = QUICK.fit(training, rng=seeded(5))
    assert not torch.equal(
        one.sample(3, rng=seeded(2)).weights, different.sample(3, rng=seeded(2)).weights
    )


def test_samples_are_a_population_of_the_same_networks(make_population):
    training = make_population(6)
    fitted = QUICK.fit(training, rng=seeded(1))
    told = []
    sampled = fitted.sample(5, rng=seeded(2), progress=lambda *now: told.append(now))
    assert told[-1] == (20, 20)
    assert sampled.layout == training.layout
    assert set(sampled.records.split) == {"generated"}
    assert len(set(sampled.records.run)) == 5
    assert sampled.info.recipe == "hyperdiffusion"
    assert sampled.info.symmetry == training.info.symmetry
    assert sampled.info.settings["width"] == 16
    assert len(fitted.sample(0, rng=seeded(2))) == 0
    assert fitted.as_reference(training) is training
    with pytest.raises(InputError, match="leave --start out"):
        fitted.sample(1, rng=seeded(2), start=training)
    assert isinstance(fitted, FittedGenerator)
    assert isinstance(QUICK, WeightGenerator)


def test_scaling_the_weights_changes_the_unit_only(make_population):
    training = make_population(6)
    assert QUICK.fit(training, rng=seeded(1)).scale == pytest.approx(
        1 / float(training.weights.std())
    )
    large = replace(training, weights=8 * training.weights)
    one = QUICK.fit(training, rng=seeded(1)).sample(4, rng=seeded(2)).weights
    other = QUICK.fit(large, rng=seeded(1)).sample(4, rng=seeded(2)).weights
    assert torch.allclose(8 * one, other, rtol=1e-4, atol=1e-4)
    assert replace(QUICK, weight_scale=2.0).fit(training, rng=seeded(1)).scale == 2


def test_reordered_copies_are_the_same_networks_in_orders_drawn_once(make_population, monkeypatch):
    training, seen = make_population(5), []

    def recorded(clean, noise, t, alphas):
        seen.append(clean)
        return add_noise_at(clean, noise, t, alphas)

    monkeypatch.setattr(hyperdiffusion, "add_noise_at", recorded)
    settings = replace(QUICK, weight_scale=1.0, permutations=3)
    fitted = settings.fit(training, rng=seeded(1))
    learned = torch.cat(seen).unique(dim=0)
    assert 15 < len(learned) <= 20  # 5 checkpoints, each with 3 copies; of 24 orders some are alike
    alignment = Alignment(training.layout, training.info.symmetry)
    found = nearest(learned, training.weights, alignment=alignment)
    assert found.distances[:, 0].max() < 1e-6
    assert set(np.bincount(found.rows[:, 0])) <= {3, 4}
    assert nearest(training.weights, learned).distances[:, 0].max() == 0  # as they are, too
    told = settings.learned_from(training, rng=seeded(1))
    assert torch.equal(told[:5], training.weights)
    assert torch.equal(told.unique(dim=0), learned)
    plain = replace(settings, permutations=0).fit(training, rng=seeded(1))
    assert any(
        not torch.equal(one, other)
        for one, other in zip(fitted.network.parameters(), plain.network.parameters(), strict=True)
    )


def test_reordering_needs_to_know_which_neurons(make_population):
    training = make_population(4)
    unknown = replace(training, info=replace(training.info, symmetry=None))
    with pytest.raises(InputError, match="hyperdiffusion reorders neurons"):
        replace(QUICK, permutations=1).fit(unknown, rng=seeded(1))
    QUICK.fit(unknown, rng=seeded(1))


def test_chunks_cut_the_tokens_finer(make_population):
    training = make_population(6)
    chunked = replace(QUICK, chunk=7)
    network = chunked.network(training.layout)
    assert [layer.out_features for layer in network.outputs] == [7, 7, 6, 4, 7, 5, 3]
    assert chunked.fit(training, rng=seeded(1)).sample(2, rng=seeded(2)).weights.shape == (2, 39)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sampling_steps": 101, "timesteps": 100}, "expected 1 to 100"),
        ({"sampling_steps": 0}, "sampling steps"),
        ({"width": 30, "heads": 4}, "heads that divide the width"),
        ({"heads": 0}, "heads that divide"),
        ({"steps": 0}, "expected a number of 1 or more"),
        ({"batch_size": 0}, "expected a number of 1 or more"),
        ({"layers": 0}, "expected a number of 1 or more"),
    ],
)
def test_impossible_settings_are_refused_at_once(settings, match):
    with pytest.raises(InputError, match=match):
        HyperDiffusion(**settings)


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
    assert (rates.ema_decay, rates.gradient_clip) == (None, None)
    assert set(SCALES) == {"paper", "laptop", "demo", "smoke"}
