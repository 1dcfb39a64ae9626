import numpy as np
import pytest
import torch

from novelweights.generators.parts.diffusion import (
    add_noise_at,
    ddim_scheduler,
    ddpm_scheduler,
    sample_ddim,
    sample_ddpm,
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


def plain_ddim(denoise, x, timesteps, steps):
    """DDIM with eta 0, from its definition (Song et al., Eq. 12), in float64."""
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, timesteps))
    stride = timesteps // steps
    for t in [stride * i for i in range(steps)][::-1]:
        before = kept[t - stride] if t >= stride else 1.0
        clean = denoise(x, torch.full((len(x),), t)).double()
        noise = (x - kept[t] ** 0.5 * clean) / (1 - kept[t]) ** 0.5
        x = before**0.5 * clean + (1 - before) ** 0.5 * noise
    return x


@pytest.mark.parametrize(("timesteps", "steps"), [(500, 500), (500, 100), (100, 10), (20, 1)])
def test_sampling_is_ddim_by_its_definition(rng, timesteps, steps):
    mix = torch.randn(6, 6, generator=rng, dtype=torch.float64) / 6
    seen = []

    def denoise(x, t):
        seen.append(t.tolist())
        return (torch.tanh(x.double() @ mix) * (1 + t[:, None] / timesteps)).to(x.dtype)

    noise = torch.randn(4, 6, generator=rng)
    told = []
    sampled = sample_ddim(
        denoise, noise, ddim_scheduler(timesteps), steps, progress=lambda *now: told.append(now)
    )
    assert told == [(i + 1, steps) for i in range(steps)]
    assert len(seen) == steps
    expected = plain_ddim(denoise, noise.double(), timesteps, steps)
    assert torch.allclose(sampled.double(), expected, atol=1e-3)
    assert float((sampled - noise).abs().max()) > 0.1


def test_a_perfect_denoiser_gives_the_clean_weights(rng):
    clean = torch.randn(1, 8, generator=rng)
    sampled = sample_ddim(
        lambda x, t: clean.expand_as(x), torch.randn(5, 8, generator=rng), ddim_scheduler(50), 10
    )
    assert torch.allclose(sampled, clean.expand_as(sampled), atol=1e-5)


def plain_ddpm(denoise, shape, timesteps, steps, rng):
    """Ancestral sampling from its definition (Ho et al., eq. 6, 7) with variance beta_t, the larger
    of the two they name, in float64."""
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, timesteps))
    stride = timesteps // steps
    x = torch.randn(shape, generator=rng).double()
    for t in [stride * i for i in range(steps)][::-1]:
        before = kept[t - stride] if t >= stride else 1.0
        beta = 1 - kept[t] / before
        clean = denoise(x, torch.full((len(x),), t)).double()
        x = (before**0.5 * beta * clean + (1 - beta) ** 0.5 * (1 - before) * x) / (1 - kept[t])
        if t > 0:
            x = x + beta**0.5 * torch.randn(shape, generator=rng).double()
    return x


@pytest.mark.parametrize(("timesteps", "steps"), [(100, 100), (100, 10), (1000, 20), (20, 1)])
def test_ancestral_sampling_is_ddpm_with_the_large_variance(rng, timesteps, steps):
    mix = torch.randn(6, 6, generator=rng, dtype=torch.float64) / 6

    def denoise(x, t):
        return (3 * torch.tanh(x.double() @ mix + 1) * (1 + t[:, None] / timesteps)).to(x.dtype)

    told = []
    sampled = sample_ddpm(
        denoise,
        (4, 6),
        ddpm_scheduler(timesteps),
        steps,
        rng=torch.Generator().manual_seed(5),
        progress=lambda *now: told.append(now),
    )
    assert told == [(i + 1, steps) for i in range(steps)]
    expected = plain_ddpm(denoise, (4, 6), timesteps, steps, torch.Generator().manual_seed(5))
    assert torch.allclose(sampled.double(), expected, atol=1e-3)
    assert float(sampled.abs().max()) > 1  # so nothing was clipped
