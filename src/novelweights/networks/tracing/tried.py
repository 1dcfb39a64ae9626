"""A network on which continuous moves are tried: random ones, of random weights. Ours."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.networks.tracing.proof import Trial, change, steady
from novelweights.weights.continuous import Continuous
from novelweights.weights.layout import WeightLayout
from novelweights.weights.rescaled import random_rescaling

PROOFS = ((2.0, False), (2.0, False), *[(1000.0, True)] * 5)
"""Largest scale of each move in a proof, and whether all are that or one over it: activations that
are homogeneous up to some value (ReLU6) are seen where neurons become a thousand times larger."""


@dataclass(frozen=True)
class Tried:
    """A network on which moves are tried."""

    trial: Trial
    positive: Collection[str]
    parameters: frozenset[str]
    """Without buffers."""
    rng: torch.Generator
    known: list[Mapping[str, Tensor]] = field(default_factory=list)
    """What `growth` has found, for all groups."""

    @property
    def layout(self) -> WeightLayout:
        """Of the weights."""
        return self.trial.layout

    def weights(self) -> tuple[Float[Tensor, " d"], list[Tensor], float]:
        """Random ones, their outputs, and what rounding may change."""
        return steady(self.trial, self.positive, self.rng)

    def growth(self, number: int) -> Mapping[str, Tensor]:
        """By parameter, how a random sum of the outputs changes when one of its weights grows by
        itself; at random weights, other ones for each number."""
        while len(self.known) <= number:
            weights, *_ = self.weights()
            slopes = self.trial.slopes(weights, self.rng)
            self.known.append(self.layout.unflatten(weights * slopes))
        return self.known[number]

    def holds(self, some: Continuous, zero: Collection[str] = ()) -> bool:
        """Whether random moves leave the outputs, or shift them alike."""
        if some.overlapping():
            return False
        table = replace(self.trial.symmetry, continuous=some)
        for largest, extreme in PROOFS:
            weights, before, allowed = self.weights()
            if zero:
                for name in zero:
                    weights[self.layout.slices[name]] = 0
                before = self.trial.outputs(weights)
            moved = random_rescaling(
                weights[None],
                self.layout,
                table,
                rng=self.rng,
                largest=largest,
                extreme=extreme,
            )
            after = self.trial.outputs(moved[0])
            if some.shifts:
                before, after = ([_centered(x) for x in side] for side in (before, after))
            if not change(before, after) <= allowed:
                return False
        return True


def _centered(outputs: Tensor) -> Tensor:
    """Less their mean over the last axis; one output alone as it is."""
    several = outputs.ndim and outputs.shape[-1] > 1
    return outputs - outputs.mean(dim=-1, keepdim=True) if several else outputs
