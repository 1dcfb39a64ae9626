"""Weight vectors to P-diff's latents and back: normalization, autoencoder, and its statistics."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
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
    runs: int
    """Training runs of the fit; so many are encoded together."""
    is_frozen: bool
    """Whether normalizations go by running statistics. Otherwise checkpoints are encoded by the
    statistics of their batch and each is decoded by its own, as the released code does."""

    @torch.no_grad()
    def encode(
        self, weights: Float[Tensor, "n d"], runs: np.ndarray | None = None
    ) -> Float[Tensor, "n latent"]:
        """Latents of checkpoints, without noise.

        Unless frozen, a latent depends on the others in its batch. As many runs are encoded
        together as the fit had: held-out runs beside the one run of a fit each by itself, or their
        latents would differ from those of training for their company alone. Their rows are dealt
        in turn into batches of about `batch_size`, so that each spans all of them as the shuffled
        batches of a fit do.

        Args:
            weights: The checkpoints.
            runs: The name of each one's run; None: all are of one.
        """
        normalized = self.scale.normalize(weights)
        latents = torch.empty(len(weights), self.autoencoder.mean.out_features)
        with on_accelerator(self.autoencoder):
            device = device_of(self.autoencoder)
            for rows in self._batches(len(weights), runs):
                encoded = self.autoencoder.encode(
                    normalized[rows].to(device), "running" if self.is_frozen else "batch"
                )
                latents[rows] = encoded.cpu()
        return latents

    def _batches(self, n: int, runs: np.ndarray | None) -> Iterator[Int[Tensor, " batch"]]:
        """Rows that are encoded together."""
        of_run = np.zeros(n, dtype=int)
        if runs is not None and n:
            of_run = np.unique(runs.astype(str), return_inverse=True)[1]
        groups = max(1, round((of_run.max(initial=0) + 1) / self.runs))
        for group in range(groups):
            rows = torch.from_numpy(np.flatnonzero(of_run % groups == group))
            batches = min(len(rows), max(1, round(len(rows) / self.batch_size)))
            for first in range(batches):
                yield rows[first::batches]

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
