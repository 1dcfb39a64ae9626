"""Multilayer perceptrons with several hidden layers, evaluated for a whole population at once.

The smallest networks whose best alignment is not certain (DeepWeightFlow generates 784-32-32-10).
Flat order: layer after layer, weight (row-major), then bias.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.networks.mlp import ACTIVATIONS, ODD_ACTIVATIONS
from novelweights.weights.continuous import Continuous, scales_of_chain, shifts_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True)
class DeepMLP:
    """A classifier inputs -> hidden layers -> classes; `forward` takes many checkpoints together.

    Raises:
        ValueError: Fewer than two hidden layers (see `OneHiddenMLP`), or an unknown activation.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int
    activation: str = "relu"

    def __post_init__(self) -> None:
        if len(self.hidden) < 2:
            raise ValueError(f"expected two hidden layers or more, got {self.hidden}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r} is none of {sorted(ACTIVATIONS)}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, hidden neurons layer by layer, classes."""
        return (self.inputs, *self.hidden, self.classes)

    @property
    def name(self) -> str:
        """For example mlp-64-32-32-10-relu."""
        return f"mlp-{'-'.join(map(str, self.sizes))}-{self.activation}"

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        shapes: list[tuple[str, tuple[int, ...]]] = []
        for i, (into, out) in enumerate(pairwise(self.sizes)):
            shapes += [(f"layers.{i}.weight", (out, into)), (f"layers.{i}.bias", (out,))]
        return WeightLayout(tuple(shapes))

    @property
    def symmetry(self) -> NeuronSymmetry:
        """Neurons of each hidden layer may be reordered; with an odd activation also flip sign,
        with ReLU be scaled."""
        groups = [None, *(f"h{i + 1}" for i in range(len(self.hidden))), None]
        axes: dict[str, tuple[str | None, ...]] = {}
        for i, (into, out) in enumerate(pairwise(groups)):
            axes |= {f"layers.{i}.weight": (out, into), f"layers.{i}.bias": (out,)}
        odd = self.activation in ODD_ACTIVATIONS
        inner = [group for group in groups if group]
        layers = [f"layers.{i}" for i in range(len(inner) + 1)]
        continuous = Continuous(
            {} if odd else scales_of_chain(layers, inner), shifts_of(layers[-1], self.classes)
        )
        return NeuronSymmetry(axes, frozenset(inner if odd else ()), continuous=continuous)

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), weights and biases alike,
        PyTorch's for a linear layer."""
        parts = []
        for into, out in pairwise(self.sizes):
            uniform = torch.rand((into + 1) * out, generator=rng)
            parts.append((2 * uniform - 1) / math.sqrt(into))
        return torch.cat(parts)

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "*own examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on shared examples, or on its own (n, examples, inputs)."""
        state = self.layout.unflatten(weights)
        found = x.expand(len(weights), *x.shape[-2:])
        for i in range(len(self.hidden) + 1):
            weight, bias = state[f"layers.{i}.weight"], state[f"layers.{i}.bias"]
            found = torch.baddbmm(bias[:, None], found, weight.transpose(1, 2))
            if i < len(self.hidden):
                found = ACTIVATIONS[self.activation](found)
        return found

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, with the layout's parameter names."""
        return _Module(self)


class _Module(nn.Module):
    def __init__(self, network: DeepMLP) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(network.sizes))
        self.activation = ACTIVATIONS[network.activation]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


DIGITS_DEEP_MLP = DeepMLP(64, (32, 32), 10)
"""Of 8x8 digits, 3,466 weights."""
