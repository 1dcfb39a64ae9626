"""Neural fields: the logit that a point of space lies inside a shape, HyperDiffusion's networks.

Source: HyperDiffusion, released code. x, y, z in [-0.5, 0.5] are encoded as x, sin(2^k x) and
cos(2^k x) for k = 0 to 3 (no pi): 27 values in the order x, sin 1, cos 1, sin 2, ..., each for the
three coordinates. Then 27 -> 128 -> 128 -> 128 -> 1 with ReLU; the output is a logit, positive
inside. 36,737 weights. Flat order: layer after layer, weight (row-major), then bias.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from novelweights.networks.mlp import DeepMLP, DeepModule
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

POINTS_AT_ONCE = 2048
"""By one thread: the activations of a layer, 1 MB at width 128, stay near the core. Ours,
measured: 1,024 to 4,096 are equally fast, 32,768 takes a third longer or more."""


@dataclass(frozen=True)
class OccupancyField:
    """Three hidden layers over an encoded point; `forward` takes many checkpoints together."""

    width: int = 128
    frequencies: int = 4
    """Sines and cosines of 1, 2, 4, ... times a coordinate (radians per side of the cube)."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.frequencies < 0:
            raise ValueError(
                f"expected a width of at least 1 and no negative number of frequencies, got "
                f"{self.width} and {self.frequencies}"
            )

    @property
    def name(self) -> str:
        """For example field-27-128-128-128-1-relu."""
        return f"field-{self.inputs}-{self.width}-{self.width}-{self.width}-1-relu"

    @property
    def inputs(self) -> int:
        """Values of an encoded point."""
        return 3 * (1 + 2 * self.frequencies)

    @cached_property
    def _chain(self) -> DeepMLP:
        """The network behind the encoding."""
        return DeepMLP(self.inputs, (self.width,) * 3, 1)

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        return self._chain.layout

    @property
    def symmetry(self) -> NeuronSymmetry:
        """The neurons of each hidden layer may be reordered and, behind a ReLU, scaled."""
        return self._chain.symmetry

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization, `DeepMLP`'s."""
        return self._chain.initial(rng)

    def encode(self, points: Float[Tensor, "*any axes"]) -> Float[Tensor, "*any encoded"]:
        """Coordinates, then their sines and cosines by rising frequency, all axes each time."""
        parts = [points]
        for k in range(self.frequencies):
            parts += [torch.sin(2**k * points), torch.cos(2**k * points)]
        return torch.cat(parts, dim=-1)

    def forward(
        self, weights: Float[Tensor, "n d"], points: Float[Tensor, "*own m 3"]
    ) -> Float[Tensor, "n m"]:
        """Logits of every checkpoint at shared points (m, 3) or at its own (n, m, 3).

        Without gradients the memory beyond the result is that of some `POINTS_AT_ONCE`
        evaluations by each thread, whatever n and m.

        Raises:
            ValueError: The weights are not `layout.size`, or the points not one set per checkpoint.
        """
        if points.ndim == 3 and len(points) != len(weights):
            raise ValueError(f"{len(points)} sets of points for {len(weights)} checkpoints")
        self.layout.unflatten(weights)  # refuses other sizes, even of no checkpoints
        shared = points.ndim == 2
        n, m = len(weights), points.shape[-2]
        at_once = POINTS_AT_ONCE * torch.get_num_threads()
        columns = []
        for some in points.split(at_once, dim=-2) if n and m else ():
            encoded = self.encode(some)
            step, rows = max(at_once // some.shape[-2], 1), []
            for i in range(0, n, step):
                x = encoded if shared else encoded[i : i + step]
                rows.append(self._chain.forward(weights[i : i + step], x)[:, :, 0])
            columns.append(torch.cat(rows))
        return torch.cat(columns, dim=1) if columns else weights.new_zeros(n, m)

    def on_grid(
        self, weights: Float[Tensor, " d"], axis: Float[Tensor, " p"]
    ) -> Callable[[Int[Tensor, "m 3"]], Float[Tensor, " m"]]:
        """One checkpoint's logits at points of a regular grid, as a function of their indices.

        The encoding acts on each coordinate alone, so the first layer is a sum of three vectors,
        one per axis, out of tables that are made here. No gradients.

        Args:
            axis: Coordinates of the grid along each of the three axes.
        """
        state = {name: value.detach() for name, value in self.layout.unflatten(weights).items()}
        by_axis = state["layers.0.weight"].reshape(self.width, -1, 3)  # neuron, encoded value, axis
        encoded = self.encode(axis[:, None])
        tables = torch.cat([encoded @ by_axis[:, :, a].T for a in range(3)])  # (3 p, width)
        tables[: len(axis)] += state["layers.0.bias"]
        starts = len(axis) * torch.arange(3)

        def logits(indices: Tensor) -> Tensor:
            parts = [weights.new_zeros(0)]
            with torch.inference_mode():
                for some in indices.split(POINTS_AT_ONCE * torch.get_num_threads()):
                    x = F.embedding_bag(some + starts, tables, mode="sum").relu_()
                    for i in (1, 2):
                        weight, bias = state[f"layers.{i}.weight"], state[f"layers.{i}.bias"]
                        x = torch.addmm(bias, x, weight.T).relu_()
                    parts.append(x @ state["layers.3.weight"][0] + state["layers.3.bias"])
            return torch.cat(parts)

        return logits

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, with the layout's parameter names."""
        return _Module(self, self._chain)


class _Module(DeepModule):
    def __init__(self, field: OccupancyField, network: DeepMLP) -> None:
        super().__init__(network)
        self.encode = field.encode

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.encode(x))


OCCUPANCY_FIELD = OccupancyField()
"""HyperDiffusion's, 36,737 weights."""
