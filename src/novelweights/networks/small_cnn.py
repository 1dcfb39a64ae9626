"""The small convolutional network of the Hyper-Representations zoos, 28x28 images, ten classes.

Convolution to 8 channels (5x5), maximum over 2x2, activation; convolution to 6 channels (5x5),
maximum, activation; convolution to 4 channels (2x2), activation; dense 36 -> 20, activation; dense
20 -> 10. 2,464 weights with gray images, 2,864 with color. Flat order: layer after layer, weight
(row-major), then bias. `forward` takes many checkpoints together (`networks/cnn_forward.py`).
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from novelweights.networks.cnn_forward import population_logits
from novelweights.networks.mlp import Layer, axes_of_layers, layout_of_layers
from novelweights.weights.continuous import Continuous, shifts_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

ACTIVATIONS = {"tanh": torch.tanh, "gelu": F.gelu}
INITIALIZATIONS = ("uniform", "kaiming")
IMAGES_AT_ONCE = 128  # by one thread, which takes them in sixteens
BIAS = 0.01  # Source: the model-zoo repository, every bias of every zoo


@dataclass(frozen=True)
class SmallCNN:
    """A classifier of `channels` x 28 x 28 images, rows flattened channel after channel.

    Source: the zoos of Hyper-Representations (generative; NeurIPS 2022), released code.
    """

    channels: int = 1
    activation: str = "tanh"
    """tanh, or gelu (exact, by erf)."""
    initialization: str = "uniform"
    """uniform, or kaiming: see `initial`."""
    classes: int = 10

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r} is none of {sorted(ACTIVATIONS)}")
        if self.initialization not in INITIALIZATIONS:
            raise ValueError(f"initialization {self.initialization!r} is none of {INITIALIZATIONS}")
        if self.channels < 1 or self.classes != 10:
            raise ValueError(
                f"expected at least 1 channel and 10 classes, got {self.channels} and "
                f"{self.classes}"
            )

    @property
    def name(self) -> str:
        """For example cnn-1x28x28-8-6-4-20-10-tanh."""
        return f"cnn-{self.channels}x28x28-8-6-4-20-10-{self.activation}"

    @property
    def inputs(self) -> int:
        """Pixels of an image, all channels."""
        return self.channels * 28 * 28

    @property
    def _layers(self) -> tuple[Layer, ...]:
        return (
            Layer("conv1", (8, self.channels, 5, 5), "c1", None),
            Layer("conv2", (6, 8, 5, 5), "c2", "c1"),
            Layer("conv3", (4, 6, 2, 2), "c3", "c2"),
            Layer("dense1", (20, 36), "d1", "c3"),
            Layer("dense2", (10, 20), None, "d1"),
        )

    @property
    def layout(self) -> WeightLayout:
        """Parameters in flat order."""
        return layout_of_layers(self._layers)

    @property
    def symmetry(self) -> NeuronSymmetry:
        """Channels and hidden neurons may be reordered; some may flip sign with tanh.

        A channel of the third convolution has nine values in a row of the first dense layer. The
        channels of the first two convolutions may not flip: the maximum between convolution and
        activation would become a minimum. So only the third convolution (c3) and the first dense
        layer (d1) have signs, and with gelu, which is not odd, none.
        """
        return NeuronSymmetry(
            axes_of_layers(self._layers),
            frozenset({"c3", "d1"}) if self.activation == "tanh" else frozenset(),
            {"dense1.weight": (1, 9)},
            continuous=Continuous(shifts=shifts_of("dense2", 10)),
        )

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization; every bias is 0.01.

        uniform: weights from U(0, 1), all positive and without regard to the number of inputs.
        That is what the published code does; tanh saturates at first, and weights stay of order 1.
        kaiming: U(-b, b) with b = gain sqrt(3 / fan_in) and gain sqrt(2), which is that of
        `torch.nn.init.kaiming_uniform_` if it is told nothing (a leaky ReLU of slope 0).
        """
        parts = []
        for name, shape in self.layout.shapes:
            if name.endswith("bias"):
                parts.append(torch.full(shape, BIAS))
                continue
            uniform = torch.rand(math.prod(shape), generator=rng)
            if self.initialization == "kaiming":
                bound = math.sqrt(2) * math.sqrt(3 / math.prod(shape[1:]))
                uniform = (2 * uniform - 1) * bound
            parts.append(uniform)
        return torch.cat(parts)

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples, float32."""
        logits = torch.empty(len(weights), self.classes, len(x))
        w, images = weights.detach().contiguous().numpy(), x.detach().contiguous().numpy()
        is_gelu = self.activation == "gelu"

        def some(first: int) -> None:
            end = min(first + IMAGES_AT_ONCE, len(x))
            population_logits(w, is_gelu, images, first, end, logits.numpy())

        with ThreadPoolExecutor(numba.get_num_threads()) as threads:
            list(threads.map(some, range(0, len(x), IMAGES_AT_ONCE)))
        return logits.transpose(1, 2)

    def module(self) -> nn.Module:
        """The same network as an ordinary `torch.nn.Module`, with the layout's parameter names."""
        return _Module(self)


class _Module(nn.Module):
    def __init__(self, network: SmallCNN) -> None:
        super().__init__()
        self.image_shape = (network.channels, 28, 28)
        self.conv1 = nn.Conv2d(network.channels, 8, 5)
        self.conv2 = nn.Conv2d(8, 6, 5)
        self.conv3 = nn.Conv2d(6, 4, 2)
        self.dense1 = nn.Linear(36, 20)
        self.dense2 = nn.Linear(20, network.classes)
        self.activation = ACTIVATIONS[network.activation]

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(-1, *self.image_shape)
        x = self.activation(F.max_pool2d(self.conv1(x), 2))  # (examples, 8, 12, 12)
        x = self.activation(F.max_pool2d(self.conv2(x), 2))  # (examples, 6, 4, 4)
        x = self.activation(self.conv3(x)).flatten(1)  # (examples, 36)
        return self.dense2(self.activation(self.dense1(x)))


GRAY_CNN = SmallCNN()
"""Of the MNIST and SVHN zoos: tanh, 2,464 weights."""
COLOR_CNN = SmallCNN(3, "tanh", "kaiming")
"""Of the STL-10 zoo: tanh, 2,864 weights."""
COLOR_GELU_CNN = SmallCNN(3, "gelu", "kaiming")
"""Of the CIFAR-10 zoo."""
