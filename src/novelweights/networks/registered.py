"""Networks by name, with the shape of their inputs: ours, and those of installed packages.

For whoever declares the symmetry of checkpoints by their network. Further networks of one's own are
named by their place in Python code (`declared.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import nn

from novelweights import plugins
from novelweights.errors import InputError, unknown_name
from novelweights.networks.mlp import DIGITS_DEEP_MLP, DIGITS_MLP, DIGITS_WIDE_MLP, MNIST_MLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.neural_field import OCCUPANCY_FIELD
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN
from novelweights.networks.small_resnet import SmallResNet


@runtime_checkable
class NamedNetwork(Protocol):
    """Makes a network and knows what goes into it."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, without the batch."""
        ...

    def module(self) -> nn.Module:
        """The network, with any weights."""
        ...


@dataclass(frozen=True)
class _Own:
    """A network of ours."""

    module: Callable[[], nn.Module]
    input_shape: tuple[int, ...]


_ROWS: tuple[TargetNetwork, ...] = (
    *(DIGITS_MLP, DIGITS_WIDE_MLP, DIGITS_DEEP_MLP, MNIST_MLP),
    *(GRAY_CNN, COLOR_CNN, COLOR_GELU_CNN, SmallResNet()),
)
"""Those whose examples are rows."""
_RESNET = ResNet18()
NETWORKS: dict[str, NamedNetwork] = {
    **{network.name: _Own(network.module, (network.inputs,)) for network in _ROWS},
    OCCUPANCY_FIELD.name: _Own(OCCUPANCY_FIELD.module, (3,)),
    _RESNET.name: _Own(_RESNET.module, (_RESNET.channels, _RESNET.image_size, _RESNET.image_size)),
}


def network_named(name: str) -> tuple[nn.Module, tuple[int, ...] | None]:
    """A network by name and the shape of its examples, None where its package does not say.

    Raises:
        InputError: There is none of that name, or its package cannot be loaded.
    """
    if name in NETWORKS:
        return NETWORKS[name].module(), NETWORKS[name].input_shape
    added = plugins.installed(plugins.NETWORKS, NETWORKS)
    if name not in added:
        unknown = unknown_name("network", name, [*NETWORKS, *added])
        message = f"expected a network as my_module:MyNetwork, or by name: {unknown}"
        raise InputError(message, "unknown-name")
    made: Any = added[name].made(nn.Module, NamedNetwork, fault=_fault)
    return made if isinstance(made, nn.Module) else made.module(), input_shape_of(made)


def added_networks() -> plugins.Loaded:
    """The networks of installed packages, and those that cannot be loaded."""
    kinds: Any = nn.Module, NamedNetwork
    return plugins.load_all(plugins.NETWORKS, *kinds, builtin=NETWORKS, fault=_fault)


def input_shape_of(network: Any) -> tuple[int, ...] | None:
    """What a network says of the shape of one example, None for nothing."""
    shape = getattr(network, "input_shape", None)
    return None if shape is None else tuple(shape)


def _fault(network: Any) -> str:
    """What is wrong with a network that somebody else has written; "" for nothing."""
    shape = getattr(network, "input_shape", None)
    if shape is not None and not all(isinstance(size, int) and size > 0 for size in shape):
        return f"its input_shape is {shape!r}; expected sizes of one example, such as (3, 32, 32)"
    made = network if isinstance(network, nn.Module) else network.module()
    if not isinstance(made, nn.Module):
        return f"its module() makes a {type(made).__name__}; expected a torch.nn.Module"
    return ""
