"""The four methods on an accelerator: fits and samples run there, and what they give is on the CPU.

What needs one is skipped without; that sampling and losses ask for one is tested everywhere.
"""

from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from partial_networks import walk_of_norms

from novelweights.generators import GENERATORS, gpt, hyper_representations, hyperdiffusion, p_diff
from novelweights.generators.parts import latent_codec
from novelweights.generators.parts.training import Workspace
from novelweights.weights.population import Records

METHODS = ("hyperdiffusion", "g-pt", "hyper-representations", "p-diff")
PLACING = (gpt, hyper_representations, hyperdiffusion, p_diff, latent_codec)
"""Modules that place models for sampling."""
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator (CUDA)")


class Interrupted(Exception):
    """Power cut."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def known(make_population):
    """Training or held-out checkpoints that a method can learn from."""

    def make(method, seed=0):
        if method == "p-diff":
            return walk_of_norms(32, 24, seed=seed, run=f"run-{seed}")
        many = make_population(16, seed=seed)
        step = np.arange(16) % 2
        records = Records.of(
            [f"run-{seed}-{i // 2}" for i in range(16)],
            split="train",
            step=step.tolist(),
            scores={"test_loss": (2.0 - step).tolist(), "test_accuracy": (step / 2).tolist()},
        )
        return replace(many, records=records)

    return make


def fit(method, training, *, folder=None, watch=None, stop_at=None, **changes):
    """A fit at smoke scale; the power is cut after `stop_at` steps."""

    def progress(step, of, loss):
        if step == stop_at:
            raise Interrupted

    settings = replace(GENERATORS[method].scales["smoke"], **changes)
    workspace = Workspace(folder, progress, seconds_between_saves=0.0, watch=watch)
    return settings.fit(training, rng=seeded(1), workspace=workspace)


def sample(method, fitted, training):
    start = training if GENERATORS[method].is_conditional else None
    return fitted.sample(8, rng=seeded(2), start=start).weights


def timesteps(fitted):
    return (0, fitted.timesteps // 2)[: fitted.timesteps]


def place_with(monkeypatch, placing):
    for module in PLACING:
        monkeypatch.setattr(module, "on_accelerator", placing)


@pytest.mark.parametrize("method", METHODS)
def test_sampling_and_losses_run_where_training_would(known, method, monkeypatch):
    training = known(method)
    fitted = fit(method, training)
    placed = []

    @contextmanager
    def placing(model):
        placed.append(model)
        yield
        placed.append(model)

    place_with(monkeypatch, placing)
    sample(method, fitted, training)
    assert len(placed) >= 2
    placed.clear()
    fitted.loss(training, timesteps=timesteps(fitted), rng=seeded(3))
    assert len(placed) >= 2


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_a_fit_runs_there_and_what_it_gives_is_on_the_cpu(known, method, monkeypatch):
    training = known(method)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    fitted = fit(method, training)
    assert torch.cuda.max_memory_allocated() > before
    there = sample(method, fitted, training)
    losses = fitted.loss(training, timesteps=timesteps(fitted), rng=seeded(3))
    assert there.device.type == losses.device.type == "cpu"
    assert there.dtype == torch.float32
    assert losses.isfinite().all()
    place_with(monkeypatch, nullcontext)
    here = sample(method, fitted, training)
    assert torch.allclose(there, here, rtol=0.0, atol=0.05 * float(here.std()))
    ours = fitted.loss(training, timesteps=timesteps(fitted), rng=seeded(3))
    assert torch.allclose(losses, ours, rtol=0.05)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("stop_at", [7, 13, 33])
@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_fit_goes_on_there(known, method, stop_at, tmp_path):
    training, (whole, cut) = known(method), (tmp_path / "whole", tmp_path / "cut")
    for folder in (whole, cut):
        folder.mkdir()
    steps = 40 if method == "p-diff" else 20  # P-diff trains twice
    if stop_at > steps:
        pytest.skip(f"{method} has {steps} steps at this scale")
    fit(method, training, folder=whole)
    with pytest.raises(Interrupted):
        fit(method, training, folder=cut, stop_at=stop_at)
    fit(method, training, folder=cut)
    for path in whole.glob("*loss.csv"):
        wanted, got = (
            np.loadtxt(folder / path.name, delimiter=",", skiprows=1) for folder in (whole, cut)
        )
        np.testing.assert_allclose(got, wanted, rtol=0.01, err_msg=path.name)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_bf16_and_a_watch_on_heldout_runs_work_there(known, method, tmp_path):
    training = known(method)
    fitted = fit(method, training, folder=tmp_path, watch=known(method, seed=9), precision="bf16")
    rows = np.genfromtxt(tmp_path / "gap.csv", delimiter=",", skip_header=1)
    assert len(rows) >= 20
    assert np.isfinite(rows).all()
    assert sample(method, fitted, training).isfinite().all()


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("method", ["hyperdiffusion", "g-pt", "hyper-representations"])
def test_dropout_draws_there_and_leaves_the_global_streams_alone(known, method):
    training = known(method)
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    fitted = fit(method, training, dropout=0.2)
    after = torch.get_rng_state(), torch.cuda.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert sample(method, fitted, training).isfinite().all()
