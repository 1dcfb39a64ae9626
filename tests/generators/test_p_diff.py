"""P-diff: two trainings in a row, parts of networks of any size, and the published size."""

import json
import signal
from dataclasses import replace

import pytest
import torch
from methods import fit, fitted, known, norms_layout, seeded, smoke, walk_of_norms
from refused import refused

from novelweights.generators.fitting import fit_to_folder
from novelweights.generators.p_diff import SCALES, FittedPDiff, PDiff
from novelweights.generators.parts.diffusion import ddpm_scheduler, denoising_errors
from novelweights.generators.parts.fitted import parameter_count
from novelweights.generators.parts.gap import final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.store import load_fitted
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records


@pytest.mark.integration
def test_it_learns_four_checkpoints_and_samples_lie_among_them(tmp_path):
    training = walk_of_norms(4, 24)
    learned = replace(
        SCALES["smoke"],
        autoencoder_steps=250,
        autoencoder_learning_rate=3e-3,
        diffusion_steps=300,
        diffusion_learning_rate=3e-3,
        autoencoder_width=16,
        denoiser_width=16,
        timesteps=200,
        latent_noise=0.01,
        batch_statistics="frozen",
    ).fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    for name in ("autoencoder_loss.csv", "loss.csv"):
        rows = (tmp_path / name).read_text().splitlines()[1:]
        losses = [float(line.split(",")[1]) for line in rows]
        assert sum(losses[-5:]) < 0.4 * sum(losses[:5]), name
    size = float(training.weights.std(dim=1).mean())
    restored = learned.reconstruct(training).weights
    assert float((restored - training.weights).square().mean().sqrt()) < 0.2 * size
    sampled = learned.sample(16, rng=seeded(2)).weights
    center = training.weights.mean(dim=0)
    assert float((sampled - center).square().mean().sqrt()) < 0.5 * size


def test_what_the_papers_parameters_are():
    paper = PDiff()
    counts = [
        parameter_count(part) for part in (paper.autoencoder(norms_layout(512)), paper.denoiser())
    ]
    assert counts == [2_199_201, 2_462_977]
    assert sum(counts) == 4_662_178
    assert round((3 * counts[1] + counts[0]) / 1e6, 1) == 9.6  # Source: paper, denoiser thrice
    assert replace(SCALES["laptop"], precision="bf16") == SCALES["paper"] == paper


def test_learning_rates_fall_to_0_in_the_last_step_and_no_farther():
    paper = PDiff().training_settings(501, 2e-5)
    assert [paper.rate_at(step) for step in (0, 250, 500)] == pytest.approx([2e-5, 1e-5, 0])
    assert PDiff().training_settings(1, 2e-5).rate_at(0) == 2e-5


def test_statistics_change_the_diffusion_and_not_the_autoencoder():
    released, frozen = fitted("p-diff"), fit("p-diff", batch_statistics="frozen")
    assert frozen.codec.is_frozen
    for name, value in released.codec.autoencoder.state_dict().items():
        assert torch.equal(value, frozen.codec.autoencoder.state_dict()[name]), name
    assert not torch.equal(released.denoiser.convs[0].weight, frozen.denoiser.convs[0].weight)


def test_loss_is_the_noises_error_of_each_runs_last_latent():
    generator = fitted("p-diff")
    walks = [walk_of_norms(10, 24, seed=i, run=f"run-{i}") for i in range(3)]
    population = Population(
        torch.cat([walk.weights for walk in walks]),
        walks[0].layout,
        Records.join([walk.records for walk in walks]),
    )
    loss = generator.loss(population, timesteps=(2, 15), rng=seeded(5))
    assert loss.shape == (3, 2)
    last = torch.cat([generator.codec.encode(walk.weights)[-1:] for walk in walks])
    by_hand = denoising_errors(
        generator.denoiser,
        last,
        (2, 15),
        ddpm_scheduler(50, predicts_noise=True).alphas_cumprod,
        rng=seeded(5),
        predicts_noise=True,
    )
    assert torch.allclose(loss, by_hand.detach(), rtol=1e-4)
    gap = final_gap(generator, known("p-diff"), population)
    assert (gap.n_train, gap.n_heldout, gap.timesteps) == (1, 3, 50)
    assert gap.levels[0].difference[1] is None  # one run: no interval


@pytest.mark.integration
@pytest.mark.parametrize("stop", [9, 25])
def test_a_model_folder_is_the_same_after_ctrl_c(tmp_path, stop):
    training, heldout = known("p-diff"), known("p-diff", 9, "heldout")
    make = {"method": "p-diff", "settings": smoke("p-diff"), "training": training}
    make["heldout"] = heldout
    fit_to_folder(tmp_path / "whole", **make)

    def interrupt(step, of, loss):
        if step == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit_to_folder(tmp_path / "cut", **make, progress=interrupt)
    assert not (tmp_path / "cut").exists()
    with refused("unfinished", "--resume"):
        fit_to_folder(tmp_path / "cut", **make)
    fit_to_folder(tmp_path / "cut", **make, resume=True)
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("whole", "cut")
    ]
    assert files[0] == files[1]
    assert set(files[0]) == {
        "autoencoder.safetensors",
        "autoencoder_loss.csv",
        "denoiser.safetensors",
        "gap.csv",
        "generator.json",
        "layout.csv",
        "loss.csv",
        "tensor_scale.safetensors",
    }
    described = json.loads(files[0]["generator.json"])
    loaded, _ = load_fitted(tmp_path / "cut")
    assert isinstance(loaded, FittedPDiff)
    assert described["parameters"] == loaded.parameters
    assert described["gap"]["n_heldout"] == 1
    assert not (tmp_path / "cut.partial").exists()
    fit_to_folder(tmp_path / "cut", **make, overwrite=True)  # its own files are no strangers


def test_progress_is_over_both_trainings():
    steps = []
    workspace = Workspace(progress=lambda *now: steps.append(now[:2]))
    smoke("p-diff").fit(known("p-diff"), rng=seeded(1), workspace=workspace)
    assert steps == [(i + 1, 40) for i in range(40)]


def test_samples_are_the_same_in_blocks(monkeypatch):
    generator = fitted("p-diff")
    whole = generator.sample(5, rng=seeded(3)).weights
    for part in ("p_diff", "parts.latent_codec"):
        monkeypatch.setattr(f"novelweights.generators.{part}.BLOCK", 2)
    # 50 steps, each with float32's rounding of sums in another order
    assert torch.allclose(generator.sample(5, rng=seeded(3)).weights, whole, atol=1e-3)


def test_reconstructions_keep_runs_and_take_any_order_of_parameters():
    training, generator = walk_of_norms(10, 24), fitted("p-diff")
    restored = generator.reconstruct(training)
    assert list(restored.records.run) == list(training.records.run)
    assert set(restored.records.split) == {"reconstruction"}
    turned = training.in_order_of(WeightLayout(training.layout.shapes[::-1]))
    assert turned.layout != training.layout
    assert torch.equal(generator.reconstruct(turned).weights, restored.weights)


def test_a_size_that_is_no_multiple_of_32_goes_through():
    layout = WeightLayout((("norm.weight", (25,)), ("norm.bias", (25,)), ("scale", ())))
    weights = torch.randn(16, 51, generator=seeded(1))
    training = Population(weights, layout, Records.of(["a"] * 16, split="train", step=range(16)))
    learned = fit("p-diff", training, autoencoder_steps=2, diffusion_steps=2)
    assert learned.sample(3, rng=seeded(2)).weights.shape == (3, 51)
    assert learned.reconstruct(training).weights.isfinite().all()


def test_bf16_learns_after_float32_in_one_process():
    half, full = fit("p-diff", precision="bf16"), fitted("p-diff")
    one, other = half.denoiser.convs[0].weight, full.denoiser.convs[0].weight
    assert one.dtype == torch.float32
    assert not torch.equal(one, other)
    # 20 steps of AdamW: each moves a weight by about the learning rate, 1e-3, at the most
    assert torch.allclose(one, other, atol=0.05)
    assert half.sample(2, rng=seeded(2)).weights.isfinite().all()


def test_what_it_cannot_learn_from_is_refused():
    training = walk_of_norms(10, 24)
    with refused("too-few", "got 1"):
        fit("p-diff", training.select([0]))
    with refused("too-few", "got 1", "32", "got 28"):
        fit("p-diff", walk_of_norms(1, 7))
    spoiled = replace(training, weights=training.weights.clone())
    spoiled.weights[3, 5] = torch.nan
    with refused("not-finite", "training", "row 3"):
        fit("p-diff", spoiled)
    with refused("not-finite", "1e+30"):
        fit("p-diff", autoencoder_learning_rate=1e30)


@pytest.mark.slow
def test_one_step_of_both_trainings_at_the_papers_scale():
    training = walk_of_norms(300, 512)
    assert training.weights.shape == (300, 2048)
    learned = replace(
        SCALES["paper"],
        autoencoder_steps=1,
        diffusion_steps=1,
        timesteps=3,
        precision="no",  # bf16, which many processors emulate slowly, is tested on a small one
    ).fit(training, rng=seeded(1))
    assert learned.parameters == 4_662_178
    sampled = learned.sample(2, rng=seeded(2))
    assert sampled.weights.shape == (2, 2048)
    assert sampled.weights.isfinite().all()
    assert learned.reconstruct(training).weights.isfinite().all()
