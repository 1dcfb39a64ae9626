import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from partial_networks import norms_layout, walk_of_norms

from novelweights.errors import InputError
from novelweights.generators.generator import FittedGenerator, WeightGenerator
from novelweights.generators.p_diff import SCALES, FittedPDiff, PDiff
from novelweights.generators.parts.diffusion import denoising_errors, noise_predicting_scheduler
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.parts.latent_stages import AutoencoderStage, DiffusionStage
from novelweights.generators.parts.training import Workspace
from novelweights.generators.store import load_fitted, save_fitted
from novelweights.pipeline import fit_to_folder
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records

QUICK = replace(SCALES["smoke"], autoencoder_steps=12, diffusion_steps=12, timesteps=20)


class Interrupted(Exception):
    """Power cut."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def losses(path):
    return [float(line.split(",")[1]) for line in path.read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def fitted():
    return QUICK.fit(walk_of_norms(40, 24), rng=seeded(1))


def test_it_learns_four_checkpoints_and_samples_lie_among_them(tmp_path):
    training = walk_of_norms(4, 24)
    settings = replace(
        SCALES["smoke"],
        autoencoder_steps=250,
        autoencoder_learning_rate=3e-3,
        diffusion_steps=500,
        diffusion_learning_rate=3e-3,
        autoencoder_width=16,
        denoiser_width=16,
        timesteps=200,
        latent_noise=0.01,
        batch_statistics="frozen",
    )
    fitted = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    for name in ("autoencoder_loss.csv", "loss.csv"):
        logged = losses(tmp_path / name)
        assert sum(logged[-5:]) < 0.4 * sum(logged[:5]), name
    size = float(training.weights.std(dim=1).mean())
    restored = fitted.reconstruct(training).weights
    assert float((restored - training.weights).square().mean().sqrt()) < 0.2 * size
    sampled = fitted.sample(16, rng=seeded(2)).weights
    center = training.weights.mean(dim=0)
    assert float((sampled - center).square().mean().sqrt()) < 0.5 * size


def test_what_the_papers_parameters_are():
    network = PDiff()
    autoencoder, denoiser = network.autoencoder(norms_layout(512)), network.denoiser()
    counts = [sum(p.numel() for p in part.parameters()) for part in (autoencoder, denoiser)]
    assert counts == [2_199_201, 2_462_977]
    assert sum(counts) == 4_662_178
    assert round((3 * counts[1] + counts[0]) / 1e6, 1) == 9.6  # Source: paper, denoiser thrice
    assert replace(SCALES["laptop"], precision="bf16") == SCALES["paper"] == PDiff()


def test_learning_rates_fall_to_0_in_the_last_step_and_no_farther():
    paper = PDiff().training_settings(501, 2e-5)
    assert [paper.rate_at(step) for step in (0, 250, 500)] == pytest.approx([2e-5, 1e-5, 0])
    assert PDiff().training_settings(1, 2e-5).rate_at(0) == 2e-5


def test_statistics_change_what_is_encoded_and_decoded(fitted):
    training = walk_of_norms(40, 24)
    frozen = replace(fitted, codec=replace(fitted.codec, is_frozen=True))
    latents = fitted.codec.encode(training.weights)
    assert not torch.allclose(latents, frozen.codec.encode(training.weights), atol=1e-2)
    assert not torch.allclose(fitted.codec.decode(latents), frozen.codec.decode(latents), atol=1e-3)
    other = replace(QUICK, batch_statistics="frozen").fit(training, rng=seeded(1))
    assert other.codec.is_frozen
    for name, value in fitted.codec.autoencoder.state_dict().items():  # it learns the same
        assert torch.equal(value, other.codec.autoencoder.state_dict()[name]), name
    assert not torch.equal(fitted.denoiser.convs[0].weight, other.denoiser.convs[0].weight)


def test_checkpoints_are_encoded_in_batches_and_decoded_alone(fitted):
    weights, codec = walk_of_norms(40, 24).weights, fitted.codec
    normalized, latents = codec.scale.normalize(weights), codec.encode(weights)
    for first in (0, 1):  # 40 rows in batches of about 16 are two of 20
        by_hand = codec.autoencoder.encode(normalized[first::2], "batch")
        assert torch.equal(latents[first::2], by_hand)
    decoded = codec.decode(latents)
    alone = torch.cat([codec.decode(row[None]) for row in latents])
    assert torch.allclose(decoded, alone, atol=1e-5)
    frozen = replace(codec, is_frozen=True)
    alone = torch.cat([frozen.encode(row[None]) for row in weights])
    assert torch.allclose(frozen.encode(weights), alone, atol=1e-5)


def test_held_out_runs_are_encoded_as_many_together_as_the_fit_had(fitted):
    walks = [walk_of_norms(20, 24, seed=i, run=f"run-{i}") for i in range(3)]
    weights = torch.cat([walk.weights for walk in walks])
    runs = np.repeat([walk.records.run[0] for walk in walks], 20)
    alone = torch.cat([fitted.codec.encode(walk.weights) for walk in walks])
    assert fitted.codec.runs == 1
    assert torch.equal(fitted.codec.encode(weights, runs), alone)
    mixed = torch.arange(60).view(3, 20).T.flatten()  # rows of the runs in turn
    latents = fitted.codec.encode(weights[mixed], runs[mixed])
    assert torch.equal(latents, alone[mixed])
    of_three = replace(fitted.codec, runs=3)
    assert not torch.allclose(of_three.encode(weights, runs), alone, atol=1e-3)
    assert torch.equal(of_three.encode(weights, runs), fitted.codec.encode(weights))


def test_the_autoencoders_target_is_the_noised_checkpoint(fitted):
    rows = torch.randn(8, 96, generator=seeded(3))
    autoencoder = QUICK.autoencoder(norms_layout(24))

    def loss(**noises):
        noise = {"input_noise": 0.0, "latent_noise": 0.0, **noises}
        return float(AutoencoderStage(autoencoder, rows, 8, 0, **noise)(seeded(4)).detach())

    with torch.no_grad():
        draw = seeded(4)
        order = AutoencoderStage(
            autoencoder, rows, 8, 0, input_noise=0.0, latent_noise=0.0
        ).next_batch()
        noised = order + 5.0 * torch.randn(order.shape, generator=draw)
        latents = autoencoder.encode(noised, "batch")
        latents = latents + 2.0 * torch.randn(latents.shape, generator=draw)
        expected = (autoencoder.decode(latents, "batch") - noised).square().mean()
    assert loss(input_noise=5.0, latent_noise=2.0) == pytest.approx(float(expected), rel=1e-4)
    assert loss() < 0.2 * float(expected)


def test_the_diffusion_learns_no_autoencoder(fitted):
    autoencoder, rows = fitted.codec.autoencoder, torch.randn(8, 96, generator=seeded(3))
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    alphas = torch.linspace(0.99, 0.01, 20)
    stage = DiffusionStage(
        QUICK.denoiser(), rows, 8, 0, alphas_cumprod=alphas, autoencoder=autoencoder
    )
    stage(seeded(4)).backward()
    assert all(torch.equal(v, before[name]) for name, v in autoencoder.state_dict().items())
    assert {p.grad is None for p in autoencoder.parameters()} == {True}
    assert {p.grad is None for p in stage.denoiser.parameters()} == {False}


def test_loss_is_the_noises_error_of_each_runs_last_latent(fitted):
    walks = [walk_of_norms(10, 24, seed=i, run=f"run-{i}") for i in range(3)]
    population = Population(
        torch.cat([walk.weights for walk in walks]),
        walks[0].layout,
        Records.join([walk.records for walk in walks]),
    )
    loss = fitted.loss(population, timesteps=(2, 15), rng=seeded(5))
    assert loss.shape == (3, 2)
    last = torch.cat([fitted.codec.encode(walk.weights)[-1:] for walk in walks])
    by_hand = denoising_errors(
        fitted.denoiser,
        last,
        (2, 15),
        noise_predicting_scheduler(20).alphas_cumprod,
        rng=seeded(5),
        predicts_noise=True,
    )
    assert torch.allclose(loss, by_hand.detach(), rtol=1e-5)
    gap = final_gap(fitted, walk_of_norms(40, 24), population)
    assert (gap.n_train, gap.n_heldout, gap.timesteps) == (1, 3, 20)
    assert gap.levels[0].difference[1] is None  # one run: no interval
    assert isinstance(fitted, HasLoss)


@pytest.mark.parametrize("statistics", ["released", "frozen"])
@pytest.mark.parametrize("stop", [1, 7, 12, 13, 20, 24])
def test_an_interrupted_fit_ends_with_the_same_bits(tmp_path, stop, statistics):
    training, settings = walk_of_norms(20, 24), replace(QUICK, batch_statistics=statistics)
    whole = settings.fit(training, rng=seeded(1))
    told = []

    def cut(step, of, loss):
        told.append((step, of))
        if step == stop:
            raise Interrupted

    with pytest.raises(Interrupted):
        settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, cut, 0.0))
    assert told == [(step, 24) for step in range(1, stop + 1)]
    assert (tmp_path / "training_state.pt").exists() is (stop > 13)
    begun = len(told)
    resumed = settings.fit(
        training,
        rng=seeded(1),
        workspace=Workspace(tmp_path, lambda *now: told.append(now[:2]), 0.0),
    )
    assert told[begun] == (max(1, stop), 24)  # the step that was cut is made again, no more
    for part in ("autoencoder", "denoiser"):
        one, other = (
            (fitted.codec.autoencoder if part == "autoencoder" else fitted.denoiser).state_dict()
            for fitted in (whole, resumed)
        )
        assert all(torch.equal(value, other[name]) for name, value in one.items()), part
    rows = {len(losses(tmp_path / name)) for name in ("autoencoder_loss.csv", "loss.csv")}
    assert rows == {12}


@pytest.mark.parametrize("stop", [5, 12, 17])
def test_a_model_folder_is_the_same_after_ctrl_c(tmp_path, stop):
    training = walk_of_norms(20, 24)
    heldout = walk_of_norms(20, 24, seed=9, run="heldout-00000")
    make = {"method": "p-diff", "settings": QUICK, "training": training, "heldout": heldout}
    fit_to_folder(tmp_path / "whole", **make)

    def interrupt(step, of, loss):
        if step == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit_to_folder(tmp_path / "cut", **make, progress=interrupt)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(InputError, match="add --resume to go on"):
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
    loaded, method = load_fitted(tmp_path / "cut")
    assert method == "p-diff"
    assert isinstance(loaded, FittedPDiff)
    assert described["parameters"] == loaded.parameters
    assert described["gap"]["n_heldout"] == 1
    assert not (tmp_path / "cut.partial").exists()
    fit_to_folder(tmp_path / "cut", **make, overwrite=True)  # its own files are no strangers


def test_held_out_runs_change_nothing_but_the_log(tmp_path):
    training, heldout = walk_of_norms(20, 24), walk_of_norms(20, 24, seed=9, run="heldout-0")
    bare = QUICK.fit(training, rng=seeded(1))
    watched = QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, watch=heldout))
    for name, value in bare.denoiser.state_dict().items():
        assert torch.equal(value, watched.denoiser.state_dict()[name]), name
    header, *rows = (tmp_path / "gap.csv").read_text().splitlines()
    assert header == "step,timestep,loss_train,loss_heldout,n_train,n_heldout"
    final = final_gap(watched, training, heldout).levels
    logged = [[float(value) for value in row.split(",")] for row in rows[-len(final) :]]
    for row, level in zip(logged, final, strict=True):
        expected = [level.timestep, level.loss_train, level.loss_heldout]
        assert row[:4] == pytest.approx([12, *expected], rel=1e-4)


def test_samples_are_the_same_in_blocks_and_after_a_stay_on_disk(fitted, tmp_path, monkeypatch):
    assert isinstance(QUICK, WeightGenerator)
    assert isinstance(fitted, FittedGenerator)
    told = []
    whole = fitted.sample(5, rng=seeded(3), progress=lambda *now: told.append(now))
    assert told == [(i + 1, 20) for i in range(20)]
    assert whole.layout == norms_layout(24)
    assert whole.info.recipe == "p-diff"
    assert set(whole.records.split) == {"generated"}
    assert fitted.sample(0, rng=seeded(3)).weights.shape == (0, 96)
    training = walk_of_norms(40, 24)
    save_fitted(fitted, tmp_path, method="p-diff", settings=QUICK, training=training)
    state = torch.random.get_rng_state()
    loaded, _ = load_fitted(tmp_path)
    assert torch.equal(state, torch.random.get_rng_state())  # loading draws nothing
    assert isinstance(loaded, FittedPDiff)
    assert torch.equal(loaded.sample(5, rng=seeded(3)).weights, whole.weights)
    assert torch.equal(loaded.reconstruct(training).weights, fitted.reconstruct(training).weights)
    for part in ("p_diff", "parts.latent_codec"):
        monkeypatch.setattr(f"novelweights.generators.{part}.BLOCK", 2)
    assert torch.allclose(fitted.sample(5, rng=seeded(3)).weights, whole.weights, atol=1e-4)


def test_reconstructions_keep_runs_and_take_any_order_of_parameters(fitted):
    training = walk_of_norms(10, 24)
    assert fitted.as_reference(training) is training
    restored = fitted.reconstruct(training)
    assert list(restored.records.run) == list(training.records.run)
    assert set(restored.records.split) == {"reconstruction"}
    turned = training.in_order_of(WeightLayout(training.layout.shapes[::-1]))
    assert turned.layout != training.layout
    assert torch.equal(fitted.reconstruct(turned).weights, restored.weights)


def test_a_size_that_is_no_multiple_of_32_goes_through(tmp_path):
    layout = WeightLayout((("norm.weight", (25,)), ("norm.bias", (25,)), ("scale", ())))
    weights = torch.randn(12, 51, generator=seeded(1))
    training = Population(weights, layout, Records.of(["a"] * 12, split="train", step=range(12)))
    fitted = QUICK.fit(training, rng=seeded(1))
    assert fitted.sample(3, rng=seeded(2)).weights.shape == (3, 51)
    assert fitted.reconstruct(training).weights.isfinite().all()


def test_bf16_learns_after_float32_in_one_process():
    training = walk_of_norms(20, 24)
    half = replace(QUICK, precision="bf16").fit(training, rng=seeded(1))
    full = QUICK.fit(training, rng=seeded(1))
    one, other = half.denoiser.convs[0].weight, full.denoiser.convs[0].weight
    assert one.dtype == torch.float32
    assert not torch.equal(one, other)
    assert torch.allclose(one, other, atol=0.05)
    assert half.sample(2, rng=seeded(2)).weights.isfinite().all()


def test_what_it_cannot_use_is_refused(fitted, tmp_path):
    training = walk_of_norms(10, 24)
    with pytest.raises(InputError, match="leave --start out"):
        fitted.sample(2, rng=seeded(1), start=training)
    with pytest.raises(InputError, match="at least 2 training checkpoints, got 1"):
        QUICK.fit(training.select([0]), rng=seeded(1))
    with pytest.raises(InputError, match=r"got 1; give more; and checkpoints of at least 32 .* 28"):
        QUICK.fit(walk_of_norms(1, 7), rng=seeded(1))
    spoiled = replace(training, weights=training.weights.clone())
    spoiled.weights[3, 5] = torch.nan
    with pytest.raises(InputError, match="training checkpoints: NaN or infinite weights in row 3"):
        QUICK.fit(spoiled, rng=seeded(1))
    with pytest.raises(InputError, match="NaN"):
        fitted.reconstruct(spoiled)
    other = walk_of_norms(4, 25)
    for refuses in (
        lambda: fitted.reconstruct(other),
        lambda: fitted.loss(other, timesteps=(1,), rng=seeded(1)),
        lambda: QUICK.fit(training, rng=seeded(1), workspace=Workspace(watch=other)),
    ):
        with pytest.raises(InputError, match="hold different networks"):
            refuses()

    def cut(step, of, loss):
        if step == 20:
            raise Interrupted

    with pytest.raises(Interrupted):
        QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, cut, 0.0))
    with pytest.raises(InputError, match="begun with other settings"):
        replace(QUICK, latent=8).fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    diverging = replace(QUICK, autoencoder_learning_rate=1e30)
    with pytest.raises(InputError, match="training diverged"):
        diverging.fit(training, rng=seeded(1))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"autoencoder_steps": 0}, "autoencoder_steps: expected a number of 1"),
        ({"diffusion_steps": 0}, "diffusion_steps: expected a number of 1"),
        ({"timesteps": 0}, "timesteps: expected a number of 1"),
        ({"latent": 0}, "latent: expected a number of 1"),
        ({"autoencoder_width": 0}, "autoencoder_width"),
        ({"denoiser_width": 0}, "denoiser_width"),
        ({"batch_size": 1}, "batch_size: expected a number of 2"),
        ({"autoencoder_learning_rate": -1.0}, "autoencoder_learning_rate"),
        ({"diffusion_learning_rate": float("nan")}, "diffusion_learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"input_noise": -1.0}, "input_noise"),
        ({"latent_noise": float("inf")}, "latent_noise"),
        ({"batch_statistics": "none"}, "'none': expected released or frozen"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_settings_are_checked(wrong, told):
    with pytest.raises(InputError, match=told):
        replace(QUICK, **wrong)


@pytest.mark.slow
def test_one_step_of_both_trainings_at_the_papers_scale():
    training = walk_of_norms(300, 512)
    assert training.weights.shape == (300, 2048)
    paper = replace(
        SCALES["paper"],
        autoencoder_steps=1,
        diffusion_steps=1,
        timesteps=3,
        precision="no",  # bf16, which many processors emulate slowly, is tested on a small one
    )
    fitted = paper.fit(training, rng=seeded(1))
    assert fitted.parameters == 4_662_178
    sampled = fitted.sample(2, rng=seeded(2))
    assert sampled.weights.shape == (2, 2048)
    assert sampled.weights.isfinite().all()
    assert fitted.reconstruct(training).weights.isfinite().all()
