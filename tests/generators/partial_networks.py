"""Checkpoints that hold parts of a network, as P-diff learns from: steps of one run."""

import torch

from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry

NAMES = tuple(f"layer4.1.{part}.{kind}" for part in ("bn1", "bn2") for kind in ("weight", "bias"))


def norms_layout(size: int) -> WeightLayout:
    """Weight and bias of two BatchNorms."""
    return WeightLayout(tuple((name, (size,)) for name in NAMES))


def walk_of_norms(n: int, size: int, *, seed: int = 0, run: str = "train-00000") -> Population:
    """n consecutive steps of one run: the BatchNorms drift from where they began."""
    rng = torch.Generator().manual_seed(seed)
    center = torch.tensor([1.0, 0.0, 0.8, -0.2]).repeat_interleave(size)
    begin = center + 0.1 * torch.randn(4 * size, generator=rng)
    weights = begin + 0.03 * torch.randn(n, 4 * size, generator=rng).cumsum(dim=0)
    layout = norms_layout(size)
    symmetry = NeuronSymmetry({name: (None,) for name in NAMES})
    records = Records.of([run] * n, split="train", step=list(range(2, n + 2)))
    info = PopulationInfo("walk", {"seed": seed}, "norms", symmetry, "none")
    return Population(weights, layout, records, info)
