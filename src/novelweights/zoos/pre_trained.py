"""A network that was trained before, for a base network to begin from.

P-diff's base is a ResNet-18 that was pre-trained on ImageNet; no such weights come with a package,
so they are the user's file. Source: paper, appendix A; P-diff's released code.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from novelweights.errors import InputError, first_few
from novelweights.networks.resnet import ResNet18

HEAD = "fc."
"""The last layer, which is new where the number of classes is another."""


@dataclass(frozen=True, eq=False)
class PreTrained:
    """A state dict and where it is from."""

    name: str
    """Of the file."""
    sha256: str
    state: Mapping[str, Tensor]
    """By the parameter names in common use (timm's): conv1.weight, layer1.0.bn1.weight, ..."""

    def fitted_to(self, network: ResNet18) -> dict[str, Tensor]:
        """What a network of this architecture begins with; of another number of classes all but the
        last layer.

        Raises:
            InputError: Parameters or running statistics are missing or of other shapes.
        """
        shapes = {name: tuple(value.shape) for name, value in self.state.items()}
        needed = dict(network.layout.shapes)
        head = {name: shape for name, shape in needed.items() if name.startswith(HEAD)}
        if any(shapes.get(name) != shape for name, shape in head.items()):
            needed = {name: shape for name, shape in needed.items() if name not in head}
        if missing := [name for name in needed if name not in shapes]:
            raise InputError(
                f"{self.name}: expected the parameters of {network.name}, got none named "
                f"{first_few(missing)}; give a ResNet-18's state dict in timm's names by --init",
                "other-network",
            )
        for name, shape in needed.items():
            if shapes[name] != shape:
                expected, got = ("x".join(map(str, one)) for one in (shape, shapes[name]))
                raise InputError(
                    f"{self.name}: expected {name} of {expected} ({network.name}), got {got}; give "
                    "a network of this size by --init",
                    "wrong-shape",
                )
        return {name: self.state[name] for name in needed}
