"""One common frame for all training checkpoints: their principal components, a recentred cosine.

Training checkpoints are aligned to their common mean, a few rounds long; other checkpoints are
aligned to that mean. There a population has a mean and a covariance, so draws from the span of the
training checkpoints and copies behind a shared drift can be seen. Source: ours (DESIGN section 5).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.metrics.alignment import Alignment, aligned_to
from novelweights.metrics.brackets import in_one_frame

MAX_COMPONENTS_FROM = 2048
"""Principal components are those of at most so many training checkpoints, evenly spaced."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Training checkpoints in one frame, float64."""

    alignment: Alignment | None
    center: Float[Tensor, " d"]
    """Their mean there."""
    around: Float[Tensor, "m d"]
    """The checkpoints there, less the mean."""
    components: Float[Tensor, "k d"]
    """Leading principal directions, half as many as there could be; orthonormal rows."""

    @classmethod
    def of(cls, reference: Float[Tensor, "m d"], alignment: Alignment | None) -> "Frame":
        """The frame of at least two training checkpoints."""
        placed = reference
        if alignment is not None:
            placed, _ = in_one_frame(reference, alignment)
        center = placed.double().mean(dim=0)
        around = placed.double() - center
        return cls(alignment, center, around, _leading(around))

    def place(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Checkpoints in this frame, less the training mean, float64."""
        if self.alignment is not None:
            weights = aligned_to(self.center.to(weights.dtype), weights, self.alignment)
        return weights.double() - self.center

    def residual(self, placed: Float[Tensor, "n d"]) -> Float[np.ndarray, " n"]:
        """Share of each |x - mean| that lies outside the leading components, in [0, 1].

        Scale-free. Small for draws from the span of the training checkpoints; meaningless for the
        training checkpoints themselves, which made the components. 1 at the mean itself.

        Args:
            placed: Checkpoints as `place` gives them.
        """
        squared = placed.square().sum(dim=1)
        inside = (placed @ self.components.T).square().sum(dim=1)
        share = torch.ones_like(squared)
        known = squared > 0
        share[known] = (1 - inside[known] / squared[known]).clamp(0, 1).sqrt()
        return share.numpy()

    def recentred_cosine(self, placed: Float[Tensor, "n d"]) -> Float[np.ndarray, " n"]:
        """max_i cos(x - mean of the other checkpoints, t_i - mean of training).

        A drift that all checkpoints of a population share drops out, which hides copies from the
        plain cosine (other epochs of training runs with a shared initialization). Blind where the
        population is one point; 0 there. Meaningless for the training checkpoints themselves, which
        are in both means.

        Args:
            placed: The n >= 2 checkpoints of one population, as `place` gives them.
        """
        n = len(placed)
        if n < 2:
            raise ValueError("a mean of the others needs at least two checkpoints")
        apart = placed - (placed.sum(dim=0) - placed) / (n - 1)
        lengths = apart.norm(dim=1)
        unit = apart / lengths.clamp_min(1e-300)[:, None]
        unit[lengths <= 1e-9 * placed.norm(dim=1)] = 0.0
        others = self.around / self.around.norm(dim=1).clamp_min(1e-300)[:, None]
        return (unit @ others.T).amax(dim=1).numpy()


def _leading(around: Float[Tensor, "m d"]) -> Float[Tensor, "k d"]:
    """Half of the principal directions of centered rows, those of the largest variance."""
    m, d = around.shape
    if m > MAX_COMPONENTS_FROM:
        rows = torch.linspace(0, m - 1, MAX_COMPONENTS_FROM).round().long()
        around = around[rows] - around[rows].mean(dim=0)
        m = MAX_COMPONENTS_FROM
    k = max(1, min(m, d) // 2)
    if d <= m:
        _, directions = torch.linalg.eigh(around.T @ around)
        return directions[:, -k:].T.contiguous()
    variances, mixes = torch.linalg.eigh(around @ around.T)
    kept = variances[-k:] > 1e-12 * variances[-1].clamp_min(1e-300)
    directions = (mixes[:, -k:] / variances[-k:].clamp_min(1e-300).sqrt()).T @ around
    return directions[kept]
