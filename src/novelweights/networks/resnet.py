"""The residual network ResNet-18, with the stem for 224x224 images or the one for 32x32.

Stem; four stages of two blocks with width, 2, 4 and 8 times width channels, each block two 3x3
convolutions with batch normalization around which the input is added; mean over the image; dense
layer. Parameter names are those in common use, so that state dicts of other implementations fit.
A checkpoint is the whole state: parameters and the running statistics of batch normalization.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from novelweights.networks.network import evaluating, working_device
from novelweights.weights.continuous import (
    Continuous,
    Normalization,
    Rescaling,
    Scaled,
    shifts_of,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

STAGES, BLOCKS = (1, 2, 3, 4), (0, 1)
IMAGE_SIZES = (32, 224)
WHOLE_VECTOR = 8
"""Channels that a vector of AVX2 holds."""
IMAGES_AT_ONCE = 256
Traced = Any
"""A tensor, or what stands for one while `torch.fx` traces."""


@dataclass(frozen=True)
class ResidualTable:
    """The symmetry table of a residual network, as its layers are told one after another."""

    axes: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    scaled: dict[str, list[Scaled]] = field(default_factory=dict)
    """By group, where a channel is written and read."""
    normalizations: dict[str, Normalization] = field(default_factory=dict)

    def normalized(self, filters: str, norm: str, out: str, into: str | None) -> None:
        """A convolution without bias and the batch normalization after it.

        Args:
            out: Group of the channels that they give.
            into: Group of those that they take, None for the image.
        """
        weight = f"{filters}.weight"
        parts = tuple(f"{norm}.{p}" for p in ("weight", "bias", "running_mean", "running_var"))
        scale, shift, mean, variance = parts
        self.axes[weight] = (out, into, None, None)
        self.axes.update(dict.fromkeys(parts, (out,)))
        if into is not None:
            self.scaled.setdefault(into, []).append(Scaled(weight, 1, -1))
        self.scaled.setdefault(out, []).extend((Scaled(scale, 0, 1), Scaled(shift, 0, 1)))
        self.normalizations[norm] = Normalization((weight,), scale, shift, mean, variance)

    def with_classifier(self, name: str, into: str, layout: WeightLayout) -> NeuronSymmetry:
        """The table of the whole network, whose last layer gives logits from a group's means."""
        axes = {**self.axes, f"{name}.weight": (None, into), f"{name}.bias": (None,)}
        read = {into: [*self.scaled[into], Scaled(f"{name}.weight", 1, -1)]}
        scales = {
            group: Rescaling(group, tuple(members))
            for group, members in {**self.scaled, **read}.items()
        }
        return NeuronSymmetry(
            {name: axes[name] for name, _ in layout.shapes},
            continuous=Continuous(
                scales, shifts_of(name, dict(layout.shapes)[f"{name}.bias"][0]), self.normalizations
            ),
        )


@dataclass(frozen=True)
class ResNet18:
    """A classifier of `channels` x size x size images, rows flattened channel after channel.

    Source: He et al. 2016, table 1; for 32x32 the stem in common use there, a 3x3 convolution of
    stride 1 without pooling. Paper, appendix A: P-diff on CIFAR-100 enlarged to 224x224.
    """

    width: int = 64
    """Channels of the first stage; 64 is ResNet-18."""
    image_size: int = 224
    """224, or 32: side of an image, and which stem."""
    channels: int = 3
    classes: int = 100

    def __post_init__(self) -> None:
        if self.image_size not in IMAGE_SIZES:
            raise ValueError(f"image size {self.image_size} is none of {IMAGE_SIZES}")
        if min(self.width, self.channels, self.classes) < 1:
            raise ValueError("expected at least 1 channel and 1 class")

    @property
    def name(self) -> str:
        """For example resnet18-64-3x224x224-100."""
        side = self.image_size
        return f"resnet18-{self.width}-{self.channels}x{side}x{side}-{self.classes}"

    @property
    def inputs(self) -> int:
        """Pixels of an image, all channels."""
        return self.channels * self.image_size**2

    @property
    def layout(self) -> WeightLayout:
        """The whole state in the order of the module's state dict."""
        return self._layout

    @cached_property  # asked for with each checkpoint, and a module costs 7 ms
    def _layout(self) -> WeightLayout:
        return layout_of_state(self.module)

    @property
    def symmetry(self) -> NeuronSymmetry:
        """Channels may be reordered: inside each block, and in each stage's sum of blocks.

        What all blocks of a stage add to is one group, since they must agree on its order;
        running statistics move with their channel. Behind a ReLU a channel may be scaled, and a
        normalization undoes the length of the filter before it.
        """
        table = ResidualTable()
        table.normalized("conv1", "bn1", "stage1", None)
        for stage in STAGES:
            for block in BLOCKS:
                at, inside, out = f"layer{stage}.{block}", f"block{stage}.{block}", f"stage{stage}"
                into = f"stage{stage - 1}" if block == 0 and stage > 1 else out
                table.normalized(f"{at}.conv1", f"{at}.bn1", inside, into)
                table.normalized(f"{at}.conv2", f"{at}.bn2", out, inside)
                if into != out:
                    table.normalized(f"{at}.downsample.0", f"{at}.downsample.1", out, into)
        return table.with_classifier("fc", "stage4", self.layout)

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization, see `initial_state`."""
        return initial_state(self.layout, rng)

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples, one checkpoint after the other."""
        device = working_device()
        module, images = self.module().eval().to(device), self.images(x)
        logits = torch.empty(len(weights), len(x), self.classes)
        with evaluating():
            for row, checkpoint in enumerate(weights):
                state = self.layout.unflatten(checkpoint.to(device))
                parts = [
                    functional_call(module, state, (some.to(device),))
                    for some in images.split(IMAGES_AT_ONCE)
                ]
                logits[row] = torch.cat(parts)
        return logits

    def images(self, x: Float[Tensor, "examples inputs"]) -> Float[Tensor, "examples c h w"]:
        """Rows as images, channels last in memory."""
        images = x.reshape(-1, self.channels, self.image_size, self.image_size)
        return images.contiguous(memory_format=torch.channels_last)

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, its kernels channels last in memory;
        freshly initialized by torch."""
        module = _Module(self)
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return module


class _Module(nn.Module):
    def __init__(self, network: ResNet18) -> None:
        super().__init__()
        width, is_large = network.width, network.image_size == 224
        kernel, stride, padding = (7, 2, 3) if is_large else (3, 1, 1)
        self.conv1 = nn.Conv2d(network.channels, width, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if is_large else nn.Identity()
        into = width
        for stage in STAGES:
            out = width * 2 ** (stage - 1)
            first = Block(into, out, stride=1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, Block(out, out, stride=1)))
            into = out
        self.fc = nn.Linear(into, network.classes)

    def forward(self, images: Traced) -> Traced:
        x = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        for stage in STAGES:
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean(dim=(2, 3)))


class Block(nn.Module):
    """Two 3x3 convolutions with batch normalization, around which the input is added."""

    def __init__(self, into: int, out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = nn.Identity()
        if into != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Traced) -> Traced:
        inside = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inside)) + self.downsample(x))


def require_sound_convolutions(network: ResNet18) -> None:
    """Refuse to train widths at which torch's convolutions damage memory.

    On a CPU, backward passes of oneDNN (torch 2.13, without AVX512) with channels that are no
    multiple of 8 write beyond their memory: "corrupted size vs. prev_size" at width 2.

    Raises:
        ValueError: Such a width, and oneDNN is on.
    """
    if network.width % WHOLE_VECTOR and torch.backends.mkldnn.enabled:
        raise ValueError(
            f"expected a width that is a multiple of {WHOLE_VECTOR}, got {network.width}; choose "
            "another, or set torch.backends.mkldnn.enabled = False"
        )


def initial_state(layout: WeightLayout, rng: torch.Generator) -> Float[Tensor, " d"]:
    """One random initialization of a residual network.

    Convolutions: normal with variance 2 / (outputs of a channel's kernel); the last normalization
    of each block has weight 0, so that blocks begin as the identity, the others 1; dense layer
    uniform within 1 / sqrt(inputs).
    """
    parts = []
    bound = dict(layout.shapes)["fc.weight"][1] ** -0.5
    for name, shape in layout.shapes:
        if len(shape) == 4:
            std = (2 / (shape[0] * shape[2] * shape[3])) ** 0.5
            parts.append(std * torch.randn(shape, generator=rng).flatten())
        elif name.startswith("fc."):
            parts.append(bound * (2 * torch.rand(shape, generator=rng).flatten() - 1))
        else:
            ones = name.endswith("running_var") or (
                name.endswith(".weight") and not name.endswith("bn2.weight")
            )
            parts.append(torch.full(shape, float(ones)))
    return torch.cat(parts)


def layout_of_state(make: Callable[[], nn.Module]) -> WeightLayout:
    """The whole state of a network, made without memory, in the order of its state dict."""
    with torch.device("meta"):
        state = whole_state(make())
    return WeightLayout(tuple((name, tuple(value.shape)) for name, value in state.items()))


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a network, without its counts of batches, which change nothing."""
    return {
        name: value
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
