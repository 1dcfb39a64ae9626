"""Weight vectors to P-diff's latents and back: normalization, autoencoder, and its statistics.

Normalization is by one mean and one standard deviation of every parameter tensor: scalars over its
entries, taken of each checkpoint and averaged over checkpoints. Source: P-diff, released code.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from novelweights.generators.parts.conv_autoencoder import ConvAutoencoder
from novelweights.generators.parts.training import on_accelerator
from novelweights.weights.layout import WeightLayout

BLOCK = 64  # latents through a network at once; larger blocks are no faster
LEAST_RELATIVE_SPREAD = 1e-6
"""Entries that differ by less than this, relative to their mean, count as equal: float32 keeps no
more."""


@dataclass(frozen=True, eq=False)
class TensorScale:
    """What is subtracted from each parameter tensor, and what it is divided by."""

    layout: WeightLayout
    center: Float[Tensor, " tensors"]
    """Mean entry of each tensor, in weight units."""
    spread: Float[Tensor, " tensors"]
    """Unbiased standard deviation of its entries, in weight units; 1 where they do not vary."""

    @classmethod
    def of(cls, weights: Float[Tensor, "n d"], layout: WeightLayout) -> "TensorScale":
        """The scale of some checkpoints, at least one.

        A tensor of one entry, or of equal ones, has no spread: it is centered and not divided.
        """
        centers, spreads = [], []
        for where in layout.slices.values():
            entries = weights[:, where].double()
            center = entries.mean()
            spread = entries.std(dim=1).mean() if entries.shape[1] > 1 else torch.zeros(())
            is_varied = spread > LEAST_RELATIVE_SPREAD * center.abs()
            centers.append(float(center))
            spreads.append(float(spread) if is_varied else 1.0)
        return cls(layout, torch.tensor(centers), torch.tensor(spreads))

    def normalize(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Weights as the autoencoder sees them."""
        return (weights - self._of_each(self.center)) / self._of_each(self.spread)

    def restore(self, normalized: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The inverse of `normalize`."""
        return normalized * self._of_each(self.spread) + self._of_each(self.center)

    def _of_each(self, values: Float[Tensor, " tensors"]) -> Float[Tensor, " d"]:
        """A value per tensor as one per weight."""
        sizes = torch.tensor([where.stop - where.start for where in self.layout.slices.values()])
        return values.repeat_interleave(sizes)


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
