"""Weight vectors to P-diff's latents and back: normalization, autoencoder, and its statistics."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.generators.parts.conv_autoencoder import ConvAutoencoder
from novelweights.generators.parts.tensor_scale import TensorScale
from novelweights.generators.parts.training import on_accelerator

BLOCK = 64  # latents through a network at once; larger blocks are no faster


@dataclass(frozen=True, eq=False)
class LatentCodec:
    """An autoencoder and what is done to weights before and after it."""

    autoencoder: ConvAutoencoder
    scale: TensorScale
    batch_size: int
    """Checkpoints that are encoded together."""
    is_frozen: bool
    """Whether normalizations go by running statistics. Otherwise checkpoints are encoded by the
    statistics of their batch and each is decoded by its own, as the released code does."""

    @torch.no_grad()
    def encode(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n latent"]:
        """Latents of checkpoints, without noise.

        Unless frozen, a latent depends on the others in its batch. The rows are dealt in turn into
        batches of about `batch_size`, so that each spans all of them as the shuffled batches of a
        fit do.
        """
        normalized, n = self.scale.normalize(weights), len(weights)
        latents = torch.empty(n, self.autoencoder.mean.out_features)
        batches = min(n, max(1, round(n / self.batch_size)))
        with on_accelerator(self.autoencoder):
            device = device_of(self.autoencoder)
            for first in range(batches):
                rows = slice(first, None, batches)
                encoded = self.autoencoder.encode(
                    normalized[rows].to(device), "running" if self.is_frozen else "batch"
                )
                latents[rows] = encoded.cpu()
        return latents

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "n latent"]) -> Float[Tensor, "n d"]:
        """Checkpoints of latents; of each the same as if it were decoded alone."""
        parts = [torch.empty(0, self.autoencoder.d)]
        with on_accelerator(self.autoencoder):
            device = device_of(self.autoencoder)
            for first in range(0, len(latents), BLOCK):
                block = latents[first : first + BLOCK].to(device)
                decoded = self.autoencoder.decode(block, "running" if self.is_frozen else "single")
                parts.append(decoded.cpu())
        return self.scale.restore(torch.cat(parts))


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are."""
    return next(module.parameters()).device
