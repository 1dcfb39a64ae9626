"""The convolutional autoencoder of P-diff: a weight vector as a signal with one channel.

Five convolutions halve the vector's length, two linear layers make it a latent vector; a linear
layer and five transposed convolutions go back. What its batch normalizations go by is said in
every call, as the released code never leaves training mode and results depend on it.

Source: P-diff (facts of the released code): kernels of 7, channels 64, 128, 256, 256, 32, encoder
LeakyReLU(0.01), decoder ELU, latent 128.
"""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 7
HALVINGS = 5
CODE_CHANNELS = 2**HALVINGS
"""Channels at the shortest length: as many values as the vector has."""
ENCODER_WIDTHS = (1, 2, 4, 4)
DECODER_WIDTHS = (4, 4, 2, 1)
SLOPE = 0.01  # of LeakyReLU, torch's default
MOMENTUM, EPSILON = 0.1, 1e-5  # of batch normalization, torch's defaults

Statistics = Literal["learning", "batch", "single", "running"]
"""What a normalization takes mean and variance from: the rows given, and the running statistics
learn from them (learning) or not (batch); each row alone, over its length (single, what a batch of
one gives in training mode); the running statistics, as in evaluation mode (running)."""


class _BatchNorm(nn.Module):
    """Batch normalization whose statistics are chosen in each call."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(
        self, x: Float[Tensor, "n channels length"], statistics: Statistics
    ) -> Float[Tensor, "n channels length"]:
        if statistics == "single":
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=EPSILON)
        running = self.get_buffer("running_mean"), self.get_buffer("running_var")
        mean, var = (None, None) if statistics == "batch" else running
        from_rows = statistics != "running"
        return F.batch_norm(x, mean, var, self.weight, self.bias, from_rows, MOMENTUM, EPSILON)


def padded_size(d: int) -> int:
    """Length of the signal for d weights: a multiple of 32, at least 64, as statistics of a single
    row need two places at the shortest length."""
    return max(2 * CODE_CHANNELS, -(-d // CODE_CHANNELS) * CODE_CHANNELS)


class ConvAutoencoder(nn.Module):
    """Weight vectors of one size to latent vectors and back.

    Args:
        d: Size of a weight vector; zeros fill it up to `padded_size`.
        width: Channels of the first convolution.
    """

    def __init__(self, d: int, *, width: int, latent: int) -> None:
        super().__init__()
        self.d, self.size = d, padded_size(d)
        down = [1, *(factor * width for factor in ENCODER_WIDTHS), CODE_CHANNELS]
        self.down = nn.ModuleList(
            nn.Conv1d(a, b, KERNEL, stride=2, padding=KERNEL // 2) for a, b in pairwise(down)
        )
        self.down_norms = nn.ModuleList(_BatchNorm(channels) for channels in down[1:])
        self.squeeze = nn.Linear(self.size, latent)
        self.mean = nn.Linear(latent, latent)
        self.log_variance = nn.Linear(latent, latent).requires_grad_(False)
        """Part of the published network and of its parameter count, read by nothing: the weight of
        the KL divergence is 0 there and the noise on latents has a fixed size."""
        self.expand = nn.Linear(latent, self.size)
        up = [CODE_CHANNELS, *(factor * width for factor in DECODER_WIDTHS), width]
        self.up = nn.ModuleList(
            nn.ConvTranspose1d(a, b, KERNEL, stride=2, padding=KERNEL // 2, output_padding=1)
            for a, b in pairwise(up)
        )
        self.up_norms = nn.ModuleList(_BatchNorm(channels) for channels in up[1:])
        self.read = nn.Conv1d(width, 1, KERNEL, padding=KERNEL // 2)

    def encode(
        self, weights: Float[Tensor, "n d"], statistics: Statistics
    ) -> Float[Tensor, "n latent"]:
        """The latent vector of every row, without noise."""
        return self.encode_padded(self.pad(weights), statistics)

    def encode_padded(
        self, padded: Float[Tensor, "n size"], statistics: Statistics
    ) -> Float[Tensor, "n latent"]:
        """The same for rows that `pad` has filled up."""
        x = padded[:, None]
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            x = F.leaky_relu(norm(conv(x), statistics), SLOPE)
        return self.mean(self.squeeze(x.flatten(1)))  # (n, channels * length) is (n, size)

    def decode(
        self, latents: Float[Tensor, "n latent"], statistics: Statistics
    ) -> Float[Tensor, "n d"]:
        """The weights of every latent vector."""
        return self.decode_padded(latents, statistics)[:, : self.d]

    def decode_padded(
        self, latents: Float[Tensor, "n latent"], statistics: Statistics
    ) -> Float[Tensor, "n size"]:
        """The same with the places that `pad` fills up."""
        x = self.expand(latents).unflatten(1, (CODE_CHANNELS, -1))
        for conv, norm in zip(self.up, self.up_norms, strict=True):
            x = F.elu(norm(conv(x), statistics))
        return self.read(x)[:, 0]

    def pad(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n size"]:
        """Weight vectors with zeros behind, as long as the convolutions need them."""
        return F.pad(weights, (0, self.size - self.d))
