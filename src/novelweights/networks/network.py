"""What every target network offers: the protocol that tasks and zoos are written for."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry


@runtime_checkable
class TargetNetwork(Protocol):
    """A classifier of flattened images whose checkpoints are weight vectors."""

    @property
    def name(self) -> str:
        """Says what it is, sizes included; `population.json` calls it the architecture."""
        ...

    @property
    def inputs(self) -> int:
        """Length of an image's row."""
        ...

    @property
    def classes(self) -> int: ...

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        ...

    @property
    def symmetry(self) -> NeuronSymmetry:
        """The function-preserving transformations."""
        ...

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization."""
        ...

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples."""
        ...

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, with the layout's parameter names."""
        ...
