"""The denoiser of P-diff: a one-dimensional convolutional network over latent vectors.

Eight convolutions without stride; the timestep is added along the length before each of them, and
the outputs of the first three to the inputs of the last three.

Source: P-diff (facts of the released code): kernels of 7, channels 64, 128, 256, 512, 256, 128, 64,
1; BatchNorm and ELU after all but the last.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 7
WIDTHS = (1, 2, 4, 8, 4, 2, 1)
SKIPS = 3
"""Outputs of so many first convolutions are added to the inputs of as many last, in reverse."""
TIME_FEATURES = 256
PERIOD = 10_000.0


class LatentDenoiser(nn.Module):
    """Predicts the noise in a noised latent vector.

    Batch normalization follows the module's mode: statistics of the batch while it trains, running
    ones in evaluation mode.

    Args:
        width: Channels of the first convolution.
    """

    def __init__(self, latent: int, *, width: int) -> None:
        super().__init__()
        channels = [1, *(factor * width for factor in WIDTHS), 1]
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, KERNEL, padding=KERNEL // 2) for a, b in pairwise(channels)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(count) for count in channels[1:-1])
        self.time = nn.Sequential(
            nn.Linear(TIME_FEATURES, latent), nn.SiLU(), nn.Linear(latent, latent)
        )

    def forward(
        self, noised: Float[Tensor, "n latent"], t: Int[Tensor, " n"]
    ) -> Float[Tensor, "n latent"]:
        """The predicted noise.

        Args:
            t: Their timesteps, counted from 0.
        """
        time = self.time(time_features(t))[:, None]  # the same for every channel
        x, kept = noised[:, None], []  # (n, channels, latent)
        for i, conv in enumerate(self.convs):
            if i >= len(self.convs) - SKIPS:
                x = x + kept.pop()
            x = conv(x + time)
            if i < len(self.norms):
                x = F.elu(self.norms[i](x))
            if i < SKIPS:
                kept.append(x)
        return x[:, 0]


def time_features(t: Int[Tensor, " n"]) -> Float[Tensor, "n features"]:
    """A timestep as [cos(f t), sin(f t)] with 128 frequencies f from 1 down, 1 / 10000 being the
    next after the last."""
    half = TIME_FEATURES // 2
    f = torch.exp(-math.log(PERIOD) / half * torch.arange(half, device=t.device))
    angles = t[:, None] * f
    return torch.cat([angles.cos(), angles.sin()], dim=1)
