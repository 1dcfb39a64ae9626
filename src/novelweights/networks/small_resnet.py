"""A small residual network with batch normalization, evaluated and trained many at a time.

For 8x8 images: a 3x3 convolution of stride 2, one stage of blocks of constant width, mean over the
image, dense layer. Names are those of ResNet-18; a checkpoint is the whole state, with the running
statistics. Convolutions are products with gathered patches: torch's own are one network at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from novelweights.networks.network import evaluating
from novelweights.networks.resnet import (
    Block,
    ResidualTable,
    Traced,
    initial_state,
    layout_of_state,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import Flip, NeuronSymmetry

MOMENTUM, EPSILON = 0.1, 1e-5
"""Of batch normalization; torch's."""
PATCH_FLOATS = 4 << 20
"""Patches are gathered for so many checkpoints at once that they fit into 16 MiB."""


class TrainingStep(NamedTuple):
    """What a network gives while it is trained."""

    logits: Float[Tensor, "n batch classes"]
    running: dict[str, Float[Tensor, "n channels"]]
    """Its running statistics after this batch."""


@dataclass(frozen=True)
class SmallResNet:
    """A classifier of gray size x size images, rows flattened."""

    width: int = 8
    """Channels of all convolutions."""
    blocks: int = 2
    image_size: int = 8
    classes: int = 10

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.classes) < 1 or self.image_size < 2:
            raise ValueError("expected at least 1 channel, 1 block, 1 class and images of 2x2")

    @property
    def name(self) -> str:
        """For example resnet-2x8-1x8x8-10."""
        side = self.image_size
        return f"resnet-{self.blocks}x{self.width}-1x{side}x{side}-{self.classes}"

    @property
    def inputs(self) -> int:
        """Pixels of an image."""
        return self.image_size**2

    @property
    def layout(self) -> WeightLayout:
        """The whole state in the order of the module's state dict."""
        return self._layout

    @cached_property
    def _layout(self) -> WeightLayout:
        return layout_of_state(self.module)

    @cached_property
    def is_learned(self) -> Bool[Tensor, " d"]:
        """True for parameters, False for running statistics, which no optimizer moves."""
        return torch.cat(
            [
                torch.full(shape, "running" not in name).flatten()
                for name, shape in self.layout.shapes
            ]
        )

    @property
    def symmetry(self) -> NeuronSymmetry:
        """Channels may be reordered: inside each block, and in the sum that all blocks add to.

        Running statistics move with their channel. A filter may change sign with the scale and the
        running mean of the normalization after it. Behind a ReLU a channel may be scaled, and a
        normalization undoes the length of the filter before it.
        """
        table = ResidualTable()
        table.normalized("conv1", "bn1", "stage", None)
        for block in range(self.blocks):
            at, inside = f"layer1.{block}", f"block{block}"
            table.normalized(f"{at}.conv1", f"{at}.bn1", inside, "stage")
            table.normalized(f"{at}.conv2", f"{at}.bn2", "stage", inside)
        symmetry = table.with_classifier("fc", "stage", self.layout)
        flips = {
            name: Flip(symmetry.axes[f"{name}.weight"][0] or "", (*n.filters, n.scale, n.mean))
            for name, n in table.normalizations.items()
            if n.scale is not None and n.mean is not None
        }
        return replace(symmetry, flips=flips)

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization, ResNet-18's."""
        return initial_state(self.layout, rng)

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples, by its running statistics."""
        logits = torch.empty(len(weights), len(x), self.classes)
        patches = 9 * self.width * len(x) * (-(-self.image_size // 2)) ** 2
        at_once = max(1, PATCH_FLOATS // max(1, patches))
        with evaluating():
            for start in range(0, len(weights), at_once):
                some = weights[start : start + at_once]
                state = self.layout.unflatten(some)
                logits[start : start + len(some)] = self._logits(state, x[None], None)
        return logits

    def training_step(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "n batch inputs"]
    ) -> TrainingStep:
        """Logits of every checkpoint on examples of its own, by the statistics of its batch."""
        running: dict[str, Tensor] = {}
        return TrainingStep(self._logits(self.layout.unflatten(weights), x, running), running)

    def _logits(
        self, state: Mapping[str, Tensor], x: Tensor, running: dict[str, Tensor] | None
    ) -> Float[Tensor, "n examples classes"]:
        """By running statistics, or by the batch's, which then go into `running`."""

        def normalized(filters: str, norm: str, value: Tensor, stride: int = 1) -> Tensor:
            found = _convolved(value, state[f"{filters}.weight"], stride)
            return _normalized(found, state, norm, running)

        side = self.image_size
        images = x.reshape(len(x), 1, -1, side, side)  # (n or 1, channels, examples, h, w)
        value = normalized("conv1", "bn1", images, stride=2).relu()
        for block in range(self.blocks):
            at = f"layer1.{block}"
            inside = normalized(f"{at}.conv1", f"{at}.bn1", value).relu()
            value = (normalized(f"{at}.conv2", f"{at}.bn2", inside) + value).relu()
        means = value.mean(dim=(3, 4))  # (n, channels, examples)
        weight, bias = state["fc.weight"], state["fc.bias"]
        return torch.baddbmm(bias[:, None], means.transpose(1, 2), weight.transpose(1, 2))

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, freshly initialized by torch."""
        return _Module(self)


class _Module(nn.Module):
    def __init__(self, network: SmallResNet) -> None:
        super().__init__()
        width, self.side = network.width, network.image_size
        self.conv1 = nn.Conv2d(1, width, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(*(Block(width, width, stride=1) for _ in range(network.blocks)))
        self.fc = nn.Linear(width, network.classes)

    def forward(self, x: Traced) -> Traced:
        x = x.reshape(-1, 1, self.side, self.side)
        x = self.layer1(F.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def _convolved(
    value: Float[Tensor, "_ into examples h w"],
    filters: Float[Tensor, "n out into 3 3"],
    stride: int,
) -> Float[Tensor, "n out examples h2 w2"]:
    """Every network's own 3x3 filters, with a border of zeros."""
    n, out, into = filters.shape[:3]
    examples, h, w = value.shape[2], *(-(-side // stride) for side in value.shape[3:])
    padded = F.pad(value, (1, 1, 1, 1))
    parts = [
        padded[..., i : i + stride * (h - 1) + 1 : stride, j : j + stride * (w - 1) + 1 : stride]
        for i in range(3)
        for j in range(3)
    ]
    patches = torch.stack(parts, dim=2).reshape(len(value), 9 * into, examples * h * w)
    found = torch.bmm(filters.reshape(n, out, 9 * into), patches.expand(n, -1, -1))
    return found.reshape(n, out, examples, h, w)


def _normalized(
    value: Float[Tensor, "n channels examples h w"],
    state: Mapping[str, Tensor],
    norm: str,
    running: dict[str, Tensor] | None,
) -> Float[Tensor, "n channels examples h w"]:
    """Batch normalization, network by network."""
    mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
    if running is not None:
        kept = {f"{norm}.running_mean": mean, f"{norm}.running_var": variance}
        variance, mean = torch.var_mean(value, dim=(2, 3, 4), correction=0)
        count = value[0, 0].numel()
        seen = (mean, variance * (count / max(1, count - 1)))
        for (name, before), now in zip(kept.items(), seen, strict=True):
            running[name] = torch.lerp(before.detach(), now.detach(), MOMENTUM)
    scale = state[f"{norm}.weight"] * (variance + EPSILON).rsqrt()
    shift = state[f"{norm}.bias"] - mean * scale
    return value * scale[:, :, None, None, None] + shift[:, :, None, None, None]


DIGITS_RESNET = SmallResNet()
"""Of 8x8 digits, 2,626 weights, 80 of them running statistics."""
