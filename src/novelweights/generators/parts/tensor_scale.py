"""P-diff's normalization: every parameter tensor by one mean and one standard deviation.

Both are scalars over the entries of the tensor, taken of each checkpoint and averaged over
checkpoints. Source: P-diff, released code.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.weights.layout import WeightLayout

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
