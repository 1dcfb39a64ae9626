"""How Hyper-Representations varies checkpoints while it learns: reordered neurons, noise, erasing.

The reordered networks compute the same functions, so the autoencoder sees each in many forms.
Source: the released code; noise and erasing are options that it has and that are off here.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, random_element, transform

ERASED_FROM, ERASED_TO = 0.02, 0.33
"""Share of the vector in an erased block, uniform between. Source: released code."""


def require_symmetry(
    symmetry: NeuronSymmetry | None, layout: WeightLayout, *, method: str
) -> NeuronSymmetry:
    """The table of a population whose neurons a method reorders while it learns.

    Raises:
        InputError: The population does not say which neurons may be reordered, or says it of other
            networks.
    """
    if symmetry is None:
        raise InputError(
            f"{method} reorders neurons while it learns: expected a population that says which "
            "axes count neurons (symmetry in population.json), got one that does not",
            "unsuited",
        )
    try:
        symmetry.sizes(layout)
    except ValueError as error:
        raise InputError(
            f"expected symmetries of these networks, got a table that is not theirs ({error}); "
            "correct it in population.json, or give the population folder of a zoo",
            "wrong-symmetry",
        ) from error
    return symmetry


@dataclass(frozen=True, eq=False)
class Views:
    """Draws varied checkpoints."""

    layout: WeightLayout
    symmetry: NeuronSymmetry
    """Signs are left alone: the method reorders only."""
    pool: dict[str, Tensor]
    """Orders of each group's neurons to draw from (permutations, neurons); empty: new ones."""
    noise: float
    """Standard deviation of Gaussian noise."""
    erasing: float
    """Probability that a block of a checkpoint is set to 0."""

    @classmethod
    def of(
        cls,
        layout: WeightLayout,
        symmetry: NeuronSymmetry | None,
        *,
        permutations: int,
        noise: float,
        erasing: float,
        rng: torch.Generator,
    ) -> "Views":
        """Views with a pool of so many permutations; 0: each is drawn anew.

        Raises:
            InputError: See `require_symmetry`.
        """
        symmetry = require_symmetry(symmetry, layout, method="hyper-representations")
        pool: dict[str, Tensor] = {}
        if permutations:
            pool, _ = random_element(permutations, layout, symmetry, rng=rng)
        return cls(layout, symmetry, pool, noise, erasing)

    def draw(self, weights: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """One view of every checkpoint."""
        n, d = weights.shape
        if self.pool:
            picks = torch.randint(len(next(iter(self.pool.values()))), (n,), generator=rng)
            orders = {group: order[picks] for group, order in self.pool.items()}
        else:
            orders, _ = random_element(n, self.layout, self.symmetry, rng=rng)
        views = transform(weights, self.layout, self.symmetry, orders)
        if self.noise:
            views = views + self.noise * torch.randn(n, d, generator=rng)
        if self.erasing:
            draws = torch.rand(3, n, generator=rng)
            length = d * (ERASED_FROM + (ERASED_TO - ERASED_FROM) * draws[0])
            start = (d - length) * draws[1]
            at = torch.arange(d)
            inside = (at >= start[:, None]) & (at < (start + length)[:, None])
            views = views.masked_fill(inside & (draws[2] < self.erasing)[:, None], 0.0)
        return views
