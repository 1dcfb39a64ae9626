"""Multilayer perceptrons with one hidden layer, evaluated for a whole population at once.

The paper's MNIST target network (784-10-10 ReLU, 7,960 weights; G.pt) and its small sibling for
8x8 digits (64-10-10, 760 weights). Flat order: hidden.weight, hidden.bias, out.weight, out.bias.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.weights.continuous import Continuous, scales_of_chain, shifts_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
ODD_ACTIVATIONS = frozenset({"tanh"})


@dataclass(frozen=True)
class OneHiddenMLP:
    """A classifier inputs -> hidden -> classes; `forward` takes many checkpoints together."""

    inputs: int
    hidden: int
    classes: int
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r} is none of {sorted(ACTIVATIONS)}")

    @property
    def name(self) -> str:
        """For example mlp-784-10-10-relu."""
        return f"mlp-{self.inputs}-{self.hidden}-{self.classes}-{self.activation}"

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        return WeightLayout(
            (
                ("hidden.weight", (self.hidden, self.inputs)),
                ("hidden.bias", (self.hidden,)),
                ("out.weight", (self.classes, self.hidden)),
                ("out.bias", (self.classes,)),
            )
        )

    @property
    def symmetry(self) -> NeuronSymmetry:
        """Hidden neurons may be reordered; with an odd activation they may also flip sign, with
        ReLU be scaled."""
        odd = self.activation in ODD_ACTIVATIONS
        return NeuronSymmetry(
            {
                "hidden.weight": ("h", None),
                "hidden.bias": ("h",),
                "out.weight": (None, "h"),
                "out.bias": (None,),
            },
            frozenset({"h"}) if odd else frozenset(),
            continuous=Continuous(
                {} if odd else scales_of_chain(("hidden", "out"), ("h",)),
                shifts_of("out", self.classes),
            ),
        )

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's for a linear
        layer, weights and biases alike (facts of G.pt's released code)."""
        parts = []
        for name, shape in self.layout.shapes:
            fan_in = self.inputs if name.startswith("hidden") else self.hidden
            bound = 1 / math.sqrt(fan_in)
            uniform = torch.rand(math.prod(shape), generator=rng)
            parts.append((2 * uniform - 1) * bound)
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


MNIST_MLP = OneHiddenMLP(784, 10, 10)
"""The paper's G.pt target network, 7,960 weights."""
DIGITS_MLP = OneHiddenMLP(64, 10, 10)
"""Its sibling for 8x8 digits, 760 weights."""
DIGITS_WIDE_MLP = OneHiddenMLP(64, 24, 10)
"""Of 8x8 digits with more hidden neurons: 1,810 weights, of which none matters much."""
