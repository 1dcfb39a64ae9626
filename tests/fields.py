"""Occupancy fields made by hand: boxes, whose shape and weights are known."""

from collections.abc import Sequence

import torch
from torch import Tensor

from novelweights.networks.neural_field import OccupancyField
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records

FIELD = OccupancyField(width=8)
STEEP = 40.0
"""Fall of the logit per unit of distance, from 3 inside."""


def box(half: Sequence[float], height: float = 3.0) -> Tensor:
    """(d,) the field that is `height` inside of a box around the middle and falls outside of it."""
    layout: WeightLayout = FIELD.layout
    state = {name: torch.zeros(shape) for name, shape in layout.shapes}
    for axis, size in enumerate(half):
        for side, sign in enumerate((1.0, -1.0)):
            neuron = 2 * axis + side
            state["layers.0.weight"][neuron, axis] = sign * STEEP  # the encoding begins with xyz
            state["layers.0.bias"][neuron] = -STEEP * size
    for i in (1, 2):
        state[f"layers.{i}.weight"][:6, :6] = torch.eye(6)
    state["layers.3.weight"][0, :6] = -1.0
    state["layers.3.bias"][0] = height
    return layout.flatten(state)


def boxes(n: int, split: str, *, seed: int, noise: float = 0.02) -> Population:
    """Runs that end in a box each, and a little noise on all weights."""
    rng = torch.Generator().manual_seed(seed)
    halves = 0.08 + 0.3 * torch.rand(n, 3, generator=rng)
    weights = torch.stack([box(half.tolist()) for half in halves])
    weights = weights + noise * torch.randn(weights.shape, generator=rng)
    records = Records.of([f"{split}-{i:03d}" for i in range(n)], split=split, step=1)
    return Population(weights, FIELD.layout, records, PopulationInfo("boxes", {}, FIELD.name))
