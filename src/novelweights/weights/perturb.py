"""Populations made from populations: the paper's three baselines and planted truths.

Baselines (as generators) and an audit's baselines both call these; nothing here knows why.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.weights.layout import WeightLayout


def pick_rows(n_rows: int, n: int, *, rng: torch.Generator) -> Tensor:
    """n row indices below n_rows, without replacement as long as rows last.

    The first full pass is one shuffle, then the next begins: every row is used before any twice.

    Raises:
        ValueError: There are no rows.
    """
    if not n_rows:
        raise ValueError(f"expected rows to pick {n} of, got none")
    passes = [torch.randperm(n_rows, generator=rng) for _ in range(-(-n // n_rows))]
    return torch.cat(passes)[:n] if passes else torch.empty(0, dtype=torch.int64)


def add_noise(
    weights: Float[Tensor, "n d"], std: float, *, rng: torch.Generator
) -> Float[Tensor, "n d"]:
    """Every weight plus isotropic Gaussian noise of one standard deviation, in raw units.

    Source: paper, section 3.2, noise-addition baseline.
    """
    return weights + std * torch.randn(weights.shape, generator=rng)


def average_rows(
    weights: Float[Tensor, "m d"], n: int, *, of: int, rng: torch.Generator
) -> Float[Tensor, "n d"]:
    """n plain means, each of `of` different rows chosen at random.

    Source: paper, section 3.3, "average" (of = 16).

    Raises:
        ValueError: There are fewer rows than each mean needs.
    """
    if len(weights) < of:
        raise ValueError(f"an average of {of} needs {of} rows, got {len(weights)}")
    means = weights.new_empty(n, weights.shape[1])
    for mean in means:
        mean.copy_(weights[torch.randperm(len(weights), generator=rng)[:of]].mean(dim=0))
    return means


def parameter_gaussian(
    weights: Float[Tensor, "m d"], n: int, *, rng: torch.Generator
) -> Float[Tensor, "n d"]:
    """n draws from an independent Gaussian per parameter (mean and unbiased std over the rows).

    Source: paper, section 3.3, "gaussian".

    Raises:
        ValueError: Fewer than two rows: no spread to fit.
    """
    if len(weights) < 2:
        raise ValueError(f"a standard deviation needs 2 rows, got {len(weights)}")
    mean, std = weights.mean(dim=0), weights.std(dim=0)
    return mean + std * torch.randn(n, weights.shape[1], generator=rng)


def statistics_within(
    drawn: Float[Tensor, "n d"], weights: Float[Tensor, "m d"], layout: WeightLayout
) -> Float[Tensor, "n d"]:
    """Draws with running statistics no smaller and no larger than there are.

    Else a variance may be drawn below zero, and the network computes nothing. Source: ours.

    Args:
        drawn: Whole checkpoints.
        weights: What they were drawn like.
        layout: Of both.
    """
    if layout.learned is layout:
        return drawn
    inside = torch.clamp(drawn, weights.amin(dim=0), weights.amax(dim=0))
    return torch.where(layout.is_learned, drawn, inside)
