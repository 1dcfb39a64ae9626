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


def task(n_examples: int = 40) -> Classification:
    """Labels are those of one network, so that accuracies differ."""
    x = torch.randn(n_examples, 5, generator=seeded(100))
    y = NETWORK.forward(drawn(1, 101), x)[0].argmax(dim=1)
    data = ImageData("random", "drawn", "none", x, y, x, y, (5,))
    return Classification("random", NETWORK, data)
