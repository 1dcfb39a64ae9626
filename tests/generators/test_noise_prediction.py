"""Diffusion that predicts the noise, as P-diff's does."""

import numpy as np
import pytest
import torch

from novelweights.generators.parts.diffusion import (
    denoising_errors,
    noise_predicting_scheduler,
    sample_ddpm,
)


def by_hand(denoise, shape, timesteps, rng):
    """Ancestral sampling by predicted noise (Ho et al., algorithm 2) with the posterior variance
    (their eq. 7), in float64."""
    beta = np.linspace(1e-4, 0.02, timesteps)
    kept = np.cumprod(1 - beta)
    x = torch.randn(shape, generator=rng).double()
    for t in range(timesteps)[::-1]:
        noise = denoise(x, torch.full((len(x),), t)).double()
        x = (x - beta[t] / (1 - kept[t]) ** 0.5 * noise) / (1 - beta[t]) ** 0.5
        if t > 0:
            variance = (1 - kept[t - 1]) / (1 - kept[t]) * beta[t]
            x = x + variance**0.5 * torch.randn(shape, generator=rng).double()
    return x


@pytest.mark.parametrize("timesteps", [1, 20, 300])
def test_sampling_is_ddpm_by_predicted_noise_with_the_posterior_variance(rng, timesteps):
    mix = torch.randn(6, 6, generator=rng, dtype=torch.float64)

    def denoise(x, t):
        return (torch.tanh(x.double() @ mix) * (1 + t[:, None] / timesteps)).to(x.dtype)

    sampled = sample_ddpm(
        denoise,
        (4, 6),
        noise_predicting_scheduler(timesteps),
        timesteps,
        rng=torch.Generator().manual_seed(5),
    )
    expected = by_hand(denoise, (4, 6), timesteps, torch.Generator().manual_seed(5))
    assert torch.allclose(sampled.double(), expected, rtol=1e-3, atol=1e-3)


def test_who_knows_the_one_checkpoint_gives_it_back(rng):
    clean = torch.randn(1, 8, generator=rng)
    scheduler = noise_predicting_scheduler(100)
    kept = scheduler.alphas_cumprod

    def exact(x, t):
        share = kept[t][:, None]
        return (x - share.sqrt() * clean) / (1 - share).sqrt()

    sampled = sample_ddpm(exact, (5, 8), scheduler, 100, rng=rng)
    assert torch.allclose(sampled, clean.expand(5, 8), atol=1e-3)


def test_the_error_is_that_of_the_noise(rng):
    clean, alphas = torch.randn(3, 8, generator=rng), noise_predicting_scheduler(100).alphas_cumprod

    def exact(noised, t):
        share = alphas[t][:, None]
        return (noised - share.sqrt() * clean) / (1 - share).sqrt()

    def errors(denoise, of, seed=1):
        draw = torch.Generator().manual_seed(seed)
        return denoising_errors(denoise, of, (5, 90), alphas, rng=draw, predicts_noise=True)

    assert float(errors(exact, clean).max()) < 1e-6
    nothing = errors(lambda noised, t: torch.zeros_like(noised), clean)
    assert nothing.shape == (3, 2)
    assert float(nothing.min()) > 0.1  # the mean square of 8 normal numbers
    fewer = errors(lambda noised, t: torch.zeros_like(noised), clean[:2])
    assert torch.equal(fewer, nothing[:2])
