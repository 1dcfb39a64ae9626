"""Audits of 5-4-3 tanh networks: small enough to try many, with a task that costs nothing."""

import torch
from planted import seeded
from torch import Tensor

from novelweights.data.images import ImageData
from novelweights.metrics.alignment import Alignment
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(5, 4, 3, "tanh")
ALIGNMENT = Alignment(NETWORK.layout, NETWORK.symmetry)
D = NETWORK.layout.size
FIRST = 5 * 4 + 4
"""Weights of the hidden layer."""


def drawn(n: int, seed: int) -> Tensor:
    """Random networks, as if trained independently."""
    return torch.randn(n, D, generator=seeded(seed))


def named(weights: Tensor, split: str, *, step: int = 7) -> Population:
    """Weights as the last checkpoints of runs."""
    records = Records.of([f"{split}-{i:03d}" for i in range(len(weights))], split=split, step=step)
    info = PopulationInfo("random", {}, NETWORK.name, NETWORK.symmetry, None)
    return Population(weights, NETWORK.layout, records, info)


def move(weights: Tensor, seed: int) -> Tensor:
    """The same functions with neurons in random order and sign."""
    return random_transform(weights, NETWORK.layout, NETWORK.symmetry, rng=seeded(seed))


def task(n_examples: int = 40, *, of: Tensor | None = None) -> Classification:
    """Labels are those of one network, so that accuracies differ; or what most of some networks
    say, as many of each, so that these work beyond chance."""
    x = torch.randn(n_examples, 5, generator=seeded(100))
    y = NETWORK.forward(drawn(1, 101) if of is None else of, x).argmax(dim=2).mode(dim=0).values
    if of is not None:
        least = int(torch.bincount(y, minlength=3).min())
        rows = torch.cat([(y == label).nonzero()[:least, 0] for label in range(3)])
        x, y = x[rows], y[rows]
    data = ImageData("random", "drawn", "none", x, y, x, y, (5,))
    return Classification("random", NETWORK, data)
