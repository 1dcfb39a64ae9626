"""Generated populations whose origin is known: what an audit must say about them is no question.

Every function takes weights and returns weights; `population` gives them records. Distances are
planted as fractions of the median held-out distance, the only unit that means the same in every
zoo.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.auditing import stages
from novelweights.auditing.prepare import AuditInputs, Prepared, prepare
from novelweights.auditing.result import AuditResult
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.tasks.classification import Classification
from novelweights.weights.perturb import average_rows, pick_rows
from novelweights.weights.population import Population, PopulationInfo, Records, sampled_records
from novelweights.weights.symmetry import random_transform


@dataclass(frozen=True, eq=False)
class Zoo:
    """Training, held-out and further fresh runs of one recipe, with the task that judges them."""

    network: OneHiddenMLP
    task: Classification
    training: Population
    heldout: Population
    fresh: Population
    """Runs that neither a generator nor the held-out population has seen."""
    spacing: float
    """Median distance of held-out runs to the nearest training run, aligned."""

    @property
    def alignment(self) -> Alignment:
        return Alignment(self.network.layout, self.network.symmetry)

    def population(self, weights: Tensor) -> Population:
        """Weights as a generated population of this zoo."""
        return Population(
            weights, self.network.layout, sampled_records(len(weights)), self.training.info
        )


def seeded(seed: int) -> torch.Generator:
    """A random stream of its own."""
    return torch.Generator().manual_seed(seed)


def audit(train: Population, generated: Population, **given: Any) -> AuditResult:
    """An audit of these; `given` holds further roles and, if not the usual, `n_controls`."""
    options = {key: given.pop(key) for key in ("n_controls", "clock") if key in given}
    return stages.audit(AuditInputs(train=train, generated=generated, **given), **options)


def prepared(train: Population, generated: Population, **given: Any) -> Prepared:
    """What such an audit compares."""
    return prepare(AuditInputs(train=train, generated=generated, **given))


def runs(network: OneHiddenMLP, weights: Tensor, split: str) -> Population:
    """Weights as the last checkpoints of runs."""
    records = Records.of([f"{split}-{i:03d}" for i in range(len(weights))], split=split, step=100)
    info = PopulationInfo("planted", {}, network.name, network.symmetry, None)
    return Population(weights, network.layout, records, info)


def make_zoo(
    network: OneHiddenMLP, task: Classification, weights: Tensor, sizes: Sequence[int]
) -> Zoo:
    """A zoo from the weights of independent runs, split into training, held-out and fresh."""
    trained, held, fresh = weights.split(list(sizes))
    alignment = Alignment(network.layout, network.symmetry)
    spacing = float(np.median(nearest(held, trained, alignment=alignment).distances))
    return Zoo(
        network,
        task,
        runs(network, trained, "train"),
        runs(network, held, "heldout"),
        runs(network, fresh, "fresh"),
        spacing,
    )


def copies(zoo: Zoo, n: int, *, noise: float = 0.0, rng: torch.Generator) -> Tensor:
    """Training checkpoints, each moved by `noise` times the median held-out distance."""
    picked = zoo.training.weights[pick_rows(len(zoo.training), n, rng=rng)]
    return picked + directions(picked.shape, noise * zoo.spacing, rng=rng)


def directions(shape: Sequence[int], length: float, *, rng: torch.Generator) -> Tensor:
    """Isotropic Gaussian noise of a given root mean square length."""
    return length / math.sqrt(shape[-1]) * torch.randn(*shape, generator=rng)


def moved(zoo: Zoo, weights: Tensor, *, rng: torch.Generator) -> Tensor:
    """The same functions with their neurons in random order (and sign)."""
    return random_transform(weights, zoo.network.layout, zoo.network.symmetry, rng=rng)


def averages(zoo: Zoo, n: int, *, of: int, rng: torch.Generator) -> Tensor:
    """Plain means of different training checkpoints."""
    return average_rows(zoo.training.weights, n, of=of, rng=rng)


def invented(zoo: Zoo, n: int) -> Tensor:
    """Fresh runs of the recipe: what an ideal generator would make."""
    return zoo.fresh.weights[:n]


def mixed(zoo: Zoo, n: int, *, copied: float, rng: torch.Generator) -> Tensor:
    """Fresh runs of which a share is replaced by copies."""
    weights = invented(zoo, n).clone()
    count = round(copied * n)
    weights[:count] = copies(zoo, count, rng=rng)
    return weights


def shrunk(zoo: Zoo, n: int, factor: float) -> Tensor:
    """Fresh runs multiplied by a factor: honest, yet nearer to everything."""
    return factor * invented(zoo, n)


def white_noise(zoo: Zoo, n: int, *, rng: torch.Generator) -> Tensor:
    """Gaussian vectors with the overall spread of the training weights."""
    return float(zoo.training.weights.std()) * torch.randn(
        n, zoo.network.layout.size, generator=rng
    )
