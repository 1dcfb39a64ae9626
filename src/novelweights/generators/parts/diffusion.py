"""Diffusion over weight vectors: the noising the methods share, and their samplers.

Schedules and samplers are diffusers'; what is said here is how the paper's methods use them:
linear betas from 1e-4 to 0.02 whatever the number of timesteps (below some 500 the last timestep is
then not yet pure noise, though sampling begins there), the clean weights predicted (x0; P-diff: the
noise), uniform timesteps, no clipping.
"""

from collections.abc import Callable

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from jaxtyping import Float, Int
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noised weights (batch d), timesteps (batch)), on the CPU -> predicted clean weights, or the
predicted noise where the scheduler says so (batch d), on any device."""


BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def ddim_scheduler(timesteps: int) -> DDIMScheduler:
    """The DDIM scheduler of HyperDiffusion: x0-prediction, linear betas, no clipping."""
    return DDIMScheduler(
        num_train_timesteps=timesteps,
        **BETAS,
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="sample",
        timestep_spacing="leading",
    )


def ddpm_scheduler(timesteps: int, *, predicts_noise: bool = False) -> DDPMScheduler:
    """The DDPM scheduler of G.pt: x0-prediction, linear betas, variance beta_t, no clipping.

    With `predicts_noise` that of P-diff: eps-prediction and the posterior variance, that of x_{t-1}
    given x_t and x_0, the smaller of the two common ones.
    """
    return DDPMScheduler(
        num_train_timesteps=timesteps,
        **BETAS,
        variance_type="fixed_small" if predicts_noise else "fixed_large",
        clip_sample=False,
        prediction_type="epsilon" if predicts_noise else "sample",
        timestep_spacing="leading",
    )


def add_noise_at(
    clean: Float[Tensor, "batch d"],
    noise: Float[Tensor, "batch d"],
    t: Int[Tensor, " batch"],
    alphas_cumprod: Float[Tensor, " timesteps"],
) -> Float[Tensor, "batch d"]:
    """Weights noised to timestep t: sqrt(abar) clean + sqrt(1 - abar) noise."""
    kept = alphas_cumprod[t][:, None]
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


@torch.no_grad()
def sample_from_noise(
    denoise: Denoise,
    shape: tuple[int, ...],
    scheduler: DDIMScheduler | DDPMScheduler,
    steps: int,
    *,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "n d"]:
    """Weights from noise, by DDIM with eta 0 or by ancestral sampling (DDPM).

    Args:
        denoise: Predicts what the scheduler says: the clean weights or the noise.
        scheduler: Trained timesteps and betas.
        rng: Source of the noise, of the first and, with DDPM, of every step.
    """
    scheduler.set_timesteps(steps)
    x = torch.randn(shape, generator=rng)
    for i, t in enumerate(scheduler.timesteps):
        predicted = denoise(x, t.expand(len(x))).cpu()
        x = scheduler.step(predicted, int(t), x, generator=rng, return_dict=False)[0]
        if progress is not None:
            progress(i + 1, steps)
    return x


def denoising_errors(
    denoise: Denoise,
    clean: Float[Tensor, "n d"],
    timesteps: tuple[int, ...],
    alphas_cumprod: Float[Tensor, " timesteps"],
    *,
    rng: torch.Generator,
    predicts_noise: bool = False,
) -> Float[Tensor, "n levels"]:
    """Mean squared error of the predicted clean weights of every row at each noise level.

    With `predicts_noise` it is the error of the predicted noise.
    The noise of a row depends on the generator's state, the level's place and the row's only, so
    that populations of any size compare in pairs.
    """
    errors = []
    for timestep in timesteps:
        draw = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
        noise = torch.empty_like(clean)
        for row in noise:  # one by one, so that the number of rows changes none of them
            row.normal_(generator=draw)
        t = torch.full((len(clean),), timestep)
        predicted = denoise(add_noise_at(clean, noise, t, alphas_cumprod), t).cpu()
        target = noise if predicts_noise else clean
        errors.append((predicted - target).square().mean(dim=1))
    return torch.stack(errors, dim=1)
