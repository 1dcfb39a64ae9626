"""Noise schedules and samplers against their definitions, in float64."""

import numpy as np
import pytest
import torch
from methods import seeded

from novelweights.generators.parts.diffusion import (
    add_noise_at,
    ddim_scheduler,
    ddpm_scheduler,
    denoising_errors,
    sample_from_noise,
)


def test_the_noise_schedule_is_the_published_one():
    scheduler = ddim_scheduler(500)
    betas = np.linspace(1e-4, 0.02, 500)
    expected = np.cumprod(1 - betas)
    np.testing.assert_allclose(scheduler.alphas_cumprod.numpy(), expected, rtol=1e-4)
    assert expected[-1] == pytest.approx(0.0064, abs=1e-4)  # not pure noise: betas not rescaled


def test_noised_weights_have_the_announced_mean_and_spread(rng):
    alphas = ddim_scheduler(500).alphas_cumprod
    clean = torch.full((3, 20_000), 2.0)
    t = torch.tensor([0, 250, 499])
    noised = add_noise_at(clean, torch.randn(3, 20_000, generator=rng), t, alphas)
    for i in range(3):
        kept = float(alphas[t[i]])
        assert float(noised[i].mean()) == pytest.approx(2 * kept**0.5, abs=0.03)
        assert float(noised[i].std()) == pytest.approx((1 - kept) ** 0.5, rel=0.03)


def kept_at(timesteps, steps):
    """Timesteps from the last down, with the share of signal there and one step later."""
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, timesteps))
    stride = timesteps // steps
    for t in range(0, stride * steps, stride)[::-1]:
        yield t, kept[t], kept[t - stride] if t >= stride else 1.0


def plain_ddim(denoise, x, timesteps, steps):
    """DDIM with eta 0 (Song et al., Eq. 12)."""
    for t, kept, before in kept_at(timesteps, steps):
        clean = denoise(x, torch.full((len(x),), t))
        noise = (x - kept**0.5 * clean) / (1 - kept) ** 0.5
        x = before**0.5 * clean + (1 - before) ** 0.5 * noise
    return x


def plain_ddpm(denoise, shape, timesteps, steps, *, predicts_noise):
    """Ancestral sampling (Ho et al., eq. 6, 7): by predicted weights with variance beta_t, the
    larger of the two that they name, or by predicted noise with the posterior variance."""
    rng = seeded(5)
    x = torch.randn(shape, generator=rng).double()
    for t, kept, before in kept_at(timesteps, steps):
        beta = 1 - kept / before
        clean = denoise(x, torch.full((len(x),), t))
        if predicts_noise:
            clean = (x - (1 - kept) ** 0.5 * clean) / kept**0.5
        x = (before**0.5 * beta * clean + (1 - beta) ** 0.5 * (1 - before) * x) / (1 - kept)
        if t > 0:
            variance = beta * (1 - before) / (1 - kept) if predicts_noise else beta
            x = x + variance**0.5 * torch.randn(shape, generator=rng).double()
    return x


def some_denoiser(rng, timesteps, scale=1.0):
    """A smooth function of weights and timestep that answers in the precision that it is asked."""
    mix = torch.randn(6, 6, generator=rng, dtype=torch.float64) / 6

    def denoise(x, t):
        return (scale * torch.tanh(x.double() @ mix + 1) * (1 + t[:, None] / timesteps)).to(x.dtype)

    return denoise


@pytest.mark.parametrize(("timesteps", "steps"), [(500, 500), (500, 100), (100, 10), (20, 1)])
def test_sampling_is_ddim_by_its_definition(rng, timesteps, steps):
    denoise, noise, calls = (
        some_denoiser(rng, timesteps),
        torch.randn(4, 6, generator=seeded(5)),
        [],
    )
    sampled = sample_from_noise(
        denoise,
        (4, 6),
        ddim_scheduler(timesteps),
        steps,
        rng=seeded(5),
        progress=lambda *now: calls.append(now),
    )
    assert calls == [(i + 1, steps) for i in range(steps)]
    expected = plain_ddim(denoise, noise.double(), timesteps, steps)
    # float32 steps of a smooth map: at most `steps` times some roundings of 1e-7
    assert torch.allclose(sampled.double(), expected, atol=1e-3)
    assert float((sampled - noise).abs().max()) > 0.1


@pytest.mark.parametrize("predicts_noise", [False, True])
@pytest.mark.parametrize(
    ("timesteps", "steps"), [(300, 300), (100, 10), (1000, 20), (20, 1), (1, 1)]
)
def test_ancestral_sampling_is_ddpm_by_its_definition(rng, timesteps, steps, predicts_noise):
    denoise, calls = some_denoiser(rng, timesteps, 1.0 if predicts_noise else 3.0), []
    scheduler = ddpm_scheduler(timesteps, predicts_noise=predicts_noise)
    sampled = sample_from_noise(
        denoise,
        (4, 6),
        scheduler,
        steps,
        rng=seeded(5),
        progress=lambda *now: calls.append(now),
    )
    assert calls == [(i + 1, steps) for i in range(steps)]
    expected = plain_ddpm(denoise, (4, 6), timesteps, steps, predicts_noise=predicts_noise)
    # as above; a first step that predicts noise divides by the root of the signal left there
    assert torch.allclose(sampled.double(), expected, rtol=1e-3, atol=1e-3)
    assert float(sampled.abs().max()) > 1  # so nothing was clipped


def test_a_perfect_denoiser_gives_the_clean_weights(rng):
    clean = torch.randn(1, 8, generator=rng)
    sampled = sample_from_noise(
        lambda x, t: clean.expand_as(x), (5, 8), ddim_scheduler(50), 10, rng=rng
    )
    assert torch.allclose(sampled, clean.expand_as(sampled), atol=1e-5)
    scheduler = ddpm_scheduler(100, predicts_noise=True)
    exact = exact_noise(clean, scheduler.alphas_cumprod)
    sampled = sample_from_noise(exact, (5, 8), scheduler, 100, rng=rng)
    assert torch.allclose(sampled, clean.expand(5, 8), atol=1e-3)


def exact_noise(clean, alphas):
    """The noise in noised weights, of who knows the weights."""

    def denoise(noised, t):
        kept = alphas[t][:, None]
        return (noised - kept.sqrt() * clean) / (1 - kept).sqrt()

    return denoise


def test_errors_are_those_of_the_noise_and_paired_by_row(rng):
    clean, alphas = (
        torch.randn(3, 8, generator=rng),
        ddpm_scheduler(100, predicts_noise=True).alphas_cumprod,
    )

    def errors(denoise, of, predicts_noise=True):
        return denoising_errors(
            denoise, of, (5, 90), alphas, rng=seeded(1), predicts_noise=predicts_noise
        )

    assert float(errors(exact_noise(clean, alphas), clean).max()) < 1e-6
    silent = errors(lambda noised, t: torch.zeros_like(noised), clean)
    assert silent.shape == (3, 2)
    assert float(silent.min()) > 0.1  # the mean square of 8 normal numbers
    assert len(set(silent.flatten().tolist())) == 6  # every row and level has noise of its own
    fewer = errors(lambda noised, t: torch.zeros_like(noised), clean[:2])
    assert torch.equal(fewer, silent[:2])
    of_weights = errors(lambda noised, t: torch.zeros_like(noised), clean, predicts_noise=False)
    assert torch.allclose(of_weights[:, 0], clean.square().mean(dim=1))
