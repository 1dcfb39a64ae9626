"""Multilayer perceptrons, evaluated for a whole population at once.

One hidden layer: the paper's MNIST target network (784-10-10 ReLU, 7,960 weights; G.pt) and its
small sibling for 8x8 digits (64-10-10, 760 weights). Several: the smallest networks whose best
alignment is not certain (DeepWeightFlow generates 784-32-32-10). Flat order: layer after layer,
weight (row-major), then bias.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.weights.continuous import Continuous, scales_of_chain, shifts_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
IN_PLACE = {"relu": torch.relu_, "tanh": torch.tanh_}
ODD_ACTIVATIONS = frozenset({"tanh"})


class Layer(NamedTuple):
    """A dense layer or convolution with a bias."""

    name: str
    shape: tuple[int, ...]
    """Of its weight: outputs, inputs, and the sizes of the kernel."""
    out: str | None
    """Group of its outputs, None for those of the network."""
    into: str | None
    """Group of its inputs."""


def layout_of_layers(layers: Sequence[Layer]) -> WeightLayout:
    """Layer after layer, weight, then bias."""
    both = [((f"{x.name}.weight", x.shape), (f"{x.name}.bias", x.shape[:1])) for x in layers]
    return WeightLayout(tuple(parameter for pair in both for parameter in pair))


def axes_of_layers(layers: Sequence[Layer]) -> dict[str, tuple[str | None, ...]]:
    """Which neurons the axes of weights and biases count, as a symmetry table has it."""
    axes: dict[str, tuple[str | None, ...]] = {}
    for name, shape, out, into in layers:
        kernel = (None,) * (len(shape) - 2)
        axes |= {f"{name}.weight": (out, into, *kernel), f"{name}.bias": (out,)}
    return axes


def symmetry_of_chain(layers: Sequence[Layer], activation: str) -> NeuronSymmetry:
    """Dense layers one after another: hidden neurons may be reordered; with an odd activation they
    may also flip sign, with ReLU be scaled. Several outputs are logits, which may be shifted."""
    groups, last = [str(layer.out) for layer in layers[:-1]], layers[-1]
    odd = activation in ODD_ACTIVATIONS
    scales = {} if odd else scales_of_chain([layer.name for layer in layers], groups)
    continuous = Continuous(scales, shifts_of(last.name, last.shape[0]))
    signs = frozenset(groups if odd else ())
    return NeuronSymmetry(axes_of_layers(layers), signs, continuous=continuous)


def _require_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is none of {sorted(ACTIVATIONS)}")


@dataclass(frozen=True)
class OneHiddenMLP:
    """A classifier inputs -> hidden -> classes; `forward` takes many checkpoints together."""

    inputs: int
    hidden: int
    classes: int
    activation: str = "relu"

    def __post_init__(self) -> None:
        _require_activation(self.activation)

    @property
    def name(self) -> str:
        """For example mlp-784-10-10-relu."""
        return f"mlp-{self.inputs}-{self.hidden}-{self.classes}-{self.activation}"

    @property
    def _layers(self) -> tuple[Layer, Layer]:
        hidden = Layer("hidden", (self.hidden, self.inputs), "h", None)
        return hidden, Layer("out", (self.classes, self.hidden), None, "h")

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        return layout_of_layers(self._layers)

    @property
    def symmetry(self) -> NeuronSymmetry:
        """See `symmetry_of_chain`."""
        return symmetry_of_chain(self._layers, self.activation)

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's for a linear
        layer, weights and biases alike (facts of G.pt's released code)."""
        parts = []
        for fan_in, out in ((self.inputs, self.hidden), (self.hidden, self.classes)):
            uniform = torch.rand((fan_in + 1) * out, generator=rng)
            parts.append((2 * uniform - 1) * (1 / math.sqrt(fan_in)))
        return torch.cat(parts)

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples.

        The hidden layers of all checkpoints are one matrix product: with x shared, n networks of
        ten neurons are a network of 10 n neurons.
        """
        state = self.layout.unflatten(weights)
        n = len(weights)
        stacked = state["hidden.weight"].reshape(n * self.hidden, self.inputs)
        pre = torch.addmm(state["hidden.bias"].reshape(-1, 1), stacked, x.T)  # (n hidden, examples)
        hidden = ACTIVATIONS[self.activation](pre).reshape(n, self.hidden, len(x))
        logits = torch.baddbmm(
            state["out.bias"][:, :, None], state["out.weight"], hidden
        )  # (n, classes, examples)
        return logits.transpose(1, 2)

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, with the layout's parameter names."""
        return _Module(self)


class _Module(nn.Module):
    def __init__(self, network: OneHiddenMLP) -> None:
        super().__init__()
        self.hidden = nn.Linear(network.inputs, network.hidden)
        self.out = nn.Linear(network.hidden, network.classes)
        self.activation = ACTIVATIONS[network.activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.activation(self.hidden(x)))


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
        _require_activation(self.activation)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, hidden neurons layer by layer, classes."""
        return (self.inputs, *self.hidden, self.classes)

    @property
    def name(self) -> str:
        """For example mlp-64-32-32-10-relu."""
        return f"mlp-{'-'.join(map(str, self.sizes))}-{self.activation}"

    @property
    def _layers(self) -> list[Layer]:
        groups = [None, *(f"h{i + 1}" for i in range(len(self.hidden))), None]
        pairs = zip(pairwise(self.sizes), pairwise(groups), strict=True)
        return [
            Layer(f"layers.{i}", (rows, columns), out, into)
            for i, ((columns, rows), (into, out)) in enumerate(pairs)
        ]

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        return layout_of_layers(self._layers)

    @property
    def symmetry(self) -> NeuronSymmetry:
        """See `symmetry_of_chain`."""
        return symmetry_of_chain(self._layers, self.activation)

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
        values = x.expand(len(weights), *x.shape[-2:])
        for i in range(len(self.hidden) + 1):
            weight, bias = state[f"layers.{i}.weight"], state[f"layers.{i}.bias"]
            values = torch.baddbmm(bias[:, None], values, weight.transpose(1, 2))
            if i < len(self.hidden):
                values = IN_PLACE[self.activation](values)
        return values

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, with the layout's parameter names."""
        return DeepModule(self)


class DeepModule(nn.Module):
    """A `DeepMLP` as torch has it."""

    def __init__(self, network: DeepMLP) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(network.sizes))
        self.activation = ACTIVATIONS[network.activation]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


MNIST_MLP = OneHiddenMLP(784, 10, 10)
"""The paper's G.pt target network, 7,960 weights."""
DIGITS_MLP = OneHiddenMLP(64, 10, 10)
"""Its sibling for 8x8 digits, 760 weights."""
DIGITS_WIDE_MLP = OneHiddenMLP(64, 24, 10)
"""Of 8x8 digits with more hidden neurons: 1,810 weights, of which none matters much."""
DIGITS_DEEP_MLP = DeepMLP(64, (32, 32), 10)
"""Of 8x8 digits, 3,466 weights."""
