"""The four methods on an accelerator: fits and samples run there, and what they give is on the CPU.

What needs one is skipped without; that sampling and losses ask for one is tested everywhere.
"""

from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from methods import METHODS, Interrupted, fit, fitted, known, sample, seeded

from novelweights.generators import gpt, hyper_representations, hyperdiffusion, p_diff
from novelweights.generators.parts import fitted as fitted_parts
from novelweights.generators.parts import latent_codec

PLACING = (gpt, hyper_representations, hyperdiffusion, p_diff, latent_codec, fitted_parts)
"""Modules that place models for sampling."""


def needs_gpu(test):
    missing = not torch.cuda.is_available()
    return pytest.mark.gpu(pytest.mark.skipif(missing, reason="needs an accelerator (CUDA)")(test))


def loss_of(method, generator):
    timesteps = (0, generator.timesteps // 2)[: generator.timesteps]
    return generator.loss(known(method), timesteps=timesteps, rng=seeded(3))


def place_with(monkeypatch, placing):
    for module in PLACING:
        monkeypatch.setattr(module, "on_accelerator", placing)


@pytest.mark.parametrize("method", METHODS)
def test_sampling_and_losses_run_where_training_would(method, monkeypatch):
    placed = []

    @contextmanager
    def placing(model):
        placed.append(model)
        yield
        placed.append(model)

    place_with(monkeypatch, placing)
    for use in (sample, loss_of):
        use(method, fitted(method))
        assert len(placed) >= 2
        placed.clear()


@needs_gpu
@pytest.mark.parametrize("method", METHODS)
def test_a_fit_runs_there_and_what_it_gives_is_on_the_cpu(method, monkeypatch):
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    generator = fit(method)
    assert torch.cuda.max_memory_allocated() > before
    there, losses = sample(method, generator).weights, loss_of(method, generator)
    assert there.device.type == losses.device.type == "cpu"
    assert there.dtype == torch.float32
    assert losses.isfinite().all()
    place_with(monkeypatch, nullcontext)
    here = sample(method, generator).weights
    assert torch.allclose(there, here, rtol=0.0, atol=0.05 * float(here.std()))
    assert torch.allclose(losses, loss_of(method, generator), rtol=0.05)


@needs_gpu
@pytest.mark.parametrize(
    ("method", "stop"),
    [*((method, stop) for method in METHODS for stop in (7, 13)), ("p-diff", 33)],
)
def test_an_interrupted_fit_goes_on_there(method, stop, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    fit(method, folder=whole)
    with pytest.raises(Interrupted):
        fit(method, folder=cut, stop=stop)
    fit(method, folder=cut)
    for path in whole.glob("*loss.csv"):
        expected, got = (
            np.loadtxt(folder / path.name, delimiter=",", skiprows=1) for folder in (whole, cut)
        )
        np.testing.assert_allclose(got, expected, rtol=0.01, err_msg=path.name)


@needs_gpu
@pytest.mark.parametrize("method", METHODS)
def test_bf16_and_a_watch_on_heldout_runs_work_there(method, tmp_path):
    generator = fit(method, folder=tmp_path, watch=known(method, 9, "heldout"), precision="bf16")
    rows = np.genfromtxt(tmp_path / "gap.csv", delimiter=",", skip_header=1)
    assert len(rows) >= 20
    assert np.isfinite(rows).all()
    assert sample(method, generator).weights.isfinite().all()


@needs_gpu
@pytest.mark.parametrize("method", [method for method in METHODS if method != "p-diff"])
def test_dropout_draws_there_and_leaves_the_global_streams_alone(method):
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    generator = fit(method, dropout=0.2)
    after = torch.get_rng_state(), torch.cuda.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert sample(method, generator).weights.isfinite().all()
