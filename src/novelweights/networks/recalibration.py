"""Running statistics of many checkpoints of a network, recomputed on examples of one's own.

A checkpoint without the statistics of its normalizations does not say what its network does; run on
examples, each normalization measures its own. Source: ours; the way is that of stochastic weight
averaging (Izmailov et al., 2018, section 3.2).
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from novelweights.errors import InputError, first_few
from novelweights.networks.module_network import ModuleNetwork, guarded
from novelweights.networks.network import evaluating
from novelweights.weights.layout import is_statistic

EXAMPLES = 1000
"""At most; statistics of as many images are known to a few hundredths of their spread."""
FLOATS = 64 << 20
"""Of the largest intermediate value of all these examples: 256 MiB."""


def statistics_of(module: nn.Module) -> list[str]:
    """Names of the running statistics of a network."""
    return [name for name in module.state_dict() if is_statistic(name)]


def examples_for(n: int, largest: int) -> Int[np.ndarray, " k"]:
    """Which of n examples statistics are recomputed on: spread over all, since files may be sorted.

    Args:
        largest: Numbers of the network's largest intermediate value for one example.
    """
    k = min(n, EXAMPLES, max(2, FLOATS // max(largest, 1)))
    return np.linspace(0, n - 1, k).round().astype(np.int64)


def recalibrated(
    network: ModuleNetwork,
    weights: Float[Tensor, "n d"],
    examples: Float[Tensor, "examples inputs"],
    names: Iterable[str],
) -> Float[Tensor, "n d"]:
    """Checkpoints with the statistics of these names as their networks measure them on examples.

    Statistics are those of all examples together, by the convention of torch (variances of a
    sample). Everything but the normalizations runs as in use.

    Args:
        weights: By the network's layout; what they hold under these names does not count.

    Raises:
        InputError: A statistic belongs to a module that is no normalization of torch, or the
            network fails on these examples.
    """
    device = next((p.device for p in network.held.parameters()), torch.device("cpu"))
    module, names = network.module().to(device), set(names)
    strange = set(names)
    for prefix, layer in module.named_modules():
        own = {f"{prefix}.{part}".removeprefix(".") for part in ("running_mean", "running_var")}
        if isinstance(layer, _NormBase) and own & names:
            layer.training, layer.momentum = True, 1.0  # the last batch, which is the only one
            strange -= own
    if strange:
        raise InputError(
            f"{network.name}: expected running statistics of torch's own normalizations, "
            f"{first_few(sorted(strange))} belong to other modules; save them with the checkpoints",
            "unsuited",
        )
    inputs, made = (network.images(examples).to(device),), []

    def run(row: Tensor) -> Tensor:
        """The row, which the normalizations write their statistics into."""
        state = network.layout.unflatten(row)
        functional_call(module, {n: v for n, v in state.items() if n in network.used}, inputs)
        return row

    with evaluating():
        for row in weights:
            made.append(guarded(network.name, lambda row=row: run(row.clone().to(device))).cpu())
    return torch.stack(made)
