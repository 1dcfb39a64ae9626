"""What every target network offers: the protocol that tasks and zoos are written for.

Networks run for what they compute: without gradients, and in float32 throughout (`evaluating`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
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


@runtime_checkable
class HasTrunk(Protocol):
    """A target network whose first layers are the same for all checkpoints."""

    def trunk(self, x: Float[Tensor, "examples inputs"]) -> tuple[Tensor, ...]:
        """Activations that the tail begins with, examples first."""
        ...

    def tail(
        self, weights: Float[Tensor, "n d"], activations: tuple[Tensor, ...]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint from activations of `trunk`."""
        ...


def working_device() -> torch.device:
    """Where networks of this size are computed: a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def evaluating() -> Iterator[None]:
    """No gradients, and no TF32 where an accelerator has it.

    By torch's default convolutions there round what they multiply to 10 bits, which changed logits
    by a thousandth of their size (measured on an H100) and would change predictions.
    """
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
