"""P-diff's denoiser at the published size: convolution in tiles against torch's own, in float32.

A training step (forward and backward, a batch of 50 latents) and a step of sampling 100. Both ways
have the same weights and inputs, and what they give is compared: the noise predicted in sampling,
and the gradients. The floor: torch's own does 7 products of an input and a weight per output at
close to what a core can; ours needs 2, and some passes over what lies between.
"""

from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import take_turns
from novelweights.generators.p_diff import SCALES
from novelweights.generators.parts import latent_denoiser

SAMPLES = 100


def main() -> None:
    """Print milliseconds of a step in both ways, and the ratios."""
    settings = SCALES["laptop"]
    torch.manual_seed(0)
    denoiser = settings.denoiser()
    rng = torch.Generator().manual_seed(0)
    latents, wanted = torch.randn(2, SAMPLES, settings.latent, generator=rng)
    t = torch.randint(settings.timesteps, (SAMPLES,), generator=rng)

    def train() -> Tensor:
        denoiser.train().zero_grad()
        few = slice(settings.batch_size)
        (denoiser(latents[few], t[few]) - wanted[few]).square().mean().backward()
        gradients = [
            kernel.grad for name, kernel in denoiser.named_parameters() if "bias" not in name
        ]
        return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])

    @torch.no_grad()
    def sample() -> Tensor:
        return denoiser.eval()(latents, t).flatten()

    for name, step in (("training", train), ("sampling", sample)):
        (direct, theirs), (tiled, ours) = take_turns(_with_library(step), step)
        difference = float((ours - theirs).norm() / theirs.norm())
        if not difference < 1e-4:
            raise ValueError(f"{name}: results differ by {difference:.2g} of their norm")
        print(
            f"P-diff's denoiser, a step of {name}, {torch.get_num_threads()} threads, medians: "
            f"torch's convolution {1000 * direct:.0f} ms, in tiles {1000 * tiled:.0f} ms, "
            f"{direct / tiled:.2f} times faster; results differ by {difference:.1g} of their norm"
        )


def _with_library(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def patched() -> Tensor:
        with mock.patch.object(latent_denoiser, "convolve", _library):
            return step()

    return patched


def _library(signal: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    lengthwise = F.conv1d(signal.permute(1, 2, 0), kernels, bias, padding=kernels.shape[2] // 2)
    return lengthwise.permute(2, 0, 1)
